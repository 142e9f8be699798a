//! Floor 1: files and directories that are for their owner only, whatever the umask says: mails, reports, keys.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes the directory `path` and what is missing above it. One that is there stays as it is.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts a file with these bytes at `path`, whose directory must be there. Under that name there is the old file or the
/// new one, never a half of it, and a link is replaced, not followed.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = part_of(path);
    let written = write_new(&part, bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash has left is not written into: its mode is unknown, and it may be a link.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::write;

    #[test]
    fn what_lies_there_is_replaced_and_never_written_to() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("precious"), "kept").unwrap();
        symlink(at("precious"), at("report")).unwrap();
        symlink(at("precious"), at("report.part")).unwrap();
        write(&at("report"), b"new").unwrap();
        assert_eq!(fs::read(at("precious")).unwrap(), b"kept");
        assert_eq!(fs::read(at("report")).unwrap(), b"new");
        let report = fs::symlink_metadata(at("report")).unwrap();
        assert!(report.is_file() && report.permissions().mode() & 0o777 == 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("taken")).unwrap();
        write(&home.path().join("taken"), b"new").unwrap_err();
        write(&home.path().join("no/such/directory"), b"new").unwrap_err();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
