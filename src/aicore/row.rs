//! A deployment as the wire has it, read into a compact row. Only the id is required: everything else may be missing,
//! null, of another type or new, and costs no more than the knowledge it would have given.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::Value;

use crate::domain::deployment::{Deployment, Nodes, Status, Ttl};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::instant::read_rfc3339;
use crate::domain::plain_text::clean_name;

/// AI Core writes the first; older and some current answers the second, or both with one of them empty.
const BACKEND_DETAILS: [&str; 2] = ["backendDetails", "backend_details"];
const PLANS: [&str; 4] = ["resourcePlan", "instanceType", "resource_plan", "instance_type"];
const REPLICAS: [&str; 2] = ["runningReplicas", "running_replicas"];
/// Stands for the plan of a component that has replicas and does not say on what.
const UNKNOWN_PLAN: &str = "unknown";

/// The row of `wire`, or none where its id is no id.
pub(super) fn deployment(wire: &Value, group: &ResourceGroup) -> Option<Deployment> {
    let id = DeploymentId::new(wire.get("id")?.as_str()?).ok()?;
    Some(Deployment {
        id,
        resource_group: group.clone(),
        configuration_id: text(wire, "configurationId").unwrap_or_default(),
        configuration_name: text(wire, "configurationName"),
        scenario_id: text(wire, "scenarioId"),
        executable_id: text(wire, "executableId"),
        status: Status::from(text(wire, "status").unwrap_or_default().as_str()),
        target_status: text(wire, "targetStatus"),
        created_at: time(wire, "createdAt"),
        modified_at: time(wire, "modifiedAt"),
        // A stop is counted from here, and the ledger keeps milliseconds. The others are compared, and stay as they are.
        completed_at: time(wire, "completionTime").map(|at| at.trunc_subsecs(3)),
        ttl: text(wire, "ttl").and_then(|ttl| ttl.parse::<Ttl>().ok()).map(|ttl| ttl.0),
        nodes: nodes(wire.get("details").unwrap_or(&Value::Null)),
    })
}

fn text(wire: &Value, name: &str) -> Option<String> {
    wire.get(name).and_then(Value::as_str).map(clean_name).filter(|text| !text.is_empty())
}

fn time(wire: &Value, name: &str) -> Option<DateTime<Utc>> {
    read_rfc3339(wire.get(name)?.as_str()?)
}

/// One entry per component that has a machine. Replicas that are not told count as none: no figure is guessed.
fn nodes(details: &Value) -> Vec<Nodes> {
    let section = |name: &'static str| {
        BACKEND_DETAILS.into_iter().filter_map(move |spelling| details.get(name)?.get(spelling)?.as_object())
    };
    let components: BTreeSet<&String> =
        ["scaling", "resources"].into_iter().flat_map(section).flat_map(|s| s.keys()).collect();
    let field = |part: &'static str, component: &String, names: &[&str]| {
        section(part).find_map(|components| {
            let component = components.get(component)?;
            names.iter().find_map(|name| component.get(name).filter(|value| !value.is_null()).cloned())
        })
    };
    let node = |component: &String| {
        let plan = field("resources", component, &PLANS).and_then(|plan| plan.as_str().map(clean_name));
        let plan = plan.filter(|plan| !plan.is_empty());
        let count = field("scaling", component, &REPLICAS).map_or(0, |count| replicas(&count));
        if plan.is_none() && count == 0 {
            return None;
        }
        Some(Nodes { plan: plan.unwrap_or_else(|| UNKNOWN_PLAN.to_owned()), count })
    };
    components.into_iter().filter_map(node).collect()
}

fn replicas(count: &Value) -> u32 {
    let number = count.as_u64().or_else(|| count.as_str()?.trim().parse().ok());
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{deployment, nodes};
    use crate::domain::deployment::{Nodes, Status};
    use crate::domain::id::ResourceGroup;

    fn row(wire: &Value) -> Option<crate::domain::deployment::Deployment> {
        deployment(wire, &ResourceGroup::new("dev").unwrap())
    }

    #[test]
    fn a28_only_an_id_is_needed_and_hostile_ids_are_refused() {
        for id in
            [json!(".."), json!(""), json!("d".repeat(65)), json!("dépl"), json!(null), json!(1234), json!("a/bcd")]
        {
            assert!(row(&json!({ "id": id, "status": "RUNNING" })).is_none(), "{id}");
        }
        assert!(row(&json!("d1234")).is_none());
        let bare = row(&json!({ "id": "d1234" })).unwrap();
        assert!(!bare.status.can_be_stopped());
        assert_eq!((bare.created_at, bare.nodes.len()), (None, 0));
    }

    #[test]
    fn a22_odd_fields_cost_no_more_than_themselves() {
        let odd = row(&json!({
            "id": "d1234", "status": "HIBERNATING", "configurationId": 7, "configurationName": null, "scenarioId": ["x"],
            "createdAt": "yesterday", "modifiedAt": "2026-11-23T18:00:00+01:00", "ttl": "24H", "details": "none", "new": {"a": 1},
        }))
        .unwrap();
        assert_eq!(odd.status, Status::Other("HIBERNATING".into()));
        assert_eq!((odd.created_at, odd.scenario_id, odd.configuration_id.as_str()), (None, None, ""));
        assert_eq!(odd.modified_at.unwrap().to_rfc3339(), "2026-11-23T17:00:00+00:00");
        assert_eq!(odd.ttl.unwrap().num_hours(), 24);
    }

    #[test]
    fn nodes_are_read_under_either_spelling_and_from_mixed_ones() {
        let starter = |count| vec![Nodes { plan: "starter".into(), count }];
        let cases = [
            (
                json!({"scaling": {"backendDetails": {"predictor": {"runningReplicas": 2}}},
                    "resources": {"backendDetails": {"predictor": {"resourcePlan": "starter"}}}}),
                starter(2),
            ),
            (
                json!({"scaling": {"backend_details": {"predictor": {"runningReplicas": 2}}, "backendDetails": {}},
                    "resources": {"backendDetails": {"predictor": {"resourcePlan": "starter"}}, "backend_details": null}}),
                starter(2),
            ),
            (
                json!({"scaling": {"backendDetails": {"predictor": {"runningReplicas": null}}, "backend_details": {"predictor": {"runningReplicas": 1}}},
                    "resources": {"backend_details": {"predictor": {"resourcePlan": null, "instanceType": "starter"}}}}),
                starter(1),
            ),
            (json!({"resources": {"backendDetails": {"predictor": {"resourcePlan": "starter"}}}}), starter(0)),
            (
                json!({"scaling": {"backendDetails": {"predictor": {"runningReplicas": 3}}}}),
                vec![Nodes { plan: "unknown".into(), count: 3 }],
            ),
            (
                json!({"resources": {"backendDetails": {"model": {"name": "gpt-4o", "version": "latest"}}}, "scaling": {"backendDetails": {}}}),
                vec![],
            ),
            (
                json!({"scaling": {"backendDetails": {"predictor": {"runningReplicas": 2}, "transformer": {"runningReplicas": 1}}},
                    "resources": {"backendDetails": {"predictor": {"resourcePlan": "infer.s"}, "transformer": {"resourcePlan": "basic"}}}}),
                vec![Nodes { plan: "infer.s".into(), count: 2 }, Nodes { plan: "basic".into(), count: 1 }],
            ),
            (json!({"scaling": 1, "resources": []}), vec![]),
            (json!(null), vec![]),
        ];
        for (details, expected) in cases {
            assert_eq!(nodes(&details), expected, "{details}");
        }
    }
}
