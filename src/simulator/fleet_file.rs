//! The fleet file, resolved into a [`Fleet`]; its tables are [`fleet_raw`](super::fleet_raw)'s. The keys are those of [`Spec`], in words
//! that a person writes: `replicas = 2`, `created = "3d"`, `redeployed = "0 7 * * MON-FRI"`.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use chrono::TimeDelta;
use toml::Spanned;

use crate::clock;
use crate::domain::cron::Cron;
use crate::domain::deployment::{Status, Ttl};
use crate::domain::zone::Zone;
use crate::simulator::fleet::{Fleet, FleetGroup, InstanceType, configuration_id, usual_spelling};
use crate::simulator::fleet_raw::{
    RawComponent, RawDeployment, RawFleet, RawGroup, RawInstanceType, RawReplicas, RawTenant, delta,
};
use crate::simulator::spec::{
    Behaviour, Component, Model, Moment, Redeployed, SLOW_STOP_AFTER, START_AFTER, STOP_AFTER, Spec,
};

/// So many deployments may one table stand for.
const MOST_PER_TABLE: usize = 20_000;

/// Why a text is no fleet file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub(crate) struct FleetError {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column, from 1.
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Fleet {
    pub(crate) fn parse(text: &str) -> Result<Self, FleetError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<Fleet, FleetError> {
    let raw: RawFleet =
        toml::from_str(text).map_err(|e| fault(text, &e.span().unwrap_or(0..0), e.message().to_owned()))?;
    let resolver = Resolver { text, zone: zone(text, raw.tenant.timezone.as_ref())? };
    let mut fleet = Fleet::new();
    tenant(text, raw.tenant, &mut fleet)?;
    for group in raw.group {
        resolver.group(group, &mut fleet)?;
    }
    let mut taken = HashSet::new();
    for deployment in raw.deployment {
        resolver.deployment(deployment, &mut fleet, &mut taken)?;
    }
    Ok(fleet)
}

fn zone(text: &str, name: Option<&Spanned<String>>) -> Result<Zone, FleetError> {
    let (name, span) = name.map_or(("UTC", 0..0), |name| (name.get_ref().as_str(), name.span()));
    clock::zone(name).map_err(|e| fault(text, &span, e.to_string()))
}

fn tenant(text: &str, raw: RawTenant, fleet: &mut Fleet) -> Result<(), FleetError> {
    let tenant = &mut fleet.tenant;
    tenant.bulk = raw.bulk.map_or(tenant.bulk, |bulk| bulk.0);
    if let Some(status) = raw.bulk_refusal {
        if !(400..600).contains(status.get_ref()) {
            return Err(fault(text, &status.span(), "a refusal has a status from 400 to 599".to_owned()));
        }
        tenant.bulk_refusal = status.into_inner();
    }
    tenant.meta = raw.meta.unwrap_or(tenant.meta);
    tenant.token_lifetime = raw.token_lifetime.map_or(tenant.token_lifetime, |span| span.0);
    tenant.latency = raw.latency.map_or(tenant.latency, |span| span.0);
    tenant.tidied_after = raw.tidied_after.map(|span| span.0);
    tenant.reserved_nodes = raw.reserved_nodes;
    tenant.instance_types = raw.instance_types.into_iter().map(|(name, raw)| (name, instance_type(raw))).collect();
    Ok(())
}

fn instance_type(raw: RawInstanceType) -> InstanceType {
    InstanceType {
        memory: raw.memory.unwrap_or_else(|| "16Gi".to_owned()),
        cpu: raw.cpu.unwrap_or(4),
        gpu: raw.gpu.unwrap_or(0),
        billable_units_per_hour: raw.billable_units_per_hour,
    }
}

struct Resolver<'a> {
    text: &'a str,
    zone: Zone,
}

impl Resolver<'_> {
    fn group(&self, raw: RawGroup, fleet: &mut Fleet) -> Result<(), FleetError> {
        let id = raw.id.get_ref();
        let declared = id != "default" && fleet.groups.iter().any(|group| group.id == *id);
        if declared {
            return Err(self.fault(&raw.id.span(), format!("group `{id}` is there already")));
        }
        fleet.groups.retain(|group| group.id != *id);
        let plain = FleetGroup::new(id);
        fleet.groups.push(FleetGroup {
            labels: raw.labels,
            accessible: raw.accessible.unwrap_or(true),
            status: raw.status.unwrap_or(plain.status),
            id: plain.id,
        });
        Ok(())
    }

    /// Adds the deployments of one table. `taken` are the ids that there are already, each with its group.
    fn deployment(
        &self,
        raw: RawDeployment,
        fleet: &mut Fleet,
        taken: &mut HashSet<(String, String)>,
    ) -> Result<(), FleetError> {
        let group = self.group_of(raw.group.as_ref(), fleet)?;
        let (id, span, count) = (raw.id.get_ref().clone(), raw.id.span(), raw.count.clone());
        let details = raw.details;
        let spec = self.spec(raw, &group)?;
        let ids: Vec<String> = match count {
            None => vec![id],
            Some(count) if (1..=MOST_PER_TABLE).contains(count.get_ref()) => {
                (1..=count.into_inner()).map(|number| format!("{id}{number:03}")).collect()
            }
            Some(count) => return Err(self.fault(&count.span(), format!("1 to {MOST_PER_TABLE} deployments"))),
        };
        for id in ids {
            if !taken.insert((spec.group.clone(), id.clone())) {
                return Err(self.fault(&span, format!("deployment `{id}` is there already")));
            }
            let details = details.unwrap_or_else(|| usual_spelling(fleet.deployments.len()));
            fleet.deployments.push(Spec { id, details, ..spec.clone() });
        }
        Ok(())
    }

    fn group_of(&self, name: Option<&Spanned<String>>, fleet: &Fleet) -> Result<String, FleetError> {
        let Some(name) = name else { return Ok("default".to_owned()) };
        if fleet.groups.iter().any(|group| group.id == *name.get_ref()) {
            return Ok(name.get_ref().clone());
        }
        let message = format!("there is no group `{}`: add `[[group]]` with that `id`", name.get_ref());
        Err(self.fault(&name.span(), message))
    }

    fn spec(&self, raw: RawDeployment, group: &str) -> Result<Spec, FleetError> {
        let redeployed = raw.redeployed.as_ref().map(|cron| self.redeployed(cron)).transpose()?.into_iter().collect();
        if let Some(ttl) = raw.ttl.as_ref().filter(|ttl| ttl.get_ref().parse::<Ttl>().is_err()) {
            return Err(self.fault(&ttl.span(), format!("`{}` is not a valid ttl, such as `24H`", ttl.get_ref())));
        }
        let behaviour = raw.behaviour.unwrap_or_default();
        let usual = if behaviour == Behaviour::Slow { SLOW_STOP_AFTER } else { STOP_AFTER };
        let id = raw.id.get_ref();
        let components = components(raw.plan.as_deref(), raw.replicas, raw.components);
        let name = raw.configuration;
        let version = raw.model_version.unwrap_or_else(|| "latest".to_owned());
        let model = raw.model.map(|name| Model { name, version });
        let usual_scenario = if model.is_some() { "foundation-models" } else { "scenario" };
        Ok(Spec {
            configuration_id: raw
                .configuration_id
                .unwrap_or_else(|| configuration_id(name.as_deref().unwrap_or(id.as_str()))),
            configuration_name: name,
            scenario_id: Some(raw.scenario.unwrap_or_else(|| usual_scenario.to_owned())),
            executable_id: Some(raw.executable.unwrap_or_else(|| "executable".to_owned())),
            components,
            model,
            status: Status::from(raw.status.as_deref().unwrap_or("RUNNING")),
            created: raw.created.map_or(Moment::Before(TimeDelta::days(3)), |created| created.0),
            ttl: raw.ttl.map(Spanned::into_inner),
            behaviour,
            stop_after: raw.stop_after.map_or(usual, |span| delta(span.0)),
            start_after: raw.start_after.map_or(START_AFTER, |span| delta(span.0)),
            appears_at: raw.appears_at.map(|moment| moment.0),
            deleted_at: raw.deleted_at.map(|moment| moment.0),
            redeployed,
            ..Spec::running(group, id, "")
        })
    }

    fn redeployed(&self, cron: &Spanned<String>) -> Result<Redeployed, FleetError> {
        let text = cron.get_ref();
        let wrong = |e| self.fault(&cron.span(), format!("`{text}` is not a valid cron expression: {e}"));
        Ok(Redeployed::new(Cron::parse(text).map_err(wrong)?, self.zone.clone()))
    }

    fn fault(&self, span: &Range<usize>, message: String) -> FleetError {
        fault(self.text, span, message)
    }
}

fn components(
    plan: Option<&str>,
    replicas: Option<RawReplicas>,
    others: BTreeMap<String, RawComponent>,
) -> Vec<Component> {
    let first = plan.map(|plan| component("predictor".to_owned(), plan, replicas));
    let others = others.into_iter().map(|(name, raw)| component(name, &raw.plan, raw.replicas));
    first.into_iter().chain(others).collect()
}

fn component(name: String, plan: &str, replicas: Option<RawReplicas>) -> Component {
    let (min, max, running) = match replicas.unwrap_or(RawReplicas::Fixed(1)) {
        RawReplicas::Fixed(count) => (count, count, count),
        RawReplicas::Scaled { min, max, running } => (min, max, running),
    };
    Component { name, plan: plan.to_owned(), min, max, running }
}

/// Line and column of a fault, each from 1, the column in characters.
fn fault(text: &str, span: &Range<usize>, message: String) -> FleetError {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    FleetError { line, column, message }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::parse;
    use crate::domain::deployment::Status;
    use crate::simulator::fleet::Bulk;
    use crate::simulator::spec::{Behaviour, DetailsSpelling, Moment};

    #[test]
    fn a_fleet_is_read_as_written() {
        let fleet = parse(
            r#"
            [tenant]
            bulk = "refuses"
            bulk_refusal = 501
            timezone = "Europe/Berlin"
            token_lifetime = "2h"
            reserved_nodes = { "infer.l" = 1 }
            [tenant.instance_types."g4.large"]
            billable_units_per_hour = "1.23"

            [[group]]
            id = "dev-a"
            labels = { "ext.ai.sap.com/env" = "dev" }

            [[deployment]]
            group = "dev-a"
            id = "d1"
            count = 3
            configuration = "chat"
            plan = "infer.s"
            replicas = { min = 0, max = 2, running = 1 }
            components.transformer = { plan = "starter" }
            redeployed = "0 7 * * MON-FRI"

            [[deployment]]
            id = "d999"
            model = "gpt-4o"
            status = "PENDING"
            created = "2026-11-01T00:00:00Z"
            behaviour = "comes-back"
            stop_after = "5m"
            deleted_at = "2d"
            details = "half-filled"
            "#,
        )
        .unwrap();
        assert_eq!((fleet.tenant.bulk, fleet.tenant.bulk_refusal), (Bulk::Refuses, 501));
        let ids: Vec<_> = fleet.deployments.iter().map(|spec| (spec.id.as_str(), spec.group.as_str())).collect();
        assert_eq!(ids, [("d1001", "dev-a"), ("d1002", "dev-a"), ("d1003", "dev-a"), ("d999", "default")]);
        let first = &fleet.deployments[0];
        assert_eq!((first.configuration_id.as_str(), first.components.len()), ("cfg-chat", 2));
        assert_eq!(first.redeployed[0].zone.name(), "Europe/Berlin");
        assert_eq!((first.details, fleet.deployments[1].details), (DetailsSpelling::Camel, DetailsSpelling::Snake));
        let last = &fleet.deployments[3];
        assert_eq!((last.status.clone(), last.behaviour), (Status::Pending, Behaviour::ComesBack));
        assert_eq!(last.scenario_id.as_deref(), Some("foundation-models"));
        assert_eq!(
            (last.deleted_at, last.stop_after),
            (Some(Moment::After(TimeDelta::days(2))), TimeDelta::minutes(5))
        );
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let cases = [
            ("[tenant]\nbulc = true", "2:1: unknown field `bulc`"),
            ("[tenant]\nbulk = \"yes\"", "2:8: `yes` is not true, false or \"refuses\""),
            ("[tenant]\ntimezone = \"Europe/Berlim\"", "2:12: `Europe/Berlim` is not a valid time zone"),
            ("[[deployment]]\ngroup = \"dev\"\nid = \"d001\"", "2:9: there is no group `dev`"),
            ("[[deployment]]\nid = \"d001\"\nstop_after = \"soon\"", "3:14: `soon` is not a valid duration"),
            (
                "[[deployment]]\nid = \"d001\"\nredeployed = \"0 25 * * *\"",
                "3:14: `0 25 * * *` is not a valid cron expression",
            ),
            ("[[deployment]]\nid = \"d001\"\n[[deployment]]\nid = \"d001\"", "4:6: deployment `d001` is there already"),
            ("[[deployment]]\nid = \"d001\"\nttl = \"1w\"", "3:7: `1w` is not a valid ttl"),
            ("[[deployment]]\nid = \"d001\"\nbehaviour = \"sulks\"", "3:13: unknown variant `sulks`"),
            ("[[group]]\nid = \"a\"\n[[group]]\nid = \"a\"", "4:6: group `a` is there already"),
            ("[[deployment]\n", "1:"),
        ];
        for (text, expected) in cases {
            let message = parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
    }
}
