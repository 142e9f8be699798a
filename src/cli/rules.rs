//! Rules that are named on the command line.

use std::sync::Arc;

use crate::cli::exit::CommandError;
use crate::config::{Config, nearest};
use crate::domain::rule::Rule;

/// The rule called `name`.
pub(crate) fn find(config: &Config, name: &str) -> Result<Arc<Rule>, CommandError> {
    if let Some(rule) = config.rules.iter().find(|rule| rule.name.as_str() == name) {
        return Ok(Arc::clone(rule));
    }
    if config.disabled.iter().any(|rule| rule.as_str() == name) {
        return Err(CommandError::Usage {
            message: format!("the rule `{name}` is disabled"),
            hint: Some("remove `enabled = false` from it".to_owned()),
        });
    }
    let known = nearest(name, config.rules.iter().map(|rule| rule.name.as_str()));
    Err(CommandError::Usage {
        message: format!("there is no rule `{}`", name.escape_debug()),
        hint: Some(
            known.map_or_else(
                || "`offhours check` shows all rules".to_owned(),
                |known| format!("did you mean `{known}`?"),
            ),
        ),
    })
}

/// The rules called `names`, or all.
pub(crate) fn find_all(config: &Config, names: &[String]) -> Result<Vec<Arc<Rule>>, CommandError> {
    if names.is_empty() { Ok(config.rules.clone()) } else { names.iter().map(|name| find(config, name)).collect() }
}
