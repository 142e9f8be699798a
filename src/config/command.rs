//! How people type a command that reaches the ledger of this configuration: mails say it.

use std::path::Path;

/// Says it where offhours is reached in another way, as in a container.
const VARIABLE: &str = "OFFHOURS_COMMAND";

/// The words before the command: those that `$OFFHOURS_COMMAND` names; under a systemd unit `sudo offhoursctl`; else
/// `offhours` with the file, so that it works in any directory.
pub(super) fn command(config: &Path, runs_as_service: bool) -> String {
    let named = std::env::var(VARIABLE).ok().map(|command| command.trim().to_owned());
    if let Some(command) = named.filter(|command| !command.is_empty()) {
        return command;
    }
    if runs_as_service {
        return "sudo offhoursctl".to_owned();
    }
    let path = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let path = path.to_string_lossy();
    let quoted = shlex::try_quote(&path).map_or_else(|_| "FILE".to_owned(), std::borrow::Cow::into_owned);
    format!("offhours --config {quoted}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::command;

    #[test]
    fn a_command_from_a_mail_works_in_any_directory() {
        assert_eq!(command(Path::new("/srv/my rules/o.toml"), false), "offhours --config '/srv/my rules/o.toml'");
        assert!(command(Path::new("o.toml"), false).starts_with("offhours --config /"));
        assert_eq!(command(Path::new("/etc/offhours/offhours.toml"), true), "sudo offhoursctl");
    }
}
