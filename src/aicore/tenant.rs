//! Both halves of a connection to a tenant.

use std::sync::Arc;

use crate::aicore::error::Error;
use crate::aicore::key_source::KeySource;
use crate::aicore::options::Options;
use crate::aicore::reader::Reader;
use crate::aicore::stopper::Stopper;

/// Both halves of a connection. It is the only way to a [`Stopper`].
#[derive(Debug, Clone)]
pub struct Tenant {
    pub reader: Reader,
    pub stopper: Stopper,
}

impl Tenant {
    /// Loads the key from `source`. Nothing is sent before the first question.
    pub fn connect(source: KeySource, options: Options) -> Result<Self, Error> {
        let reader = Reader::connect(source, options)?;
        let stopper = Stopper::new(Arc::clone(&reader.0));
        Ok(Self { reader, stopper })
    }
}
