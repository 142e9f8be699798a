//! `offhours ledger`: a backup beside a running daemon, and a check.

use serde_json::json;

use crate::cli::args::Ledger as Args;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Session, output};
use crate::ledger::Ledger;

pub async fn ledger(session: &Session, args: Args) -> Result<Exit, Failure> {
    let config = session.config()?;
    let Some(ledger) = Ledger::open_to_read(&config.state_dir)? else {
        return Err(Failure::Missing(format!("there is no ledger in `{}` yet", config.state_dir.display())));
    };
    match args {
        Args::Backup { file } => {
            ledger.backup(&file).await?;
            output::print(&format!("copied to {}\n", file.display()))?;
            Ok(Exit::Well)
        }
        Args::Verify => {
            let verified = ledger.read(|tx| tx.verify()).await?;
            if session.json {
                output::print_json(&json!({
                    "runs": verified.runs, "deployments": verified.deployments, "mails": verified.mails,
                    "faults": verified.faults,
                }))?;
            } else {
                let mut text =
                    format!("{} runs, {} deployments, {} mails\n", verified.runs, verified.deployments, verified.mails);
                for fault in &verified.faults {
                    text.push_str(&format!("fault: {fault}\n"));
                }
                output::print(&text)?;
            }
            Ok(if verified.faults.is_empty() { Exit::Well } else { Exit::Ledger })
        }
    }
}
