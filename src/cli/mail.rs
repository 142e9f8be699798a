//! `offhours mail`: a test mail, and the outbox.

use chrono::TimeDelta;
use serde_json::json;

use crate::cli::args::Mail;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output;
use crate::cli::session::Session;
use crate::config::{Config, Outline};
use crate::domain::instant::rfc3339;
use crate::domain::plain_text::clean;
use crate::executor::run_mails;
use crate::ledger::Ledger;
use crate::ledger::outbox::QueuedMail;
use crate::mail::settings::{Address, MailSettings};
use crate::mail::transport::Courier;
use crate::report::Content;
use crate::report::grid::Grid;

/// How far back sent mails are shown.
const SENT_SPAN: TimeDelta = TimeDelta::days(7);

pub(crate) async fn mail(session: &Session, command: Mail) -> Result<Exit, CommandError> {
    match command {
        Mail::Test => test(session, &session.config()?).await,
        Mail::Queue => queue(session, &session.outline_without_secrets()?).await,
    }
}

/// Sends to each recipient of `[mail]` at once, past the outbox: what fails is told here and now.
async fn test(session: &Session, config: &Config) -> Result<Exit, CommandError> {
    let settings = configured(config)?;
    let text = "This is a test mail of offhours. It arrived: reports will too.\n";
    let content = Content {
        subject: "offhours: test mail".to_owned(),
        text: text.to_owned(),
        html: format!("<!doctype html><html lang=\"en\"><body><p>{}</p></body></html>", text.trim_end()),
        attachments: Vec::new(),
    };
    let mut courier = Courier::default();
    let mut exit = Exit::Well;
    for mail in run_mails::mails(settings, &settings.to, &content, session.now()) {
        let recipient = Address::parse(&mail.recipient)
            .map_err(|e| CommandError::Mail { what: "cannot send a test mail".to_owned(), source: e.into() })?;
        match courier.deliver(settings, &recipient, &mail.message()).await {
            Ok(receipt) => output::print(&format!("{recipient}: sent ({})\n", receipt.reply.trim()))?,
            Err(error) => {
                output::print(&format!("{recipient}: not sent: {error}\n"))?;
                exit = Exit::Problem;
            }
        }
    }
    courier.rest().await;
    Ok(exit)
}

async fn queue(session: &Session, outline: &Outline) -> Result<Exit, CommandError> {
    let since = session.now() - SENT_SPAN;
    let mails = Ledger::read_where_it_is(outline.state_dir(), move |tx| tx.outbox(since)).await?;
    if session.json {
        output::print_json_list(mails.iter().map(json_mail))?;
    } else if mails.is_empty() {
        output::print("the outbox is empty, and nothing was sent within a week\n")?;
    } else {
        let mut table = Grid::new(&["MAIL", "STATE", "RECIPIENT", "SUBJECT", "TRIES", "LAST ERROR"]);
        for mail in &mails {
            table.add_row([
                mail.id.to_string(),
                mail.state.as_str().to_owned(),
                clean(&mail.recipient),
                clean(&mail.subject),
                mail.attempts.to_string(),
                clean(mail.last_error.as_deref().unwrap_or("")),
            ]);
        }
        table.align_right(&[4]);
        output::print(&table.draw(output::screen()))?;
    }
    Ok(Exit::Well)
}
pub(crate) fn json_mail(mail: &QueuedMail) -> serde_json::Value {
    json!({
        "id": mail.id, "state": mail.state.as_str(), "recipient": mail.recipient, "subject": mail.subject,
        "message_id": mail.message_id, "created_at": rfc3339(mail.created_at), "attempts": mail.attempts,
        "next_attempt_at": rfc3339(mail.next_attempt_at), "last_error": mail.last_error,
        "done_at": mail.done_at.map(rfc3339),
    })
}

/// `[mail]`, which some commands cannot do without.
pub(crate) fn configured(config: &Config) -> Result<&MailSettings, CommandError> {
    config
        .mail
        .as_ref()
        .ok_or_else(|| CommandError::Missing(format!("{} has no [mail]: add it to send mails", config.path.display())))
}
