//! Sums over many runs, where nobody wants to see the rows.

use chrono::{DateTime, Utc};
use rusqlite::{named_params, params};
use rust_decimal::Decimal;

use crate::domain::money::Currency;
use crate::ledger::error::LedgerError;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, to_ms, wrong};

impl Tx<'_> {
    /// The first firing in `from` to `to` whose run has come to a result.
    pub(crate) fn first_firing(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let first: Option<i64> = self
            .0
            .prepare_cached(
                "SELECT min(scheduled_at) FROM run
                 WHERE result IS NOT NULL AND scheduled_at >= ?1 AND scheduled_at < ?2",
            )?
            .query_row(params![to_ms(from), to_ms(to)], |columns| columns.get(0))?;
        first.map(from_ms).transpose()
    }

    /// What the runs in earnest that were due in `from` to `to` avoided: the settled figure of each deployment where there
    /// is one. In `currency`, other currencies left out; without one in node hours.
    pub fn avoided_between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        currency: Option<Currency>,
    ) -> Result<Decimal, LedgerError> {
        // Added up here: SQLite would do it in floating point.
        let mut statement = self.0.prepare_cached(
            "SELECT CASE WHEN :currency IS NULL
                      THEN CASE WHEN s.run IS NULL THEN d.node_hours ELSE s.node_hours END
                      ELSE CASE WHEN s.run IS NULL THEN d.cost ELSE s.cost END END
             FROM run r CROSS JOIN deployment d ON d.run = r.id
             LEFT JOIN settlement s ON s.run = d.run AND s.resource_group = d.resource_group AND s.id = d.id
             WHERE r.result IS NOT NULL AND r.mode = 'enforce' AND r.scheduled_at >= :from AND r.scheduled_at < :to
               AND (:currency IS NULL OR d.currency = :currency)",
        )?;
        let mut found = statement.query(named_params! {
            ":from": to_ms(from), ":to": to_ms(to), ":currency": currency.map(Currency::code)
        })?;
        let mut sum = Decimal::ZERO;
        while let Some(columns) = found.next()? {
            let Some(text) = columns.get::<_, Option<String>>(0)? else { continue };
            let amount: Decimal = text.parse().map_err(|_| wrong(&text, "a decimal"))?;
            sum += currency.map_or(amount, |currency| currency.round(amount));
        }
        Ok(sum)
    }
}
