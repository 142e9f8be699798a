//! Why a server did not let us log in: its codes and what it offers. Never its words, which may repeat the password.

use std::fmt;

/// An enhanced status code (RFC 3463): `5.7.139`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced(pub(crate) u16, pub u16, pub u16);

impl Enhanced {
    /// The one at the beginning of a server's text.
    pub(super) fn of(text: &str) -> Option<Self> {
        let word = text.split_whitespace().next()?;
        let mut numbers = word.split('.').map(str::parse::<u16>);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(class)), Some(Ok(subject)), Some(Ok(detail)), None) if matches!(class, 2 | 4 | 5) => {
                Some(Self(class, subject, detail))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A way to log in, as the server offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    Nothing,
    /// `XOAUTH2` only.
    OnlyXoauth2,
}

/// A login that did not come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginFailure {
    /// The reply's code, where the server was asked.
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    /// What the server offers, where it offers no way that offhours knows.
    pub offered: Option<Offered>,
    /// False where `[mail]` names no login.
    pub has_login: bool,
}

impl fmt::Display for LoginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offered {
            Some(Offered::OnlyXoauth2) => {
                return f.write_str(
                    "the login is not possible: the server offers only XOAUTH2, and offhours logs in with PLAIN or LOGIN. \
                     Use a relay that takes a password, or one that takes mails of this machine without a login",
                );
            }
            Some(Offered::Nothing) => {
                return f.write_str(
                    "the login is not possible: the server offers none on this port. Try its submission port, with \
                     `smtps://` (465) or `smtp+starttls://` (587), or remove `username` where it wants no login",
                );
            }
            None => {}
        }
        f.write_str(if self.has_login { "the login was refused" } else { "the server wants a login" })?;
        if let Some(code) = self.code {
            write!(f, " ({code}")?;
            self.enhanced.iter().try_for_each(|enhanced| write!(f, " {enhanced}"))?;
            f.write_str(")")?;
        }
        write!(f, ": {}", self.meaning())
    }
}

impl LoginFailure {
    /// What to do about it. RFC 3463 and RFC 4954, and what Microsoft and Google make of them.
    fn meaning(&self) -> &'static str {
        match (self.code, self.enhanced) {
            _ if !self.has_login => "name `username` and where its password is in `[mail]`",
            (_, Some(Enhanced(5, 7, 139 | 57))) => {
                "Microsoft 365 has switched off logins with a password for this mailbox or for all: an administrator \
                 can allow authenticated SMTP for it; else use another relay"
            }
            (Some(534), _) | (_, Some(Enhanced(5, 7, 9))) => {
                "this account takes no plain password here: make an app password, or use another account"
            }
            (_, Some(Enhanced(5, 7, 3))) => "the server does not take this way to log in for this account",
            _ => "user name or password is not the right one, or this account may not send",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Enhanced, LoginFailure, Offered};

    fn refused(code: u16, text: &str) -> String {
        let enhanced = Enhanced::of(text);
        LoginFailure { code: Some(code), enhanced, offered: None, has_login: true }.to_string()
    }

    #[test]
    fn e31_a_refused_login_is_explained_by_its_codes_and_never_by_the_servers_words() {
        let said = refused(535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled: hunter2");
        assert!(said.starts_with("the login was refused (535 5.7.139): Microsoft 365 has switched off"), "{said}");
        assert!(!said.contains("hunter2"));
        assert!(refused(535, "5.7.8 Error").contains("(535 5.7.8): user name or password"));
        assert!(refused(535, "hunter2 is wrong").starts_with("the login was refused (535): user name or password"));
        assert!(refused(534, "5.7.9 Application-specific password required").contains("app password"));
    }

    #[test]
    fn e31_what_a_server_offers_and_what_is_missing_is_said() {
        let failure = LoginFailure { code: None, enhanced: None, offered: Some(Offered::OnlyXoauth2), has_login: true };
        assert!(failure.to_string().contains("offers only XOAUTH2"));
        let failure = LoginFailure { offered: Some(Offered::Nothing), ..failure };
        assert!(failure.to_string().contains("offers none on this port"));
        let failure = LoginFailure { code: Some(530), offered: None, has_login: false, ..failure };
        assert_eq!(
            failure.to_string(),
            "the server wants a login (530): name `username` and where its password is in `[mail]`"
        );
    }

    #[test]
    fn an_enhanced_code_is_three_numbers_at_the_beginning() {
        assert_eq!(Enhanced::of("5.7.139 no"), Some(Enhanced(5, 7, 139)));
        for text in ["", "no", "5.7", "5.7.8.9 no", "9.1.1 no", "192.0.2.1 is blocked", "see 5.7.8"] {
            assert_eq!(Enhanced::of(text), None, "{text}");
        }
    }
}
