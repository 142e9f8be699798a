//! One of a thing, or several.

/// The noun alone: `deployment` of one, else `deployments`.
pub(crate) fn noun(count: usize, singular: &str) -> String {
    if count == 1 { singular.to_owned() } else { format!("{singular}s") }
}

/// `1 deployment`, `2 deployments`. Texts in a reader's language take [`counted`](crate::report::form::Form::counted).
pub(crate) fn plural(count: usize, singular: &str) -> String {
    format!("{count} {}", noun(count, singular))
}
