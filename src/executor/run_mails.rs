//! From a result to mails in the outbox: who is told, and in which words.

use chrono::{DateTime, Utc};
use tracing::error;

use crate::config::{Config, OnDisk};
use crate::domain::calendar_end::{CalendarEnd, calendar_ends};
use crate::domain::earlier::Precedents;
use crate::domain::rule::{MailWhen, Rule};
use crate::domain::run::Run;
use crate::domain::zone::Zone;
use crate::ledger::outbox::{Letter, NewMail};
use crate::mail::message::{self, Attachment, MailBody, MailError};
use crate::mail::settings::{Address, MailSettings};
use crate::report::{Content, Observed, ReportContext};

/// What the mails of a run tell of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) run: &'a Run,
    /// What earlier runs say about it.
    pub(crate) precedents: &'a Precedents,
    /// What a rule that has observed for a week would have done in it.
    pub(crate) observed: Option<&'a Observed>,
    /// False where the run did what the rule's run before did; asked of rules with `mail = "changes"`.
    pub(crate) is_news: bool,
    /// How the files compare with the configuration in force.
    pub(crate) on_disk: &'a OnDisk,
}

/// The mails of one run, one per recipient; none where the rule or the configuration wants none.
pub(crate) fn run_mails(config: &Config, rule: Option<&Rule>, told: Told<'_>, now: DateTime<Utc>) -> Vec<NewMail> {
    let Told { run, precedents, observed, on_disk, .. } = told;
    let needs: Vec<String> = not_in_force(on_disk, &config.command).into_iter().collect();
    let wanted = match rule.map_or(MailWhen::Always, |rule| rule.mail) {
        MailWhen::Always => true,
        MailWhen::Changes => told.is_news || run.needs_action() || !needs.is_empty(),
        MailWhen::Problems => run.needs_action() || !needs.is_empty(),
        MailWhen::Never => false,
    };
    let Some(settings) = config.mail.as_ref().filter(|_| wanted) else { return Vec::new() };
    let zone = rule.map(|rule| &rule.schedule.zone).or(config.zone.as_ref()).cloned().unwrap_or_else(Zone::utc);
    let notes: Vec<String> = calendar_ends(rule, now).iter().map(CalendarEnd::sentence).collect();
    let context = ReportContext::new(settings.locale, &zone, now);
    let context = ReportContext {
        command: &config.command,
        needs: &needs,
        notes: &notes,
        precedents: Some(precedents),
        observed,
        ..context
    };
    let content = crate::report::run_report(run, &context);
    let own = rule.map_or(&[][..], |rule| &rule.to);
    mails(settings, &recipients(settings, own), &content, now)
}

/// What is to be done where the files are not what offhours goes by: somebody may have written down there what is to be kept
/// on.
pub(crate) fn not_in_force(on_disk: &OnDisk, command: &str) -> Option<String> {
    let why = match on_disk {
        OnDisk::Same => return None,
        OnDisk::Another(path) => {
            return Some(format!(
                "The daemon uses another configuration, `{}`, and both share this ledger: no rule of this one fires. Give \
                 it its own `state_dir`.",
                path.display()
            ));
        }
        OnDisk::Changed => format!(
            "it was changed and not read since. `systemctl reload offhours` (or SIGHUP) reads it, `{command} check` says \
             whether it can be read"
        ),
        OnDisk::Faulty(1, first) => format!("it has a fault: {first}. Correct it, run `{command} check`, then reload"),
        OnDisk::Faulty(count, first) => {
            format!("it has {count} faults, the first: {first}. Correct them, run `{command} check`, then reload")
        }
    };
    Some(format!("The configuration on disk is not the one in force: {why}."))
}

/// The recipients of `[mail]` and those of a rule, each once.
pub(crate) fn recipients(settings: &MailSettings, own: &[String]) -> Vec<Address> {
    let own = own.iter().filter_map(|text| Address::parse(text).ok());
    let mut all: Vec<Address> = Vec::new();
    for address in settings.to.iter().cloned().chain(own) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// `content` as one mail per recipient: rendered once, and shared by all of them.
pub fn mails(settings: &MailSettings, to: &[Address], content: &Content, now: DateTime<Utc>) -> Vec<NewMail> {
    let letter = match letter(settings, content, now) {
        Ok(letter) => letter,
        Err(failure) => {
            // The run is recorded all the same; a mail that cannot be made must not undo that.
            error!(error = &failure as &dyn std::error::Error, "the mail `{}` could not be made", content.subject);
            return Vec::new();
        }
    };
    let addressed = |recipient: &Address| {
        let message_id = format!("<{}@offhours.invalid>", uuid::Uuid::new_v4().simple());
        let (subject, letter) = (content.subject.clone(), letter.clone());
        match message::head(recipient, &message_id) {
            Ok(head) => {
                let recipient = recipient.as_str().to_owned();
                Some(NewMail { subject, recipient, message_id, head, letter, useless_from: None })
            }
            Err(failure) => {
                error!(error = &failure as &dyn std::error::Error, "the mail to {recipient} could not be made");
                None
            }
        }
    };
    to.iter().filter_map(addressed).collect()
}

fn letter(settings: &MailSettings, content: &Content, now: DateTime<Utc>) -> Result<Letter, MailError> {
    let attachments: Vec<Attachment<'_>> = content
        .attachments
        .iter()
        .map(|file| Attachment { name: &file.name, content_type: &file.content_type, bytes: &file.bytes })
        .collect();
    let body =
        MailBody { subject: &content.subject, text: &content.text, html: &content.html, attachments: &attachments };
    let id = uuid::Uuid::new_v4().simple().to_string();
    let bytes = message::letter(&settings.from, &body, now, &id)?.into();
    Ok(Letter { id, bytes })
}
