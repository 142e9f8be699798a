//! What a tenant's administration tells: its resource groups, its instance types and its reserved nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use reqwest::header::LINK;
use rust_decimal::Decimal;
use serde_json::Value;
use url::Url;

use crate::aicore::error::Error;
use crate::aicore::http::Reply;
use crate::aicore::session::{ApiCall, ApiSession, Unread, unread};
use crate::domain::deployment::Group;
use crate::domain::id::ResourceGroup;
use crate::domain::money::InstanceTypes;
use crate::domain::plain_text::clean_name;

/// Resource groups per page.
const GROUPS_PER_PAGE: usize = 500;
/// Pages of resource groups.
const PAGES: usize = 200;
/// How often a walk through the pages is begun anew after its token expired.
const RESTARTS: usize = 2;
/// SAP's description has the first, its help page the second.
const INSTANCE_TYPE_PATHS: [&str; 2] = ["/admin/resources/instanceTypes", "/admin/resources/instanceType"];
/// Where the capability to change in bulk stands in `/lm/meta`.
const BULK_CAPABILITY: &str = "/aiApi/capabilities/bulkUpdates/deployments";
/// The resource group that every tenant has; `/lm/meta` is about none in particular.
const DEFAULT_GROUP: &str = "default";
/// Status of an expired `continueToken`.
const GONE: u16 = 410;

/// Whether the tenant takes bulk changes. No such endpoint, or none that we may read, is a tenant with SAP's default: they
/// are off.
pub(super) async fn can_stop_in_bulk(session: &ApiSession) -> Result<bool, Error> {
    let mut call = ApiCall::get("/lm/meta");
    if let Ok(group) = ResourceGroup::new(DEFAULT_GROUP) {
        call = call.within(&group);
    }
    match session.send(&call, json).await {
        Ok(meta) => Ok(meta.pointer(BULK_CAPABILITY).and_then(Value::as_bool).unwrap_or(false)),
        Err(Error::NotFound { .. } | Error::Forbidden { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// All resource groups, from all pages.
pub(super) async fn groups(session: &ApiSession) -> Result<Vec<Group>, Error> {
    let mut restarts = 0;
    loop {
        match walk(session).await {
            Err(Error::UnexpectedResponse { answer, .. }) if answer.status == GONE && restarts < RESTARTS => {
                restarts += 1;
            }
            groups => return groups,
        }
    }
}

async fn walk(session: &ApiSession) -> Result<Vec<Group>, Error> {
    let mut groups = BTreeMap::new();
    let mut tokens = BTreeSet::new();
    let mut call = groups_call();
    for _ in 0..PAGES {
        let (page, next) = session.send(&call, groups_page).await?;
        groups.extend(page.into_iter().map(|group| (group.id.clone(), group)));
        let Some(token) = next.filter(|token| tokens.insert(token.clone())) else {
            return Ok(groups.into_values().collect());
        };
        let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        call = groups_call().query(format!("continueToken={token}"));
    }
    tracing::warn!("there are more than {PAGES} pages of resource groups: the rest is not looked at");
    Ok(groups.into_values().collect())
}

fn groups_call() -> ApiCall {
    ApiCall::get("/admin/resourceGroups").prefer(format!("maxpagesize={GROUPS_PER_PAGE}"))
}

/// The groups of one page and the token of the next.
fn groups_page(reply: &Reply) -> Result<(Vec<Group>, Option<String>), Unread> {
    let body = json(reply)?;
    let entries = body.get("resources").and_then(Value::as_array).ok_or(Unread::Odd("JSON without `resources`"))?;
    Ok((entries.iter().filter_map(group).collect(), continue_token(reply)))
}

/// Labels are kept as they are: rules compare them. A value that is not a string counts as its JSON text and a missing
/// one as empty: dropped, a label that was to keep something on would be no label at all.
fn group(wire: &Value) -> Option<Group> {
    let id = ResourceGroup::new(wire.get("resourceGroupId")?.as_str()?).ok()?;
    let labels = wire.get("labels").and_then(Value::as_array).into_iter().flatten();
    let value = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let label = |label: &Value| Some((label.get("key")?.as_str()?.to_owned(), value(label.get("value"))));
    Some(Group { id, labels: labels.filter_map(label).collect() })
}

/// The token in `Link: <…?continueToken=…>; rel="next"`. The URL itself is never followed: it may name another host.
fn continue_token(reply: &Reply) -> Option<String> {
    let link = reply.header(LINK)?;
    link.split(',').find_map(|link| {
        let target = link.split_once('<')?.1.split_once('>')?.0;
        let url = Url::parse("https://aicore.invalid/").ok()?.join(target).ok()?;
        let token = url.query_pairs().find(|(name, _)| name == "continueToken")?.1;
        Some(token.into_owned()).filter(|token| !token.is_empty())
    })
}

/// Capacity units per node hour of the tenant's own instance types; none where the tenant has no such list.
pub(super) async fn instance_types(session: &ApiSession) -> Result<InstanceTypes, Error> {
    for path in INSTANCE_TYPE_PATHS {
        match session.send(&ApiCall::get(path), instance_types_of).await {
            Err(Error::NotFound { .. }) => {}
            types => return types,
        }
    }
    Ok(InstanceTypes::new())
}

fn instance_types_of(reply: &Reply) -> Result<InstanceTypes, Unread> {
    let body = json(reply)?;
    let types = body.get("instanceTypes").and_then(Value::as_object);
    let types = types.ok_or(Unread::Odd("JSON without `instanceTypes`"))?;
    let units = |wire: &Value| decimal(wire.get("billableUnitsPerHour")?);
    Ok(types.iter().filter_map(|(name, wire)| Some((clean_name(name), units(wire)?))).collect())
}

/// No machine consumes as much in an hour, and no figure could be made of it.
const MOST_UNITS: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// The shortest decimal that is this number: 1.23 is 1.23. Zero and less are no price, and neither is what is absurd.
fn decimal(number: &Value) -> Option<Decimal> {
    let text = match number {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let decimal = Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()?;
    (decimal > Decimal::ZERO && decimal < MOST_UNITS).then(|| decimal.normalize())
}

/// Reserved nodes per resource plan; none where the tenant has no such list or does not let us read it.
pub(super) async fn reserved_nodes(session: &ApiSession) -> Result<BTreeMap<String, u32>, Error> {
    match session.send(&ApiCall::get("/admin/resources/nodes"), reserved_nodes_of).await {
        Err(Error::NotFound { .. } | Error::Forbidden { .. }) => Ok(BTreeMap::new()),
        nodes => nodes,
    }
}

fn reserved_nodes_of(reply: &Reply) -> Result<BTreeMap<String, u32>, Unread> {
    let body = json(reply)?;
    let plans = body.get("resourcePlans").and_then(Value::as_object);
    let plans = plans.ok_or(Unread::Odd("JSON without `resourcePlans`"))?;
    let nodes = |wire: &Value| {
        let number = |name: &str| wire.get(name).and_then(Value::as_u64);
        u32::try_from(number("provisioned").or_else(|| number("requested"))?).ok().filter(|nodes| *nodes > 0)
    };
    Ok(plans.iter().filter_map(|(plan, wire)| Some((clean_name(plan), nodes(wire)?))).collect())
}

fn json(reply: &Reply) -> Result<Value, Unread> {
    serde_json::from_slice(&reply.body).map_err(|error| unread(&error))
}
