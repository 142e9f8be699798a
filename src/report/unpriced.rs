//! What has no price, and what is billed by tokens: shown, never as an amount of nothing.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::domain::avoided::{Avoided, AvoidedState};
use crate::domain::money::Charge;
use crate::domain::plain_text::clean;
use crate::domain::run::DeploymentResult;
use crate::report::form::Form;
use crate::report::page::{ReportSection, SectionBody};
use crate::report::parts::plans;

/// More plans than these are counted only.
const MOST_PLANS: usize = 20;
/// More than these are not told apart.
const MOST_NAMES: usize = 5_000;
/// What they are called then.
const OTHERS: &str = "other plans";

/// Figures without an amount.
#[derive(Debug, Default)]
pub(super) struct Unpriced {
    plans: BTreeMap<String, (usize, Decimal)>,
    tokens: usize,
}

impl Unpriced {
    /// Adds a row's figure, where it has no price.
    pub(super) fn add(&mut self, row: &DeploymentResult, avoided: &Avoided) {
        match avoided.state {
            AvoidedState::Unpriced => {
                let mut plan = match &row.rate.charge {
                    Charge::Unpriced { plan } => clean(plan),
                    _ => clean(&plans(row)),
                };
                if self.plans.len() >= MOST_NAMES && !self.plans.contains_key(&plan) {
                    OTHERS.clone_into(&mut plan);
                }
                let (count, hours) = self.plans.entry(plan).or_default();
                *count += 1;
                *hours += avoided.node_hours;
            }
            AvoidedState::TokenBilled => self.tokens += 1,
            AvoidedState::Projected | AvoidedState::Settled | AvoidedState::None => {}
        }
    }

    /// One item for each plan; none where everything has a price.
    pub(super) fn section(&self, form: &Form<'_>) -> Option<ReportSection> {
        let item = |(plan, (count, hours)): (&String, &(usize, Decimal))| {
            let deployments = form.counted(*count, "deployment");
            format!("{plan}: {} node hours of {deployments}", form.quantity(*hours))
        };
        let mut items: Vec<String> = self.plans.iter().take(MOST_PLANS).map(item).collect();
        let left_out = self.plans.len().saturating_sub(MOST_PLANS);
        if left_out > 0 {
            items.push(format!("{left_out} more plans; the CSV has them all."));
        }
        if self.tokens > 0 {
            let deployments = form.counted(self.tokens, "deployment");
            items.push(format!("token-billed: {deployments}; SAP bills tokens, so that a stop avoids no compute cost"));
        }
        if items.is_empty() {
            return None;
        }
        Some(
            ReportSection::new("Without a price", SectionBody::List { items })
                .intro("These are not part of any amount above."),
        )
    }
}
