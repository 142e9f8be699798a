//! `offhours init`: a configuration to begin with, made of what the tenant shows. It reads the tenant, writes files that were
//! not there, and makes no ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use crate::aicore::{KeySource, Options, Reader};
use crate::cli::args::{Check, Init};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::init_files::{FoundTenant, KeyPlace, main_file, rule_file};
use crate::cli::session::Session;
use crate::cli::{check, output};
use crate::config::{self, FileKind};
use crate::domain::money::InstanceTypes;

/// Where the service's configuration is.
const SERVICE: &str = "/etc/offhours";
/// The names under which the unit gives the service its secrets.
const SERVICE_KEY: &str = "service-key.json";
const SMTP_PASSWORD: &str = "smtp-password";

struct NewFile {
    path: PathBuf,
    text: String,
    mode: u32,
}

pub(crate) async fn init(session: &Session, args: &Init) -> Result<Exit, CommandError> {
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None if args.systemd => PathBuf::from(SERVICE),
        None => PathBuf::new(),
    };
    let source = args.key.as_ref().map_or(KeySource::Ambient, KeySource::file);
    let tenant = look(session, source.clone()).await?;
    let files = files(&directory, args, &source, &tenant)?;
    if let Some(there) = files.iter().find(|file| file.path.symlink_metadata().is_ok()) {
        return Err(CommandError::Usage {
            message: format!("`{}` is there already, and nothing was written", there.path.display()),
            hint: Some("move it away, or name another directory with `--directory`".to_owned()),
        });
    }
    for file in &files {
        file.write().map_err(CommandError::io(format!("cannot write `{}`", file.path.display())))?;
    }
    output::print(&said(&files, &tenant))?;
    let main = files[0].path.clone();
    // The unit alone has the service's secrets.
    let look = Check { online: !args.systemd, no_secrets: args.systemd, strict: false };
    let own = Session { config: Some(main.clone()), json: false, clock: session.clock.clone() };
    let ended = check::check(&own, &look).await?;
    output::print(&next_steps(args, &main))?;
    Ok(ended)
}

/// Reads what the tenant has: groups, how much runs in them, and on which plans.
async fn look(session: &Session, source: KeySource) -> Result<FoundTenant, CommandError> {
    let options = Options { clock: session.clock.clone(), ..Options::default() };
    let reader = Reader::connect(source, options)?;
    let mut running = BTreeMap::new();
    let mut plans = BTreeSet::new();
    for group in reader.groups().await? {
        let listing = reader.deployments(&group.id, None).await?;
        let deployments = listing.deployments.iter().filter(|deployment| deployment.status.can_be_stopped());
        let mut count = 0;
        for deployment in deployments {
            count += 1;
            plans.extend(deployment.nodes.iter().filter(|nodes| nodes.count > 0).map(|nodes| nodes.plan.clone()));
        }
        running.insert(group.id, count);
    }
    let types: InstanceTypes = reader.instance_types().await.unwrap_or_default();
    plans.retain(|plan| !types.contains_key(plan));
    Ok(FoundTenant { running, plans })
}

/// What is to be written; offhours.toml first.
fn files(
    directory: &Path,
    args: &Init,
    source: &KeySource,
    tenant: &FoundTenant,
) -> Result<Vec<NewFile>, CommandError> {
    let path = |name: &str| directory.join(name);
    let key = match (&args.key, args.systemd) {
        (_, true) => KeyPlace::Credential,
        (Some(key), false) => KeyPlace::File(as_seen_from(directory, key)),
        (None, false) => KeyPlace::Ambient,
    };
    let mut files = vec![
        NewFile { path: path("offhours.toml"), text: main_file(&key, tenant), mode: 0o644 },
        NewFile { path: path("schedules/first.toml"), text: rule_file(tenant), mode: 0o644 },
    ];
    for (name, kind) in [("schema/offhours.json", FileKind::Main), ("schema/rules.json", FileKind::Rules)] {
        // In a clone of the repository, or after an installation, they are there already.
        if path(name).symlink_metadata().is_err() {
            files.push(NewFile { path: path(name), text: format!("{:#}\n", config::schema(kind)), mode: 0o644 });
        }
    }
    if args.systemd {
        let KeySource::Secret(secret) = source else {
            let hint = Some("the service reads a file: `offhours init --systemd --key dev.json`".to_owned());
            return Err(CommandError::Usage { message: "`--systemd` needs `--key`".to_owned(), hint });
        };
        let json = secret.read().map_err(|error| CommandError::Missing(error.to_string()))?;
        files.push(NewFile { path: path(SERVICE_KEY), text: json.expose_secret().to_owned(), mode: 0o600 });
        // The unit loads it, be it empty; without a file it would not start.
        files.push(NewFile { path: path(SMTP_PASSWORD), text: String::new(), mode: 0o600 });
    }
    Ok(files)
}

/// How a file in `directory` names `key`.
fn as_seen_from(directory: &Path, key: &Path) -> String {
    let here = |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() };
    let is_there = |parent: &Path| fs::canonicalize(here(parent)).ok() == fs::canonicalize(here(directory)).ok();
    let parent = key.parent().unwrap_or(Path::new(""));
    match key.file_name() {
        Some(name) if is_there(parent) => name.to_string_lossy().into_owned(),
        _ => std::path::absolute(key).unwrap_or_else(|_| key.to_owned()).display().to_string(),
    }
}

impl NewFile {
    fn write(&self) -> std::io::Result<()> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(self.mode).open(&self.path)?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()
    }
}

fn said(files: &[NewFile], tenant: &FoundTenant) -> String {
    let (groups, running) = (tenant.running.len(), tenant.running.values().sum::<usize>());
    let mut text = format!("The tenant has {groups} resource groups, in which {running} deployments run.\nWritten:\n");
    for file in files {
        let _ = writeln!(text, "  {}", file.path.display());
    }
    text + "\n"
}

fn next_steps(args: &Init, main: &Path) -> String {
    let path = main.display();
    if args.systemd {
        return format!(
            "\nNext: read `{path}` and the rule next to it, then\n  systemctl daemon-reload\n  offhoursctl check --online\n  \
             systemctl enable --now offhours\n"
        );
    }
    let config = if args.directory.is_some() { format!(" --config {path}") } else { String::new() };
    format!(
        "\nNext: read `{path}` and the rule next to it. The rule only observes: it stops nothing.\n  \
         offhours{config} plan\n  offhours{config} rehearse\n  offhours{config} run\n"
    )
}
