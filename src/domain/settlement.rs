//! The second look at an avoided cost: what really ended it.
//!
//! Counting ends at the first of: the off window's end, `createdAt + ttl`, a replacement from the same configuration
//! in the same group, the deployment's deletion by somebody else (as of when it was last seen). Pure: what the tenant
//! looks like comes in.

use chrono::{DateTime, Utc};

use crate::domain::avoided::{Avoided, Basis};
use crate::domain::deployment::{Deployment, Status};
use crate::domain::listed::Listed;
use crate::domain::run::{DeploymentResult, EndedBy, Leak, Outcome, Settlement};
use crate::domain::schedule::OffWindow;
use crate::domain::verification::confirmed_at;

/// What a look at a row's resource group showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// All deployments of the group.
    pub(crate) listed: &'a Listed,
    /// When it was looked at.
    pub(crate) now: DateTime<Utc>,
    /// When the row's deployment was seen before, stopped or on its way.
    pub(crate) seen_at: Option<DateTime<Utc>>,
}

/// Settles `row` of a run with this off window, where what ended its counting is known by now.
///
/// A replacement is known as soon as it is seen, but what it goes on costing only at the window's end: until then `row`
/// comes again with its settlement.
pub(crate) fn settle(row: &DeploymentResult, window: OffWindow, evidence: Evidence<'_>) -> Option<Settlement> {
    if let Some(earlier) = &row.settlement {
        return follow_leak(earlier, row, window, evidence);
    }
    match row.outcome {
        Outcome::Stopped => settle_stopped(row, window, row.confirmed_at?, evidence),
        Outcome::Unconfirmed => match row.confirmed_at.or_else(|| came_true(row, window, evidence)) {
            Some(confirmed_at) => settle_stopped(row, window, confirmed_at, evidence),
            None if evidence.now < window.to => None,
            None => Some(Settlement {
                at: evidence.now,
                ended_by: EndedBy::NeverConfirmed,
                avoided: Avoided::nothing(),
                leak: None,
            }),
        },
        _ => None,
    }
}

/// A stop that was not seen in time and has come true since: from when on it counts, for the first look that saw it. Noted
/// in the row's `confirmed_at`, it is what later looks go by. What an earlier run had asked for counts in this window only.
pub(crate) fn came_true(row: &DeploymentResult, window: OffWindow, evidence: Evidence<'_>) -> Option<DateTime<Utc>> {
    if row.outcome != Outcome::Unconfirmed || row.confirmed_at.is_some() {
        return None;
    }
    let own = evidence.listed.get(&row.id).filter(|own| own.status == Status::Stopped)?;
    Some(confirmed_at(own, row.requested_at.unwrap_or(window.from), evidence.now))
}

/// What is settled stays, but for the leak: a replacement that was stopped or deleted in its turn leaks no longer. One that
/// is not there any more leaked until it was last seen.
fn follow_leak(
    earlier: &Settlement,
    row: &DeploymentResult,
    window: OffWindow,
    evidence: Evidence<'_>,
) -> Option<Settlement> {
    let leak = earlier.leak.as_ref()?;
    let off_since = match evidence.listed.get(&leak.id) {
        Some(other) => other.completed_at.unwrap_or(window.to),
        None => leak.cost.to.filter(|to| *to < window.to).unwrap_or(earlier.at),
    };
    let cost = Avoided::count(&row.rate, window, leak.cost.from?, off_since, Basis::Settled);
    Some(Settlement { at: evidence.now, leak: Some(Leak { id: leak.id.clone(), cost }), ..earlier.clone() })
}

fn settle_stopped(
    row: &DeploymentResult,
    window: OffWindow,
    confirmed_at: DateTime<Utc>,
    evidence: Evidence<'_>,
) -> Option<Settlement> {
    let replacement = replacement(row, window, evidence.listed);
    let expiry = row.expires_at.filter(|at| *at <= evidence.now);
    // What the platform deletes at the end of its time to live was not deleted by anybody.
    let deleted = evidence.listed.get(&row.id).is_none() && expiry.is_none();
    let ends = [
        expiry.map(|at| (at, EndedBy::Ttl)),
        replacement.map(|(other, made_at)| (made_at, EndedBy::Replacement(other.id.clone()))),
        deleted.then(|| (evidence.seen_at.unwrap_or(confirmed_at).max(confirmed_at), EndedBy::Deletion)),
        (evidence.now >= window.to).then_some((window.to, EndedBy::WindowEnd)),
    ];
    let (end, ended_by) = ends.into_iter().flatten().min_by_key(|(at, _)| *at)?;
    let leak = match &ended_by {
        EndedBy::Replacement(id) => {
            // A replacement that was stopped in its turn did not leak any longer.
            let off_since = replacement.and_then(|(other, _)| other.completed_at).unwrap_or(window.to);
            let cost = Avoided::count(&row.rate, window, end.max(confirmed_at), off_since, Basis::Settled);
            Some(Leak { id: id.clone(), cost })
        }
        _ => None,
    };
    let avoided = Avoided::count(&row.rate, window, confirmed_at, end, Basis::Settled);
    Some(Settlement { at: evidence.now, ended_by, avoided, leak })
}

/// The first other deployment from the same configuration that was made inside the window. Also where it was made before
/// this one's stop was asked for: then somebody wanted the model on, and nothing was avoided.
fn replacement<'a>(
    row: &DeploymentResult,
    window: OffWindow,
    listed: &'a Listed,
) -> Option<(&'a Deployment, DateTime<Utc>)> {
    let other = listed.made_in(&row.configuration_id, window).iter().find(|other| other.id != row.id)?;
    Some((other, other.created_at?))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use rust_decimal::Decimal;

    use super::{Evidence, settle};
    use crate::domain::avoided::{Avoided, Basis};
    use crate::domain::deployment::{Deployment, Status};
    use crate::domain::id::{DeploymentId, ResourceGroup};
    use crate::domain::listed::Listed;
    use crate::domain::money::{CapacityUnitPrice, Charge, Currency, HourlyRate};
    use crate::domain::run::{DeploymentResult, EndedBy, Outcome, Settlement};
    use crate::domain::schedule::OffWindow;

    /// 19:00 to 07:00.
    fn window() -> OffWindow {
        OffWindow { from: at("23T18:00"), to: at("24T06:00") }
    }

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn deployment(id: &str, status: &str, created: &str, completed: Option<&str>) -> Deployment {
        Deployment {
            id: DeploymentId::new(id).unwrap(),
            resource_group: ResourceGroup::new("dev-a").unwrap(),
            configuration_id: "c1".to_owned(),
            configuration_name: None,
            scenario_id: None,
            executable_id: None,
            status: Status::from(status),
            target_status: None,
            created_at: Some(at(created)),
            modified_at: None,
            completed_at: completed.map(at),
            ttl: None,
            nodes: Vec::new(),
        }
    }

    fn stopped() -> Deployment {
        deployment("d001", "STOPPED", "20T08:00", Some("23T18:01"))
    }

    /// One node at one capacity unit at one euro, confirmed a minute after the window began.
    fn row(outcome: Outcome) -> DeploymentResult {
        let price = CapacityUnitPrice {
            amount: Decimal::ONE,
            currency: Currency::from_code("EUR").unwrap(),
            source: "test".into(),
            valid_from: "2026-01-01".parse().unwrap(),
        };
        let rate =
            HourlyRate { nodes: 1, charge: Charge::Metered { capacity_units: Decimal::ONE, price: Some(price) } };
        let confirmed_at = (outcome == Outcome::Stopped).then(|| at("23T18:01"));
        DeploymentResult {
            resource_group: ResourceGroup::new("dev-a").unwrap(),
            id: DeploymentId::new("d001").unwrap(),
            configuration_id: "c1".to_owned(),
            configuration_name: None,
            scenario_id: None,
            is_selected: true,
            outcome,
            reason: None,
            requested_at: Some(at("23T18:00")),
            confirmed_at,
            expires_at: None,
            nodes: Vec::new(),
            projected: confirmed_at.map_or_else(Avoided::nothing, |from| {
                Avoided::count(&rate, window(), from, window().to, Basis::Projected)
            }),
            rate,
            settlement: None,
        }
    }

    fn look(row: &DeploymentResult, listed: &[Deployment], now: &str) -> Option<Settlement> {
        let listed = Listed::new(listed.to_vec());
        settle(row, window(), Evidence { listed: &listed, now: at(now), seen_at: Some(at("23T22:00")) })
    }

    fn minutes(settlement: &Settlement) -> i64 {
        settlement.avoided.from.map_or(0, |from| (settlement.avoided.to.unwrap() - from).num_minutes())
    }

    #[test]
    fn a_window_that_ended_as_planned_settles_at_the_projection() {
        let row = row(Outcome::Stopped);
        assert_eq!(look(&row, &[stopped()], "24T05:59"), None, "not before its end");
        let settled = look(&row, &[stopped()], "24T06:00").unwrap();
        assert_eq!(settled.ended_by, EndedBy::WindowEnd);
        assert_eq!(settled.avoided.cost, row.projected.cost);
    }

    #[test]
    fn a_replacement_ends_it_and_leaks_the_rest() {
        let other = deployment("d002", "RUNNING", "24T01:00", None);
        let settled = look(&row(Outcome::Stopped), &[stopped(), other], "24T02:00").unwrap();
        assert_eq!(settled.ended_by, EndedBy::Replacement(DeploymentId::new("d002").unwrap()));
        assert_eq!(minutes(&settled), 6 * 60 + 59);
        assert_eq!(settled.leak.unwrap().cost.node_hours, Decimal::from(5));
    }

    #[test]
    fn neither_an_older_sibling_nor_next_mornings_deployment_is_a_replacement() {
        let sibling = deployment("d002", "RUNNING", "20T08:00", None);
        let morning = deployment("d003", "RUNNING", "24T06:00", None);
        let settled = look(&row(Outcome::Stopped), &[stopped(), sibling, morning], "24T07:00").unwrap();
        assert_eq!((settled.ended_by, settled.leak), (EndedBy::WindowEnd, None));
    }

    #[test]
    fn a_deleted_deployment_counts_until_it_was_last_seen() {
        let settled = look(&row(Outcome::Stopped), &[], "24T02:00").unwrap();
        assert_eq!((settled.ended_by.clone(), minutes(&settled)), (EndedBy::Deletion, 239));
    }

    #[test]
    fn time_to_live_ends_it_although_the_platform_deletes_it_then() {
        let row = DeploymentResult { expires_at: Some(at("23T20:01")), ..row(Outcome::Stopped) };
        let settled = look(&row, &[], "24T02:00").unwrap();
        assert_eq!((settled.ended_by.clone(), minutes(&settled)), (EndedBy::Ttl, 120));
    }

    #[test]
    fn a_stop_that_came_true_late_counts_from_then() {
        let late = deployment("d001", "STOPPED", "20T08:00", Some("24T00:00"));
        let settled = look(&row(Outcome::Unconfirmed), &[late], "24T06:00").unwrap();
        assert_eq!((settled.ended_by.clone(), minutes(&settled)), (EndedBy::WindowEnd, 360));
    }

    #[test]
    fn a_stop_that_never_came_true_avoids_nothing() {
        let stuck = deployment("d001", "STOPPING", "20T08:00", None);
        let row = row(Outcome::Unconfirmed);
        assert_eq!(look(&row, std::slice::from_ref(&stuck), "24T05:00"), None);
        let settled = look(&row, &[stuck], "24T06:00").unwrap();
        assert_eq!((settled.ended_by, settled.avoided), (EndedBy::NeverConfirmed, Avoided::nothing()));
    }
}
