//! Avoided costs whose second look is due, and what it came to.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{named_params, params};

use crate::domain::id::{ConnectionName, DeploymentId, ResourceGroup};
use crate::domain::run::{DeploymentResult, EndedBy, Settlement};
use crate::domain::schedule::OffWindow;
use crate::ledger::columns::{ColumnIndex, NamedColumns};
use crate::ledger::error::LedgerError;
use crate::ledger::row_columns::{SETTLEMENT, row};
use crate::ledger::runs::RunId;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, instant, optional_instant, parsed, to_ms};

/// Windows that ended longer ago are not looked at any more: what their tenant looks like now tells nothing.
const OLDEST: TimeDelta = TimeDelta::days(30);

/// What other runs make of the stop of one deployment. CROSS keeps the order: the few rows of an id first.
const ELSEWHERE: &str = "SELECT coalesce(max(d.outcome = 'stopped' OR s.avoided_from IS NOT NULL), 0),
            coalesce(max(r.open AND d.requested_at IS NOT NULL), 0)
     FROM deployment d CROSS JOIN run r ON r.id = d.run
     LEFT JOIN settlement s ON s.run = d.run AND s.resource_group = d.resource_group AND s.id = d.id
     WHERE d.run <> ?1 AND d.resource_group = ?2 AND d.id = ?3";
/// Whether another row has the leak of a replacement.
const LEAK_COUNTED: &str = "SELECT EXISTS (
       SELECT 1 FROM settlement s CROSS JOIN run r ON r.id = s.run
       WHERE s.replacement = ?1 AND s.leak_state IS NOT NULL AND s.resource_group = ?2 AND r.window_to >= ?3
         AND NOT r.open AND r.mode = 'enforce' AND NOT (s.run = ?4 AND s.id = ?5))";
/// How many rows break the promise that whatever has to be looked at again is on the list: it is not settled, or a
/// replacement was seen before the window's end and may go off in its turn.
pub(super) const NOT_LISTED: &str = "SELECT count(*) FROM run r JOIN deployment d ON d.run = r.id
     WHERE NOT r.open AND r.mode = 'enforce' AND d.outcome IN ('stopped', 'unconfirmed')
       AND NOT EXISTS (SELECT 1 FROM settlement s WHERE s.run = d.run AND s.resource_group = d.resource_group
                       AND s.id = d.id AND NOT (s.leak_state IS NOT NULL AND s.settled_at < r.window_to))
       AND NOT EXISTS (SELECT 1 FROM unsettled u
                       WHERE u.run = d.run AND u.resource_group = d.resource_group AND u.id = d.id)";

/// A resource group of a tenant in which something is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledGroup {
    pub(crate) connection: ConnectionName,
    pub(crate) resource_group: ResourceGroup,
    /// How many windows have ended.
    pub overdue: u32,
    /// The newest entry; what comes later is not in a list that was read before.
    newest: i64,
}

/// An avoided cost that is not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsettled {
    pub(crate) number: i64,
    pub(crate) run: RunId,
    pub(crate) off_window: OffWindow,
    /// When the deployment was last seen.
    pub(crate) seen_at: Option<DateTime<Utc>>,
    pub(crate) row: DeploymentResult,
}

/// Whether another run counts the stop of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    Not,
    /// One is still watching it.
    Undecided,
    Counted,
}

impl Tx<'_> {
    /// Puts what a concluded run has asked for on the list of what is looked at again.
    pub(super) fn expect_settlement(&self, run: RunId) -> Result<(), LedgerError> {
        self.0
            .prepare_cached(
                "INSERT INTO unsettled (run, resource_group, id, connection, window_to)
                 SELECT d.run, d.resource_group, d.id, r.connection, r.window_to
                 FROM run r JOIN deployment d ON d.run = r.id
                 WHERE r.id = ?1 AND r.mode = 'enforce' AND d.outcome IN ('stopped', 'unconfirmed')
                 ORDER BY d.resource_group, d.id",
            )?
            .execute([run.0])?;
        Ok(())
    }

    /// The resource groups in which something is not settled for good.
    pub fn unsettled_groups(&self, now: DateTime<Utc>) -> Result<Vec<UnsettledGroup>, LedgerError> {
        let mut statement = self.0.prepare_cached(
            "SELECT connection, resource_group, sum(window_to <= ?2) AS overdue, max(number) AS newest FROM unsettled
             WHERE window_to >= ?1 GROUP BY connection, resource_group",
        )?;
        let mut found = statement.query([to_ms(now - OLDEST), to_ms(now)])?;
        let mut groups = Vec::new();
        while let Some(columns) = found.next()? {
            groups.push(UnsettledGroup {
                connection: parsed(columns, "connection", "a connection", str::parse)?,
                resource_group: parsed(columns, "resource_group", "a resource group", str::parse)?,
                overdue: columns.get("overdue")?,
                newest: columns.get("newest")?,
            });
        }
        Ok(groups)
    }

    /// At most so many of a group that come `after` this number, in the order in which they came up.
    pub fn unsettled(
        &self,
        group: &UnsettledGroup,
        after: i64,
        most: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<Unsettled>, LedgerError> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT u.number, u.window_to, d.*, r.window_from, {SETTLEMENT}
             FROM unsettled u CROSS JOIN run r ON r.id = u.run
             CROSS JOIN deployment d ON d.run = u.run AND d.resource_group = u.resource_group AND d.id = u.id
             LEFT JOIN settlement s ON s.run = d.run AND s.resource_group = d.resource_group AND s.id = d.id
             WHERE u.connection = :connection AND u.resource_group = :resource_group
               AND u.number > :after AND u.number <= :newest AND u.window_to >= :oldest
             ORDER BY u.number LIMIT :most"
        ))?;
        let index = ColumnIndex::of(&statement);
        let mut found = statement.query(named_params! {
            ":connection": group.connection.as_str(),
            ":resource_group": group.resource_group.as_str(),
            ":after": after,
            ":newest": group.newest,
            ":oldest": to_ms(now - OLDEST),
            ":most": i64::try_from(most).unwrap_or(i64::MAX),
        })?;
        let mut unsettled = Vec::new();
        while let Some(columns) = found.next()? {
            let columns = &index.on(columns);
            unsettled.push(Unsettled {
                number: columns.get("number")?,
                run: RunId(columns.get("run")?),
                off_window: OffWindow { from: instant(columns, "window_from")?, to: instant(columns, "window_to")? },
                seen_at: optional_instant(columns, "seen_at")?,
                row: row(columns)?,
            });
        }
        Ok(unsettled)
    }

    /// How many avoided costs are not settled for good.
    pub fn count_unsettled(&self, now: DateTime<Utc>) -> Result<u32, LedgerError> {
        let query = "SELECT count(*) FROM unsettled WHERE window_to >= ?1";
        Ok(self.0.query_row(query, [to_ms(now - OLDEST)], |columns| columns.get(0))?)
    }

    /// The earliest end of an off window that holds anything unsettled.
    pub fn next_settlement_at(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let query = "SELECT min(window_to) FROM unsettled WHERE window_to >= ?1";
        let next: Option<i64> = self.0.query_row(query, [to_ms(now - OLDEST)], |columns| columns.get(0))?;
        next.map(from_ms).transpose()
    }

    /// What other runs make of a deployment's stop. By whatever name they know its tenant: an id is given out only once.
    pub(crate) fn counted_elsewhere(&self, unsettled: &Unsettled) -> Result<Elsewhere, LedgerError> {
        let DeploymentResult { resource_group, id, .. } = &unsettled.row;
        let (counted, open): (bool, bool) = self
            .0
            .prepare_cached(ELSEWHERE)?
            .query_row(params![unsettled.run.0, resource_group.as_str(), id.as_str()], |columns| {
                Ok((columns.get(0)?, columns.get(1)?))
            })?;
        Ok(match (counted, open) {
            (true, _) => Elsewhere::Counted,
            (false, true) => Elsewhere::Undecided,
            (false, false) => Elsewhere::Not,
        })
    }

    /// True where what `replacement` went on costing is counted already, for a sibling that it may have replaced as well.
    pub(crate) fn leak_is_counted(
        &self,
        unsettled: &Unsettled,
        replacement: &DeploymentId,
    ) -> Result<bool, LedgerError> {
        let DeploymentResult { resource_group, id, .. } = &unsettled.row;
        let from = to_ms(unsettled.off_window.from);
        let values = params![replacement.as_str(), resource_group.as_str(), from, unsettled.run.0, id.as_str()];
        Ok(self.0.prepare_cached(LEAK_COUNTED)?.query_row(values, |columns| columns.get(0))?)
    }

    /// Notes that a stop that nobody saw in time has come true, and since when it counts.
    pub(crate) fn came_true(&self, unsettled: &Unsettled, since: DateTime<Utc>) -> Result<(), LedgerError> {
        let DeploymentResult { resource_group, id, .. } = &unsettled.row;
        self.0
            .prepare_cached(
                "UPDATE deployment SET confirmed_at = ?4
                 WHERE run = ?1 AND resource_group = ?2 AND id = ?3 AND confirmed_at IS NULL",
            )?
            .execute(params![unsettled.run.0, resource_group.as_str(), id.as_str(), to_ms(since)])?;
        Ok(())
    }

    /// Notes that a deployment was there at `at`.
    pub(crate) fn saw(&self, unsettled: &Unsettled, at: DateTime<Utc>) -> Result<(), LedgerError> {
        self.0
            .prepare_cached("UPDATE deployment SET seen_at = ?4 WHERE run = ?1 AND resource_group = ?2 AND id = ?3")?
            .execute(params![
                unsettled.run.0,
                unsettled.row.resource_group.as_str(),
                unsettled.row.id.as_str(),
                to_ms(at)
            ])?;
        Ok(())
    }

    /// Writes the second look at a deployment's avoided cost.
    pub fn settle(&self, run: RunId, row: &DeploymentResult, settlement: &Settlement) -> Result<(), LedgerError> {
        let leak = settlement.leak.as_ref();
        let replacement = match &settlement.ended_by {
            EndedBy::Replacement(id) => Some(id.as_str()),
            _ => leak.map(|leak| leak.id.as_str()),
        };
        let amount = |n: &rust_decimal::Decimal| n.to_string();
        self.0
            .prepare_cached(
                "INSERT OR REPLACE INTO settlement
                 (run, resource_group, id, settled_at, ended_by, avoided_from, avoided_to, node_hours, capacity_units,
                  cost, state, replacement, leak_from, leak_to, leak_node_hours, leak_capacity_units, leak_cost,
                  leak_state)
                 VALUES
                 (:run, :resource_group, :id, :settled_at, :ended_by, :avoided_from, :avoided_to, :node_hours,
                  :capacity_units, :cost, :state, :replacement, :leak_from, :leak_to, :leak_node_hours,
                  :leak_capacity_units, :leak_cost, :leak_state)",
            )?
            .execute(named_params! {
                ":run": run.0,
                ":resource_group": row.resource_group.as_str(),
                ":id": row.id.as_str(),
                ":settled_at": to_ms(settlement.at),
                ":ended_by": settlement.ended_by.as_str(),
                ":avoided_from": settlement.avoided.from.map(to_ms),
                ":avoided_to": settlement.avoided.to.map(to_ms),
                ":node_hours": settlement.avoided.node_hours.to_string(),
                ":capacity_units": settlement.avoided.capacity_units.as_ref().map(amount),
                ":cost": settlement.avoided.cost.map(|money| money.amount.to_string()),
                ":state": settlement.avoided.state.as_str(),
                ":replacement": replacement,
                ":leak_from": leak.and_then(|leak| leak.cost.from).map(to_ms),
                ":leak_to": leak.and_then(|leak| leak.cost.to).map(to_ms),
                ":leak_node_hours": leak.map(|leak| leak.cost.node_hours.to_string()),
                ":leak_capacity_units": leak.and_then(|leak| leak.cost.capacity_units.as_ref().map(amount)),
                ":leak_cost": leak.and_then(|leak| leak.cost.cost).map(|money| money.amount.to_string()),
                ":leak_state": leak.map(|leak| leak.cost.state.as_str()),
            })?;
        // A replacement that was seen before the window's end may go off in its turn.
        self.0
            .prepare_cached(
                "DELETE FROM unsettled WHERE run = ?1 AND resource_group = ?2 AND id = ?3
                 AND (?4 OR window_to <= ?5)",
            )?
            .execute(params![
                run.0,
                row.resource_group.as_str(),
                row.id.as_str(),
                leak.is_none(),
                to_ms(settlement.at)
            ])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ELSEWHERE, LEAK_COUNTED};
    use crate::ledger::query_plans::assert_no_table_is_walked;

    /// Asked once for each row of a large night.
    #[test]
    fn p44_no_question_about_one_row_walks_through_a_table() {
        assert_no_table_is_walked(&[ELSEWHERE, LEAK_COUNTED]);
    }
}
