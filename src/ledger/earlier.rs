//! What earlier runs say about a deployment: who asked for its stop last, and how often in a row it did not come off.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use crate::domain::earlier::{EarlierStop, Precedent, Precedents};
use crate::domain::id::{DeploymentId, ResourceGroup, RuleName};
use crate::domain::run::{Outcome, Run};
use crate::ledger::error::LedgerError;
use crate::ledger::row_columns::row;
use crate::ledger::runs::RunId;
use crate::ledger::tx::Tx;
use crate::ledger::values::{from_ms, parsed, to_ms};

/// CROSS keeps the order: the few rows of an id first.
const LAST_ASKED: &str = "SELECT d.*, r.rule, (r.open AND d.outcome IS NULL) AS is_watched, NULL AS ended_by
     FROM deployment d CROSS JOIN run r ON r.id = d.run
     WHERE d.id = ?1 AND d.resource_group = ?2 AND d.run <> ?3 AND d.requested_at IS NOT NULL
     ORDER BY d.requested_at DESC LIMIT 1";
/// The runs of a rule since the newest in which the deployment did come off, or was left.
const TIMES: &str = "SELECT count(*) FROM deployment d CROSS JOIN run r ON r.id = d.run
     WHERE d.id = ?1 AND d.resource_group = ?2 AND r.rule = ?3 AND r.scheduled_at < ?4
       AND d.outcome IN ('failed', 'unconfirmed')
       AND r.scheduled_at > coalesce(
         (SELECT max(s.scheduled_at) FROM deployment e CROSS JOIN run s ON s.id = e.run
          WHERE e.id = ?1 AND e.resource_group = ?2 AND s.rule = ?3 AND s.scheduled_at < ?4
            AND e.outcome NOT IN ('failed', 'unconfirmed')), -1)";
/// The runs of a rule before one, newest first, until one that ended well.
const BAD_RUNS: &str = "SELECT count(*) FROM run
     WHERE rule = ?1 AND scheduled_at < ?2 AND result NOT IN ('done', 'skipped')
       AND scheduled_at > coalesce(
         (SELECT max(scheduled_at) FROM run WHERE rule = ?1 AND scheduled_at < ?2 AND result = 'done'), -1)";
const OBSERVES_SINCE: &str = "SELECT min(scheduled_at) FROM run
     WHERE rule = ?1 AND scheduled_at <= ?2 AND mode = 'observe' AND scheduled_at > coalesce(
       (SELECT max(scheduled_at) FROM run WHERE rule = ?1 AND scheduled_at <= ?2 AND mode = 'enforce'), -1)";

impl Tx<'_> {
    /// The newest stop of a deployment that any other run than `run` asked for. By whatever name it knows the tenant: an id
    /// is given out only once.
    pub(crate) fn last_asked(
        &self,
        run: RunId,
        group: &ResourceGroup,
        id: &DeploymentId,
    ) -> Result<Option<EarlierStop>, LedgerError> {
        self.0
            .prepare_cached(LAST_ASKED)?
            .query_row(params![id.as_str(), group.as_str(), run.0], |columns| {
                let is_watched = columns.get("is_watched")?;
                let asked = || {
                    let rule = parsed(columns, "rule", "a rule name", str::parse)?;
                    Ok(EarlierStop { rule, is_watched, row: row(columns)? })
                };
                Ok(asked())
            })
            .optional()?
            .transpose()
    }

    /// What earlier runs say about those deployments of `run` that were off before or did not come off, and about the run
    /// itself where it did not end well.
    pub(crate) fn precedents(&self, id: RunId, run: &Run) -> Result<Precedents, LedgerError> {
        let (rule, at) = (&run.firing.rule, run.firing.at);
        let bad_runs = if run.needs_action() { 1 + self.bad_runs_before(rule, at)? } else { 0 };
        let mut precedents = Precedents { bad_runs, ..Precedents::default() };
        for row in &run.deployments {
            let is_bad = matches!(row.outcome, Outcome::Failed | Outcome::Unconfirmed);
            if !is_bad && row.outcome != Outcome::AlreadyOff {
                continue;
            }
            let asked = match row.requested_at {
                Some(_) => None,
                None => self.last_asked(id, &row.resource_group, &row.id)?,
            };
            let times = if is_bad { 1 + self.times_before(rule, at, &row.resource_group, &row.id)? } else { 0 };
            precedents.deployments.insert((row.resource_group.clone(), row.id.clone()), Precedent { asked, times });
        }
        Ok(precedents)
    }

    /// Since when `rule` only observes: its first run after the newest that enforced. None where it has not observed yet.
    pub(crate) fn observes_since(
        &self,
        rule: &RuleName,
        at: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let since: Option<i64> = self
            .0
            .prepare_cached(OBSERVES_SINCE)?
            .query_row(params![rule.as_str(), to_ms(at)], |columns| columns.get(0))?;
        since.map(from_ms).transpose()
    }

    fn times_before(
        &self,
        rule: &RuleName,
        at: DateTime<Utc>,
        group: &ResourceGroup,
        id: &DeploymentId,
    ) -> Result<u32, LedgerError> {
        let values = params![id.as_str(), group.as_str(), rule.as_str(), to_ms(at)];
        Ok(self.0.prepare_cached(TIMES)?.query_row(values, |columns| columns.get(0))?)
    }

    fn bad_runs_before(&self, rule: &RuleName, at: DateTime<Utc>) -> Result<u32, LedgerError> {
        let values = params![rule.as_str(), to_ms(at)];
        Ok(self.0.prepare_cached(BAD_RUNS)?.query_row(values, |columns| columns.get(0))?)
    }
}

#[cfg(test)]
mod tests {
    use super::{BAD_RUNS, LAST_ASKED, OBSERVES_SINCE, TIMES};
    use crate::ledger::query_plans::assert_no_table_is_walked;

    /// Asked once for each row of a large night.
    #[test]
    fn no_question_about_one_row_walks_through_a_table() {
        assert_no_table_is_walked(&[LAST_ASKED, TIMES, BAD_RUNS, OBSERVES_SINCE]);
    }
}
