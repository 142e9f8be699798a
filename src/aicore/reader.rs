//! The half of a connection that can only read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::aicore::admin;
use crate::aicore::error::Error;
use crate::aicore::key_source::KeySource;
use crate::aicore::listing::{self, Extent, Listing};
use crate::aicore::options::Options;
use crate::aicore::session::{ApiCall, ApiSession};
use crate::domain::deployment::{Deployment, Group, Status};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::money::InstanceTypes;

/// Reads one tenant. A clone shares its connection, its token and its pace.
#[derive(Clone)]
pub struct Reader(pub(super) Arc<ApiSession>);

impl Reader {
    /// Loads the key from `source`. Nothing is sent before the first question.
    pub fn connect(source: KeySource, options: Options) -> Result<Self, Error> {
        Ok(Self(Arc::new(ApiSession::connect(source, options)?)))
    }

    /// The deployments of `group`, all or those with one status.
    pub async fn deployments(&self, group: &ResourceGroup, status: Option<&Status>) -> Result<Listing, Error> {
        listing::list(&self.0, group, status, Extent::All).await
    }

    /// The deployments of `group` as far as has to be read to see those called `ids`; all where one of them is missing.
    pub async fn look_for(&self, group: &ResourceGroup, ids: &BTreeSet<DeploymentId>) -> Result<Listing, Error> {
        listing::list(&self.0, group, None, Extent::Until(ids)).await
    }

    /// One deployment; none where AI Core says that there is no such deployment.
    pub async fn deployment(&self, group: &ResourceGroup, id: &DeploymentId) -> Result<Option<Deployment>, Error> {
        let call = ApiCall::get(format!("/lm/deployments/{id}")).within(group);
        match self.0.send(&call, |reply| listing::read_one(reply, group, id)).await {
            Ok(deployment) => Ok(Some(deployment)),
            Err(error) => match by_ai_core(error) {
                Error::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// All resource groups with their labels.
    pub async fn groups(&self) -> Result<Vec<Group>, Error> {
        admin::groups(&self.0).await.map_err(by_ai_core)
    }

    /// Whether this tenant takes bulk changes.
    pub(crate) async fn can_stop_in_bulk(&self) -> Result<bool, Error> {
        admin::can_stop_in_bulk(&self.0).await
    }

    /// Capacity units per node hour of the tenant's own instance types; empty where it has none.
    pub async fn instance_types(&self) -> Result<InstanceTypes, Error> {
        admin::instance_types(&self.0).await
    }

    /// Reserved nodes per resource plan, which cost whether they are used or not; empty where they cannot be read.
    pub async fn reserved_nodes(&self) -> Result<BTreeMap<String, u32>, Error> {
        admin::reserved_nodes(&self.0).await
    }
}

/// A gateway says 404 as well, as text: that tells nothing of what there is.
fn by_ai_core(error: Error) -> Error {
    match error {
        Error::NotFound { asked, answer } if !answer.is_json => {
            Error::UnexpectedResponse { asked, answer, found: "a 404 that is not AI Core's own" }
        }
        error => error,
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.0.base()).finish()
    }
}
