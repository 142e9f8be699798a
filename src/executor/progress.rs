//! What a run is doing right now, told to whoever wants to show it.

use std::sync::Arc;

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStep {
    /// The tenant has been listed and decided on.
    Decided {
        /// Deployments that will be stopped, or were asked to before a restart.
        stop: usize,
        /// Deployments that are left.
        leave: usize,
    },
    /// So many more stops were asked for.
    Asked(usize),
    /// So many more were confirmed, or came to another end.
    Confirmed(usize),
}

/// Is told each step.
pub(crate) type Observer = Arc<dyn Fn(&RunStep) + Send + Sync>;

/// Tells nobody.
pub fn silent() -> Observer {
    Arc::new(|_| {})
}
