//! Stops, one by one and in bulk: what is sent, what an answer means, what is never sent.

use serde_json::{Value, json};

use crate::aicore::server::{Act, Seen, Server, answer, api_error, dev, id};
use offhours::aicore::StopBatch;

fn meta(bulk: &Value) -> Act {
    answer(
        200,
        &json!({ "aiApi": { "version": "2.42.0", "capabilities": { "bulkUpdates": { "deployments": bulk } } } }),
    )
}

fn batch(ids: &[&str]) -> StopBatch {
    StopBatch::split(ids.iter().map(|text| id(text))).remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_one_patch_of_one_known_shape() {
    let server =
        Server::api(|_, _| answer(202, &json!({ "id": "d1111", "message": "Deployment modification scheduled" })))
            .await;
    server.tenant().stopper.stop(&dev(), &id("d1111")).await.unwrap();
    let calls = server.calls();
    let [Seen { method, target, body, .. }] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((method.as_str(), target.as_str()), ("PATCH", "/v2/lm/deployments/d1111"));
    assert_eq!(body, r#"{"targetStatus":"STOPPED"}"#);
    assert_eq!(calls[0].header("content-type"), ["application/json"]);
    assert_eq!(calls[0].header("ai-resource-group"), ["dev"]);
}

#[tokio::test(start_paused = true)]
async fn a07_a08_a09_a_refused_stop_was_not_carried_out_and_is_not_repeated() {
    for (status, keyword) in [
        (400, "precondition"),
        (409, "precondition"),
        (412, "precondition"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "unexpected_response"),
        (422, "unexpected_response"),
    ] {
        let server = Server::api(move |_, _| {
            api_error(status, "01010076", "Invalid Request, Current status UNKNOWN cannot be changed.")
        })
        .await;
        let error = server.tenant().stopper.stop(&dev(), &id("d1111")).await.unwrap_err();
        assert_eq!((error.code().as_str(), error.outcome_is_unknown()), (keyword, false), "{status}");
        assert!(error.to_string().contains("request id req-42"), "{error}");
        assert_eq!(server.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a01_a_stop_whose_token_expired_is_sent_with_another() {
    let server = Server::api(|_, n| match n {
        0 => answer(401, &json!({})),
        _ => answer(202, &json!({ "id": "d1111", "message": "ok" })),
    })
    .await;
    server.tenant().stopper.stop(&dev(), &id("d1111")).await.unwrap();
    assert_eq!((server.calls().len(), server.tokens()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_bulk_stop_is_a_merge_patch_of_its_ids() {
    let server = Server::api(|_, _| {
        let taken = |id: &str| json!({ "id": id, "message": "Deployment modification scheduled" });
        answer(202, &json!({ "deployments": [taken("d1111"), taken("d2222")] }))
    })
    .await;
    let answer = server.tenant().stopper.stop_in_bulk(&dev(), &batch(&["d2222", "d1111"])).await.unwrap();
    assert!(answer.answers.len() == 2 && answer.answers.values().all(Result::is_ok));
    let calls = server.calls();
    assert_eq!((calls[0].target.as_str(), calls.len()), ("/v2/lm/deployments", 1));
    assert_eq!(calls[0].header("content-type"), ["application/merge-patch+json"]);
    assert_eq!(
        calls[0].body,
        r#"{"deployments":[{"id":"d2222","targetStatus":"STOPPED"},{"id":"d1111","targetStatus":"STOPPED"}]}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a23_a24_a_bulk_answer_is_taken_id_by_id() {
    let server = Server::api(|_, _| {
        let error = |code: &str, message: &str| json!({ "code": code, "message": message, "requestID": "req-7" });
        answer(
            202,
            &json!({ "deployments": [
            { "id": "good1", "message": "ok" },
            { "id": "good1", "message": "ok" },
            { "id": "unknown1", "error": error("01010076", "Current status UNKNOWN cannot be changed.") },
            { "id": "gone1", "error": error("01010001", "Deployment ID gone1 not found") },
            { "id": "twice1", "message": "ok" },
            { "id": "twice1", "error": error("1", "first") },
            { "id": "twice1", "error": error("2", "second") },
            { "id": "twice1", "message": "ok" },
            { "id": "foreign1", "message": "ok" },
            { "id": "mute1" }, { "message": "no id" }, 7,
        ] }),
        )
    })
    .await;
    let batch = batch(&["good1", "unknown1", "gone1", "twice1", "missing1", "mute1"]);
    let answers = server.tenant().stopper.stop_in_bulk(&dev(), &batch).await.unwrap().answers;
    let told: Vec<_> = answers
        .iter()
        .map(|(id, answer)| format!("{id} {}", answer.as_ref().map_or_else(|error| error.code().as_str(), |()| "ok")))
        .collect();
    assert_eq!(told, ["gone1 not_found", "good1 ok", "twice1 precondition", "unknown1 precondition"]);
    let twice = answers[&id("twice1")].as_ref().unwrap_err().to_string();
    assert!(twice.contains("second") && twice.contains("req-7"), "{twice}");
}

#[tokio::test(start_paused = true)]
async fn a25_a_tenant_that_refuses_bulk_is_remembered() {
    for status in [400, 404, 405, 415, 501] {
        let server =
            Server::api(
                move |seen, _| {
                    if seen.is_patch() { api_error(status, "x", "bulk is off") } else { meta(&json!(true)) }
                },
            )
            .await;
        let stopper = server.tenant().stopper;
        assert!(stopper.can_stop_in_bulk().await.unwrap() && stopper.can_stop_in_bulk().await.unwrap());
        let error = stopper.stop_in_bulk(&dev(), &batch(&["d1111"])).await.unwrap_err();
        assert_eq!((error.code().as_str(), error.outcome_is_unknown()), ("bulk_refused", false), "{status}");
        assert!(!stopper.clone().can_stop_in_bulk().await.unwrap());
        assert_eq!(server.calls().len(), 2, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_stop_that_fails_for_another_reason_is_not_a_refusal_of_bulk() {
    type Case = (fn() -> Act, &'static str, bool);
    let cases: [Case; 5] = [
        (|| api_error(400, "01010076", "Current status UNKNOWN cannot be changed."), "precondition", false),
        (|| api_error(400, "x", "d1111 is none of yours"), "precondition", false),
        (|| api_error(403, "x", "no"), "forbidden", false),
        (|| api_error(500, "x", "oops"), "unreachable", true),
        (|| answer(202, &json!({ "deployments": "all" })), "unexpected_response", true),
    ];
    for (act, keyword, is_unknown) in cases {
        let server = Server::api(move |seen, _| if seen.is_patch() { act() } else { meta(&json!(true)) }).await;
        let stopper = server.tenant().stopper;
        let error = stopper.stop_in_bulk(&dev(), &batch(&["d1111"])).await.unwrap_err();
        assert_eq!((error.code().as_str(), error.outcome_is_unknown()), (keyword, is_unknown));
        assert!(stopper.can_stop_in_bulk().await.unwrap());
        assert_eq!(server.calls().len(), 2);
    }
}

/// The capability is asked for once, by whoever comes first.
#[tokio::test(start_paused = true)]
async fn a25_bulk_is_off_unless_the_tenant_says_otherwise() {
    let cases: [(fn() -> Act, bool); 6] = [
        (|| meta(&json!(true)), true),
        (|| meta(&json!(false)), false),
        (|| meta(&json!("true")), false),
        (|| answer(200, &json!({})), false),
        (|| api_error(404, "x", "no meta"), false),
        (|| api_error(403, "x", "no"), false),
    ];
    for (act, can) in cases {
        let server = Server::api(move |_, _| act()).await;
        let stopper = server.tenant().stopper;
        let asked = futures_util::future::join_all((0..5).map(|_| stopper.can_stop_in_bulk())).await;
        assert!(asked.into_iter().all(|answer| answer.unwrap() == can));
        assert_eq!(server.calls().len(), 1);
    }
}

/// The source itself: the word stands nowhere, so it cannot be sent.
#[test]
fn nothing_here_can_ask_for_a_deletion() {
    let sources = [
        include_str!("../../src/aicore/stopper.rs"),
        include_str!("../../src/aicore/session.rs"),
        include_str!("../../src/aicore/stop_batch.rs"),
    ];
    assert!(
        sources.iter().all(|source| !source.contains(concat!("DEL", "ETED")) && !source.contains("Method::DELETE"))
    );
}
