//! The command line, as clap reads it. Completions and the manual page are made from the same.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Stops SAP AI Core deployments outside business hours, proves that they stopped, and mails what that avoided.
#[derive(Debug, Parser)]
#[command(name = "offhours", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file [default: `$OFFHOURS_CONFIG`, ./offhours.toml, /etc/offhours/offhours.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How log lines are written to standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const JSON: &str = "json";
/// Commands that print no table and no document of their own.
const WITHOUT_JSON: [&str; 6] = ["init", "run", "simulator", "completions", "man", "schema"];

/// The command line of offhours. An option that means nothing to a command is not shown by its help.
pub(crate) fn command() -> clap::Command {
    WITHOUT_JSON.iter().fold(Cli::command(), |command, name| {
        // In place of the one that all commands are given.
        let hidden = Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).hide(true);
        command.mut_subcommand(name, |command| command.arg(hidden))
    })
}

/// Reads a command line. An option that means nothing to a command is not taken.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some((name, sub)) = matches.subcommand()
        && WITHOUT_JSON.contains(&name)
        && (matches.get_flag(JSON) || sub.get_flag(JSON))
    {
        let message = format!("`--json` means nothing to `{name}`, which prints no table");
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// To the journal with fields where standard error is the journal, else as text
    Auto,
    /// As text
    Text,
    /// As JSON, a line each
    Json,
}

/// What offhours can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a configuration to begin with: reads the tenant, writes files that are not there yet, checks them
    Init(Init),
    /// Run the daemon: fire rules on their schedules until told to stop
    Run,
    /// Show whether the daemon runs, each rule's last run and next firing, and what is amiss
    Status,
    /// Check all files; then show each rule's next firings and off windows
    Check(Check),
    /// Show the next instants of a cron expression, one RFC 3339 UTC instant a line
    Next(Next),
    /// Show what the rules would stop now, and why the rest is left; sends no change
    Plan(Plan),
    /// Show for one deployment whether each rule applies, and the first reason why not
    Explain(Explain),
    /// Fire a rule now: list, decide, stop, verify, record, mail; wait for the end
    Fire(Fire),
    /// Say "not tonight": add, list or remove holds
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Show runs and what became of each deployment
    History(History),
    /// Report the avoided costs of a period
    Report(Report),
    /// Send a test mail, or show the outbox
    #[command(subcommand)]
    Mail(Mail),
    /// Back up the ledger, put a backup in its place, check it, or trust the clock again
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Run your rules against the simulator through days of virtual time, in seconds
    Rehearse(Rehearse),
    /// Rehearse a week on a built-in tenant: no account, no configuration, no network
    Demo(Demo),
    /// Serve a simulated AI Core over HTTP
    Simulator(SimulatorArgs),
    /// Print a completion script
    Completions {
        /// For this shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print the JSON Schema of a file, for editors
    Schema {
        /// Of which file
        #[arg(value_enum, default_value_t = SchemaOf::Rules)]
        file: SchemaOf,
    },
}

/// Files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// Rule files
    Rules,
    /// offhours.toml
    Offhours,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The service key as downloaded [default: where SAP's SDKs look]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Where the files are written [default: ./, with --systemd /etc/offhours]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// For the systemd service: with its credentials
    #[arg(long)]
    pub(crate) systemd: bool,
}

/// `check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Also ask AI Core and the mail server: credentials, groups, and what each rule matches; sends no change and no mail
    #[arg(long)]
    pub(crate) online: bool,
    /// Do not look at keys and passwords: for a machine that has the rules only
    #[arg(long, conflicts_with = "online")]
    pub(crate) no_secrets: bool,
    /// End with 3 where there is a warning, too
    #[arg(long)]
    pub(crate) strict: bool,
}

/// `next`
#[derive(Debug, Args)]
pub(crate) struct Next {
    /// Five fields, or six with seconds first
    pub(crate) cron: String,
    /// IANA time zone
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: String,
    /// Instants after this one [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// How many
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) count: u32,
}

/// `plan`
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Rules [default: all]
    pub(crate) rules: Vec<String>,
    /// As of this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// `explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Id of the deployment, or the name of its configuration
    pub(crate) deployment: String,
    /// As of this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// `fire`
#[derive(Debug, Args)]
pub(crate) struct Fire {
    /// Name of the rule
    pub(crate) rule: String,
    /// Do not ask on a terminal before deployments are stopped
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `hold`
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Keep something on until an instant
    Add(HoldAdd),
    /// Show the holds in force
    List,
    /// End a hold early
    Remove {
        /// Its number, as `hold list` shows it
        id: i64,
    },
}

/// `hold add`
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(ArgGroup::new("target").required(true).args(["deployment", "resource_group", "configuration", "rule"])))]
pub(crate) struct HoldAdd {
    /// One deployment
    #[arg(long, value_name = "ID")]
    pub(crate) deployment: Option<String>,
    /// All deployments of a resource group
    #[arg(long, value_name = "GROUP")]
    pub(crate) resource_group: Option<String>,
    /// All deployments of a configuration, by its name or id
    #[arg(long, value_name = "NAME")]
    pub(crate) configuration: Option<String>,
    /// Everything a rule would stop
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// When the hold ends: `19:00`, `tomorrow 9:00`, a span such as `12h`, RFC 3339; a day means its end
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who wants it [default: the user who runs this]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Also where nothing of that name is known, as for what is deployed later
    #[arg(long)]
    pub(crate) anyway: bool,
    /// For more than 30 days
    #[arg(long)]
    pub(crate) long: bool,
}

/// `history`
#[derive(Debug, Args)]
pub(crate) struct History {
    /// One run in full: `RULE@TIME`, or a rule for its newest run
    #[arg(conflicts_with_all = ["since", "rule", "deployment"])]
    pub(crate) firing: Option<String>,
    /// Firings scheduled at or after this instant, such as `yesterday` or `2d` [default: a week ago]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// What became of this deployment [default: in all runs]
    #[arg(long, value_name = "ID")]
    pub(crate) deployment: Option<String>,
    /// Of this rule
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
}

/// `report`
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// today, yesterday, this- or last- with week, month, quarter or year, 2026, 2026-Q4, 2026-11, 2026-W47, or
    /// 2026-11-01..2026-11-15 (both included)
    #[arg(long, default_value = "last-week")]
    pub(crate) period: String,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write it to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Mail it to the recipients of `[mail]`
    #[arg(long)]
    pub(crate) mail: bool,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Plain text
    Text,
    /// HTML
    Html,
    /// CSV, one row per deployment and off window
    Csv,
    /// The same with semicolons and decimal commas, as a German Excel opens it
    CsvExcel,
    /// JSON
    Json,
}

/// `mail`
#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Send a test mail to the recipients of `[mail]`, at once
    Test,
    /// Show the outbox: waiting, given up, sent within a week
    Queue,
}

/// `ledger`
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Write a consistent copy, beside a running daemon
    Backup {
        /// The copy; must not exist, or `-` for standard output
        file: PathBuf,
    },
    /// Put a backup in the ledger's place, while no daemon runs; the ledger that was there is kept beside it
    Restore {
        /// The backup, or `-` for standard input
        file: PathBuf,
    },
    /// Check the file, its references and what every ledger promises
    Verify,
    /// Say that the clock is right: what was recorded ahead of it keeps no rule, report or mail any longer
    TrustClock {
        /// Do so; without it, only show what lies ahead
        #[arg(long)]
        yes: bool,
    },
}

/// `rehearse`
#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// First instant of virtual time [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Days of virtual time
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) days: u32,
    /// Fleet file instead of your real deployments
    #[arg(long, value_name = "FILE")]
    pub(crate) fleet: Option<PathBuf>,
    /// Do not assume that what was stopped is deployed again at each rule's `until`
    #[arg(long)]
    pub(crate) no_redeploy: bool,
    /// Where mails and reports are written [default: a new directory below ./]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where mails and reports are written
    #[arg(long, value_name = "DIR", default_value = "offhours-demo")]
    pub(crate) output: PathBuf,
}

/// `simulator`
#[derive(Debug, Args)]
pub(crate) struct SimulatorArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Fleet file [default: the demo's fleet]
    #[arg(long, value_name = "FILE")]
    pub(crate) fleet: Option<PathBuf>,
}
