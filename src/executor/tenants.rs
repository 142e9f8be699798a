//! The connections in use, opened when first wanted and kept, with what was learnt about each tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::aicore::{Error, KeySource, Options, Tenant};
use crate::config::Connection;
use crate::domain::id::ConnectionName;

/// Open connections by name.
#[derive(Debug)]
pub struct Tenants {
    options: Options,
    open: Mutex<HashMap<ConnectionName, (KeySource, Arc<Tenant>)>>,
}

impl Tenants {
    /// None open yet.
    pub fn new(options: Options) -> Self {
        Self { options, open: Mutex::default() }
    }

    /// The tenant behind `connection`. A connection whose key comes from somewhere else now is opened anew.
    pub fn tenant(&self, connection: &Connection) -> Result<Arc<Tenant>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key, tenant)) = open.get(&connection.name)
            && *key == connection.key
        {
            return Ok(Arc::clone(tenant));
        }
        let tenant = Arc::new(Tenant::connect(connection.key.clone(), self.options.clone())?);
        open.insert(connection.name.clone(), (connection.key.clone(), Arc::clone(&tenant)));
        Ok(tenant)
    }
}
