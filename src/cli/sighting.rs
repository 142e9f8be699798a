//! Where a deployment is, by its id or by its configuration's name: all resource groups of all tenants are looked through,
//! also those that no rule means.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream;

use crate::aicore::{Error, Options, Reader};
use crate::cli::exit::CommandError;
use crate::cli::session::Session;
use crate::config::Config;
use crate::domain::deployment::{Deployment, Group};
use crate::domain::id::ConnectionName;
use crate::domain::money::{HourlyRate, InstanceTypes};
use crate::domain::rule::Rule;
use crate::executor::survey::{Labels, labels};

/// Lists asked for at once; the client's own limit of requests is lower.
const LISTS_AT_ONCE: usize = 32;

/// A deployment as its tenant shows it.
pub(crate) struct Sighting {
    pub(crate) connection: ConnectionName,
    pub(crate) deployment: Deployment,
    /// The labels of the tenant's groups; none where this key may not read them.
    pub(crate) labels: Option<Labels>,
    /// What an hour of it consumes and costs.
    pub(crate) rate: HourlyRate,
}

/// What was found, and what could not be looked at.
#[derive(Default)]
pub(crate) struct Sightings {
    pub(crate) found: Vec<Sighting>,
    /// Groups that could not be listed, and why.
    pub(crate) unseen: Vec<(Group, Error)>,
}

/// Looks for deployments with this id, or of a configuration with this name.
pub(crate) async fn everywhere(session: &Session, config: &Config, wanted: &str) -> Result<Sightings, CommandError> {
    let mut sightings = Sightings::default();
    for connection in config.connections.values() {
        let options = Options { clock: session.clock.clone(), ..Options::default() };
        let reader = Reader::connect(connection.key.clone(), options)?;
        let rules = config.rules.iter().filter(|rule| rule.connection == connection.name);
        let (groups, labels) = groups(&reader, config, rules.map(|rule| &**rule)).await?;
        let lists = stream::iter(groups).map(|group| async { (reader.deployments(&group.id, None).await, group) });
        let mut lists = lists.buffered(LISTS_AT_ONCE);
        let mut found = Vec::new();
        while let Some((listing, group)) = lists.next().await {
            match listing {
                Ok(listing) => found.extend(listing.deployments.into_iter().filter(|one| is_meant(one, wanted))),
                Err(error) => sightings.unseen.push((group, error)),
            }
        }
        // A tenant's own units are asked for where something has to be priced; without them it has no price.
        let types =
            if found.is_empty() { InstanceTypes::new() } else { reader.instance_types().await.unwrap_or_default() };
        sightings.found.extend(found.into_iter().map(|deployment| {
            let rate = HourlyRate::of(&deployment, &config.prices, &types, session.now());
            Sighting { connection: connection.name.clone(), deployment, labels: labels.clone(), rate }
        }));
    }
    Ok(sightings)
}

fn is_meant(deployment: &Deployment, wanted: &str) -> bool {
    deployment.id.as_str() == wanted || deployment.configuration_name.as_deref() == Some(wanted)
}

/// All groups of a tenant; where this key may not list them, those that rules name in full.
async fn groups<'a>(
    reader: &Reader,
    config: &Config,
    rules: impl Iterator<Item = &'a Rule>,
) -> Result<(Vec<Group>, Option<Labels>), CommandError> {
    match reader.groups().await {
        Ok(groups) => {
            let labels = groups.iter().map(|group| (group.id.clone(), group.labels.clone())).collect();
            Ok((groups, Some(labels)))
        }
        Err(error @ (Error::Forbidden { .. } | Error::NotFound { .. })) => {
            let mut named = Vec::new();
            for rule in rules {
                // Fails where labels protect something, as a run would.
                labels(reader, rule, &config.protect).await?;
                named.extend(rule.select.literal_groups().into_iter().flatten());
            }
            named.sort();
            named.dedup();
            if named.is_empty() {
                return Err(error.into());
            }
            Ok((named.into_iter().map(|id| Group { id, labels: BTreeMap::new() }).collect(), None))
        }
        Err(error) => Err(error.into()),
    }
}
