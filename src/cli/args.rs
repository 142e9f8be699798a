//! The command line, as clap reads it. Completions and manual pages are made from the same; the examples that the help of each
//! command ends with are in `man/examples.txt`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Stops SAP AI Core deployments outside business hours, proves that they stopped, and mails what that avoided
///
/// You write rules: which deployments to stop, when, and until when they are not needed. The daemon (`offhours run`) fires each
/// rule on time, waits until AI Core itself reports the deployments as STOPPED, and mails the avoided cost.
///
/// A stop cannot be undone: AI Core never starts a stopped deployment again. Its replacement is a new deployment with a new id
/// and a new URL. In doubt, offhours does not stop a deployment, and the report says why.
#[derive(Debug, Parser)]
#[command(name = "offhours", version, max_term_width = 100, next_help_heading = "Global options")]
pub struct Cli {
    /// Configuration file [default: `$OFFHOURS_CONFIG`, `./offhours.toml`, `/etc/offhours/offhours.toml`]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Format of the log lines on standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const JSON: &str = "json";
/// Commands that print no table.
const WITHOUT_JSON: [&str; 6] = ["init", "run", "simulator", "completions", "man", "schema"];

/// The command line of offhours, with examples. The help of a command does not show an option that it does not take.
pub(crate) fn command() -> clap::Command {
    let command = WITHOUT_JSON.iter().fold(Cli::command(), |command, name| {
        // In place of the one that all commands are given.
        let hidden = Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).hide(true);
        command.mut_subcommand(name, |command| command.arg(hidden))
    });
    with_examples(command, "offhours")
}

/// Adds the examples of the command that is typed as `name`, and of those below it.
fn with_examples(command: clap::Command, name: &str) -> clap::Command {
    let command = command.mut_subcommands(|inner| {
        let name = format!("{name} {}", inner.get_name());
        with_examples(inner, &name)
    });
    command.after_help(format!("Examples:\n  {}", examples(name).collect::<Vec<_>>().join("\n  ")))
}

/// The examples of the command that is typed as `name`: a line that begins with `#` says what the next line does.
pub(crate) fn examples(name: &str) -> std::str::Lines<'static> {
    let of_name = |section: &'static str| section.strip_prefix(name)?.strip_prefix('\n');
    include_str!("../../man/examples.txt").split("\n\n").find_map(of_name).unwrap_or_default().lines()
}

/// Reads a command line. An option that a command does not take is refused.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some((name, sub)) = matches.subcommand()
        && WITHOUT_JSON.contains(&name)
        && (matches.get_flag(JSON) || sub.get_flag(JSON))
    {
        let message = format!("`--json` cannot be used with `{name}`, which prints no table");
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Formats of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// With fields for the systemd journal if standard error is connected to it, otherwise `text`
    Auto,
    /// Plain text
    Text,
    /// One JSON object per line
    Json,
}

/// What offhours can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a first configuration for your tenant, and check it
    ///
    /// Reads the tenant, and writes `offhours.toml`, a first rule and the schemas for editors. The rule only observes: it stops
    /// nothing. A file that exists already is never overwritten.
    Init(Init),
    /// Run the daemon, which fires the rules on their schedules
    ///
    /// Runs until it gets SIGTERM or SIGINT. SIGHUP makes it read the configuration again; if the new one has faults, the old one
    /// stays in force. Only one daemon can run on a state directory.
    Run,
    /// Show whether the daemon runs, the last run and next firing of each rule, and what is wrong
    ///
    /// Ends with exit code 1 if something is wrong, so that scripts and monitoring can call it.
    Status,
    /// Check the configuration and all rules, and show the next firings
    ///
    /// Shows all faults of all files with line and column. If there are none, it shows the next firings and off windows of each
    /// rule, and warnings.
    Check(Check),
    /// Show the next times of a cron expression
    ///
    /// Prints one time per line, in RFC 3339 and UTC. It needs no configuration.
    Next(Next),
    /// Show what the rules would stop now, and why they would leave the rest
    ///
    /// Reads the deployments and sends no change.
    Plan(Plan),
    /// Show what each rule would do with one deployment, and why
    ///
    /// Looks for the deployment in all resource groups, also in those that no rule selects. Sends no change.
    Explain(Explain),
    /// Fire a rule now, and wait until it is done
    ///
    /// Lists the deployments, decides, stops, waits until AI Core confirms each stop, records the run and mails it. On a terminal
    /// it first shows the plan and asks. A rule that only observes stops nothing.
    Fire(Fire),
    /// Say "not tonight": add, list or remove holds
    ///
    /// A hold keeps deployments on until it ends. It has an owner and a reason, and the report names it.
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Show past runs, and what happened to each deployment
    History(History),
    /// Show, save or mail the avoided cost of a period
    Report(Report),
    /// Send a test mail, or show the outbox
    #[command(subcommand)]
    Mail(Mail),
    /// Back up, restore or check the ledger, or trust the clock again
    ///
    /// The ledger is the database with all firings, runs, outcomes, avoided costs, holds and mails.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Run your rules against the simulator, through days of virtual time in seconds
    ///
    /// Reads your real deployments once and changes nothing. Prints what would be stopped and when, and writes the mails and
    /// reports to a directory. By default it assumes that people deploy again in the morning what was stopped in the evening.
    Rehearse(Rehearse),
    /// Rehearse a week on a simulated tenant, without an account, a configuration or a network
    ///
    /// Prints what is stopped and when, then the report. Writes mails, report and ledger to one directory, and replaces an earlier
    /// demo there.
    Demo(Demo),
    /// Serve a simulated AI Core over HTTP, for practice and tests
    ///
    /// Prints its address and a service key for it. Ends with SIGTERM or SIGINT, and then prints the requests that it got.
    Simulator(SimulatorArgs),
    /// Print a completion script for a shell
    ///
    /// The script completes the names of your rules, too: print it again after you have added one.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all of them to a directory
    ///
    /// Pages are in roff: read one with `man -l -`. Every command has a page.
    Man(ManArgs),
    /// Print the JSON Schema of a configuration file, for editors
    Schema {
        /// The kind of file
        #[arg(value_enum, default_value_t = SchemaOf::Rules)]
        file: SchemaOf,
    },
}

/// Files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// Rule files
    Rules,
    /// `offhours.toml`
    Offhours,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Service key, as downloaded from the BTP cockpit [default: the key that SAP's SDKs would use]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Directory to write to [default: `./`; with `--systemd`: `/etc/offhours`]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Write a configuration for the systemd service, which gets its secrets as credentials; needs `--key`
    #[arg(long)]
    pub(crate) systemd: bool,
}

/// `check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Also ask AI Core and the mail server: are the credentials right, and what does each rule select? Sends no change and no mail
    #[arg(long)]
    pub(crate) online: bool,
    /// Do not read keys, passwords and the ledger: for a machine that has only the rules
    #[arg(long, conflicts_with = "online")]
    pub(crate) no_secrets: bool,
    /// End with exit code 3 for warnings, too
    #[arg(long)]
    pub(crate) strict: bool,
}

/// `next`
#[derive(Debug, Args)]
pub(crate) struct Next {
    /// Cron expression with five fields, or six with seconds first
    pub(crate) cron: String,
    /// IANA time zone, such as `Europe/Berlin`
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: String,
    /// Show times after this one [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// How many times to show
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) count: u32,
}

/// `plan`
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Names of rules [default: all rules]
    #[arg(value_name = "RULE")]
    pub(crate) rules: Vec<String>,
    /// Show it for this time instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// `explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Id of a deployment, or the name of its configuration
    pub(crate) deployment: String,
    /// Show it for this time instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// `fire`
#[derive(Debug, Args)]
pub(crate) struct Fire {
    /// Name of the rule
    pub(crate) rule: String,
    /// Do not ask before deployments are stopped
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `hold`
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Keep deployments on until a time
    ///
    /// Answers what stays on, when, and what that costs. It also works while a rule file has faults.
    Add(HoldAdd),
    /// Show the holds that are in force
    List,
    /// End a hold early
    Remove {
        /// Number of the hold, as `offhours hold list` shows it
        id: i64,
    },
}

/// `hold add`
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(ArgGroup::new("target").required(true).args(["deployment", "resource_group", "configuration", "rule"])))]
pub(crate) struct HoldAdd {
    /// Hold one deployment
    #[arg(long, value_name = "ID")]
    pub(crate) deployment: Option<String>,
    /// Hold all deployments of a resource group
    #[arg(long, value_name = "GROUP")]
    pub(crate) resource_group: Option<String>,
    /// Hold all deployments of a configuration, named by its name or id
    #[arg(long, value_name = "NAME")]
    pub(crate) configuration: Option<String>,
    /// Hold all deployments that a rule would stop
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// When the hold ends: `19:00`, `tomorrow 9:00`, a duration such as `12h`, or RFC 3339; a day means the end of that day
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// Why the deployments are needed
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Owner of the hold [default: the user who runs the command]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Add it even if no such name is known, for example for something that is deployed later
    #[arg(long)]
    pub(crate) anyway: bool,
    /// Allow a hold of more than 30 days; a year is the most
    #[arg(long)]
    pub(crate) long: bool,
}

/// `history`
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Show one run with all its deployments: `RULE@TIME`, or `RULE` for the newest run of a rule
    #[arg(conflicts_with_all = ["since", "rule", "deployment"])]
    pub(crate) firing: Option<String>,
    /// Show runs that were scheduled at or after this time, such as `yesterday` or `2d` [default: a week ago]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Show what happened to this deployment in all runs, or in those that `--since` and `--rule` name
    #[arg(long, value_name = "ID")]
    pub(crate) deployment: Option<String>,
    /// Show runs of this rule
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
}

/// `report`
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Period: `today`, `yesterday`, `this-` or `last-` with `week`, `month`, `quarter` or `year`, `2026`, `2026-Q4`, `2026-11`,
    /// `2026-W47`, or `2026-11-01..2026-11-15` (both days included)
    #[arg(long, default_value = "last-week")]
    pub(crate) period: String,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Mail the report to the recipients of `[mail]`
    #[arg(long)]
    pub(crate) mail: bool,
}

/// Formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Plain text
    Text,
    /// HTML
    Html,
    /// CSV, one row per deployment and off window
    Csv,
    /// CSV with semicolons and decimal commas, for Excel with German settings
    CsvExcel,
    /// JSON
    Json,
}

/// `mail`
#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Send a test mail to the recipients of `[mail]` now
    Test,
    /// Show the outbox: mails that wait, that were given up, and that were sent in the last week
    Queue,
}

/// `ledger`
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Write a consistent copy of the ledger; the daemon may run
    Backup {
        /// File to write, which must not exist; `-` is standard output
        file: PathBuf,
    },
    /// Replace the ledger by a backup; no daemon may run
    ///
    /// Checks the backup first, and keeps the old ledger under another name beside it. Holds that were added since the backup are
    /// kept. Firings that were due before the restore are not caught up.
    Restore {
        /// The backup; `-` is standard input
        file: PathBuf,
    },
    /// Check that the ledger is not damaged
    Verify,
    /// Say that the clock is right now, after it was ahead
    ///
    /// A clock that was ahead leaves entries in the future, and rules do not fire before those times. This command takes such
    /// entries as of now, so that rules fire again. Nothing is caught up.
    TrustClock {
        /// Change the ledger; without it, only show the entries that are ahead of the clock
        #[arg(long)]
        yes: bool,
    },
}

/// `rehearse`
#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// Start of the virtual time [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Number of days
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) days: u32,
    /// Use the deployments of this fleet file instead of your real ones
    #[arg(long, value_name = "FILE")]
    pub(crate) fleet: Option<PathBuf>,
    /// Do not assume that stopped deployments are deployed again at the `until` of their rule
    #[arg(long)]
    pub(crate) no_redeploy: bool,
    /// Directory for mails and reports [default: a new directory in `./`]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Directory for mails, report and ledger
    #[arg(long, value_name = "DIR", default_value = "offhours-demo")]
    pub(crate) output: PathBuf,
}

/// `simulator`
#[derive(Debug, Args)]
pub(crate) struct SimulatorArgs {
    /// Address and port to listen on; port 0 means any free port
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Fleet file with the deployments [default: those of the demo]
    #[arg(long, value_name = "FILE")]
    pub(crate) fleet: Option<PathBuf>,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Command whose page is printed, such as `fire` or `hold add` [default: the page of offhours]
    #[arg(conflicts_with = "output")]
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
