//! Files that anybody could have written: whoever can write a rule can have everything stopped. They are refused before
//! they are believed, as keys are that anybody could have read. A group is another matter: who is in it is somebody's
//! decision, and it is what git makes of a umask of 002.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Anybody may write.
const WRITE_OF_ALL: u32 = 0o002;
/// In a directory with this bit only the owner of a file may remove or rename it.
const STICKY: u32 = 0o1000;

/// What anybody could have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exposed {
    /// It, and how it is called in a sentence.
    what: &'static str,
    path: PathBuf,
    mode: u32,
}

impl Exposed {
    /// The file that was opened as `path`, or a directory in which that name could have been given to another one.
    pub(super) fn file(path: &Path, file: &File) -> Option<Self> {
        let of_file = file.metadata().ok().and_then(|found| Self::of("this file", path, &found));
        of_file.or_else(|| {
            // Where it is a link, its own directory says what it leads to.
            let real = fs::canonicalize(path).ok();
            [Some(path), real.as_deref()].into_iter().flatten().find_map(Self::directory_of)
        })
    }

    fn directory_of(path: &Path) -> Option<Self> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let found = fs::metadata(directory).ok()?;
        let what = "the directory of this file";
        Self::of(what, directory, &found).filter(|found| found.mode & STICKY == 0)
    }

    /// A directory whose files are all believed: the sticky bit keeps nobody from adding one.
    pub(super) fn directory(path: &Path) -> Option<Self> {
        Self::of("the directory of rules", path, &fs::metadata(path).ok()?)
    }

    fn of(what: &'static str, path: &Path, found: &Metadata) -> Option<Self> {
        let mode = found.permissions().mode() & 0o7777;
        (mode & WRITE_OF_ALL != 0).then(|| Self { what, path: path.to_owned(), mode })
    }

    pub(super) fn message(&self) -> String {
        format!("{} can be written by anybody (mode {:03o})", self.what, self.mode)
    }

    pub(super) fn hint(&self) -> String {
        format!("look whether it is still yours, then run `chmod o-w {}`", self.path.display())
    }
}
