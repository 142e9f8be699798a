//! Query parameters: filters, pages and selections, each checked as SAP's description says.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::deployment::Status;
use crate::simulator::answer::ApiError;
use crate::simulator::live::Live;
use crate::simulator::received::{Received, checked};

const STATUSES: [&str; 7] = ["PENDING", "RUNNING", "COMPLETED", "DEAD", "STOPPING", "STOPPED", "UNKNOWN"];
const MOST_EXECUTABLES: usize = 1_000;
const USUAL_TOP: usize = 10_000;
const MOST_TOP: usize = 100_000;

/// The parameters of a request in the order written.
#[derive(Debug, Clone)]
pub(super) struct Query(Vec<(String, String)>);

/// Which deployments are asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct DeploymentFilter {
    status: Option<Status>,
    scenario_id: Option<String>,
    configuration_id: Option<String>,
    executable_ids: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct List {
    pub(super) filter: DeploymentFilter,
    pub(super) top: usize,
    pub(super) skip: usize,
    pub(super) only_status: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct GroupPage {
    /// Key, value, and whether they must be equal.
    pub(super) labels: Vec<(String, String, bool)>,
    /// As written, for the link to the next page.
    pub(super) selector: Option<String>,
    pub(super) page_size: Option<usize>,
    pub(super) skip: usize,
    pub(super) top: Option<usize>,
    /// Where the page before ended, and when it was given.
    pub(super) continued: Option<DateTime<Utc>>,
}

impl Query {
    pub(super) fn read(query: Option<&str>) -> Self {
        Self(url::form_urlencoded::parse(query.unwrap_or("").as_bytes()).into_owned().collect())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters that the description does not know, and those given twice.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let mut seen = BTreeSet::new();
        for (key, _) in &self.0 {
            if !known.contains(&key.as_str()) {
                return Err(ApiError::malformed(format!("there is no query parameter {key}")));
            }
            if !seen.insert(key) {
                return Err(ApiError::malformed(format!("query parameter {key} is given twice")));
            }
        }
        Ok(())
    }

    /// `$select=status`, the only selection there is.
    pub(super) fn selects_status(&self) -> Result<bool, ApiError> {
        match self.value("$select") {
            None => Ok(false),
            Some("status") => Ok(true),
            Some(_) => Err(ApiError::malformed("$select must be status")),
        }
    }

    fn number(&self, name: &str, most: usize) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| *number <= most);
        number.map(Some).ok_or_else(|| ApiError::malformed(format!("{name} must be a number up to {most}")))
    }
}

impl List {
    pub(super) fn read(query: &Query) -> Result<Self, ApiError> {
        query.only(&["status", "scenarioId", "configurationId", "executableIds", "$top", "$skip", "$select"])?;
        Ok(Self {
            filter: DeploymentFilter::read(query)?,
            top: query.number("$top", MOST_TOP)?.unwrap_or(USUAL_TOP),
            skip: query.number("$skip", usize::MAX)?.unwrap_or(0),
            only_status: query.selects_status()?,
        })
    }
}

impl DeploymentFilter {
    /// For `$count`, which knows nothing else.
    pub(super) fn read_alone(query: &Query) -> Result<Self, ApiError> {
        query.only(&["status", "scenarioId", "configurationId", "executableIds"])?;
        Self::read(query)
    }

    fn read(query: &Query) -> Result<Self, ApiError> {
        let status = match query.value("status") {
            Some(word) if !STATUSES.contains(&word) => return Err(ApiError::malformed("there is no such status")),
            word => word.map(Status::from),
        };
        let id = |name: &str| query.value(name).map(checked).transpose();
        let executables = |text: &str| text.split(',').map(checked).collect::<Result<BTreeSet<_>, _>>();
        let executable_ids = query.value("executableIds").map(executables).transpose()?;
        if executable_ids.as_ref().is_some_and(|ids| ids.len() > MOST_EXECUTABLES) {
            return Err(ApiError::malformed(format!("at most {MOST_EXECUTABLES} executableIds")));
        }
        Ok(Self { status, scenario_id: id("scenarioId")?, configuration_id: id("configurationId")?, executable_ids })
    }

    pub(super) fn matches(&self, live: &Live) -> bool {
        let spec = &live.spec;
        let executable = |ids: &BTreeSet<String>| spec.executable_id.as_ref().is_some_and(|id| ids.contains(id));
        self.status.as_ref().is_none_or(|status| live.status == *status)
            && self.scenario_id.as_ref().is_none_or(|id| spec.scenario_id.as_ref() == Some(id))
            && self.configuration_id.as_ref().is_none_or(|id| spec.configuration_id == *id)
            && self.executable_ids.as_ref().is_none_or(executable)
    }
}

impl GroupPage {
    pub(super) fn read(received: &Received, query: &Query) -> Result<Self, ApiError> {
        query.only(&["labelSelector", "$top", "$skip", "$count", "continueToken"])?;
        let selector = query.value("labelSelector");
        let mut page = Self {
            labels: selector.map(labels).transpose()?.unwrap_or_default(),
            selector: selector.map(str::to_owned),
            page_size: received.header("prefer").and_then(page_size),
            skip: query.number("$skip", usize::MAX)?.unwrap_or(0),
            top: query.number("$top", MOST_TOP)?,
            continued: None,
        };
        if let Some(token) = query.value("continueToken") {
            let (skip, size, given) = opened(token).ok_or_else(|| ApiError::malformed("an unknown continueToken"))?;
            (page.skip, page.page_size, page.continued) = (skip, page.page_size.or(Some(size)), Some(given));
        }
        Ok(page)
    }

    /// The token with which the page after this one is asked for.
    pub(super) fn token(skip: usize, size: usize, now: DateTime<Utc>) -> String {
        format!("{skip:x}.{size:x}.{:x}", now.timestamp())
    }
}

fn opened(token: &str) -> Option<(usize, usize, DateTime<Utc>)> {
    let mut parts = token.split('.');
    let mut number = || i64::from_str_radix(parts.next()?, 16).ok();
    let (skip, size, given) = (number()?, number()?, number()?);
    Some((usize::try_from(skip).ok()?, usize::try_from(size).ok()?, DateTime::from_timestamp(given, 0)?))
}

fn page_size(prefer: &str) -> Option<usize> {
    let mut preferences = prefer.split([',', ';']).map(str::trim);
    preferences
        .find_map(|one| one.strip_prefix("maxpagesize=")?.trim_matches('"').parse().ok())
        .filter(|size| *size > 0)
}

/// `key=value,key2!=value2`
fn labels(selector: &str) -> Result<Vec<(String, String, bool)>, ApiError> {
    let one = |text: &str| {
        let (pair, equal) = match text.split_once("!=") {
            Some(pair) => (pair, false),
            None => (text.split_once('=')?, true),
        };
        let plain = |part: &str| !part.is_empty() && !part.contains([' ', '=', '!']);
        (plain(pair.0) && plain(pair.1)).then(|| (pair.0.to_owned(), pair.1.to_owned(), equal))
    };
    let read: Option<Vec<_>> = selector.split(',').map(one).collect();
    read.ok_or_else(|| ApiError::malformed("labelSelector must be key=value or key!=value, separated by commas"))
}
