//! A bench for the real program: a simulated tenant whose journal is the judge, a home with configuration, keys and
//! state, and `offhours` as a child process that can be signalled and killed.

#![allow(dead_code, reason = "each test target uses its own part of the bench")]

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use offhours::clock::Clock;
use offhours::domain::run::Run;
use offhours::ledger::Ledger;
use offhours::ledger::cursors::Cursor;
use offhours::ledger::outbox::QueuedMail;
use offhours::ledger::runs::RunFilter;
use offhours::simulator::{Entry, Fault, Fleet, Simulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The tenant, the files and the way to the program.
pub struct Bench {
    pub home: TempDir,
    pub simulator: Simulator,
    pub runtime: Runtime,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    /// A bench whose only rule is `rules`; mails go to files in `outbox`.
    pub fn new(fleet: Fleet, rules: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = runtime.block_on(Simulator::start(fleet, Clock::System, listen)).unwrap();
        let bench = Self { home: tempfile::tempdir().unwrap(), simulator, runtime, tokens: Arc::default() };
        // What a token looks like is known to nobody but the two sides; here it is noted, so that logs can be searched.
        let tokens = Arc::clone(&bench.tokens);
        bench.simulator.inject(Fault::on("POST", "/oauth/token").always().rewrites(move |body| {
            tokens.lock().unwrap().extend(body["access_token"].as_str().map(str::to_owned));
        }));
        bench.secret_file("dev.json", &bench.simulator.service_key());
        fs::create_dir(bench.path("schedules")).unwrap();
        bench.write("schedules/rules.toml", rules);
        bench.configure(MAIL_TO_FILES);
        bench
    }

    /// Writes `offhours.toml` with this `[mail]`, or whatever else comes after the connection.
    pub fn configure(&self, rest: &str) {
        self.write(
            "offhours.toml",
            &format!(
                "timezone = \"UTC\"\nschedules = \"schedules\"\nstate_dir = \"state\"\n\
                 [connection.dev]\nservice_key = \"dev.json\"\n{rest}"
            ),
        );
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A file of mode 600.
    pub fn secret_file(&self, name: &str, text: &str) {
        let path = self.path(name);
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// `offhours` with these arguments, in the bench's home and with nothing of the caller's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhours"));
        command.args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.home.path()).env("USER", "ada").env("PATH", "/usr/bin:/bin");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// Starts the daemon and waits until it is ready.
    pub fn daemon(&self) -> Daemon {
        let daemon = self.daemon_as(self.command(&["run"]));
        daemon.waits_for_log("offhours is ready");
        daemon
    }

    /// Starts `command` as the daemon, with its log in a file.
    pub fn daemon_as(&self, mut command: Command) -> Daemon {
        let log = self.path(&format!("log-{}", uuid::Uuid::now_v7().simple()));
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        Daemon { child: command.spawn().unwrap(), log }
    }

    /// Starts the daemon as the last argument of `wrapper`, in the same surroundings.
    pub fn daemon_within(&self, wrapper: &mut Command) -> Daemon {
        let mut command = Command::new(wrapper.get_program());
        command.args(wrapper.get_args()).args([env!("CARGO_BIN_EXE_offhours"), "run"]);
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.home.path()).env("USER", "ada").env("PATH", "/usr/bin:/bin");
        self.daemon_as(command)
    }

    /// Waits until the tenant was asked something that `wanted` accepts, `times` times.
    pub fn waits_for_request(&self, what: &str, times: usize, wanted: impl Fn(&Entry) -> bool) {
        waits_until(what, || self.simulator.journal().iter().filter(|entry| wanted(entry)).count() >= times);
    }

    pub fn waits_for_patch(&self) {
        self.waits_for_request("a PATCH", 1, Entry::is_patch);
    }

    /// From now on the tenant stops what it is asked to and reports none of it as STOPPED, until the simulator is healed.
    pub fn stays_stopping(&self) {
        self.simulator.inject(Fault::on("GET", "/deployments").always().rewrites(|body| {
            for deployment in body["resources"].as_array_mut().into_iter().flatten() {
                if deployment["status"] == "STOPPED" {
                    deployment["status"] = "STOPPING".into();
                }
            }
        }));
    }

    /// Ids in the order in which stops for them were asked for; an id asked for twice is there twice.
    pub fn asked(&self) -> Vec<String> {
        self.simulator.journal().iter().flat_map(Entry::patched_ids).collect()
    }

    /// The runs in the ledger.
    pub fn history(&self) -> Vec<Run> {
        let Ok(Some(ledger)) = Ledger::open_to_read(&self.state()) else { return Vec::new() };
        self.runtime.block_on(ledger.read(|tx| tx.history(&RunFilter::default()))).unwrap_or_default()
    }

    /// How many runs are under way.
    pub fn open_runs(&self) -> usize {
        let Ok(Some(ledger)) = Ledger::open_to_read(&self.state()) else { return 0 };
        self.runtime.block_on(ledger.read(|tx| tx.open_runs())).map_or(usize::MAX, |runs| runs.len())
    }

    /// Sets the ledger back, as if no daemon had run since `after`.
    pub fn was_dealt_with_until(&self, after: DateTime<Utc>) {
        let ledger = Ledger::open(&self.state()).unwrap();
        let set_back = ledger.write(move |tx| {
            let cursors = tx.cursors()?;
            cursors.into_iter().try_for_each(|(rule, cursor)| tx.move_cursor(&rule, &Cursor { after, ..cursor }))
        });
        self.runtime.block_on(set_back).unwrap();
    }

    /// The mails in the ledger.
    pub fn mails(&self) -> Vec<QueuedMail> {
        let Ok(Some(ledger)) = Ledger::open_to_read(&self.state()) else { return Vec::new() };
        self.runtime.block_on(ledger.read(|tx| tx.outbox(DateTime::UNIX_EPOCH))).unwrap_or_default()
    }

    /// Waits until a run has come to an end and its mails have left, and gives it.
    pub fn waits_for_run(&self) -> Run {
        let mut found = None;
        waits_until("a concluded run and its mail", || {
            found = self.history().into_iter().find(|run| run.result.as_str() != "interrupted");
            let sent = self.mails().iter().filter(|mail| mail.done_at.is_some()).count();
            found.is_some() && sent > 0 && sent == self.mails().len()
        });
        found.unwrap()
    }

    /// Contents of the mails that were written.
    pub fn outbox(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.path("outbox")) else { return Vec::new() };
        let paths = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "eml"));
        paths.map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
    }

    /// What must hold after every test: nothing was asked for that breaks SAP's description, no deployment that was
    /// STOPPING or STOPPED was asked to stop, and no secret stands in any file but its own.
    pub fn judge(&self) {
        assert_eq!(self.simulator.violations(), []);
        self.no_secret_in_files();
    }

    /// Every secret of this bench: the client's, each token, and what the test adds.
    pub fn secrets(&self) -> Vec<String> {
        let key: Value = serde_json::from_str(&self.simulator.service_key()).unwrap();
        let mut secrets = vec![key["clientsecret"].as_str().unwrap().to_owned()];
        secrets.extend(self.tokens.lock().unwrap().iter().cloned());
        // As it is, and as AUTH PLAIN and AUTH LOGIN write it.
        secrets.extend([PASSWORD, AUTH_PLAIN, AUTH_LOGIN].map(str::to_owned));
        secrets
    }

    pub fn no_secret_in_files(&self) {
        let mut directories = vec![self.home.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path != self.path("dev.json") && path != self.path("smtp-password") {
                    let Ok(bytes) = fs::read(&path) else { continue };
                    self.no_secret_in(&path.display().to_string(), &bytes);
                }
            }
        }
    }

    pub fn no_secret_in(&self, what: &str, bytes: &[u8]) {
        for secret in self.secrets() {
            assert!(!contains(bytes, secret.as_bytes()), "{what} holds a secret");
        }
    }
}

pub fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A running daemon. Dropped, it is killed.
pub struct Daemon {
    pub child: Child,
    pub log: PathBuf,
}

impl Daemon {
    pub fn log(&self) -> String {
        let mut text = String::new();
        fs::File::open(&self.log).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[track_caller]
    pub fn waits_for_log(&self, text: &str) {
        let started = Instant::now();
        while !self.log().contains(text) {
            assert!(started.elapsed() < PATIENCE, "`{text}` never came; the log:\n{}", self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// kill -9, and nothing of it is left.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its end.
    #[track_caller]
    pub fn ends(mut self) -> ExitStatus {
        self.signal("TERM");
        self.waits_for_end()
    }

    #[track_caller]
    pub fn waits_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        waits_until("the end of the daemon", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until it is so.
#[track_caller]
pub fn waits_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// `[mail]` into files.
pub const MAIL_TO_FILES: &str =
    "[mail]\nfrom = \"offhours@example.com\"\nto = [\"a@example.com\"]\ndirectory = \"outbox\"\n";

/// `[mail]` to a server on this port of the loopback, with a login whose password is [`PASSWORD`].
pub fn mail_to(port: u16) -> String {
    format!(
        "[mail]\nfrom = \"offhours@example.com\"\nto = [\"a@example.com\"]\nsmtp = \"smtp://127.0.0.1:{port}\"\n\
         username = \"offhours\"\npassword_file = \"smtp-password\"\n"
    )
}

/// The password of the mail server.
pub const PASSWORD: &str = "canary-7f3a9b-smtp";
/// Base64 of NUL, `offhours`, NUL, the password.
pub const AUTH_PLAIN: &str = "AG9mZmhvdXJzAGNhbmFyeS03ZjNhOWItc210cA==";
const AUTH_LOGIN: &str = "Y2FuYXJ5LTdmM2E5Yi1zbXRw";

/// Waits for another second to begin: a rule is fired at most once in each.
pub fn another_second() {
    let this = now().timestamp();
    waits_until("another second", || now().timestamp() > this);
}

/// A fleet of `count` deployments in `dev-a` that take half a second to stop.
pub fn fleet(count: usize) -> Fleet {
    Fleet::new()
        .group("dev-a")
        .running_many("d", count, "infer.s")
        .each(|spec| spec.stop_after = TimeDelta::milliseconds(500))
}

/// A rule that fires once, two seconds from now.
pub fn fires_soon(name: &str) -> String {
    fires_at(name, now() + TimeDelta::seconds(2))
}

/// A rule that fires once a year, at this instant.
pub fn fires_at(name: &str, at: DateTime<Utc>) -> String {
    rule(name, &at.format("%-S %-M %-H %-d %-m *").to_string())
}

/// A rule that fires by `stop`; its off window lasts until the year ends.
pub fn rule(name: &str, stop: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nstop = \"{stop}\"\nuntil = \"0 0 1 1 *\"\n[rule.select]\nresource_groups = [\"dev-*\"]\n"
    )
}

/// A rule that fires at no time a test would see.
pub fn idle_rule(name: &str) -> String {
    fires_at(name, now() + TimeDelta::days(20))
}

pub fn now() -> DateTime<Utc> {
    Clock::System.now()
}

/// Names of the files in `directory`.
pub fn names(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}
