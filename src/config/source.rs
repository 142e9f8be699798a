//! One file as text: read within limits, and able to say at which line and column a byte stands.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::config::exposed::Exposed;
use crate::config::fault::ConfigFault;

/// The largest file that is read.
const LARGEST_FILE: usize = 1024 * 1024;

/// A file's text, without a byte order mark.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

#[derive(Debug)]
pub(super) enum NoText {
    /// The file cannot be opened or read.
    Unreadable(std::io::Error),
    /// It can, but is none of ours.
    Unusable(ConfigFault),
}

impl NoText {
    pub(super) fn into_fault(self, path: &Path) -> ConfigFault {
        match self {
            Self::Unusable(fault) => fault,
            Self::Unreadable(error) => ConfigFault {
                path: path.to_owned(),
                line: 1,
                column: 1,
                key: None,
                message: format!("this file cannot be read: {error}"),
                hint: Some(hint(path, &error)),
            },
        }
    }
}

/// What to do about a file that cannot be read.
fn hint(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "check its name; another configuration is named with `--config`".to_owned(),
        ErrorKind::PermissionDenied => {
            format!("the user that runs offhours must be able to read it: look at `ls -l {}`", path.display())
        }
        _ => "check that it is a file on a disk that can be read".to_owned(),
    }
}

/// iCalendar folds lines after 75 bytes, and some programs do it in the middle of a character: what is left of it is moved
/// before the fold, so that each line stays where it is.
fn with_whole_characters(bytes: &[u8]) -> Vec<u8> {
    let is_rest = |byte: &u8| (0x80..0xc0).contains(byte);
    let mut whole = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.split_first() {
            Some((blank @ (b' ' | b'\t'), folded)) if !whole.is_empty() => {
                let cut = folded.iter().take_while(|byte| is_rest(byte)).count();
                let (rest, folded) = folded.split_at(cut);
                let end = whole.len() - if whole.ends_with(b"\r\n") { 2 } else { 1 };
                whole.splice(end..end, rest.iter().copied());
                whole.push(*blank);
                whole.extend_from_slice(folded);
            }
            _ => whole.extend_from_slice(line),
        }
    }
    whole
}

impl Source {
    /// Reads `path`: at most 1 MiB of UTF-8 without NUL, which not just anybody could have written.
    pub(super) fn read(path: &Path) -> Result<Self, NoText> {
        let mut bytes = Vec::new();
        let limit = LARGEST_FILE as u64 + 1;
        let file = File::open(path).map_err(NoText::Unreadable)?;
        let unusable = |(line, column), message: String, hint: &str| {
            let hint = Some(hint.to_owned());
            NoText::Unusable(ConfigFault { path: path.to_owned(), line, column, key: None, message, hint })
        };
        if let Some(exposed) = Exposed::file(path, &file) {
            return Err(unusable((1, 1), exposed.message(), &exposed.hint()));
        }
        file.take(limit).read_to_end(&mut bytes).map_err(NoText::Unreadable)?;
        if bytes.len() > LARGEST_FILE {
            let hint = "this is not the file you mean, or it should be several";
            return Err(unusable((1, 1), "this file is larger than 1 MiB".to_owned(), hint));
        }
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("ics")) {
            bytes = with_whole_characters(&bytes);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let source = Self::new(path, String::from_utf8_lossy(good).into_owned());
                let message = "this file is not UTF-8 text";
                let hint = "save it as UTF-8; the first wrong byte is here";
                return Err(unusable(source.position(good.len()), message.to_owned(), hint));
            }
        };
        let source = Self::new(path, text.to_owned());
        match text.find('\0') {
            None => Ok(source),
            Some(nul) => Err(unusable(
                source.position(nul),
                "this file holds a NUL character".to_owned(),
                "it is damaged, or not a text file (UTF-16 perhaps): save it as UTF-8",
            )),
        }
    }

    fn new(path: &Path, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), text, lines }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of the byte at `offset`; both from 1, columns in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or("");
        (line, before.chars().count() + 1)
    }

    /// The byte at which `line` (from 1) begins.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }

    /// What the relative path `name` means in this file.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::with_whole_characters;

    #[test]
    fn c53_a_character_that_a_fold_has_cut_is_whole_and_its_line_where_it_was() {
        for (cut, whole) in [("SUMMARY:M\u{e4}rz\r\n", "SUMMARY:M\u{e4}rz\r\n"), ("a\r\n b\r\n", "a\r\n b\r\n")] {
            assert_eq!(with_whole_characters(cut.as_bytes()), whole.as_bytes());
        }
        for end in ["\n", "\r\n"] {
            for (cut, whole) in [
                (&[b"M\xc3".as_slice(), b" \xa4rz"][..], &[b"M\xc3\xa4".as_slice(), b" rz"][..]),
                (&[b"\xe2", b"\t\x82\xac.", b" b"], &[b"\xe2\x82\xac", b"\t.", b" b"]),
            ] {
                assert_eq!(with_whole_characters(&cut.join(end.as_bytes())), whole.join(end.as_bytes()), "{cut:?}");
            }
        }
        assert_eq!(with_whole_characters(b" \xa4"), b" \xa4");
    }
}
