//! Floor 1: files and directories that are for their owner only, whatever the umask says: mails, reports, keys.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes the directory `path` and what is missing above it. One that is there stays as it is.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Puts a file with these bytes at `path`, as [`PrivateFile`] does.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = PrivateFile::begin(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// A file that is being written. Under its name there is the old file until this one is whole, and a link there is
/// replaced, not followed. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct PrivateFile {
    out: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
    is_finished: bool,
}

impl PrivateFile {
    /// Begins to write what will be `path`, whose directory must be there.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        let part = part_of(path);
        // What a crash has left is not written into: its mode is unknown, and it may be a link.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        Ok(Self { out: BufWriter::new(file), part, path: path.to_owned(), is_finished: false })
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        fs::rename(&self.part, &self.path)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = fs::remove_file(&self.part);
        }
    }
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
