//! The deployments of a resource group, page by page, while they change under us.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tokio::sync::MutexGuard;

use crate::aicore::error::Error;
use crate::aicore::http::Reply;
use crate::aicore::page_ends::End;
use crate::aicore::row;
use crate::aicore::session::{ApiCall, ApiSession, Unread, unread};
use crate::domain::deployment::{Deployment, Status};
use crate::domain::id::{DeploymentId, ResourceGroup};

const PATH: &str = "/lm/deployments";
/// Deployments per page (`$top`).
const PAGE: usize = 1000;
/// Pages of one walk: a server may send fewer than were asked for.
const PAGES: usize = 1000;
/// No resource group has more; AI Core's own largest `$top` is as high. What goes beyond is refused, not kept.
const MOST_DEPLOYMENTS: usize = 100_000;
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
#[derive(Default)]
struct Walk {
    rows: BTreeMap<DeploymentId, Deployment>,
    refused_ids: usize,
    /// How many there are, as the last page said that had such a count.
    count: Option<usize>,
    seen: usize,
    /// True where an id came twice, the count changed, or there was no end.
    is_unsteady: bool,
}

/// How far a list is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent<'a> {
    All,
    /// Until these were seen.
    Until(&'a BTreeSet<DeploymentId>),
}

impl Extent<'_> {
    fn is_reached(self, walk: &Walk) -> bool {
        match self {
            Self::All => false,
            Self::Until(ids) => ids.iter().all(|id| walk.rows.contains_key(id)),
        }
    }

    fn is_reached_with(self, walk: &Walk, page: &Page) -> bool {
        let Self::Until(ids) = self else { return false };
        let on_page: BTreeSet<&DeploymentId> = page.rows.iter().map(|row| &row.id).collect();
        ids.iter().all(|id| on_page.contains(id) || walk.rows.contains_key(id))
    }
}

/// Lists `group` until two walks agree.
pub(super) async fn list(
    session: &ApiSession,
    group: &ResourceGroup,
    status: Option<&Status>,
    extent: Extent<'_>,
) -> Result<Listing, Error> {
    let (mut union, mut refused_ids) = (BTreeMap::new(), 0);
    let mut last_ids: Option<Vec<DeploymentId>> = None;
    for _ in 0..TRIES {
        let walk = walk(session, group, status, extent).await?;
        let is_complete = walk.count.is_none_or(|count| count <= walk.seen);
        let repeats_last = last_ids.as_ref().is_some_and(|last| walk.rows.keys().eq(last));
        let is_settled = repeats_last || (!walk.is_unsteady && walk.count.is_none_or(|count| count == walk.seen));
        if is_settled || extent.is_reached(&walk) {
            let deployments = walk.rows.into_values().collect();
            return Ok(Listing { deployments, refused_ids: walk.refused_ids, consistent: is_complete });
        }
        last_ids = Some(walk.rows.keys().cloned().collect());
        refused_ids = walk.refused_ids;
        union.extend(walk.rows);
    }
    tracing::warn!("the deployments of resource group {group} changed during each of {TRIES} listings");
    // All that was seen, as it was seen last.
    Ok(Listing { deployments: union.into_values().collect(), refused_ids, consistent: false })
}

async fn walk(
    session: &ApiSession,
    group: &ResourceGroup,
    status: Option<&Status>,
    extent: Extent<'_>,
) -> Result<Walk, Error> {
    let mut walk = Walk::default();
    let mut proof: Option<MutexGuard<'_, usize>> = None;
    for _ in 0..PAGES {
        let page = page(session, group, query(walk.seen, status)).await?;
        let is_enough = extent.is_reached_with(&walk, &page);
        let (is_first, entries) = (walk.seen == 0, page.entries());
        let new = walk.add(page);
        if walk.rows.len() > MOST_DEPLOYMENTS {
            return Err(too_many(&ApiCall::get(PATH).within(group)));
        }
        if let Some(mut whole) = proof.take() {
            if new == 0 {
                *whole = walk.seen;
            } else {
                session.ends.are_capped.store(true, Ordering::Release);
            }
        }
        if is_enough || new == 0 || walk.count.is_some_and(|count| walk.seen >= count) {
            return Ok(walk);
        }
        if is_first && walk.count.is_none() {
            match session.ends.of_first(entries).await {
                End::Sure => return Ok(walk),
                End::Prove(whole) => proof = Some(whole),
                End::ReadOn => {}
            }
        }
    }
    walk.is_unsteady = true;
    Ok(walk)
}

async fn page(session: &ApiSession, group: &ResourceGroup, query: String) -> Result<Page, Error> {
    let call = ApiCall::get(PATH).within(group).query(query);
    let page = session.send(&call, |reply| Page::read(&reply.body, group)).await?;
    if page.is_too_long { Err(too_many(&call)) } else { Ok(page) }
}

fn too_many(call: &ApiCall) -> Error {
    Error::TooMany { asked: call.asked().into(), limit: MOST_DEPLOYMENTS }
}

impl Walk {
    /// Takes a page, and says how many of its deployments are new.
    fn add(&mut self, page: Page) -> usize {
        let known = self.rows.len();
        // A count that is not the page's own is the list's, be it right or wrong.
        let count = page.count.filter(|count| *count != page.entries());
        self.is_unsteady |= self.count.is_some() && page.count.is_some() && self.count != page.count;
        self.count = count.or(self.count);
        let (is_first, valid, refused_ids) = (self.seen == 0, page.rows.len(), page.refused_ids);
        self.seen += page.entries();
        self.rows.extend(page.rows.into_iter().map(|row| (row.id.clone(), row)));
        let new = self.rows.len() - known;
        if is_first || new > 0 {
            self.refused_ids += refused_ids;
        }
        // A page that only repeats what was seen is how a list ends whose server takes no `$skip` beyond it.
        self.is_unsteady |= new != valid && (new > 0 || self.count.is_some());
        new
    }
}

fn query(skip: usize, status: Option<&Status>) -> String {
    let status = status.map(|status| {
        let word: String = url::form_urlencoded::byte_serialize(status.as_str().as_bytes()).collect();
        format!("&status={word}")
    });
    format!("$top={PAGE}&$skip={skip}{}", status.unwrap_or_default())
}

#[derive(Default)]
struct Page {
    count: Option<usize>,
    rows: Vec<Deployment>,
    refused_ids: usize,
    /// True where it has more than any list may have; the rest was not kept.
    is_too_long: bool,
}

impl Page {
    fn entries(&self) -> usize {
        self.rows.len() + self.refused_ids
    }

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
        let page = rows.or((count == Some(0)).then(Page::default));
        Ok(page.map(|page| Page { count, ..page }))
    }
}

struct RowsOf<'a>(&'a ResourceGroup);

impl<'de> DeserializeSeed<'de> for RowsOf<'_> {
    type Value = Option<Page>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowsOf<'_> {
    type Value = Option<Page>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of deployments")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut page = Page::default();
        while page.entries() < MOST_DEPLOYMENTS {
            let Some(entry) = entries.next_element::<Value>()? else { return Ok(Some(page)) };
            match row::deployment(&entry, self.0) {
                Some(row) => page.rows.push(row),
                None => page.refused_ids += 1,
            }
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {
            page.is_too_long = true;
        }
        Ok(Some(page))
    }
}

/// Reads one deployment, as `GET /lm/deployments/{id}` answers it.
pub(super) fn read_one(reply: &Reply, group: &ResourceGroup, id: &DeploymentId) -> Result<Deployment, Unread> {
    let mut json = serde_json::Deserializer::from_slice(&reply.body);
    let wire = Value::deserialize(&mut json).map_err(|error| unread(&error))?;
    let row = row::deployment(&wire, group).filter(|row| row.id == *id);
    row.ok_or(Unread::Odd("not the deployment that was asked for"))
}
