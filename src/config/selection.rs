//! `[rule.select]`, `[rule.exclude]` and `[protect]`.

use std::collections::BTreeMap;

use crate::config::key::section;
use crate::config::name::LabelValue;
use crate::config::reading::{Place, clip};
use crate::config::section::Section;
use crate::domain::id::DeploymentId;
use crate::domain::selection::{Exclusion, Glob, Selection};

section! {
    /// What a rule stops: all given keys must match. Globs know `*` and `?`. `resource_groups` or `labels` must be
    /// given; every resource group is meant only by `["*"]`.
    SelectKeys {
        /// Patterns of resource group names.
        resource_groups: Vec<Glob>, Optional r#"["dev-*", "team-a"]"#;
        /// Labels that the resource group must carry, all of them.
        labels: BTreeMap<String, LabelValue>, Optional r#"{ "ext.ai.sap.com/env" = "dev" }"#;
        /// Patterns of scenario ids.
        scenarios: Vec<Glob>, Optional r#"["*"]"#;
        /// Patterns of executable ids.
        executables: Vec<Glob>, Optional r#"["*"]"#;
        /// Patterns of configuration names.
        configurations: Vec<Glob>, Optional r#"["*"]"#;
        /// Also stop foundation-model and orchestration deployments. They are billed by tokens, so a stop avoids
        /// nothing.
        include_token_billed: bool, Default "false";
    }
}

section! {
    /// What is left all the same: any key that matches is enough.
    ExcludeKeys {
        /// Patterns of resource group names.
        resource_groups: Vec<Glob>, Optional r#"["prod*"]"#;
        /// Labels of the resource group; one is enough.
        labels: BTreeMap<String, LabelValue>, Optional r#"{ "ext.ai.sap.com/env" = "prod" }"#;
        /// Patterns of scenario ids.
        scenarios: Vec<Glob>, Optional r#"["fraud-*"]"#;
        /// Patterns of executable ids.
        executables: Vec<Glob>, Optional r#"["train-*"]"#;
        /// Patterns of configuration names.
        configurations: Vec<Glob>, Optional r#"["*-keep"]"#;
        /// Deployment ids.
        ids: Vec<DeploymentId>, Optional r#"["d1234"]"#;
    }
}

/// Reads `[rule.select]`.
pub(super) fn select(section: &Section<'_, SelectKeys>) -> Selection {
    if !section.has(|k| k.resource_groups) && !section.has(|k| k.labels) {
        section.place().fault(
            format!("{} names neither `resource_groups` nor `labels`", section.title()),
            "for example `resource_groups = [\"dev-*\"]`; every group is meant only by `[\"*\"]`",
        );
    }
    let resource_groups = section.get(|k| k.resource_groups).unwrap_or_default();
    let all = |glob: &&Glob| glob.as_str() != "*" && glob.as_str().chars().all(|c| "*?".contains(c));
    if let Some(glob) = resource_groups.iter().find(all) {
        section.place_of(|k| k.resource_groups).fault(
            format!("`{glob}` matches almost every resource group"),
            "write `resource_groups = [\"*\"]` where every group is meant",
        );
    }
    let selection = Selection {
        resource_groups,
        labels: labels(section.get(|k| k.labels)),
        scenarios: section.get(|k| k.scenarios).unwrap_or_default(),
        executables: section.get(|k| k.executables).unwrap_or_default(),
        configurations: section.get(|k| k.configurations).unwrap_or_default(),
        include_token_billed: section.get(|k| k.include_token_billed).unwrap_or_default(),
        only: None,
    };
    let place = |key: &str| match key {
        "resource_groups" => section.place_of(|k| k.resource_groups),
        "scenarios" => section.place_of(|k| k.scenarios),
        "executables" => section.place_of(|k| k.executables),
        _ => section.place_of(|k| k.configurations),
    };
    let Selection { resource_groups, scenarios, executables, configurations, .. } = &selection;
    warn_of_regexes([resource_groups, scenarios, executables, configurations], place);
    warn_of_short_keys(&selection.labels, section.place_of(|k| k.labels));
    selection
}

/// Reads `[rule.exclude]` or `[protect]`.
pub(super) fn exclude(section: &Section<'_, ExcludeKeys>) -> Exclusion {
    let exclusion = Exclusion {
        resource_groups: section.get(|k| k.resource_groups).unwrap_or_default(),
        labels: labels(section.get(|k| k.labels)),
        scenarios: section.get(|k| k.scenarios).unwrap_or_default(),
        executables: section.get(|k| k.executables).unwrap_or_default(),
        configurations: section.get(|k| k.configurations).unwrap_or_default(),
        ids: section.get(|k| k.ids).unwrap_or_default().into_iter().collect(),
    };
    let place = |key: &str| match key {
        "resource_groups" => section.place_of(|k| k.resource_groups),
        "scenarios" => section.place_of(|k| k.scenarios),
        "executables" => section.place_of(|k| k.executables),
        _ => section.place_of(|k| k.configurations),
    };
    let Exclusion { resource_groups, scenarios, executables, configurations, .. } = &exclusion;
    warn_of_regexes([resource_groups, scenarios, executables, configurations], place);
    warn_of_short_keys(&exclusion.labels, section.place_of(|k| k.labels));
    exclusion
}

/// Keys that take globs.
const GLOB_KEYS: [&str; 4] = ["resource_groups", "scenarios", "executables", "configurations"];

/// A glob that is written like a regular expression matches next to nothing: as a protection, that is the worst case.
fn warn_of_regexes<'a>(lists: [&Vec<Glob>; 4], place: impl Fn(&str) -> Place<'a>) {
    for (key, globs) in GLOB_KEYS.into_iter().zip(lists) {
        for (glob, meant) in globs.iter().filter_map(|glob| Some((glob, glob.instead_of_regex()?))) {
            place(key).warn(format!(
                "`{glob}` in `{key}` looks like a regular expression, but here `.`, `^` and `$` are plain characters: \
                 write `{meant}`"
            ));
        }
    }
}

/// AI Core takes no label without a prefix, so that such a key fits no group.
fn warn_of_short_keys(labels: &BTreeMap<String, String>, place: Place<'_>) {
    for key in labels.keys().filter(|key| !key.contains('/')) {
        let key = clip(key);
        place.warn(format!("label `{key}` has no prefix, and labels of AI Core do: write `ext.ai.sap.com/{key}`"));
    }
}

fn labels(labels: Option<BTreeMap<String, LabelValue>>) -> BTreeMap<String, String> {
    labels.unwrap_or_default().into_iter().map(|(key, LabelValue(value))| (key, value)).collect()
}
