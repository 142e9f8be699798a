//! Values that are names: of rules, connections and deployments, globs, labels, texts for people, paths.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::config::key::Typed;
use crate::config::reading::clip;
use crate::config::value::{Node, Value};
use crate::domain::id::{BadId, ConnectionName, DeploymentId, RuleName};
use crate::domain::plain_text::has_control;
use crate::domain::selection::Glob;

/// The longest text for people.
const LONGEST_TEXT: usize = 500;

macro_rules! id_value {
    ($type:ty, $what:literal, $pattern:literal) => {
        impl Typed for $type {
            const WHAT: &'static str = $what;

            fn schema() -> Json {
                json!({ "type": "string", "pattern": $pattern })
            }
        }

        impl Value for $type {
            fn read(node: Node<'_>) -> Option<Self> {
                let text = node.text(Self::WHAT)?;
                Self::new(text).map_or_else(|bad: BadId| node.refuse(bad.to_string()), Some)
            }
        }
    };
}

id_value!(RuleName, "a name in quotes", "^[a-z0-9-]{1,64}$");
id_value!(ConnectionName, "a connection's name in quotes", "^[A-Za-z0-9_-]{1,64}$");
id_value!(DeploymentId, "a deployment id in quotes", "^[A-Za-z0-9_.-]{4,64}$");

impl Typed for Glob {
    const WHAT: &'static str = "globs in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "pattern": r"^[^\[\]{}\\!,\s]+$" })
    }
}

impl Value for Glob {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        Self::new(text).map_or_else(|bad| node.refuse(format!("`{}` is not a valid glob: {bad}", clip(text))), Some)
    }
}
pub(super) struct Text(pub(super) String);

impl Typed for Text {
    const WHAT: &'static str = "a text in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_TEXT })
    }
}

impl Value for Text {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?.trim();
        if text.is_empty() {
            return node.refuse(format!("`{}` is empty", node.key));
        }
        if has_control(text) {
            return node.refuse(format!("`{}` holds a line end or another control character", node.key));
        }
        if text.chars().count() > LONGEST_TEXT {
            return node.refuse(format!("`{}` is longer than {LONGEST_TEXT} characters", node.key));
        }
        Some(Self(text.to_owned()))
    }
}

/// The value of a label; it may be empty.
pub(super) struct LabelValue(pub(super) String);

impl Typed for LabelValue {
    const WHAT: &'static str = "a label's value in quotes";
    const EXAMPLE: &'static str = "\"dev\"";

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl Value for LabelValue {
    fn read(node: Node<'_>) -> Option<Self> {
        node.text(Self::WHAT).map(|text| Self(text.to_owned()))
    }
}

/// A path, relative to the file that names it.
pub(super) struct FilePath(pub(super) PathBuf);

impl Typed for FilePath {
    const WHAT: &'static str = "a path in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Value for FilePath {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        if text.is_empty() || has_control(text) {
            return node.refuse(format!("`{}` is not a valid path", node.key));
        }
        Some(Self(node.at.source.beside(text)))
    }
}
