//! The deployments of a resource group, page by page, while they change under us.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::aicore::error::Error;
use crate::aicore::http::Reply;
use crate::aicore::row;
use crate::aicore::session::{Call, Session, Unread, unread};
use crate::domain::deployment::{Deployment, Status};
use crate::domain::id::{DeploymentId, ResourceGroup};

/// Deployments per page (`$top`).
const PAGE: usize = 1000;
/// Pages of one listing; AI Core's own largest `$top` is 100 000.
const PAGES: usize = 200;
/// A listing that changes while it is read is begun anew, so often in all.
const TRIES: usize = 3;

/// The deployments of one resource group.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Each once, ordered by id.
    pub deployments: Vec<Deployment>,
    /// Entries that were dropped because their id is none.
    pub refused_ids: usize,
    /// False where the pages never agreed: there may be more deployments than these.
    pub consistent: bool,
}

impl Listing {
    /// The deployments of `group` on one page, as AI Core sends it; none where `body` is no page.
    pub fn of_page(body: &[u8], group: &ResourceGroup) -> Option<Self> {
        let page = Page::read(body, group).ok()?;
        let rows: BTreeMap<_, _> = page.rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        Some(Self { deployments: rows.into_values().collect(), refused_ids: page.refused_ids, consistent: true })
    }
}

/// One walk through all pages.
struct Walk {
    rows: BTreeMap<DeploymentId, Deployment>,
    refused_ids: usize,
    /// AI Core's own count, from the last page that had one.
    count: Option<usize>,
    seen: usize,
    /// True where no id came twice and the count did not change.
    is_steady: bool,
}

/// Lists `group` until two walks agree.
pub(super) async fn list(session: &Session, group: &ResourceGroup, status: Option<&Status>) -> Result<Listing, Error> {
    let mut earlier: Vec<Walk> = Vec::new();
    loop {
        let walk = walk(session, group, status).await?;
        let is_complete = walk.count.is_none_or(|count| count <= walk.seen);
        let repeats_last = earlier.last().is_some_and(|last| last.rows.keys().eq(walk.rows.keys()));
        let is_settled = repeats_last || (walk.is_steady && walk.count.is_none_or(|count| count == walk.seen));
        if is_settled {
            return Ok(walk.listing(is_complete));
        }
        earlier.push(walk);
        if earlier.len() == TRIES {
            tracing::warn!("the deployments of resource group {group} changed during each of {TRIES} listings");
            return Ok(union(earlier));
        }
    }
}

/// All that was seen, as it was seen last.
fn union(walks: Vec<Walk>) -> Listing {
    let mut rows = BTreeMap::new();
    let mut refused_ids = 0;
    for walk in walks {
        rows.extend(walk.rows);
        refused_ids = walk.refused_ids;
    }
    Listing { deployments: rows.into_values().collect(), refused_ids, consistent: false }
}

impl Walk {
    fn listing(self, consistent: bool) -> Listing {
        Listing { deployments: self.rows.into_values().collect(), refused_ids: self.refused_ids, consistent }
    }
}

async fn walk(session: &Session, group: &ResourceGroup, status: Option<&Status>) -> Result<Walk, Error> {
    let mut walk = Walk { rows: BTreeMap::new(), refused_ids: 0, count: None, seen: 0, is_steady: true };
    for _ in 0..PAGES {
        let call = Call::get("/lm/deployments").within(group).query(query(walk.seen, status));
        let page = session.send(&call, |reply| Page::read(&reply.body, group)).await?;
        let (known, entries) = (walk.rows.len(), page.rows.len() + page.refused_ids);
        walk.is_steady &= walk.count.is_none() || walk.count == page.count;
        walk.count = page.count.or(walk.count);
        walk.seen += entries;
        walk.refused_ids += page.refused_ids;
        let valid = page.rows.len();
        walk.rows.extend(page.rows.into_iter().map(|row| (row.id.clone(), row)));
        let new = walk.rows.len() - known;
        walk.is_steady &= new == valid;
        let is_last = walk.count.map_or(entries < PAGE, |count| walk.seen >= count);
        if is_last || new == 0 {
            return Ok(walk);
        }
    }
    walk.is_steady = false;
    Ok(walk)
}

fn query(skip: usize, status: Option<&Status>) -> String {
    let status = status.map(|status| {
        let word: String = url::form_urlencoded::byte_serialize(status.as_str().as_bytes()).collect();
        format!("&status={word}")
    });
    format!("$top={PAGE}&$skip={skip}{}", status.unwrap_or_default())
}

/// One page, already in rows.
struct Page {
    count: Option<usize>,
    rows: Vec<Deployment>,
    refused_ids: usize,
}

impl Page {
    fn read(body: &[u8], group: &ResourceGroup) -> Result<Self, Unread> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let page = PageOf(group).deserialize(&mut json).map_err(|error| unread(&error))?;
        json.end().map_err(|error| unread(&error))?;
        page.ok_or(Unread::Odd("JSON without `resources`"))
    }
}

/// Reads `{"count", "resources"}` entry by entry, so that no page is in memory twice.
struct PageOf<'a>(&'a ResourceGroup);

impl<'de> DeserializeSeed<'de> for PageOf<'_> {
    type Value = Option<Page>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageOf<'_> {
    type Value = Option<Page>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of deployments")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut count = None;
        let mut rows = None;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "count" => count = map.next_value::<Value>()?.as_u64().and_then(|count| usize::try_from(count).ok()),
                "resources" => rows = map.next_value_seed(RowsOf(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // An empty list is sometimes null.
        let rows = rows.or((count == Some(0)).then(|| (Vec::new(), 0)));
        Ok(rows.map(|(rows, refused_ids)| Page { count, rows, refused_ids }))
    }
}

struct RowsOf<'a>(&'a ResourceGroup);

impl<'de> DeserializeSeed<'de> for RowsOf<'_> {
    type Value = Option<(Vec<Deployment>, usize)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowsOf<'_> {
    type Value = Option<(Vec<Deployment>, usize)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of deployments")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut rows, mut refused) = (Vec::new(), 0);
        while let Some(entry) = entries.next_element::<Value>()? {
            match row::deployment(&entry, self.0) {
                Some(row) => rows.push(row),
                None => refused += 1,
            }
        }
        Ok(Some((rows, refused)))
    }
}

/// Reads one deployment, as `GET /lm/deployments/{id}` answers it.
pub(super) fn read_one(reply: &Reply, group: &ResourceGroup, id: &DeploymentId) -> Result<Deployment, Unread> {
    let mut json = serde_json::Deserializer::from_slice(&reply.body);
    let wire = Value::deserialize(&mut json).map_err(|error| unread(&error))?;
    let row = row::deployment(&wire, group).filter(|row| row.id == *id);
    row.ok_or(Unread::Odd("not the deployment that was asked for"))
}
