//! What `check --online` sees: of each tenant, of what each rule matches there, and of the mail server. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::aicore::{Error, Options, Reader, ServiceKey};
use crate::cli::exit::CommandError;
use crate::cli::session::Session;
use crate::config::{Config, Connection};
use crate::domain::coverage::{Coverage, ExclusionPattern, full_key};
use crate::domain::deployment::Group;
use crate::domain::hold::{Hold, OptOut, opt_out};
use crate::domain::id::{ConnectionName, RuleName};
use crate::domain::instant::rfc3339;
use crate::domain::money::Charge;
use crate::domain::plain_text::shorten;
use crate::domain::plan::{Decision, DecisionContext};
use crate::domain::plural::noun;
use crate::domain::rule::Rule;
use crate::executor::survey::Surveyor;
use crate::ledger::Ledger;
use crate::mail::settings::{Delivery, Security};
use crate::mail::transport::SmtpSession;

/// Lists asked for at once.
const LISTS_AT_ONCE: usize = 32;
/// The most of an answer that is shown.
const LONGEST_ANSWER: usize = 200;

/// All that was seen.
#[derive(Default)]
pub(crate) struct Sight {
    tenants: Vec<TenantSight>,
    rules: BTreeMap<RuleName, RuleSight>,
    mail: Option<MailSight>,
    /// What is odd, and about which rule.
    pub(crate) warnings: Vec<(Option<RuleName>, String)>,
}

struct TenantSight {
    connection: ConnectionName,
    token_host: String,
    api_host: String,
    /// None where this key may not list them.
    groups: Option<usize>,
    bulk: bool,
}
#[derive(Default)]
struct RuleSight {
    matches: usize,
    would_stop: usize,
}

struct MailSight {
    place: String,
    login: Option<String>,
    /// Why a mail could not be given to it.
    error: Option<String>,
}

/// Looks at every connection, every rule and the mail server.
pub(crate) async fn look(session: &Session, config: &Config, now: DateTime<Utc>) -> Result<Sight, CommandError> {
    let mut sight = Sight::default();
    let holds = Ledger::read_where_it_is(&config.state_dir, move |tx| tx.holds(now)).await?;
    let mut protects = Coverage::of(&config.protect);
    let mut judged = Judged { groups: true, deployments: true };
    let mut all_groups = Vec::new();
    for connection in config.connections.values() {
        let (reader, groups) = sight.look_at_tenant(session, connection).await?;
        let known = groups.as_deref().unwrap_or_default();
        sight.doubtful_labels(known, now);
        judged.meet(&reader, groups.as_deref(), &mut protects).await;
        for rule in config.rules.iter().filter(|rule| rule.connection == connection.name) {
            let seen = Seen { reader: &reader, groups: groups.as_deref(), holds: &holds, now };
            sight.look_at_rule(session, config, rule, &seen).await?;
        }
        all_groups.extend(groups.unwrap_or_default());
    }
    let idle: Vec<ExclusionPattern<'_>> = protects.idle().filter(|pattern| judged.can_judge(pattern)).collect();
    for pattern in idle {
        let hint = label_hint(&pattern, &all_groups);
        sight.warn(None, format!("`[protect]`: {pattern} covers nothing on this tenant, so it protects nothing{hint}"));
    }
    sight.mail = look_at_mail(config).await;
    let failed = sight.mail.as_ref().and_then(|mail| Some((mail.place.clone(), mail.error.clone()?)));
    if let Some((place, error)) = failed {
        sight.warn(None, format!("mail: {place}: {error}"));
    }
    Ok(sight)
}

/// What one tenant and the ledger have shown so far.
struct Seen<'a> {
    reader: &'a Reader,
    groups: Option<&'a [Group]>,
    holds: &'a [Hold],
    now: DateTime<Utc>,
}

/// Whether all groups, and all deployments, have been seen.
struct Judged {
    groups: bool,
    deployments: bool,
}

impl Judged {
    async fn meet(&mut self, reader: &Reader, groups: Option<&[Group]>, protects: &mut Coverage<'_>) {
        let Some(groups) = groups else {
            *self = Self { groups: false, deployments: false };
            return;
        };
        for group in groups {
            protects.meet_group(group);
        }
        if !protects.needs_deployments() {
            return;
        }
        let mut lists = futures_util::stream::iter(groups)
            .map(|group| async { reader.deployments(&group.id, None).await })
            .buffer_unordered(LISTS_AT_ONCE);
        while let Some(listing) = lists.next().await {
            match listing {
                Ok(listing) => listing.deployments.iter().for_each(|deployment| protects.meet(deployment)),
                Err(_) => self.deployments = false,
            }
        }
    }

    fn can_judge(&self, pattern: &ExclusionPattern<'_>) -> bool {
        if pattern.is_of_group() { self.groups } else { self.deployments }
    }
}

impl Sight {
    fn warn(&mut self, rule: Option<&RuleName>, message: String) {
        self.warnings.push((rule.cloned(), message));
    }

    async fn look_at_tenant(
        &mut self,
        session: &Session,
        connection: &Connection,
    ) -> Result<(Reader, Option<Vec<Group>>), CommandError> {
        let options = Options { clock: session.clock.clone(), ..Options::default() };
        let reader = Reader::connect(connection.key.clone(), options)?;
        let key = ServiceKey::load(&connection.key).map_err(Error::from)?;
        let groups = match reader.groups().await {
            Ok(groups) => Some(groups),
            Err(Error::Forbidden { .. } | Error::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        self.tenants.push(TenantSight {
            connection: connection.name.clone(),
            token_host: key.token_host().to_owned(),
            api_host: key.api_host().to_owned(),
            groups: groups.as_ref().map(Vec::len),
            bulk: reader.can_stop_in_bulk().await?,
        });
        Ok((reader, groups))
    }

    /// Groups whose labels are not understood: they are left, and whoever labelled them should know what to write.
    fn doubtful_labels(&mut self, groups: &[Group], now: DateTime<Utc>) {
        for group in groups {
            if let Some(label) = opt_out(group, now).filter(OptOut::is_doubt) {
                self.warn(None, format!("resource group `{}` is left: its label {}", group.id, label.say(&rfc3339)));
            }
        }
    }

    async fn look_at_rule(
        &mut self,
        session: &Session,
        config: &Config,
        rule: &Rule,
        seen: &Seen<'_>,
    ) -> Result<(), CommandError> {
        let Config { protect, prices, .. } = config;
        let decisions = DecisionContext { rule, protect, holds: seen.holds, scheduled: seen.now, now: seen.now };
        let surveyor = Surveyor { reader: seen.reader, clock: &session.clock, prices, decisions };
        let mut excludes = Coverage::of(&rule.exclude);
        seen.groups.into_iter().flatten().for_each(|group| excludes.meet_group(group));
        let (mut sight, mut unpriced) = (RuleSight::default(), BTreeSet::new());
        let survey = surveyor.survey(|surveyed| {
            for planned in &surveyed.planned {
                excludes.meet(&planned.deployment);
                if rule.select.mismatch(&surveyed.group, &planned.deployment).is_some() {
                    continue;
                }
                sight.matches += 1;
                sight.would_stop += usize::from(planned.decision == Decision::Stop);
                if let Charge::Unpriced { plan } = &planned.rate.charge {
                    unpriced.insert(plan.clone());
                }
            }
        });
        let gaps = survey.await?;
        let name = Some(&rule.name);
        if sight.matches == 0 {
            self.warn(name, "matches no deployment now".to_owned());
        }
        if sight.would_stop > usize::try_from(rule.max_stops).unwrap_or(usize::MAX) {
            let (stops, most) = (sight.would_stop, rule.max_stops);
            self.warn(
                name,
                format!("would stop {stops} now, and max_stops = {most}: such a run is `blocked` and stops nothing"),
            );
        }
        for (group, error) in &gaps.failed {
            self.warn(name, format!("resource group `{}` could not be listed: {error}", group.id));
        }
        for plan in unpriced {
            self.warn(name, format!("no price for `{plan}`: its node hours are shown without money"));
        }
        let judged = Judged { groups: seen.groups.is_some(), deployments: gaps.failed.is_empty() };
        self.idle_patterns(rule, seen.groups.unwrap_or_default(), &excludes, &judged);
        self.rules.insert(rule.name.clone(), sight);
        Ok(())
    }

    /// Patterns of a rule that mean nothing on this tenant.
    fn idle_patterns(&mut self, rule: &Rule, groups: &[Group], excludes: &Coverage<'_>, judged: &Judged) {
        for pattern in excludes.idle().filter(|pattern| judged.can_judge(pattern)) {
            let hint = label_hint(&pattern, groups);
            let whose = if pattern.is_of_group() { "on this tenant" } else { "in the rule's resource groups" };
            self.warn(Some(&rule.name), format!("`[rule.exclude]`: {pattern} covers nothing {whose}{hint}"));
        }
        if !judged.groups {
            return;
        }
        for glob in &rule.select.resource_groups {
            if !groups.iter().any(|group| glob.matches(group.id.as_str())) {
                self.warn(Some(&rule.name), format!("`[rule.select]`: no resource group is called `{glob}`"));
            }
        }
        for (key, value) in &rule.select.labels {
            if !groups.iter().any(|group| group.labels.get(key) == Some(value)) {
                let pattern = ExclusionPattern::Label(key, value);
                let hint = label_hint(&pattern, groups);
                self.warn(Some(&rule.name), format!("`[rule.select]`: no resource group has the {pattern}{hint}"));
            }
        }
    }

    /// True where a mail could not be sent now.
    pub(crate) fn mail_failed(&self) -> bool {
        self.mail.as_ref().is_some_and(|mail| mail.error.is_some())
    }

    /// What `rule` comes to now, in a line.
    pub(crate) fn line_of(&self, rule: &RuleName) -> Option<String> {
        let RuleSight { matches, would_stop } = self.rules.get(rule)?;
        let noun = noun(*matches, "deployment");
        Some(format!("matches {matches} {noun} now, and would stop {would_stop}"))
    }

    /// A line for each tenant, and one for the mail server.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.tenants.iter().map(TenantSight::line).collect();
        lines.extend(self.mail.iter().filter_map(MailSight::line));
        lines
    }

    pub(crate) fn json(&self) -> Value {
        let tenants = self.tenants.iter().map(|tenant| {
            json!({
                "connection": tenant.connection.as_str(), "token_host": tenant.token_host, "api_host": tenant.api_host,
                "resource_groups": tenant.groups, "bulk": tenant.bulk,
            })
        });
        let rules = self.rules.iter().map(
            |(rule, sight)| json!({ "rule": rule.as_str(), "matches": sight.matches, "would_stop": sight.would_stop }),
        );
        let mail = self.mail.as_ref().map(|mail| {
            json!({ "place": mail.place, "login": mail.login, "accepted": mail.error.is_none(), "error": mail.error })
        });
        json!({ "connections": tenants.collect::<Vec<_>>(), "rules": rules.collect::<Vec<_>>(), "mail": mail })
    }
}

impl TenantSight {
    fn line(&self) -> String {
        let Self { connection, token_host, api_host, groups, bulk } = self;
        let groups = match groups {
            Some(1) => "1 resource group".to_owned(),
            Some(count) => format!("{count} resource groups"),
            None => "resource groups and their labels cannot be listed with this key".to_owned(),
        };
        let stops = if *bulk { "takes stops in bulk" } else { "takes stops one by one" };
        let hosts = if token_host == api_host { token_host.clone() } else { format!("{token_host} and {api_host}") };
        format!("connection {connection}: key accepted by {hosts}; {groups}; {stops}")
    }
}

impl MailSight {
    /// None where it failed: that is a warning.
    fn line(&self) -> Option<String> {
        let login = self.login.as_ref().map_or_else(String::new, |user| format!(", and accepts the login of `{user}`"));
        self.error.is_none().then(|| format!("mail: {} answers{login}; no mail was sent", self.place))
    }
}

/// Greets the mail server, logs in where that is set, and takes its leave.
async fn look_at_mail(config: &Config) -> Option<MailSight> {
    let Delivery::Smtp(server) = &config.mail.as_ref()?.delivery else { return None };
    let how = match server.security {
        Security::Tls => "over TLS",
        Security::StartTls => "over STARTTLS",
        Security::None => "in clear on this machine",
    };
    let error = match SmtpSession::open(server).await {
        Ok(conversation) => {
            conversation.close().await;
            None
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            Some(shorten(&format!("{error}{cause}"), LONGEST_ANSWER))
        }
    };
    let login = server.login.as_ref().map(|login| login.username.clone());
    Some(MailSight { place: format!("{}:{} {how}", server.host, server.port), login, error })
}

/// The key that was probably meant, where it was written without its prefix.
fn label_hint(pattern: &ExclusionPattern<'_>, groups: &[Group]) -> String {
    let ExclusionPattern::Label(key, _) = pattern else { return String::new() };
    full_key(groups, key).map_or_else(String::new, |full| format!("; groups carry `{}`: write that", shorten(full, 80)))
}
