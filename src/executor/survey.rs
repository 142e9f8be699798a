//! Looking at a tenant: which resource groups a rule means, what is deployed in them, and what to do with each. Reads
//! only; `plan`, `explain` and notices use the same survey as a run.
//!
//! A large tenant is never in memory at once: a few groups are listed ahead, and each is handed on when its turn comes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::sync::OnceCell;

use crate::aicore::{Error, Listing, Reader};
use crate::clock::Clock;
use crate::domain::deployment::{Deployment, Group};
use crate::domain::id::ResourceGroup;
use crate::domain::money::{HourlyRate, InstanceTypes, Prices};
use crate::domain::plan::{Decision, DecisionContext, Planned};
use crate::domain::reason::Reason;
use crate::domain::rule::Rule;
use crate::domain::selection::Exclusion;

/// Lists asked for at once, and so the most that wait for their turn; the client's own limit of requests is lower.
const LISTS_AT_ONCE: usize = 32;

/// What a survey is made with.
#[derive(Clone, Copy)]
pub struct Surveyor<'a> {
    pub reader: &'a Reader,
    pub clock: &'a Clock,
    pub prices: &'a Prices,
    pub decisions: DecisionContext<'a>,
}

/// One resource group, listed and decided on.
#[derive(Debug)]
pub struct Surveyed {
    pub(crate) group: Group,
    /// When it was listed; not later.
    pub(crate) listed_at: DateTime<Utc>,
    pub planned: Vec<Planned>,
}

/// How far a survey can be relied on.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Groups that could not be listed, and why.
    pub(crate) failed: Vec<(Group, Error)>,
    /// What else a reader of the report should know.
    pub(crate) notes: Vec<String>,
}

pub(crate) type Labels = BTreeMap<ResourceGroup, BTreeMap<String, String>>;

impl Surveyor<'_> {
    /// Looks at every group that the rule means, in the order of their names.
    pub async fn survey(&self, each: impl FnMut(Surveyed)) -> Result<Gaps, Error> {
        let mut gaps = Gaps::default();
        let groups = self.groups(&mut gaps).await?;
        self.list(groups, &mut gaps, each).await;
        Ok(gaps)
    }

    /// The groups that the rule means, with their labels.
    ///
    /// Names written out in full need no look-up, but their labels do: a group may have opted out.
    pub(crate) async fn groups(&self, gaps: &mut Gaps) -> Result<Vec<Group>, Error> {
        let DecisionContext { rule, protect, .. } = self.decisions;
        let known = labels(self.reader, rule, protect).await?;
        let Some(names) = rule.select.literal_groups() else {
            let groups = known.unwrap_or_default().into_iter().map(|(id, labels)| Group { id, labels });
            return Ok(groups.filter(|group| rule.select.matches_group(group)).collect());
        };
        if known.is_none() {
            gaps.notes.push("labels of resource groups could not be read: this key may not list them".to_owned());
        }
        let mut groups = Vec::new();
        for id in names {
            match labelled(&id, known.as_ref(), rule, protect) {
                Ok(group) => groups.push(group),
                Err(error) => gaps.failed.push((Group { id, labels: BTreeMap::new() }, error)),
            }
        }
        Ok(groups)
    }

    /// Lists `groups`, decides for each deployment, and hands over one group after the other, in order.
    pub(crate) async fn list(&self, groups: Vec<Group>, gaps: &mut Gaps, mut each: impl FnMut(Surveyed)) {
        let mut lists = futures_util::stream::iter(groups)
            .map(|group| async {
                let listed_at = self.clock.now();
                (self.reader.deployments(&group.id, None).await, group, listed_at)
            })
            .buffered(LISTS_AT_ONCE);
        let types = OnceCell::new();
        while let Some((listing, group, listed_at)) = lists.next().await {
            match listing {
                Ok(listing) => {
                    gaps.notes.extend(notes(&listing, &group));
                    let types = self.instance_types(&listing.deployments, &types, &mut gaps.notes).await;
                    let planned = listing.deployments.into_iter().map(|one| self.decide(&group, one, types)).collect();
                    each(Surveyed { group, listed_at, planned });
                }
                Err(error) => gaps.failed.push((group, error)),
            }
        }
    }

    fn decide(&self, group: &Group, deployment: Deployment, types: &InstanceTypes) -> Planned {
        let decisions = &self.decisions;
        let decision = decisions.decide(group, &deployment);
        // A hold costs only what the rule would have stopped.
        let is_held_in_vain = matches!(decision, Decision::Leave(Reason::Held(_)))
            && DecisionContext { holds: &[], ..*decisions }.decide(group, &deployment) != Decision::Stop;
        let rate = if is_held_in_vain {
            HourlyRate::nothing("left with the hold and without it")
        } else {
            HourlyRate::of(&deployment, self.prices, types, decisions.scheduled)
        };
        let is_selected = decisions.selects(group, &deployment);
        Planned { deployment, is_selected, decision, rate }
    }

    /// Capacity units of the tenant's own instance types, read once, when the first deployment needs them. Without them a
    /// figure is unpriced, which is no reason not to stop.
    async fn instance_types<'t>(
        &self,
        deployments: &[Deployment],
        types: &'t OnceCell<InstanceTypes>,
        notes: &mut Vec<String>,
    ) -> &'t InstanceTypes {
        static NONE: InstanceTypes = InstanceTypes::new();
        if types.get().is_none() && !self.lacks_prices(deployments) {
            return &NONE;
        }
        types
            .get_or_init(|| async {
                self.reader.instance_types().await.unwrap_or_else(|error| {
                    notes.push(format!("instance types could not be read: {error}"));
                    InstanceTypes::new()
                })
            })
            .await
    }

    fn lacks_prices(&self, deployments: &[Deployment]) -> bool {
        let listed = self.prices.at(self.decisions.scheduled).map(|period| &period.capacity_units_per_node_hour);
        let running = deployments.iter().filter(|deployment| deployment.status.can_be_stopped());
        running
            .flat_map(|deployment| &deployment.nodes)
            .any(|nodes| nodes.count > 0 && !listed.is_some_and(|prices| prices.contains_key(&nodes.plan)))
    }
}

/// The labels of all resource groups, or none where this key may not read them.
///
/// A tenant that refuses to show its groups is believed to have no labels, unless `[protect]` or the rule says what a
/// label would protect; one that cannot be asked is a doubt.
pub(crate) async fn labels(reader: &Reader, rule: &Rule, protect: &Exclusion) -> Result<Option<Labels>, Error> {
    match reader.groups().await {
        Ok(groups) => Ok(Some(groups.into_iter().map(|group| (group.id, group.labels)).collect())),
        Err(Error::Forbidden { .. } | Error::NotFound { .. })
            if rule.select.literal_groups().is_some() && !labels_protect(rule, protect) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The group called `id` as it is labelled in `known`. One that is not listed is a doubt where a label could protect it.
pub(crate) fn labelled(
    id: &ResourceGroup,
    known: Option<&Labels>,
    rule: &Rule,
    protect: &Exclusion,
) -> Result<Group, Error> {
    match known.and_then(|known| known.get(id)) {
        Some(labels) => Ok(Group { id: id.clone(), labels: labels.clone() }),
        None if labels_protect(rule, protect) => Err(Error::UnknownLabels),
        None => Ok(Group { id: id.clone(), labels: BTreeMap::new() }),
    }
}

fn labels_protect(rule: &Rule, protect: &Exclusion) -> bool {
    !protect.labels.is_empty() || !rule.exclude.labels.is_empty()
}

fn notes(listing: &Listing, group: &Group) -> Vec<String> {
    let mut notes = Vec::new();
    if !listing.consistent {
        notes.push(format!("list_inconsistent: the list of `{}` changed while it was read", group.id));
    }
    if listing.refused_ids > 0 {
        let refused = listing.refused_ids;
        notes.push(format!("{refused} deployments of `{}` have malformed ids and were left", group.id));
    }
    notes
}
