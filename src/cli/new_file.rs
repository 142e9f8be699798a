//! A file that appears whole or not at all: written beside its place under another name, and renamed at the end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Others may read a report where the umask lets them, and never write it.
const MODE: u32 = 0o644;
#[derive(Debug)]
pub(crate) struct NewFile {
    out: BufWriter<File>,
    /// Where it is written, and where it belongs; none for what is not a regular file, such as `/dev/stdout`.
    rename: Option<(PathBuf, PathBuf)>,
}

impl NewFile {
    /// Begins to write what will be `path`. A link there keeps leading where it leads, and a file keeps its mode.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mode = match fs::metadata(&place) {
            Ok(known) if !known.is_file() => {
                let out = BufWriter::new(OpenOptions::new().write(true).open(&place)?);
                return Ok(Self { out, rename: None });
            }
            Ok(known) => known.permissions().mode() & 0o777,
            Err(_) => MODE,
        };
        let name = place.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let beside = place.with_file_name(hidden);
        let out = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        Ok(Self { out: BufWriter::new(out), rename: Some((beside, place)) })
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        if let Some((beside, place)) = &self.rename {
            self.out.get_ref().sync_all()?;
            fs::rename(beside, place)?;
            self.rename = None;
        }
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for NewFile {
    /// What was not finished is no file.
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.rename {
            let _ = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::NewFile;

    #[test]
    fn a_file_is_as_it_was_until_its_successor_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("report.csv"), directory.path().join("newest.csv"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut cut_off = NewFile::begin(&path).unwrap();
        cut_off.write_all(b"half").unwrap();
        drop(cut_off);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");

        let mut new = NewFile::begin(&link).unwrap();
        new.write_all(b"new").unwrap();
        new.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else is left behind");
        let mut nowhere = NewFile::begin("/dev/null".as_ref()).unwrap();
        nowhere.write_all(b"gone").unwrap();
        nowhere.finish().unwrap();
    }
}
