//! Values that say where a secret is, and the look at it when files are read. No message shows such a value: whoever
//! mistakes the key for the secret itself must not find it in a log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

use crate::config::key::{Key, Shape, Typed};
use crate::config::reading::Place;
use crate::config::section::Section;
use crate::config::value::{Node, Value};
use crate::domain::plain_text::has_control;
use crate::secret::{SecretError, SecretSource};

pub(super) struct SecretFile(pub(super) PathBuf);
pub(super) struct CredentialName(pub(super) String);
pub(super) struct VariableName(pub(super) String);

impl Typed for SecretFile {
    const WHAT: &'static str = "a file's name in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1, "pattern": r"^[^{\n]+$" })
    }
}

impl Value for SecretFile {
    fn read(node: Node<'_>) -> Option<Self> {
        let is_table = node.value.is_table();
        let text = if is_table { "" } else { node.text(Self::WHAT)? };
        let is_secret = text.trim_start().starts_with('{') || text.contains("-----BEGIN") || text.contains('\n');
        if is_table || is_secret {
            let message = format!("`{}` is given the secret itself, and this file must not contain secrets", node.key);
            return node
                .refuse_with(message, format!("move it to a file of mode 600 and name that: {}", node.for_example()));
        }
        if text.is_empty() || has_control(text) {
            return node.refuse(format!("`{}` is not a valid file name", node.key));
        }
        Some(Self(node.at.source.beside(text)))
    }
}

impl Typed for CredentialName {
    const WHAT: &'static str = "a systemd credential's name in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$" })
    }
}

impl Value for CredentialName {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        let well_formed = !text.starts_with('.')
            && (1..=255).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if well_formed {
            return Some(Self(text.to_owned()));
        }
        node.refuse(format!(
            "`{}` is not a valid credential name: letters, digits, `.`, `_` and `-` are allowed",
            node.key
        ))
    }
}

impl Typed for VariableName {
    const WHAT: &'static str = "an environment variable's name in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })
    }
}

impl Value for VariableName {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        let well_formed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if well_formed {
            return Some(Self(text.to_owned()));
        }
        node.refuse(format!("`{}` is not a valid variable name: letters, digits and `_` are allowed", node.key))
    }
}

/// The secret that one of several keys names.
pub(super) struct NamedSecret<'a> {
    pub(super) key: &'static str,
    pub(super) place: Place<'a>,
    /// None where the key's value is wrong, which was reported.
    pub(super) source: Option<SecretSource>,
}

/// The secret that one of the three keys names. A second one is a fault: nobody can tell which is meant.
pub(super) fn named_secret<'a, S: Shape>(
    section: &Section<'a, S>,
    file: impl Fn(S) -> Key<SecretFile>,
    credential: impl Fn(S) -> Key<CredentialName>,
    env: impl Fn(S) -> Key<VariableName>,
) -> Option<NamedSecret<'a>> {
    let mut given = Vec::new();
    if section.has(&file) {
        let source = section.get(&file).map(|SecretFile(path)| SecretSource::File(path));
        given.push(NamedSecret { key: file(S::KEYS).name, place: section.place_of(&file), source });
    }
    if section.has(&credential) {
        let source = section.get(&credential).map(|CredentialName(name)| SecretSource::Credential(name));
        given.push(NamedSecret { key: credential(S::KEYS).name, place: section.place_of(&credential), source });
    }
    if section.has(&env) {
        let source = section.get(&env).map(|VariableName(name)| SecretSource::Env(name));
        given.push(NamedSecret { key: env(S::KEYS).name, place: section.place_of(&env), source });
    }
    let mut given = given.into_iter();
    let first = given.next()?;
    for other in given {
        exclude_each_other(first.key, other.key, other.place);
    }
    Some(first)
}

/// Reports that `second`, at `place`, may not stand beside `first`.
pub(super) fn exclude_each_other(first: &str, second: &str, place: Place<'_>) {
    place.fault(format!("`{first}` and `{second}` are mutually exclusive"), "keep one of them");
}

/// Looks at the secret named by `key` at `place` and says whether it can be had now. A credential or variable that is missing is
/// only odd: it exists where the daemon runs, and not where `check` does.
pub(super) fn inspect(key: &str, place: Place<'_>, source: &SecretSource) -> Option<SecretString> {
    if !place.reading.has_secrets {
        return None;
    }
    let error = match source.read() {
        Ok(secret) if secret.expose_secret().trim().is_empty() => {
            place.fault(format!("what `{key}` names is empty"), "write the secret into it");
            return None;
        }
        Ok(secret) => return Some(secret),
        Err(error) => error,
    };
    match error {
        SecretError::Exposed(path) => {
            let mode = fs::metadata(&path).map_or(0, |file| file.permissions().mode() & 0o777);
            let message = format!("the file that `{key}` names can be read by group or others (mode {mode:03o})");
            place.fault(message, format!("run `chmod 600 {}`", path.display()));
        }
        SecretError::Unreadable { reason, .. } if matches!(source, SecretSource::File(_)) => {
            let message = format!("the file that `{key}` names cannot be read: {reason}");
            let under_systemd = std::env::var_os("CREDENTIALS_DIRECTORY").is_some();
            let hint = match key {
                "service_key" if under_systemd => "the unit loads it: write `credential = \"service-key\"` instead",
                "password_file" if under_systemd => {
                    "the unit loads it: write `password_credential = \"smtp-password\"` instead"
                }
                _ => "a relative path begins where this file is",
            };
            place.fault(message, hint);
        }
        SecretError::NoFile(_) => {
            place.fault(format!("what `{key}` names is not a regular file"), "it is not the file you mean");
        }
        SecretError::TooLarge(_) => {
            place.fault(format!("the file that `{key}` names is larger than 1 MiB"), "it is not the file you mean");
        }
        SecretError::NotText(_) => {
            place.fault(format!("the file that `{key}` names is not UTF-8 text"), "it is not the file you mean");
        }
        SecretError::NoVariable(_) => {
            place.warn(format!("the environment variable that `{key}` names is not set here"));
        }
        SecretError::Unreadable { .. } | SecretError::NoCredentials(_) | SecretError::CredentialName(_) => {
            place.warn(format!("the credential that `{key}` names is not here; systemd has to load it"));
        }
    }
    None
}
