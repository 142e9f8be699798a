//! Looking at a tenant: which resource groups a rule means, what is deployed in them, and what to do with each. Reads
//! only; `plan` and `explain` use the same survey as a run.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;

use crate::aicore::{Error, Reader};
use crate::domain::deployment::{Deployment, Group};
use crate::domain::money::{HourlyRate, InstanceTypes, Prices};
use crate::domain::plan::{Decision, Planned, Question, Reason};
use crate::domain::rule::Rule;
use crate::domain::selection::Exclusion;

/// Lists asked for at once; the client's own limit of requests in flight is lower or equal.
const LISTS_AT_ONCE: usize = 64;

/// What a tenant looked like to one rule.
#[derive(Debug, Default)]
pub struct Survey {
    /// The groups that could be listed, and their deployments.
    groups: Vec<(Group, Vec<Deployment>)>,
    /// Capacity units of the tenant's own instance types.
    instance_types: InstanceTypes,
    gaps: Gaps,
}

/// How far a survey can be relied on.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Groups that could not be listed, and why.
    pub failed: Vec<(Group, Error)>,
    /// What else a reader of the report should know.
    pub notes: Vec<String>,
}

/// Looks at every group that `rule` selects. `protect` is `[protect]`.
pub async fn survey(
    reader: &Reader,
    rule: &Rule,
    protect: &Exclusion,
    prices: &Prices,
    at: DateTime<Utc>,
) -> Result<Survey, Error> {
    let mut survey = Survey::default();
    let groups = groups(reader, rule, protect, &mut survey.gaps).await?;
    let lists = futures_util::stream::iter(groups)
        .map(|group| async move { (reader.deployments(&group.id, None).await, group) })
        .buffer_unordered(LISTS_AT_ONCE);
    for (listing, group) in lists.collect::<Vec<_>>().await {
        match listing {
            Ok(listing) => {
                if !listing.consistent {
                    let note = format!("list_inconsistent: the list of `{}` changed while it was read", group.id);
                    survey.gaps.notes.push(note);
                }
                if listing.refused_ids > 0 {
                    survey.gaps.notes.push(format!(
                        "{} deployments of `{}` have malformed ids and were left",
                        listing.refused_ids, group.id
                    ));
                }
                survey.groups.push((group, listing.deployments));
            }
            Err(error) => survey.gaps.failed.push((group, error)),
        }
    }
    survey.groups.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    survey.gaps.failed.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    if survey.lacks_prices(prices, at) {
        // Without them the figure is unpriced, which is no reason not to stop.
        match reader.instance_types().await {
            Ok(types) => survey.instance_types = types,
            Err(error) => survey.gaps.notes.push(format!("instance types could not be read: {error}")),
        }
    }
    Ok(survey)
}

/// The groups a rule means, with their labels.
///
/// Names written out in full need no look-up, but their labels do: a group may have opted out. A tenant that refuses
/// to show its groups is believed to have no labels, unless `[protect]` or the rule says what a label would protect; one
/// that cannot be asked is a doubt, and ends the survey.
async fn groups(reader: &Reader, rule: &Rule, protect: &Exclusion, gaps: &mut Gaps) -> Result<Vec<Group>, Error> {
    let literal = rule.select.literal_groups();
    let labels_protect = !protect.labels.is_empty() || !rule.exclude.labels.is_empty();
    let known = match (reader.groups().await, &literal) {
        (Ok(known), _) => known,
        (Err(error), Some(_)) if matches!(error.keyword(), "forbidden" | "not_found") && !labels_protect => {
            gaps.notes.push("labels of resource groups could not be read: this key may not list them".to_owned());
            Vec::new()
        }
        (Err(error), _) => return Err(error),
    };
    let Some(names) = literal else {
        return Ok(known.into_iter().filter(|group| rule.select.matches_group(group)).collect());
    };
    let mut labels: BTreeMap<_, _> = known.into_iter().map(|group| (group.id, group.labels)).collect();
    let mut groups = Vec::new();
    for id in names {
        match labels.remove(&id) {
            None if labels_protect => {
                gaps.failed.push((Group { id, labels: BTreeMap::new() }, Error::UnknownLabels));
            }
            labels => groups.push(Group { id, labels: labels.unwrap_or_default() }),
        }
    }
    Ok(groups)
}

impl Survey {
    /// Decides for every deployment of a listed group, one group after the other. What is left of the survey is what it
    /// could not see.
    pub fn plan(self, question: &Question<'_>, prices: &Prices) -> (impl Iterator<Item = (Group, Vec<Planned>)>, Gaps) {
        let Self { groups, instance_types, gaps } = self;
        let decide = move |(group, deployments): (Group, Vec<Deployment>)| {
            let planned = deployments.into_iter().map(|deployment| {
                let decision = question.decide(&group, &deployment);
                // A hold costs only what the rule would have stopped.
                let is_held_in_vain = matches!(decision, Decision::Leave(Reason::Held { .. }))
                    && Question { holds: &[], ..*question }.decide(&group, &deployment) != Decision::Stop;
                let rate = if is_held_in_vain {
                    HourlyRate::nothing("left with the hold and without it")
                } else {
                    HourlyRate::of(&deployment, prices, &instance_types, question.scheduled)
                };
                Planned { deployment, decision, rate }
            });
            let planned = planned.collect();
            (group, planned)
        };
        (groups.into_iter().map(decide), gaps)
    }

    fn lacks_prices(&self, prices: &Prices, at: DateTime<Utc>) -> bool {
        let listed = prices.at(at).map(|period| &period.capacity_units_per_node_hour);
        let running = self.groups.iter().flat_map(|(_, deployments)| deployments).filter(|d| d.status.can_be_stopped());
        running
            .flat_map(|deployment| &deployment.nodes)
            .any(|nodes| nodes.count > 0 && !listed.is_some_and(|prices| prices.contains_key(&nodes.plan)))
    }
}
