//! `offhours completions` and `schema`: what shells and editors want.

use clap::Arg;
use clap::builder::PossibleValuesParser;

use crate::cli::args::{self, SchemaOf};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output;
use crate::cli::session::Session;
use crate::config::{self, FileKind};
use crate::domain::period::SPANS;

/// The rules of the configuration that is found now are completed by their names: scripts are made when a shell starts.
pub(crate) fn completions(session: &Session, shell: clap_complete::Shell) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    let mut command = with_values(args::command(), &rule_names(session));
    clap_complete::generate(shell, &mut command, "offhours", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Well)
}

fn rule_names(session: &Session) -> Vec<String> {
    let path = config::find(session.config.as_deref()).ok();
    let outline = path.and_then(|path| config::outline(&path, session.now()).ok());
    outline.iter().flat_map(|outline| outline.rules()).map(|rule| rule.name.to_string()).collect()
}

/// With the values that a shell may offer. They are no limits: a command line takes others, too.
fn with_values(command: clap::Command, rules: &[String]) -> clap::Command {
    let zones: Vec<String> = jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
    let periods: Vec<String> = SPANS.iter().map(|span| (*span).to_owned()).collect();
    let one_of = |values: &[String]| {
        let values = values.to_vec();
        move |arg: Arg| if values.is_empty() { arg } else { arg.value_parser(PossibleValuesParser::new(values)) }
    };
    command
        .mut_subcommand("plan", |plan| plan.mut_arg("rules", one_of(rules)))
        .mut_subcommand("fire", |fire| fire.mut_arg("rule", one_of(rules)))
        .mut_subcommand("history", |history| history.mut_arg("rule", one_of(rules)))
        .mut_subcommand("hold", |hold| hold.mut_subcommand("add", |add| add.mut_arg("rule", one_of(rules))))
        .mut_subcommand("next", |next| next.mut_arg("timezone", one_of(&zones)))
        .mut_subcommand("report", |report| report.mut_arg("period", one_of(&periods)))
}

pub(crate) fn schema(file: SchemaOf) -> Result<Exit, CommandError> {
    let kind = match file {
        SchemaOf::Rules => FileKind::Rules,
        SchemaOf::Offhours => FileKind::Main,
    };
    output::print_json(&config::schema(kind))?;
    Ok(Exit::Well)
}
