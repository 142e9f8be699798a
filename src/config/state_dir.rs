//! Where the ledger is when offhours.toml does not say. One machine has one ledger: whoever asks about the service's
//! configuration means the service's ledger, though it may not be theirs to open.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// systemd's own variable; several directories are listed with colons.
const GIVEN: &str = "STATE_DIRECTORY";
const SERVICE_CONFIG: &str = "/etc/offhours";
/// The ledger of the service, as its unit names it.
const SERVICE_STATE: &str = "/var/lib/offhours";

/// The directory that the environment names, so that no file has to.
pub(super) fn given() -> Option<PathBuf> {
    variable(GIVEN).as_deref().map(first)
}

/// True where the environment names the directory.
pub(super) fn is_given() -> bool {
    given().is_some()
}

fn first(list: &OsStr) -> PathBuf {
    PathBuf::from(list.to_string_lossy().split(':').next().unwrap_or_default())
}

/// The directory for the configuration at `config`.
pub(super) fn default_for(config: &Path) -> Option<PathBuf> {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    choose(&config, variable, |path| path.symlink_metadata().is_ok())
}

fn choose(
    config: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let path = |name: &str| variable(name).map(PathBuf::from);
    // Under `DynamicUser=` it is a link into a directory that only root can look into; that it is there is enough.
    let of_service = || {
        let (is_the_services, state) = (config.starts_with(SERVICE_CONFIG), Path::new(SERVICE_STATE));
        (is_the_services && exists(state)).then(|| state.to_owned())
    };
    variable(GIVEN)
        .as_deref()
        .map(first)
        .or_else(of_service)
        .or_else(|| Some(path("XDG_STATE_HOME")?.join("offhours")))
        .or_else(|| Some(path("HOME")?.join(".local/state/offhours")))
}

/// Why no ledger could be kept in `directory` by this user, as far as that can be told without making anything.
pub(super) fn obstacle(directory: &Path) -> Option<String> {
    let existing = directory.ancestors().find(|path| path.symlink_metadata().is_ok() || path.as_os_str().is_empty())?;
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let shown = existing.display();
    match std::fs::metadata(existing) {
        Ok(found) if !found.is_dir() => return Some(format!("`{shown}` is not a directory")),
        // What a link leads to may be somebody else's to look into.
        Ok(_) | Err(_) => {}
    }
    let needed = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    match rustix::fs::access(existing, needed) {
        Ok(()) => None,
        Err(error) => Some(format!("this user cannot write in `{shown}`: {error}")),
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::choose;

    #[test]
    fn whoever_names_the_services_configuration_means_the_services_ledger() {
        let root = |name: &str| (name == "HOME").then(|| OsString::from("/home/ada"));
        let under_systemd = |name: &str| (name == "STATE_DIRECTORY").then(|| OsString::from("/var/lib/other:/x"));
        let installed = |path: &Path| path == Path::new("/var/lib/offhours");
        let of_service = Path::new("/etc/offhours/offhours.toml");
        let own = Path::new("offhours.toml");
        assert_eq!(choose(of_service, root, installed).unwrap(), Path::new("/var/lib/offhours"));
        assert_eq!(choose(of_service, under_systemd, installed).unwrap(), Path::new("/var/lib/other"));
        assert_eq!(choose(of_service, root, |_| false).unwrap(), Path::new("/home/ada/.local/state/offhours"));
        assert_eq!(choose(own, root, installed).unwrap(), Path::new("/home/ada/.local/state/offhours"));
        assert_eq!(choose(own, |_| None, installed), None);
    }
}
