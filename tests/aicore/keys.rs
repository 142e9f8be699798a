//! Service keys: where they are, what they hold, what is refused, and that no message repeats a value.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::aicore::server::SECRET;
use offhours::aicore::Ambient;
use offhours::aicore::Proof;
use offhours::aicore::{KeyFault, KeySource, Options, Reader, ServiceKey};
use offhours::secret::{SecretError, SecretSource};

fn key() -> Value {
    json!({
        "clientid": "client", "clientsecret": SECRET, "url": "https://tenant.authentication.example.com",
        "identityzone": "tenant", "identityzoneid": "zone", "appname": "app",
        "serviceurls": { "AI_API_URL": "https://api.ai.example.com" },
    })
}

/// The key with one field set; null takes it away.
fn with(pointer: &str, value: Value) -> String {
    let mut key = key();
    *key.pointer_mut(pointer).unwrap() = value;
    key.to_string()
}

#[test]
fn a_key_is_read_however_its_urls_are_written() {
    let urls = [
        "https://api.ai.example.com",
        "https://api.ai.example.com/",
        "https://api.ai.example.com/v2",
        "https://api.ai.example.com/v2//",
    ];
    for url in urls {
        let key = ServiceKey::parse(&with("/serviceurls/AI_API_URL", json!(url))).unwrap();
        assert_eq!(key.base(), "https://api.ai.example.com/v2", "{url}");
    }
    for url in ["https://t.example.com", "https://t.example.com/", "https://t.example.com/oauth/token"] {
        let key = ServiceKey::parse(&with("/url", json!(url))).unwrap();
        assert_eq!(key.token_url.as_str(), "https://t.example.com/oauth/token", "{url}");
    }
    assert!(ServiceKey::parse(&format!("\u{feff}{}", json!({ "credentials": key() }))).is_ok());
    for url in ["http://localhost:8080", "http://127.0.0.1:1/", "http://[::1]:8080"] {
        assert!(ServiceKey::parse(&with("/url", json!(url))).is_ok(), "{url}");
    }
}

#[test]
fn a_key_with_a_fault_is_refused_by_a_sentence_that_names_it_and_shows_no_value() {
    let url = |text: &str| with("/url", json!(text));
    let cases = [
        (with("/clientid", json!(null)), "`clientid` is missing"),
        (with("/clientid", json!(" ")), "`clientid` is missing"),
        (with("/clientsecret", json!(7)), "`clientsecret` or `certificate` and `key` is missing"),
        (with("/url", json!(null)), "`url` is missing"),
        (with("/serviceurls", json!({})), "`serviceurls.AI_API_URL` is missing"),
        (with("/serviceurls", json!(null)), "`serviceurls.AI_API_URL` is missing"),
        (url(SECRET), "`url` cannot be used: it is not a valid URL; `https://host` is expected"),
        (url("http://t.example.com"), "`url` cannot be used: `http://` would send the secret in clear: use `https://`"),
        (url("ftp://t.example.com"), "`url` cannot be used: only `https://` is allowed"),
        (
            url("http://localhost.example.com"),
            "`url` cannot be used: `http://` would send the secret in clear: use `https://`",
        ),
        (url("https://u:p@t.example.com"), "`url` cannot be used: it holds a user name or a password: remove them"),
        (url("https://t.example.com?a=b"), "`url` cannot be used: it holds a query or a fragment: remove them"),
        (url("https://t.example.com/#x"), "`url` cannot be used: it holds a query or a fragment: remove them"),
        (format!("{{\"clientsecret\": {SECRET}"), "it is not valid JSON from line 1, column 18 on"),
        ("[]".into(), "it is not a JSON object: use the service key as downloaded from the BTP cockpit"),
        (String::new(), "it is not valid JSON from line 1, column 0 on"),
    ];
    for (json, expected) in cases {
        let fault = ServiceKey::parse(&json).unwrap_err();
        assert_eq!(fault.to_string(), expected, "{json}");
        assert!(!format!("{fault:?}").contains(SECRET));
    }
    assert!(!format!("{:?}", ServiceKey::parse(&key().to_string()).unwrap()).contains(SECRET));
}

#[test]
fn a_key_file_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dev.json");
    std::fs::write(&path, key().to_string()).unwrap();
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let source = KeySource::file(path.clone());
    for open in [0o644, 0o640, 0o604, 0o660, 0o610] {
        mode(open);
        let error = ServiceKey::load(&source).unwrap_err().to_string();
        assert!(error.contains("can be read by group or others: run `chmod 600 "), "{open:03o}: {error}");
    }
    for closed in [0o600, 0o400] {
        mode(closed);
        assert!(ServiceKey::load(&source).is_ok(), "{closed:o}");
    }
    mode(0o600);
    std::fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
    assert!(matches!(ServiceKey::load(&source).unwrap_err().fault, KeyFault::Secret(SecretError::TooLarge(_))));
    let fault = |path: &Path| ServiceKey::load(&KeySource::file(path.to_owned())).unwrap_err().fault;
    assert!(matches!(fault(directory.path()), KeyFault::Secret(SecretError::NoFile(_))));
    assert!(matches!(fault(&directory.path().join("none")), KeyFault::Secret(SecretError::Unreadable { .. })));
}

#[test]
fn a_credential_is_a_plain_name() {
    for name in ["", "..", "../key", "/etc/key", ".hidden"] {
        let error = ServiceKey::load(&KeySource::Secret(SecretSource::Credential(name.into()))).unwrap_err();
        assert!(matches!(error.fault, KeyFault::Secret(SecretError::CredentialName(_))), "{name}");
    }
    let error =
        ServiceKey::load(&KeySource::Secret(SecretSource::Env("OFFHOURS_NO_SUCH_VARIABLE".into()))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "service key from environment variable `OFFHOURS_NO_SUCH_VARIABLE`: the environment variable \
         `OFFHOURS_NO_SUCH_VARIABLE` is not set, or is not UTF-8"
    );
}

#[test]
fn a_certificate_key_is_made_of_both_pems_with_real_line_ends() {
    let mut fields = key();
    fields.as_object_mut().unwrap().remove("clientsecret");
    fields["certificate"] = json!(include_str!("test-only-client.pem").replace('\n', "\\n"));
    fields["key"] = json!(include_str!("test-only-client-key.pem").replace('\n', "\\n"));
    assert_eq!(ServiceKey::parse(&fields.to_string()).unwrap_err(), KeyFault::Missing("certurl"));
    fields["certurl"] = json!("https://tenant.authentication.cert.example.com");
    let key = ServiceKey::parse(&fields.to_string()).unwrap();
    assert_eq!(key.token_host(), "tenant.authentication.cert.example.com");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x509.json");
    let connect = |fields: &Value| {
        std::fs::write(&path, fields.to_string()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Reader::connect(KeySource::file(path.clone()), Options::default())
    };
    connect(&fields).unwrap();
    fields["key"] = json!("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----");
    let error = connect(&fields).unwrap_err();
    assert!(error.to_string().contains("not a usable PEM pair") && !format!("{error:?}").contains("canary"), "{error}");
}

fn ambient(variables: &[(&str, &str)]) -> Result<ServiceKey, KeyFault> {
    Ambient(|name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())).load()
}

#[test]
fn the_names_of_saps_sdks_are_read_and_places_are_not_mixed() {
    let json = key().to_string();
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().to_str().unwrap();
    let config = json!({
        "AICORE_CLIENT_ID": "from-config", "AICORE_CLIENT_SECRET": SECRET, "AICORE_RESOURCE_GROUP": "default",
        "AICORE_AUTH_URL": "https://t.example.com/oauth/token", "AICORE_BASE_URL": "https://api.example.com/v2",
    });
    for name in ["config.json", "config_team.json", "other.json"] {
        let path = directory.path().join(name);
        std::fs::write(&path, config.to_string().replace("from-config", name)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let other = format!("{home}/other.json");
    let vcap = json!({ "aicore": [{ "credentials": key() }], "xsuaa": [{ "credentials": {} }] }).to_string();
    let parts = [
        ("AICORE_CLIENT_ID", "part"),
        ("AICORE_CLIENT_SECRET", SECRET),
        ("AICORE_AUTH_URL", "https://t.example.com"),
        ("AICORE_BASE_URL", "https://api.example.com/v2"),
        ("VCAP_SERVICES", &vcap),
    ];
    let id = |variables: &[(&str, &str)]| ambient(variables).map(|key| key.client_id);
    assert_eq!(id(&[("AICORE_SERVICE_KEY", &json), ("AICORE_CLIENT_ID", "part")]).unwrap(), "client");
    assert_eq!(id(&parts).unwrap(), "part");
    assert_eq!(id(&[("AICORE_HOME", home)]).unwrap(), "config.json");
    assert_eq!(id(&[("AICORE_HOME", home), ("AICORE_PROFILE", "team")]).unwrap(), "config_team.json");
    assert_eq!(id(&[("AICORE_HOME", home), ("AICORE_CONFIG", &other)]).unwrap(), "other.json");
    assert_eq!(id(&[("VCAP_SERVICES", &vcap), ("HOME", "/nonexistent")]).unwrap(), "client");
    assert_eq!(id(&[("HOME", "/nonexistent")]).unwrap_err(), KeyFault::Nowhere);
    assert_eq!(id(&[]).unwrap_err(), KeyFault::Nowhere);
    // Half a key in the environment is not completed from elsewhere.
    let half = id(&[("AICORE_CLIENT_ID", "part"), ("AICORE_HOME", home), ("VCAP_SERVICES", &vcap)]).unwrap_err();
    assert!(half.to_string().starts_with("`AICORE_CLIENT_SECRET`, "), "{half}");
    // A profile that is asked for must be there.
    assert!(matches!(
        id(&[("AICORE_HOME", home), ("AICORE_PROFILE", "none")]).unwrap_err(),
        KeyFault::Secret(SecretError::Unreadable { .. })
    ));
}

/// As SAP's SDKs take them: the token endpoint is `AICORE_CERT_URL`, or `AICORE_AUTH_URL` where that is not set.
#[test]
fn c59_a_certificate_in_the_variables_of_saps_sdks_is_read_from_files_and_from_texts() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let (certificate, private) = (file("cert.pem", "CERT\nONE"), file("key.pem", "KEY\nONE"));
    let base = [("AICORE_CLIENT_ID", "client"), ("AICORE_BASE_URL", "https://api.example.com/v2")];
    let auth = ("AICORE_AUTH_URL", "https://auth.example.com/oauth/token");
    let files = [("AICORE_CERT_FILE_PATH", certificate.as_str()), ("AICORE_KEY_FILE_PATH", private.as_str())];
    let texts = [("AICORE_CERT_STR", "CERT\\nONE"), ("AICORE_KEY_STR", "KEY\\nONE")];
    for proof in [files, texts] {
        let key = ambient(&[&base[..], &proof[..], &[auth]].concat()).unwrap();
        let Proof::Certificate { pem } = &key.proof else { panic!("a secret") };
        assert_eq!(pem.expose_secret(), "KEY\nONE\nCERT\nONE\n");
        assert_eq!(key.token_host(), "auth.example.com");
        let own = ("AICORE_CERT_URL", "https://cert.example.com");
        let key = ambient(&[&base[..], &proof[..], &[auth, own]].concat()).unwrap();
        assert_eq!(key.token_host(), "cert.example.com");
    }
}
