//! `[mail]`: where mails go, from whom and to whom.

use serde_json::{Value as Json, json};
use url::{Host, Url};

use crate::config::key::{Typed, section};
use crate::config::name::{FilePath, Text};
use crate::config::reading::clip;
use crate::config::secrets::{
    CredentialName, NamedSecret, SecretFile, VariableName, exclude_each_other, inspect, named_secret,
};
use crate::config::section::Section;
use crate::config::value::{Node, Value};
use crate::domain::loopback::is_loopback;
use crate::domain::plain_text::has_control;
use crate::mail::settings::{Address, Delivery, Locale, Login, MailSettings, Security, Smtp};

/// The most recipients a list may name.
const MOST_RECIPIENTS: usize = 50;

section! {
    /// Where reports are mailed to. Without this section nothing is mailed.
    MailKeys {
        /// The server: `smtps://`, `smtp+starttls://`, or `smtp://` for loopback only. The port is the scheme's
        /// own, 465, 587 or 25, where the URL names none.
        smtp: SmtpUrl, Optional r#""smtps://mail.example.com""#;
        /// Instead of `smtp`: a directory into which mails are written as `.eml` files.
        directory: FilePath, Optional r#""outbox""#;
        /// The login's user, where the server wants a login.
        username: Text, Optional r#""offhours""#;
        /// File with the login's password, of mode 600.
        password_file: SecretFile, Optional r#""smtp-password""#;
        /// Name of the systemd credential that holds the password.
        password_credential: CredentialName, Optional r#""smtp-password""#;
        /// Name of the environment variable that holds the password.
        password_env: VariableName, Optional r#""SMTP_PASSWORD""#;
        /// The name that this machine gives itself to the server (EHLO): its full name, or its address in brackets. Needed
        /// where the server wants another one than the machine's own.
        hello: HelloName, Optional r#""reports.example.com""#;
        /// The sender.
        from: Address, Required r#""offhours <offhours@example.com>""#;
        /// Recipients of every mail; at most 50.
        to: Recipients, Required r#"["finops@example.com"]"#;
        /// In whose form dates and numbers are written; the words are English.
        formats: Locale, Default r#""en""#;
        /// The old name of `formats`.
        locale: Locale, Optional r#""de""#;
    }
    const SECRETS: &'static str = "name where the password is: `password_file = \"smtp-password\"` (a file of mode \
                                   600), `password_credential` or `password_env`";
}

/// Reads `[mail]`, and looks at its password.
pub(super) fn read(section: &Section<'_, MailKeys>) -> Option<MailSettings> {
    let login = login(section);
    let delivery = delivery(section, login);
    let from = section.need(|k| k.from);
    let to = section.need(|k| k.to);
    if section.has(|k| k.locale) {
        let message =
            "`locale` was renamed to `formats`: it sets how dates and numbers are written; the words are English";
        section.place_of(|k| k.locale).warn(message);
    }
    let locale = section.get(|k| k.formats).or_else(|| section.get(|k| k.locale)).unwrap_or_default();
    Some(MailSettings { delivery: delivery?, from: from?, to: to?.0, locale })
}

fn delivery(section: &Section<'_, MailKeys>, login: Option<Login>) -> Option<Delivery> {
    let smtp = section.get(|k| k.smtp);
    let directory = section.get(|k| k.directory);
    match (section.has(|k| k.smtp), section.has(|k| k.directory)) {
        (true, true) => {
            exclude_each_other("smtp", "directory", section.place_of(|k| k.directory));
            None
        }
        (false, false) => {
            let hint = "for example `smtp = \"smtps://mail.example.com\"`, or `directory = \"outbox\"` for files";
            section.place().fault(format!("neither `smtp` nor `directory` in {}", section.title()), hint);
            None
        }
        (true, false) => {
            let hello = section.get(|k| k.hello).map(|HelloName(name)| name);
            smtp.map(|SmtpUrl { security, host, port }| Delivery::Smtp(Smtp { security, host, port, login, hello }))
        }
        (false, true) => {
            if section.has(|k| k.username) {
                let message = "`username` has no effect with `directory`";
                section.place_of(|k| k.username).fault(message, "remove it and the password's key");
            }
            directory.map(|FilePath(path)| Delivery::Directory(path))
        }
    }
}

fn login(section: &Section<'_, MailKeys>) -> Option<Login> {
    let username = section.get(|k| k.username);
    let secret = named_secret(section, |k| k.password_file, |k| k.password_credential, |k| k.password_env);
    let Some(NamedSecret { key, place, source }) = secret else {
        if section.has(|k| k.username) {
            let hint = "name where it is: `password_file`, `password_credential` or `password_env`";
            section.place_of(|k| k.username).fault("`username` without a password", hint);
        }
        return None;
    };
    if !section.has(|k| k.username) {
        place.fault(format!("`{key}` without `username`"), "for example `username = \"offhours\"`");
    }
    let password = source?;
    inspect(key, place, &password);
    Some(Login { username: username?.0, password })
}

/// What stands after EHLO: a full host name, or an address in brackets.
pub(super) struct HelloName(String);

impl Typed for HelloName {
    const WHAT: &'static str = "a host name in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|\[[0-9A-Za-z.:]+\])$" })
    }
}

impl Value for HelloName {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_name = text.contains('.') && text.split('.').all(is_label);
        let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_address = address.is_some_and(|address| {
            address.strip_prefix("IPv6:").unwrap_or(address).parse::<std::net::IpAddr>().is_ok()
        });
        if is_name || is_address {
            return Some(Self(text.to_owned()));
        }
        node.refuse("`hello` is neither a full host name nor an address in brackets".to_owned())
    }
}

pub(super) struct SmtpUrl {
    security: Security,
    host: String,
    port: u16,
}

impl Typed for SmtpUrl {
    const WHAT: &'static str = "a URL in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^(smtps|smtp\+starttls|smtp)://[^/@?#]+/?$" })
    }
}

impl Value for SmtpUrl {
    fn read(node: Node<'_>) -> Option<Self> {
        // Messages show at most the host: somebody may have written a login into the URL.
        let Ok(url) = Url::parse(node.text(Self::WHAT)?) else {
            return node.refuse(format!("`{}` is not a valid URL", node.key));
        };
        if !url.username().is_empty() || url.password().is_some() {
            let hint = "write `username` and `password_file` instead, and change the password";
            return node.refuse_with(format!("the URL of `{}` contains a login", node.key), hint);
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return node.refuse(format!("`{}` has more than scheme, host and port", node.key));
        }
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp+starttls" => (Security::StartTls, 587),
            "smtp" => (Security::None, 25),
            _ => {
                let message = format!("the scheme of `{}` is unknown", node.key);
                return node
                    .refuse_with(message, "allowed are `smtps://`, `smtp+starttls://`, and `smtp://` for loopback");
            }
        };
        let port = url.port().unwrap_or(port);
        let host = url.host_str().unwrap_or("").trim_matches(['[', ']']);
        let Ok(parsed) = Host::parse(url.host_str().unwrap_or("")) else {
            return node.refuse(format!("`{}` names no host", node.key));
        };
        if port == 0 {
            return node.refuse(format!("`{}` names port 0", node.key));
        }
        if security == Security::None && !is_loopback(&parsed.to_string()) {
            let shown = clip(host);
            let message = format!("`smtp://` sends in clear, and `{shown}` is not this machine");
            return node.refuse_with(message, format!("write `smtps://{shown}` or `smtp+starttls://{shown}`"));
        }
        Some(Self { security, host: host.to_owned(), port })
    }
}

impl Typed for Address {
    const WHAT: &'static str = "a mail address in quotes";

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^[^\r\n]*@[^\r\n]+$" })
    }
}

impl Value for Address {
    fn read(node: Node<'_>) -> Option<Self> {
        let text = node.text(Self::WHAT)?;
        if has_control(text) {
            let message = format!("`{}` holds a line end or another control character", clip(text));
            return node.refuse_with(message, "write each mail address on one line, and several as a list");
        }
        let hint = "write `name@example.com` or `Name <name@example.com>`";
        Self::parse(text)
            .map_or_else(|_| node.refuse_with(format!("`{}` is not a valid mail address", clip(text)), hint), Some)
    }
}

/// Mail addresses: at least one, at most [`MOST_RECIPIENTS`].
pub(super) struct Recipients(pub(super) Vec<Address>);

impl Typed for Recipients {
    const WHAT: &'static str = "a list of mail addresses";

    fn schema() -> Json {
        json!({ "type": "array", "items": Address::schema(), "minItems": 1, "maxItems": MOST_RECIPIENTS })
    }
}

impl Value for Recipients {
    fn read(node: Node<'_>) -> Option<Self> {
        let items = node.items(Self::WHAT)?;
        let count = items.len();
        if count > MOST_RECIPIENTS {
            let message = format!("`{}` names {count} recipients, and {MOST_RECIPIENTS} are allowed", node.key);
            return node.refuse_with(message, "use a mailing list's address");
        }
        let read: Vec<Address> = items.into_iter().filter_map(Address::read).collect();
        (read.len() == count).then_some(Self(read))
    }
}
