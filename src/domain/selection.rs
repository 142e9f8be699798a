//! Which deployments a rule means: globs over names, labels of resource groups, ids.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use wildmatch::WildMatch;

use crate::domain::deployment::{Deployment, Group};
use crate::domain::id::{DeploymentId, ResourceGroup};
use crate::domain::plain_text::is_harmful;

/// A pattern with `*` (any text) and `?` (one character); it matches the whole name and regards case.
#[derive(Clone, PartialEq)]
pub struct Glob {
    text: String,
    pattern: WildMatch,
}

/// Why a text is not a valid glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", match .0 { None => "a glob must not be empty".to_owned(), Some(c) => format!("a glob knows only `*` and `?`, not `{}`", c.escape_debug()) })]
pub struct BadGlob(Option<char>);

impl Glob {
    /// Reads a glob. Brackets, braces, backslashes, `!`, spaces and control characters are refused: they look like a
    /// richer language than the one spoken here, or like a typing mistake.
    pub fn new(text: &str) -> Result<Self, BadGlob> {
        if text.is_empty() {
            return Err(BadGlob(None));
        }
        match text.chars().find(|c| "[]{}\\!,".contains(*c) || c.is_whitespace() || is_harmful(*c)) {
            Some(bad) => Err(BadGlob(Some(bad))),
            None => Ok(Self { text: text.to_owned(), pattern: WildMatch::new(text) }),
        }
    }

    /// True where the whole of `name` fits.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.pattern.matches(name)
    }

    /// The glob that was probably meant, where this one is written like a regular expression.
    pub(crate) fn instead_of_regex(&self) -> Option<String> {
        let looks_like_one = self.text.contains(".*") || self.text.contains(".+") || self.text.contains(['^', '$']);
        if !looks_like_one {
            return None;
        }
        let (begins, ends) = (self.text.starts_with('^'), self.text.ends_with('$'));
        let bare = self.text.replace(['^', '$'], "").replace(".*", "*").replace(".+", "?*");
        // An expression with one anchor is open at its other end.
        let tail = if begins && !ends && !bare.ends_with('*') { "*" } else { "" };
        let head = if ends && !begins && !bare.starts_with('*') { "*" } else { "" };
        Some(format!("{head}{bare}{tail}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The one resource group it can mean, where it has no wildcard.
    pub(crate) fn literal_group(&self) -> Option<ResourceGroup> {
        if self.text.contains(['*', '?']) { None } else { ResourceGroup::new(self.text.as_str()).ok() }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn first_match<'a>(globs: &'a [Glob], name: &str) -> Option<&'a Glob> {
    globs.iter().find(|glob| glob.matches(name))
}

/// What a rule selects: all given keys must match. An empty list means that the key was not given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// Resource groups; empty only where `labels` is not.
    pub resource_groups: Vec<Glob>,
    /// Labels the resource group must carry, all of them.
    pub labels: BTreeMap<String, String>,
    pub scenarios: Vec<Glob>,
    pub executables: Vec<Glob>,
    pub configurations: Vec<Glob>,
    /// Also stop deployments that are billed by tokens, although that avoids no cost.
    pub include_token_billed: bool,
    /// Nothing but these, where a person has agreed to a plan that named them.
    pub only: Option<BTreeSet<DeploymentId>>,
}

impl Selection {
    /// The groups it can mean, where they are all named in full: then no group has to be looked up.
    pub(crate) fn literal_groups(&self) -> Option<BTreeSet<ResourceGroup>> {
        if !self.labels.is_empty() || self.resource_groups.is_empty() {
            return None;
        }
        self.resource_groups.iter().map(Glob::literal_group).collect()
    }

    /// True where `group` is one whose deployments are looked at.
    pub(crate) fn matches_group(&self, group: &Group) -> bool {
        self.mismatch_group(group).is_none()
    }

    /// The first key that does not match, with the value that was found.
    pub(crate) fn mismatch(&self, group: &Group, deployment: &Deployment) -> Option<String> {
        let named = |key: &str, globs: &[Glob], name: Option<&str>| {
            let fits = globs.is_empty() || first_match(globs, name.unwrap_or("")).is_some();
            (!fits).then(|| format!("{key} `{}`", name.unwrap_or("")))
        };
        self.mismatch_group(group)
            .or_else(|| named("scenario", &self.scenarios, deployment.scenario_id.as_deref()))
            .or_else(|| named("executable", &self.executables, deployment.executable_id.as_deref()))
            .or_else(|| named("configuration", &self.configurations, Some(deployment.configuration())))
            .or_else(|| {
                let is_new = self.only.as_ref().is_some_and(|only| !only.contains(&deployment.id));
                is_new.then(|| "it was not in the plan that was agreed to".to_owned())
            })
    }

    fn mismatch_group(&self, group: &Group) -> Option<String> {
        if !self.resource_groups.is_empty() && first_match(&self.resource_groups, group.id.as_str()).is_none() {
            return Some(format!("resource group `{}`", group.id));
        }
        self.labels
            .iter()
            .find(|(key, value)| group.labels.get(*key) != Some(value))
            .map(|(key, _)| format!("label `{key}` = `{}`", group.labels.get(key).map_or("", String::as_str)))
    }
}

/// What is kept from being stopped: any key that matches is enough. Serves `[rule.exclude]` and `[protect]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exclusion {
    pub resource_groups: Vec<Glob>,
    pub labels: BTreeMap<String, String>,
    pub scenarios: Vec<Glob>,
    pub executables: Vec<Glob>,
    pub configurations: Vec<Glob>,
    pub ids: BTreeSet<DeploymentId>,
}

impl Exclusion {
    /// The first key that matches, as `key pattern`.
    pub(crate) fn hit(&self, group: &Group, deployment: &Deployment) -> Option<String> {
        let named = |key: &str, globs: &[Glob], name: Option<&str>| {
            first_match(globs, name?).map(|glob| format!("{key} `{glob}`"))
        };
        named("resource group", &self.resource_groups, Some(group.id.as_str()))
            .or_else(|| {
                let label = self.labels.iter().find(|(key, value)| group.labels.get(*key) == Some(value))?;
                Some(format!("label `{}` = `{}`", label.0, label.1))
            })
            .or_else(|| named("scenario", &self.scenarios, deployment.scenario_id.as_deref()))
            .or_else(|| named("executable", &self.executables, deployment.executable_id.as_deref()))
            .or_else(|| named("configuration", &self.configurations, Some(deployment.configuration())))
            .or_else(|| self.ids.contains(&deployment.id).then(|| format!("id `{}`", deployment.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Glob, Selection};

    #[test]
    fn a_glob_matches_whole_names() {
        let glob = Glob::new("dev-*").unwrap();
        assert!(glob.matches("dev-a") && glob.matches("dev-"));
        assert!(!glob.matches("xdev-a") && !glob.matches("dev") && !glob.matches("DEV-a"));
        for bad in ["", "dev-[ab]", "{a,b}", "a b", "dev\n", "!dev"] {
            assert!(Glob::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn c72_a_regular_expression_is_known_and_the_glob_that_was_meant_is_said() {
        for (text, meant) in [
            ("prod.*", Some("prod*")),
            ("^prod", Some("prod*")),
            ("prod$", Some("*prod")),
            ("^prod-.*$", Some("prod-*")),
            (".*-keep", Some("*-keep")),
            ("prod-.+", Some("prod-?*")),
            ("prod*", None),
            ("llama-3.1*", None),
        ] {
            assert_eq!(Glob::new(text).unwrap().instead_of_regex().as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn names_without_wildcards_need_no_look_up() {
        let select = |globs: &[&str]| Selection {
            resource_groups: globs.iter().map(|g| Glob::new(g).unwrap()).collect(),
            ..Selection::default()
        };
        assert_eq!(select(&["team-a", "default"]).literal_groups().map(|g| g.len()), Some(2));
        assert_eq!(select(&["team-a", "dev-*"]).literal_groups(), None);
    }
}
