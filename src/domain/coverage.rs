//! Which patterns of a `[protect]` or `[rule.exclude]` cover something. One that covers nothing protects nothing, and
//! is often a typing mistake.

use std::fmt;

use crate::domain::deployment::{Deployment, Group};
use crate::domain::id::DeploymentId;
use crate::domain::selection::{Exclusion, Glob};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ExclusionPattern<'a> {
    /// Of `resource_groups`.
    ResourceGroup(&'a Glob),
    /// Of `labels`.
    Label(&'a str, &'a str),
    /// Of `scenarios`.
    Scenario(&'a Glob),
    /// Of `executables`.
    Executable(&'a Glob),
    /// Of `configurations`.
    Configuration(&'a Glob),
    /// Of `ids`.
    Id(&'a DeploymentId),
}

/// The patterns of an exclusion, and whether each has covered something yet.
#[derive(Debug)]
pub(crate) struct Coverage<'a>(Vec<(ExclusionPattern<'a>, bool)>);

impl<'a> Coverage<'a> {
    /// The patterns of `exclusion`, none of which has met anything.
    pub(crate) fn of(exclusion: &'a Exclusion) -> Self {
        let Exclusion { resource_groups, labels, scenarios, executables, configurations, ids } = exclusion;
        let patterns = resource_groups.iter().map(ExclusionPattern::ResourceGroup);
        let patterns = patterns.chain(labels.iter().map(|(key, value)| ExclusionPattern::Label(key, value)));
        let patterns = patterns.chain(scenarios.iter().map(ExclusionPattern::Scenario));
        let patterns = patterns.chain(executables.iter().map(ExclusionPattern::Executable));
        let patterns = patterns.chain(configurations.iter().map(ExclusionPattern::Configuration));
        Self(patterns.chain(ids.iter().map(ExclusionPattern::Id)).map(|pattern| (pattern, false)).collect())
    }

    /// True where a deployment has to be seen before all patterns can be judged.
    pub(crate) fn needs_deployments(&self) -> bool {
        self.0.iter().any(|(pattern, _)| !pattern.is_of_group())
    }

    /// Notes what covers `group`.
    pub(crate) fn meet_group(&mut self, group: &Group) {
        self.note(|pattern| match *pattern {
            ExclusionPattern::ResourceGroup(glob) => glob.matches(group.id.as_str()),
            ExclusionPattern::Label(key, value) => group.labels.get(key).is_some_and(|found| found == value),
            _ => false,
        });
    }

    /// Notes what covers `deployment` by itself.
    pub(crate) fn meet(&mut self, deployment: &Deployment) {
        let fits = |glob: &Glob, name: Option<&str>| name.is_some_and(|name| glob.matches(name));
        self.note(|pattern| match *pattern {
            ExclusionPattern::Scenario(glob) => fits(glob, deployment.scenario_id.as_deref()),
            ExclusionPattern::Executable(glob) => fits(glob, deployment.executable_id.as_deref()),
            ExclusionPattern::Configuration(glob) => glob.matches(deployment.configuration()),
            ExclusionPattern::Id(id) => *id == deployment.id,
            ExclusionPattern::ResourceGroup(_) | ExclusionPattern::Label(..) => false,
        });
    }

    fn note(&mut self, covers: impl Fn(&ExclusionPattern<'a>) -> bool) {
        for (pattern, has_covered) in &mut self.0 {
            *has_covered = *has_covered || covers(pattern);
        }
    }

    /// Patterns that have covered nothing.
    pub(crate) fn idle(&self) -> impl Iterator<Item = ExclusionPattern<'a>> + '_ {
        self.0.iter().filter(|(_, has_covered)| !has_covered).map(|(pattern, _)| *pattern)
    }
}

impl ExclusionPattern<'_> {
    /// True for what is judged by resource groups alone.
    pub(crate) fn is_of_group(&self) -> bool {
        matches!(self, Self::ResourceGroup(_) | Self::Label(..))
    }
}

impl fmt::Display for ExclusionPattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResourceGroup(glob) => write!(f, "resource group `{glob}`"),
            Self::Label(key, value) => write!(f, "label `{key}` = `{value}`"),
            Self::Scenario(glob) => write!(f, "scenario `{glob}`"),
            Self::Executable(glob) => write!(f, "executable `{glob}`"),
            Self::Configuration(glob) => write!(f, "configuration `{glob}`"),
            Self::Id(id) => write!(f, "id `{id}`"),
        }
    }
}

/// The full key that `key` was probably meant to be: groups carry `ext.ai.sap.com/env`, and `env` was written.
pub(crate) fn full_key<'g>(groups: impl IntoIterator<Item = &'g Group>, key: &str) -> Option<&'g str> {
    let is_full = |found: &&str| found.rsplit_once('/').is_some_and(|(_, name)| name == key);
    groups.into_iter().flat_map(|group| group.labels.keys()).map(String::as_str).find(is_full)
}
