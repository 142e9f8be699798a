//! `offhours ledger`: a backup beside a running daemon, a check, and trust in the clock.

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::args::Ledger as Args;
use crate::cli::exit::{Exit, Failure};
use crate::cli::trust_clock::trust_clock;
use crate::cli::{Session, on_threads, output};
use crate::ledger::FILE;
use crate::ledger::backup::backup;
use crate::ledger::verify::verify;

pub fn ledger(session: &Session, args: Args) -> Result<Exit, Failure> {
    let directory = session.config()?.state_dir;
    let file = directory.join(FILE);
    if !file.exists() {
        return Err(Failure::Missing(format!("there is no ledger in `{}` yet", directory.display())));
    }
    let (verdict, copied) = match args {
        Args::Backup { file } => (backup(&directory, &file)?, Some(file)),
        Args::Verify => (verify(&file)?, None),
        Args::TrustClock { yes } => return on_threads(trust_clock(session, yes)),
    };
    if session.json {
        output::print_json(&json!({
            "copy": copied,
            "runs": verdict.runs,
            "deployments": verdict.deployments,
            "mails": verdict.mails,
            "faults": verdict.faults,
        }))?;
    } else {
        let mut text = copied.map_or_else(String::new, |file| format!("copied to {}\n", file.display()));
        let _ = writeln!(text, "{} runs, {} deployments, {} mails", verdict.runs, verdict.deployments, verdict.mails);
        for fault in &verdict.faults {
            let _ = writeln!(text, "fault: {fault}");
        }
        output::print(&text)?;
    }
    Ok(if verdict.is_whole() { Exit::Well } else { Exit::Ledger })
}
