//! `[[report]]`: reports that are mailed by the calendar, each instant once.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::info;

use crate::accounting::attached;
use crate::accounting::period::{Books, Request, reserved_nodes};
use crate::config::{Config, ReportPeriod, ReportSchedule};
use crate::domain::instant::rfc3339;
use crate::domain::period::Span;
use crate::executor::run_mails;
use crate::executor::tenants::Tenants;
use crate::ledger::announced::Announcement;
use crate::ledger::chores::{Chore, ChoreKind};
use crate::ledger::{Ledger, LedgerError};
use crate::report::ReportContext;

/// The newest instant of a report that is due at `now` and was not sent. A report that is new begins with its next
/// instant; of several missed instants only the newest is made up for.
pub async fn due(
    ledger: &Ledger,
    schedule: &ReportSchedule,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, LedgerError> {
    let name = schedule.name.clone();
    let last = ledger.read(move |tx| tx.newest_announcement(Announcement::Report, &name)).await?;
    let Some(last) = last else {
        let name = schedule.name.clone();
        ledger.write(move |tx| tx.announce(Announcement::Report, &name, now)).await?;
        return Ok(None);
    };
    Ok(schedule.cron.instants(last, &schedule.zone).take_while(|at| *at <= now).last())
}

/// What has to be done for the report of `at`.
pub(crate) fn chore(schedule: &ReportSchedule, at: DateTime<Utc>) -> Chore {
    let days = span(schedule.period).dates(schedule.zone.wall_clock(at).date()).span();
    let by_hand = format!("offhours report --period {days} --mail");
    Chore { kind: ChoreKind::Report, name: schedule.name.clone(), at, by_hand }
}

/// Draws up the report of `at` and puts it into the outbox.
pub async fn send(
    ledger: &Ledger,
    config: &Arc<Config>,
    tenants: &Tenants,
    schedule: &ReportSchedule,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    let Some(settings) = &config.mail else { return Ok(()) };
    let notes = reserved_nodes(config, tenants).await;
    let request = Request { span: span(schedule.period), zone: schedule.zone.clone(), now: at, notes };
    let (locale, drawn_up) = (settings.locale, schedule.clone());
    let draw_up = move |books: Books<'_>| {
        let context = ReportContext::new(locale, &drawn_up.zone, now);
        let period = books.name();
        let content = attached::mail(books, &drawn_up.attach, &drawn_up.name, &context)?;
        Ok::<_, LedgerError>((content, period))
    };
    let (content, period) = Books::with(Some(ledger), Arc::clone(config), request, draw_up).await?;
    let mails = run_mails::mails(settings, &schedule.to, &content, now);
    let name = schedule.name.clone();
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
        info!("report {} of {} is in the outbox", schedule.name, rfc3339(at));
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
