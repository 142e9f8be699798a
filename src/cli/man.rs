//! `offhours man`: a page for every command, made of the same texts as its help.

use std::collections::BTreeMap;
use std::io;

use clap::{Command, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::args::{self, ManArgs};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output;
use crate::cli::run::built;

/// The page of the program itself; those of its commands begin with the same word.
const TOP: &str = "offhours";
/// ENVIRONMENT and FILES, which are the same for all commands and so stand in the top page only.
const SURROUNDINGS: &str = include_str!("man.roff");

pub(crate) fn man(args: &ManArgs) -> Result<Exit, CommandError> {
    let mut pages = BTreeMap::new();
    let mut top = without_help_commands(args::command());
    top.build();
    add_pages(&top, &[], &mut pages).map_err(CommandError::io("cannot make the manual pages"))?;
    if let Some(directory) = &args.output {
        let failed = || CommandError::io(format!("cannot write the manual pages to `{}`", directory.display()));
        std::fs::create_dir_all(directory).map_err(failed())?;
        for (name, page) in &pages {
            std::fs::write(directory.join(format!("{name}.1")), page).map_err(failed())?;
        }
        return Ok(Exit::Well);
    }
    let name = [TOP].into_iter().chain(args.command.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
    let page = pages.get(&name).ok_or_else(|| CommandError::Usage {
        message: format!("there is no command `{}`", args.command.join(" ").escape_debug()),
        hint: Some("`offhours --help` lists all commands".to_owned()),
    })?;
    output::print(page)?;
    Ok(Exit::Well)
}

/// `help` has nothing that a page does not say.
fn without_help_commands(command: Command) -> Command {
    let command = command.disable_help_subcommand(true).mut_subcommands(without_help_commands);
    command.subcommand_help_heading("COMMANDS").subcommand_value_name("COMMAND")
}

/// Adds the page of a command and of each below it, by their names: `offhours-hold-add`.
fn add_pages(command: &Command, above: &[&str], pages: &mut BTreeMap<String, String>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(TOP);
    pages.insert(name.to_owned(), page(command, above)?);
    let above = [above, &[name]].concat();
    command.get_subcommands().try_for_each(|inner| add_pages(inner, &above, pages))
}

/// The sections in the order of man-pages(7). `above` are the pages that lead to this one.
fn page(command: &Command, above: &[&str]) -> io::Result<String> {
    // The line below `Usage:` tells more than the synopsis that clap_mangen makes: which value an option takes.
    let usage = command.clone().render_usage().to_string();
    let man = Man::new(command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned()))
        .source(concat!("offhours ", env!("CARGO_PKG_VERSION")))
        .date(built().format("%Y-%m-%d").to_string())
        .manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    // No paths and options are broken at the end of a line, and no gaps are made between words.
    page.extend(b".nh\n.if n .ad l\n");
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if above.is_empty() {
        exit_status().to_writer(&mut page)?;
        page.extend(SURROUNDINGS.as_bytes());
    }
    examples(command.get_bin_name().unwrap_or(TOP)).to_writer(&mut page)?;
    see_also(above).to_writer(&mut page)?;
    // Each part begins with the same definitions, which are needed once.
    let definitions = Roff::new().render();
    let page = String::from_utf8_lossy(&page).replace(&definitions, "");
    Ok(definitions + &bold_between_backticks(&page))
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::value_variants() {
        let meaning = exit.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        roff.control("TP", []).text([bold((*exit as u8).to_string())]).text([roman(meaning.unwrap_or_default())]);
    }
    roff
}

fn examples(name: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for line in args::examples(name) {
        match line.strip_prefix("# ") {
            Some(comment) => roff.control("PP", []).text([roman(comment)]),
            None => roff.control("RS", ["2"]).control("nf", []).text([bold(line)]).control("fi", []).control("RE", []),
        };
    }
    roff
}

fn see_also(above: &[&str]) -> Roff {
    let pages = match above {
        [] => "`crontab`(5), `systemd.service`(5), `systemd-creds`(1)".to_owned(),
        above => above.iter().map(|name| format!("`{name}`(1)")).collect::<Vec<_>>().join(", "),
    };
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([roman(pages)]);
    roff
}

/// Help texts name what is typed between backticks, which a manual page prints in bold.
fn bold_between_backticks(page: &str) -> String {
    let parts = page.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("\\fB{part}\\fR") } else { part.to_owned() }).collect()
}
