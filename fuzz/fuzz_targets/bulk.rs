//! The answer to a bulk stop. Only ids that were asked for are answered, and an error of any entry is never lost.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offhours::aicore::{BulkAnswer, StopBatch};
use offhours::domain::id::DeploymentId;
use serde_json::Value;

const ASKED: [&str; 4] = ["d001", "d002", "d003", "d004"];

fuzz_target!(|body: &[u8]| {
    let batch = StopBatch::split(ASKED.map(|id| DeploymentId::new(id).unwrap())).remove(0);
    let Some(answer) = BulkAnswer::of(body, &batch) else { return };
    let said: Value = serde_json::from_slice(body).unwrap();
    let entries = said["deployments"].as_array().unwrap();
    assert!(answer.answers.keys().all(|id| ASKED.contains(&id.as_str())));
    for id in batch.ids() {
        let about = entries.iter().filter(|entry| entry["id"].as_str() == Some(id.as_str()));
        let (mut failed, mut accepted) = (false, false);
        for entry in about {
            failed |= !entry["error"].is_null();
            accepted |= entry["error"].is_null() && entry.get("message").is_some();
        }
        match answer.answers.get(id) {
            None => assert!(!failed && !accepted, "{id} was answered for"),
            Some(Ok(())) => assert!(accepted && !failed, "{id} was not accepted"),
            Some(Err(error)) => {
                assert!(failed, "{id} has no error");
                let text = error.to_string();
                assert!(text.contains(id.as_str()) && !text.chars().any(char::is_control), "{text:?}");
            }
        }
    }
});
