//! What metrics tell of the ledger. Read now and then; where it cannot be read, nothing is told rather than what was once.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::id::RuleName;
use crate::domain::money::Currency;
use crate::domain::run::RunResult;

/// The ledger at one moment.
#[derive(Debug, Clone, Default)]
pub struct LedgerGauges {
    pub read_at: DateTime<Utc>,
    /// Each rule, and whether it observes only.
    pub observes: BTreeMap<RuleName, bool>,
    /// How the last run of each rule ended.
    pub results: BTreeMap<RuleName, RunResult>,
    /// How many mails have not arrived.
    pub mails: Mails,
    pub holds: usize,
    /// Deployments that should be off now and were not seen STOPPED.
    pub still_on: u32,
    /// What this month's off windows have avoided.
    pub avoided: AvoidedThisMonth,
}

/// How many mails have not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mails {
    /// Waiting for their next attempt.
    pub queued: u64,
    /// Given up within a week.
    pub dead: u64,
    /// When the oldest that waits was written.
    pub oldest: Option<DateTime<Utc>>,
}

/// An estimate, as the reports have it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AvoidedThisMonth {
    pub node_hours: Decimal,
    /// In the currency of the prices in force.
    pub cost: Option<(Decimal, Currency)>,
}

impl LedgerGauges {
    /// Writes them as gauges.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let at = [((), self.read_at.timestamp())].map(|((), at)| ([], at));
        family(encoder, "offhours_ledger_read_timestamp_seconds", "When the ledger was last read for metrics.", at)?;
        let help = "Whether the rule observes only (1) or stops (0).";
        let observes = self.observes.iter().map(|(rule, observes)| ([("rule", rule.as_str())], i64::from(*observes)));
        family(encoder, "offhours_rule_observes", help, observes)?;
        let help = "How the last run of each rule ended: 1 at its result.";
        let results =
            self.results.iter().map(|(rule, result)| ([("rule", rule.as_str()), ("result", result.as_str())], 1));
        family(encoder, "offhours_last_run_result", help, results)?;
        let help = "Deployments that should be off now and were not seen STOPPED.";
        family(encoder, "offhours_still_on", help, [([], i64::from(self.still_on))])?;
        family(encoder, "offhours_holds", "Holds in force.", [([], i64::try_from(self.holds).unwrap_or(i64::MAX))])?;
        let help = "Mails that wait for their next attempt, or were given up within a week.";
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let mails = [([("state", "queued")], count(self.mails.queued)), ([("state", "dead")], count(self.mails.dead))];
        family(encoder, "offhours_mails", help, mails)?;
        let help = "When the oldest mail that waits was written; absent where none waits.";
        let oldest = self.mails.oldest.iter().map(|at| ([], at.timestamp()));
        family(encoder, "offhours_oldest_mail_timestamp_seconds", help, oldest)?;
        let help = "Node hours avoided by the off windows that began this month (estimate).";
        let hours = [([], self.avoided.node_hours.to_f64().unwrap_or_default())];
        family(encoder, "offhours_month_avoided_node_hours", help, hours)?;
        let help = "Cost avoided by the off windows that began this month (estimate).";
        let cost = self.avoided.cost.iter();
        let cost =
            cost.map(|(amount, currency)| ([("currency", currency.code())], amount.to_f64().unwrap_or_default()));
        family(encoder, "offhours_month_avoided_cost", help, cost)
    }
}

fn family<'a, const N: usize, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], V)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
}
