//! What is wrong with the files, and what is only odd. Every finding says where it is and what would be right; none
//! repeats a source line, and none repeats a value that may be a secret.

use crate::domain::plain_text::Escaped;
use crate::domain::plural::plural;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// Something that keeps the configuration from being used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigFault {
    pub(crate) path: PathBuf,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// The key that it is about, where it is about one.
    pub(crate) key: Option<String>,
    pub(crate) message: String,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", shown(&self.path), self.line, self.column, Escaped(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {}", Escaped(hint)),
            None => Ok(()),
        }
    }
}

/// Something that works, and probably does not do what was meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    pub(crate) path: PathBuf,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// The key that it is about, where it is about one.
    pub(crate) key: Option<String>,
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: warning: {}", shown(&self.path), self.line, self.column, Escaped(&self.message))
    }
}

/// All faults of all files, by file and position; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<ConfigFault>);

impl Faults {
    /// Sorts `faults`; nothing where there are none.
    pub(super) fn new(mut faults: Vec<ConfigFault>) -> Option<Self> {
        faults.sort();
        faults.dedup();
        if faults.is_empty() { None } else { Some(Self(faults)) }
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, ConfigFault> {
        self.0.iter()
    }
}

impl From<ConfigFault> for Faults {
    fn from(fault: ConfigFault) -> Self {
        Self(vec![fault])
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a ConfigFault;
    type IntoIter = std::slice::Iter<'a, ConfigFault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        let files = self.0.iter().map(|fault| &fault.path).collect::<BTreeSet<_>>().len();
        write!(f, "{} in {}", plural(self.0.len(), "fault"), plural(files, "file"))
    }
}

impl std::error::Error for Faults {}

fn shown(path: &Path) -> Escaped<Cow<'_, str>> {
    Escaped(path.to_string_lossy())
}
