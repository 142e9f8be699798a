//! `offhours report`: the avoided costs of a period.

use tokio_util::sync::CancellationToken;

use crate::accounting::period::{Books, reserved_nodes};
use crate::accounting::settle;
use crate::aicore::Options;
use crate::cli::args::{Format, Report};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Session, mail, output};
use crate::config::Config;
use crate::domain::period::{BadSpan, Span};
use crate::domain::zone::Zone;
use crate::executor::post;
use crate::executor::tenants::Tenants;
use crate::ledger::Ledger;
use crate::ledger::announced::Announcement;
use crate::ledger::outbox::MailState;
use crate::mailer::Mailer;
use crate::report::{Content, Context, csv, json_period, period_report};

pub async fn report(session: &Session, args: &Report) -> Result<Exit, Failure> {
    let config = session.config()?;
    let span = args.period.parse().map_err(|error: BadSpan| Failure::Usage {
        message: error.to_string(),
        hint: Some("today, yesterday, last-week, last-month, 2026-11, or 2026-11-01..2026-11-15".to_owned()),
    })?;
    let (books, zone) = books(session, &config, args, span).await?;
    let locale = config.locale();
    let context = Context::new(locale, &zone, session.now());
    let content = period_report(&books.report(), &context);
    let exit = if args.mail { send(session, &config, &books, &content).await? } else { Exit::Well };
    let text = match if session.json { Format::Json } else { args.format } {
        Format::Text => content.text,
        Format::Html => content.html,
        Format::Csv => String::from_utf8_lossy(&csv(books.runs())).into_owned(),
        Format::Json => format!("{:#}\n", json_period(&books.report())),
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, text).map_err(Failure::io(format!("cannot write `{}`", path.display())))?;
        }
        None if args.mail => {}
        None => output::print(&text)?,
    }
    Ok(exit)
}

/// Mails the report through the outbox, and says for each recipient whether it has left.
async fn send(session: &Session, config: &Config, books: &Books, content: &Content) -> Result<Exit, Failure> {
    let settings = mail::configured(config)?;
    let now = session.now();
    let mails = post::mails(settings, &settings.to, content, now);
    let ids: Vec<String> = mails.iter().map(|mail| mail.message_id.clone()).collect();
    let ledger = Ledger::open(&config.state_dir)?;
    let period = books.name().to_owned();
    ledger
        .write(move |tx| {
            tx.announce(Announcement::Period, &period, now)?;
            tx.enqueue(&mails, now)
        })
        .await?;
    let shutdown = CancellationToken::new();
    Mailer { ledger: ledger.clone(), clock: session.clock.clone(), shutdown }.deliver_due(settings).await?;

    let mut ours = ledger.read(move |tx| tx.outbox(now)).await?;
    ours.retain(|mail| ids.contains(&mail.message_id));
    if session.json {
        output::print_json_list(ours.iter().map(mail::json_mail))?;
    }
    for mail in ours.iter().filter(|_| !session.json) {
        let error = mail.last_error.as_deref().unwrap_or("another process is delivering");
        output::print(&match mail.state {
            MailState::Sent => format!("{}: sent\n", mail.recipient),
            MailState::Queued => format!("{}: not sent yet, it waits in the outbox: {error}\n", mail.recipient),
            MailState::Dead => format!("{}: not sent, and given up: {error}\n", mail.recipient),
        })?;
    }
    let all_left = ours.iter().all(|mail| mail.state == MailState::Sent);
    Ok(if all_left { Exit::Well } else { Exit::Problem })
}

/// The books of `span`; what is due to be settled is settled first, as far as AI Core can be asked.
async fn books(session: &Session, config: &Config, args: &Report, span: Span) -> Result<(Books, Zone), Failure> {
    let zone = config.zone.clone().unwrap_or_else(Zone::utc);
    let now = session.now();
    let tenants = Tenants::new(Options { clock: session.clock.clone(), ..Options::default() });
    // A report on the screen must not wait for AI Core; one that is sent is the evidence.
    let mut notes = if args.mail { reserved_nodes(config, &tenants).await } else { Vec::new() };
    let Some(ledger) = Ledger::open_to_read(&config.state_dir)? else {
        return Ok((Books::open(None, config, span, &zone, now, notes).await?, zone));
    };
    let due = ledger.read(move |tx| tx.next_settlement_at(now)).await?.is_some_and(|at| at <= now);
    if due {
        let writer = Ledger::open(&config.state_dir)?;
        let round = settle::round(&writer, config, &tenants, &session.clock).await?;
        if round.overdue > 0 {
            notes.push(format!("{} avoided costs could not be settled yet: AI Core could not be asked", round.overdue));
        }
    }
    Ok((Books::open(Some(&ledger), config, span, &zone, now, notes).await?, zone))
}
