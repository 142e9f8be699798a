//! `offhours completions`, `man` and `schema`: what packagers and editors want.

use clap::CommandFactory;

use crate::cli::args::{Cli, SchemaOf};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::config::{self, FileKind};

pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "offhours", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Well)
}

pub fn man() -> Result<Exit, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::io("cannot make the manual page"))?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Well)
}

pub fn schema(file: SchemaOf) -> Result<Exit, Failure> {
    let kind = match file {
        SchemaOf::Rules => FileKind::Rules,
        SchemaOf::Offhours => FileKind::Main,
    };
    output::print_json(&config::schema(kind))?;
    Ok(Exit::Well)
}
