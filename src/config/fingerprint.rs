//! Which text was read: by it two processes tell whether they speak of the same configuration.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::Path;

use ring::digest::{Context, SHA256, digest};

/// A digest of the text of all files that a configuration was read from, secrets not among them. The same files give the same
/// one wherever they lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint(String);

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Prints(BTreeSet<(String, Vec<u8>)>);

impl Prints {
    /// Adds a file; without text where it could not be read.
    pub(super) fn add(&mut self, path: &Path, text: Option<&str>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let print = text.map_or_else(Vec::new, |text| digest(&SHA256, text.as_bytes()).as_ref().to_vec());
        self.0.insert((name, print));
    }

    /// The digest of all of them.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut all = Context::new(&SHA256);
        for (name, print) in &self.0 {
            all.update(name.as_bytes());
            all.update(b"\0");
            all.update(print);
        }
        let mut text = String::new();
        for byte in all.finish().as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
        Fingerprint(text)
    }
}

impl Fingerprint {
    /// One that was written down.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
