//! From a result to mails in the outbox: who is told, and in which words.

use chrono::{DateTime, Utc};
use tracing::error;

use crate::config::Config;
use crate::domain::rule::{MailWhen, Rule};
use crate::domain::run::Run;
use crate::domain::zone::Zone;
use crate::ledger::outbox::NewMail;
use crate::mail::message::{self, Attachment, Body};
use crate::mail::settings::{Address, Settings};
use crate::report::{Content, Context};

/// The mails of one run, one per recipient; none where the rule or the configuration wants none.
pub fn run_mails(config: &Config, rule: Option<&Rule>, run: &Run, now: DateTime<Utc>) -> Vec<NewMail> {
    let wanted = match rule.map_or(MailWhen::Always, |rule| rule.mail) {
        MailWhen::Always => true,
        MailWhen::Problems => run.needs_action(),
        MailWhen::Never => false,
    };
    let Some(settings) = config.mail.as_ref().filter(|_| wanted) else { return Vec::new() };
    let zone = rule.map(|rule| &rule.schedule.zone).or(config.zone.as_ref()).cloned().unwrap_or_else(Zone::utc);
    let content = crate::report::run_report(run, &Context::new(settings.locale, &zone, now));
    let own = rule.map_or(&[][..], |rule| &rule.to);
    mails(settings, &recipients(settings, own), &content, now)
}

/// The recipients of `[mail]` and those of a rule, each once.
pub fn recipients(settings: &Settings, own: &[String]) -> Vec<Address> {
    let own = own.iter().filter_map(|text| Address::parse(text).ok());
    let mut all: Vec<Address> = Vec::new();
    for address in settings.to.iter().cloned().chain(own) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// `content` as one mail per recipient, rendered once and for all.
pub fn mails(settings: &Settings, to: &[Address], content: &Content, now: DateTime<Utc>) -> Vec<NewMail> {
    let attachments: Vec<Attachment<'_>> = content
        .attachments
        .iter()
        .map(|file| Attachment { name: &file.name, content_type: &file.content_type, bytes: &file.bytes })
        .collect();
    let body = Body { subject: &content.subject, text: &content.text, html: &content.html, attachments: &attachments };
    let render = |recipient: &Address| {
        let message_id = format!("<{}@offhours.invalid>", uuid::Uuid::new_v4().simple());
        match message::render(&settings.from, recipient, &body, now, &message_id) {
            Ok(bytes) => Some(NewMail {
                subject: content.subject.clone(),
                recipient: recipient.as_str().to_owned(),
                message_id,
                bytes,
            }),
            Err(failure) => {
                // The run is recorded all the same; a mail that cannot be made must not undo that.
                error!(error = &failure as &dyn std::error::Error, "the mail to {recipient} could not be made");
                None
            }
        }
    };
    to.iter().filter_map(render).collect()
}
