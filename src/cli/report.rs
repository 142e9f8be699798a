//! `offhours report`: the avoided costs of a period.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::accounting::period::{Books, Request, WriteError, reserved_nodes};
use crate::accounting::{attached, settle};
use crate::aicore::Options;
use crate::cli::args::{Format, Report};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::new_file::NewFile;
use crate::cli::session::Session;
use crate::cli::{mail, output};
use crate::config::{AttachmentForm, Config};
use crate::domain::period::{BadSpan, SPANS};
use crate::executor::run_mails;
use crate::executor::tenants::Tenants;
use crate::ledger::announced::Announcement;
use crate::ledger::outbox::MailState;
use crate::ledger::{Ledger, LedgerError};
use crate::mailer::Mailer;
use crate::report::{Content, CsvForm, ReportContext, period_report};

pub(crate) async fn report(session: &Session, args: &Report) -> Result<Exit, CommandError> {
    let config = Arc::new(session.config()?);
    let span = args
        .period
        .parse()
        .map_err(|error: BadSpan| CommandError::Usage { message: error.to_string(), hint: Some(SPANS.join(", ")) })?;
    let zone = config.zone_or_utc();
    let (ledger, notes) = prepared(session, &config, args).await?;
    let request = Request { span, zone: zone.clone(), now: session.now(), notes };
    let format = if session.json { Format::Json } else { args.format };
    let (mails, path, locale) = (args.mail, args.output.clone(), config.locale());
    let made_at = session.now();
    let draw_up = move |books: Books<'_>| {
        let context = ReportContext::new(locale, &zone, made_at);
        match path {
            Some(path) => write_file(&books, format, &context, &path)?,
            None if mails => {}
            None => print(&books, format, &context)?,
        }
        if !mails {
            return Ok(None);
        }
        let period = books.name();
        Ok::<_, CommandError>(Some((attached::mail(books, &[AttachmentForm::Csv], "report", &context)?, period)))
    };
    match Books::with(ledger.as_ref(), Arc::clone(&config), request, draw_up).await? {
        Some((content, period)) => send(session, &config, period, &content).await,
        None => Ok(Exit::Well),
    }
}

fn write_file(books: &Books<'_>, format: Format, context: &ReportContext<'_>, path: &Path) -> Result<(), CommandError> {
    let failed = || CommandError::io(format!("cannot write `{}`", path.display()));
    let mut file = NewFile::begin(path).map_err(failed())?;
    written(books, format, context, &mut file)?.map_err(failed())?;
    file.finish().map_err(failed())
}

fn print(books: &Books<'_>, format: Format, context: &ReportContext<'_>) -> Result<(), CommandError> {
    output::judge(written(books, format, context, &mut output::stdout())?)
}

/// What cannot be written is in the inner result.
fn written(
    books: &Books<'_>,
    format: Format,
    context: &ReportContext<'_>,
    out: &mut impl Write,
) -> Result<io::Result<()>, LedgerError> {
    let text = |out: &mut dyn Write, text: String| out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let written = match format {
        Format::Text => return Ok(text(out, period_report(&books.report(), context).text)),
        Format::Html => return Ok(text(out, period_report(&books.report(), context).html)),
        Format::Csv => books.write_csv(out, CsvForm::Exact),
        Format::CsvExcel => books.write_csv(out, CsvForm::Excel(context.zone.clone())),
        Format::Json => books.write_json(out),
    };
    match written {
        Ok(()) => Ok(Ok(())),
        Err(WriteError::Output(error)) => Ok(Err(error)),
        Err(WriteError::Ledger(error)) => Err(error),
    }
}

/// Mails the report through the outbox, and says for each recipient whether it has left.
async fn send(session: &Session, config: &Config, period: String, content: &Content) -> Result<Exit, CommandError> {
    let settings = mail::configured(config)?;
    let now = session.now();
    let mails = run_mails::mails(settings, &settings.to, content, now);
    let ids: Vec<String> = mails.iter().map(|mail| mail.message_id.clone()).collect();
    let ledger = Ledger::open(&config.state_dir)?;
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

/// The ledger to read from, and what is to be said; what is due to be settled is settled first, as far as AI Core can be
/// asked.
async fn prepared(
    session: &Session,
    config: &Config,
    args: &Report,
) -> Result<(Option<Ledger>, Vec<String>), CommandError> {
    let now = session.now();
    let tenants = Tenants::new(Options { clock: session.clock.clone(), ..Options::default() });
    // A report on the screen must not wait for AI Core; one that is sent is the evidence.
    let mut notes = if args.mail { reserved_nodes(config, &tenants).await } else { Vec::new() };
    let Some(ledger) = Ledger::open_to_read(&config.state_dir)? else { return Ok((None, notes)) };
    let due = ledger.read(move |tx| tx.next_settlement_at(now)).await?.is_some_and(|at| at <= now);
    if due {
        let writer = Ledger::open(&config.state_dir)?;
        let round = settle::round(&writer, config, &tenants, &session.clock).await?;
        if round.overdue > 0 {
            notes.push(format!("{} avoided costs could not be settled yet: AI Core could not be asked", round.overdue));
        }
    }
    Ok((Some(ledger), notes))
}
