//! `[[report]]`: reports that are mailed by the calendar, each instant once.

use chrono::{DateTime, Utc};
use tracing::info;

use crate::accounting::period::{Books, reserved_nodes};
use crate::config::{Attachment as Wanted, Config, ReportPeriod, ReportSchedule};
use crate::domain::period::Span;
use crate::executor::post;
use crate::executor::tenants::Tenants;
use crate::ledger::announced::Announcement;
use crate::ledger::{Ledger, LedgerError};
use crate::report::{Attachment, Content, Context, json_period, period_report};

/// Puts every report that is due at `now` into the outbox. A report that is new begins with its next instant; of
/// several missed instants only the newest is made up for.
pub async fn send_due(
    ledger: &Ledger,
    config: &Config,
    tenants: &Tenants,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    for schedule in &config.reports {
        let name = schedule.name.clone();
        let last = ledger.read(move |tx| tx.newest_announcement(Announcement::Report, &name)).await?;
        let Some(last) = last else {
            let name = schedule.name.clone();
            ledger.write(move |tx| tx.announce(Announcement::Report, &name, now)).await?;
            continue;
        };
        let newest = schedule.cron.instants(last, &schedule.zone).take_while(|at| *at <= now).last();
        if let Some(at) = newest {
            let notes = reserved_nodes(config, tenants).await;
            send(ledger, config, schedule, at, now, notes).await?;
        }
    }
    Ok(())
}

async fn send(
    ledger: &Ledger,
    config: &Config,
    schedule: &ReportSchedule,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
    notes: Vec<String>,
) -> Result<(), LedgerError> {
    let Some(settings) = &config.mail else { return Ok(()) };
    let books = Books::open(Some(ledger), config, span(schedule.period), &schedule.zone, at, notes).await?;
    let context = Context::new(settings.locale, &schedule.zone, now);
    let mut content = period_report(&books.report(), &context);
    attach(&mut content, schedule, &books);
    let mails = post::mails(settings, &schedule.to, &content, now);
    let (name, period) = (schedule.name.clone(), books.name().to_owned());
    let sent = ledger
        .write(move |tx| {
            let new = tx.announce(Announcement::Report, &name, at)?;
            if new {
                tx.announce(Announcement::Period, &period, now)?;
                tx.enqueue(&mails, now)?;
            }
            Ok(new)
        })
        .await?;
    if sent {
        info!("report {} of {} is in the outbox", schedule.name, at.to_rfc3339());
    }
    Ok(())
}

fn span(period: ReportPeriod) -> Span {
    match period {
        ReportPeriod::Today => Span::Today,
        ReportPeriod::Yesterday => Span::Yesterday,
        ReportPeriod::LastWeek => Span::LastWeek,
        ReportPeriod::LastMonth => Span::LastMonth,
    }
}

/// Keeps the CSV where it is wanted, and adds the other forms.
fn attach(content: &mut Content, schedule: &ReportSchedule, books: &Books) {
    if !schedule.attach.contains(&Wanted::Csv) {
        content.attachments.clear();
    }
    if schedule.attach.contains(&Wanted::Html) {
        content.attachments.push(Attachment {
            name: format!("offhours-{}.html", schedule.name),
            content_type: "text/html; charset=utf-8".to_owned(),
            bytes: content.html.clone().into_bytes(),
        });
    }
    if schedule.attach.contains(&Wanted::Json) {
        content.attachments.push(Attachment {
            name: format!("offhours-{}.json", schedule.name),
            content_type: "application/json".to_owned(),
            bytes: format!("{:#}\n", json_period(&books.report())).into_bytes(),
        });
    }
}
