//! `offhours ledger`: a backup beside a running daemon, its return, a check, and trust in the clock.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::args::LedgerCommand as Args;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output;
use crate::cli::run::built;
use crate::cli::session::{Session, on_threads};
use crate::cli::trust_clock::trust_clock;
use crate::domain::instant::rfc3339;
use crate::domain::plural::plural;
use crate::ledger::FILE;
use crate::ledger::backup::backup;
use crate::ledger::restore::{Restored, restore};
use crate::ledger::verify::{LedgerVerdict, verify_in};

/// Standard output or input, in place of a file.
const STREAM: &str = "-";

pub(crate) fn ledger(session: &Session, args: Args) -> Result<Exit, CommandError> {
    let directory = session.outline_without_secrets()?.state_dir().to_owned();
    let (verdict, text, json) = match args {
        Args::Backup { file } if file == Path::new(STREAM) => return backup_to_stdout(&directory),
        Args::Backup { file } => {
            let verdict = backup(&directory, &file)?;
            (verdict, format!("copied to {}\n", file.display()), json!({ "copy": file }))
        }
        Args::Verify => (verify_in(&directory)?, String::new(), json!({ "copy": null })),
        Args::TrustClock { yes } => return on_threads(trust_clock(session, yes)),
        Args::Restore { file } if file == Path::new(STREAM) => {
            let scratch = Scratch::beside(&directory);
            scratch.fill_from_stdin().map_err(CommandError::io("cannot read a backup from standard input"))?;
            put_back(session, &directory, &scratch.0)?
        }
        Args::Restore { file } => put_back(session, &directory, &file)?,
    };
    if session.json {
        output::print_json(&with_verdict(json, &verdict))?;
    } else {
        output::print(&(text + &in_words(&verdict)))?;
    }
    Ok(if verdict.is_whole() { Exit::Well } else { Exit::Ledger })
}

/// A file beside the ledger, where whoever may write the ledger may write. Dropped, it is gone.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(directory: &Path) -> Self {
        Self(directory.join(format!("{}.stream-{}", FILE, std::process::id())))
    }

    fn fill_from_stdin(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.0)?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        file.sync_all()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The copy itself is what is printed, so what is said of it goes to standard error.
fn backup_to_stdout(directory: &Path) -> Result<Exit, CommandError> {
    if io::stdout().is_terminal() {
        return Err(CommandError::Usage {
            message: "a backup is not text for a terminal".to_owned(),
            hint: Some("redirect it: `offhours ledger backup - > FILE`".to_owned()),
        });
    }
    let scratch = Scratch::beside(directory);
    let verdict = backup(directory, &scratch.0)?;
    let printed = File::open(&scratch.0).and_then(|mut copy| {
        let mut stdout = io::stdout().lock();
        io::copy(&mut copy, &mut stdout)?;
        stdout.flush()
    });
    printed.map_err(CommandError::io("cannot write the backup to standard output"))?;
    // Whoever closed it does not want to know.
    let _ = io::stderr().write_all(in_words(&verdict).as_bytes());
    Ok(if verdict.is_whole() { Exit::Well } else { Exit::Ledger })
}

fn in_words(verdict: &LedgerVerdict) -> String {
    let count = |count: i64, noun: &str| plural(usize::try_from(count).unwrap_or(usize::MAX), noun);
    let mut text = format!(
        "{}, {}, {}\n",
        count(verdict.runs, "run"),
        count(verdict.deployments, "deployment"),
        count(verdict.mails, "mail")
    );
    for fault in &verdict.faults {
        let _ = writeln!(text, "fault: {fault}");
    }
    text
}

fn with_verdict(mut json: Value, verdict: &LedgerVerdict) -> Value {
    json["runs"] = verdict.runs.into();
    json["deployments"] = verdict.deployments.into();
    json["mails"] = verdict.mails.into();
    json["faults"] = json!(verdict.faults);
    json
}

fn put_back(session: &Session, directory: &Path, file: &Path) -> Result<(LedgerVerdict, String, Value), CommandError> {
    let now = session.now();
    let Restored { verdict, kept, changes } = restore(directory, file, now, built())?;
    let mut text = format!("restored from {}\n", file.display());
    let mut say = |line: String| text.extend([line.as_str(), "\n"]);
    if let Some(kept) = &kept {
        say(format!("the ledger that was there is kept as {}", kept.display()));
    }
    say(format!("rules start again at {}: firings that were due before are not caught up", rfc3339(now)));
    if changes.interrupted > 0 {
        let runs = plural(changes.interrupted, "unfinished run");
        say(format!("{runs} in it: closed as interrupted, and not resumed"));
    }
    match changes.holds {
        Some(0) => {}
        Some(holds) => say(format!("kept from the ledger before: {} not in the backup", plural(holds, "hold"))),
        None => say("holds that were added since are lost, because the ledger that was there cannot be read: \
                     see `offhours hold list`, and add them again before you start offhours"
            .to_owned()),
    }
    if changes.waiting_mails > 0 {
        let mails = plural(changes.waiting_mails as usize, "unsent mail");
        say(format!("{mails} in it: to be sent, and perhaps sent twice"));
    }
    say("runs and stops since the backup are not in it: reports of that time are incomplete".to_owned());
    let json = json!({
        "restored": file,
        "kept": kept.map(PathBuf::into_os_string).map(|name| name.to_string_lossy().into_owned()),
        "rules_begin_at": rfc3339(now),
        "interrupted_runs": changes.interrupted,
        "holds_carried_over": changes.holds,
        "mails_waiting": changes.waiting_mails,
    });
    Ok((verdict, text, json))
}
