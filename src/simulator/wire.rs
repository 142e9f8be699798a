//! Deployments and groups as the API writes them.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::domain::deployment::Status;
use crate::domain::instant::rfc3339;
use crate::simulator::fleet::{Bulk, FleetGroup, TenantSpec};
use crate::simulator::live::Live;
use crate::simulator::spec::DetailsSpelling;

/// RFC 3339 in UTC, in whole seconds as AI Core writes them.
pub(super) fn time(at: DateTime<Utc>) -> String {
    rfc3339(at)
}

pub(super) fn deployment(live: &Live, base_url: &str) -> Value {
    let spec = &live.spec;
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            object.insert(key.to_owned(), value);
        }
    };
    put("id", json!(spec.id));
    put("deploymentUrl", json!(deployment_url(&spec.id, base_url)));
    put("configurationId", json!(spec.configuration_id));
    put("configurationName", json!(spec.configuration_name));
    put("executableId", json!(spec.executable_id));
    put("scenarioId", json!(spec.scenario_id));
    put("status", json!(live.status.as_str()));
    put("statusMessage", json!(status_message(&live.status)));
    put("targetStatus", json!(live.target_status));
    put("lastOperation", json!(live.last_operation));
    put("latestRunningConfigurationId", json!(live.latest_running_configuration_id));
    put("ttl", json!(spec.ttl));
    put("details", details(live));
    put("createdAt", json!(time(live.created_at)));
    put("modifiedAt", json!(time(live.modified_at)));
    put("submissionTime", json!(time(live.created_at)));
    put("startTime", json!(live.started_at.map(time)));
    put("completionTime", json!(live.completed_at.map(time)));
    Value::Object(object)
}

pub(super) fn deployment_alone(live: &Live, base_url: &str) -> Value {
    let mut value = deployment(live, base_url);
    value["statusDetails"] = json!({});
    value
}

/// A deployment with `$select=status`.
pub(super) fn status_only(live: &Live) -> Value {
    json!({
        "id": live.spec.id,
        "configurationId": live.spec.configuration_id,
        "status": live.status.as_str(),
        "createdAt": time(live.created_at),
        "modifiedAt": time(live.modified_at),
    })
}

pub(super) fn deployment_url(id: &str, base_url: &str) -> String {
    format!("{base_url}/v2/inference/deployments/{id}")
}

pub(super) fn group(group: &FleetGroup, created: DateTime<Utc>) -> Value {
    let labels: Vec<Value> = group.labels.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "resourceGroupId": group.id,
        "tenantId": "simulated",
        "zoneId": "simulated",
        "createdAt": time(created),
        "labels": labels,
        "status": group.status,
        "statusMessage": "",
        "servicePlan": "extended",
    })
}

/// What the tenant says it can do.
pub(super) fn meta(tenant: &TenantSpec) -> Value {
    json!({
        "runtimeIdentifier": "aicore",
        "runtimeApiVersion": "2.42.0",
        "description": "offhours simulator",
        "aiApi": {
            "version": "2.42.0",
            "capabilities": {
                "multitenant": true,
                "shareable": false,
                "staticDeployments": false,
                "userDeployments": true,
                "userExecutions": true,
                "timeToLiveDeployments": true,
                "executionSchedules": true,
                "logs": {"executions": true, "deployments": true},
                "bulkUpdates": {"executions": false, "deployments": tenant.bulk != Bulk::No},
            },
            "limits": {
                "deployments": {"maxRunningCount": -1},
                "timeToLiveDeployments": {"minimum": "10m", "maximum": "-1"},
            },
        },
        "extensions": {"resourceGroups": {"version": "1.2.0"}},
    })
}

fn status_message(status: &Status) -> Option<&'static str> {
    match status {
        Status::Dead => Some("Deployment failed"),
        Status::Pending => Some("Deployment is waiting for its resources"),
        _ => None,
    }
}

fn details(live: &Live) -> Value {
    let mut scaling = Map::new();
    let mut resources = Map::new();
    for component in &live.spec.components {
        let running = if matches!(live.status, Status::Running | Status::Stopping) { component.running } else { 0 };
        let replicas = json!({"minReplicas": component.min, "maxReplicas": component.max, "runningReplicas": running});
        scaling.insert(component.name.clone(), replicas);
        resources.insert(component.name.clone(), json!({"resourcePlan": component.plan}));
    }
    if let Some(model) = &live.spec.model {
        resources.insert("model".to_owned(), json!({"name": model.name, "version": model.version}));
    }
    let (camel, snake) = ("backendDetails", "backend_details");
    match live.spec.details {
        DetailsSpelling::Absent => Value::Null,
        DetailsSpelling::Camel => json!({"scaling": {camel: scaling}, "resources": {camel: resources}}),
        DetailsSpelling::Snake => json!({"scaling": {snake: scaling}, "resources": {snake: resources}}),
        DetailsSpelling::Both => json!({
            "scaling": {camel: scaling, snake: scaling},
            "resources": {camel: resources, snake: resources},
        }),
        DetailsSpelling::HalfFilled => json!({
            "scaling": {camel: scaling, snake: {}},
            "resources": {camel: {}, snake: resources},
        }),
    }
}
