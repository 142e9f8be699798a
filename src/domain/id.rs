//! Names that must not be mixed up. A value of these types has passed its check; nothing later checks again. A clone
//! shares its text: a resource group's id stands in each of its deployments.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind}: {rule}", shown(.text))]
pub struct BadId {
    kind: &'static str,
    rule: &'static str,
    text: Arc<str>,
}

fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl $name {
            /// Checks `text` and keeps it.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, BadId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(BadId { kind: $kind, rule: $rule, text }) }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

id!(
    /// A deployment's id, `^[A-Za-z0-9_.-]{4,64}$`. The check matters: `..` or nothing would turn the URL of a
    /// single stop into the URL of the bulk stop.
    DeploymentId,
    "deployment id",
    "4 to 64 of A-Z a-z 0-9 _ . - are allowed",
    |t| (4..=64).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && !t.bytes().all(|b| b == b'.')
);

id!(
    /// A resource group's id, 3 to 253 characters, `^[a-zA-Z0-9][a-zA-Z0-9.-]{1,251}[a-zA-Z0-9]$`.
    ResourceGroup,
    "resource group",
    "3 to 253 of A-Z a-z 0-9 . - are allowed, beginning and ending with a letter or digit",
    |t| (3..=253).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        && t.starts_with(|c: char| c.is_ascii_alphanumeric())
        && t.ends_with(|c: char| c.is_ascii_alphanumeric())
);

id!(
    /// A rule's name, `[a-z0-9-]{1,64}`, unique over all files. History and firings hang on it.
    RuleName,
    "rule name",
    "1 to 64 of a-z 0-9 - are allowed",
    |t| (1..=64).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

id!(
    /// A connection's name, as in `[connection.dev]`: `[A-Za-z0-9_-]{1,64}`.
    ConnectionName,
    "connection name",
    "1 to 64 of A-Z a-z 0-9 _ - are allowed",
    |t| (1..=64).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
);

#[cfg(test)]
mod tests {
    use super::{DeploymentId, ResourceGroup, RuleName};

    #[test]
    fn a28_an_id_that_would_change_the_url_is_refused() {
        for text in ["", ".", "..", "....", "a/bc", "d%2e", "dépl", "abc", &"d".repeat(65), "d123?x", "d12 3", "d123\n"]
        {
            assert!(DeploymentId::new(text).is_err(), "{text:?} was accepted");
        }
        for text in ["d1234", "a.b-c_d", &"d".repeat(64)] {
            assert!(DeploymentId::new(text).is_ok(), "{text:?} was refused");
        }
    }

    #[test]
    fn names_are_checked_and_errors_show_no_control_characters() {
        assert!(ResourceGroup::new("default").is_ok());
        assert!(ResourceGroup::new("-dev").is_err());
        assert!(RuleName::new("Dev").is_err());
        assert_eq!(
            DeploymentId::new("a\r\nb").unwrap_err().to_string(),
            "`a\\r\\nb` is not a valid deployment id: 4 to 64 of A-Z a-z 0-9 _ . - are allowed"
        );
    }
}
