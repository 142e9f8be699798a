//! Service keys. Every `$` of the input becomes a secret, and nothing that is said of the key shows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offhours::aicore::ServiceKey;
use serde_json::{Value, json};

/// In capitals: a key's debug form names its host, and a host is in small letters.
const SECRET: &str = "SECRET7F3A9B";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = text.replace('$', SECRET);
    let key = ServiceKey::parse(&text);
    let said = match &key {
        Ok(key) => format!("{key:?}"),
        Err(fault) => format!("{fault} {fault:?}"),
    };
    assert!(!said.contains(SECRET), "{said}");
    assert!(!said.chars().any(char::is_control), "{said:?}");
    // As `cf service-key` prints it, it is the same key.
    if let Ok(Value::Object(fields)) = serde_json::from_str(&text) {
        if !fields.contains_key("credentials") {
            let wrapped = ServiceKey::parse(&json!({ "credentials": fields }).to_string());
            assert_eq!(format!("{wrapped:?}"), format!("{key:?}"));
        }
    } else {
        assert!(key.is_err() || text.starts_with('\u{feff}'));
    }
});
