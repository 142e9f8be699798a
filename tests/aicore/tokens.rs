//! Tokens: expired, rejected, not to be had.

use std::time::Duration;

use serde_json::json;

use crate::aicore::server::{Act, SECRET, Seen, Server, TOKEN, answer, answer_with, dev, page, token_answer};
use offhours::aicore::Error;

#[tokio::test(start_paused = true)]
async fn a01_a_token_that_expired_early_is_renewed_once_and_the_call_repeated() {
    let server = Server::api(|_, n| if n == 1 { answer(401, &json!({})) } else { page(&[], 0) }).await;
    let reader = server.reader();
    reader.deployments(&dev(), None).await.unwrap();
    let listing = reader.deployments(&dev(), None).await.unwrap();
    assert_eq!(listing.deployments.len(), 0);
    assert_eq!((server.tokens(), server.calls().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a02_credentials_that_are_rejected_twice_ask_for_no_token_for_a_minute() {
    let server = Server::api(|_, _| answer(401, &json!({ "error": { "requestId": "req-1", "message": TOKEN } }))).await;
    let reader = server.reader();
    let error = reader.deployments(&dev(), None).await.unwrap_err();
    assert_eq!((error.code().as_str(), error.outcome_is_unknown()), ("auth", false));
    for _ in 0..5 {
        assert_eq!(reader.groups().await.unwrap_err().code().as_str(), "auth");
    }
    assert_eq!((server.tokens(), server.calls().len()), (2, 2));
    let told = format!("{error} {error:?}");
    assert!(!told.contains(SECRET) && !told.contains(TOKEN), "{told}");
    assert!(told.contains("req-1") && told.contains("rejected the credentials"), "{told}");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(reader.groups().await.unwrap_err().code().as_str(), "auth");
    assert_eq!(server.tokens(), 4);
}

#[tokio::test(start_paused = true)]
async fn a02_a_key_that_the_endpoint_refuses_is_not_offered_again_until_it_changes() {
    let server = Server::new(|seen, _| match seen.is_token() {
        true if seen.body.contains(SECRET) => {
            let echo = format!("secret {SECRET} is wrong");
            answer(401, &json!({ "error": "invalid_client", "error_description": echo }))
        }
        true => token_answer(),
        false => page(&[], 0),
    })
    .await;
    let reader = server.reader();
    for _ in 0..3 {
        let error = reader.deployments(&dev(), None).await.unwrap_err();
        assert!(matches!(&error, Error::Auth { .. }), "{error}");
        assert!(error.to_string().contains("401 invalid_client"), "{error}");
        assert!(!format!("{error} {error:?}").contains(SECRET));
    }
    assert_eq!(server.tokens(), 1);
    server.write_key("the new one");
    reader.deployments(&dev(), None).await.unwrap();
    assert_eq!(server.tokens(), 2);
}

#[tokio::test(start_paused = true)]
async fn a03_a_token_endpoint_in_trouble_is_asked_three_times() {
    let troubles: [fn() -> Act; 6] = [
        || answer(503, &json!({})),
        || Act::Hang,
        || Act::Close,
        || Act::Answer { status: 200, headers: vec![("content-type", "text/html".into())], body: b"<html>".into() },
        || answer(200, &json!({ "token_type": "bearer" })),
        || answer_with(302, "location", "http://127.0.0.1:1/elsewhere", &json!({})),
    ];
    for (n, trouble) in troubles.into_iter().enumerate() {
        let server = Server::new(move |seen, _| if seen.is_token() { trouble() } else { page(&[], 0) }).await;
        let error = server.reader().deployments(&dev(), None).await.unwrap_err();
        assert_eq!(error.code().as_str(), "token", "{n}: {error}");
        assert_eq!((server.tokens(), server.calls().len()), (3, 0), "{n}");
        assert!(!format!("{error} {error:?}").contains(SECRET));
    }
}

#[tokio::test(start_paused = true)]
async fn a04_a_token_without_a_lifetime_is_used_for_four_minutes() {
    let server =
        Server::new(
            |seen, _| {
                if seen.is_token() { answer(200, &json!({ "access_token": TOKEN })) } else { page(&[], 0) }
            },
        )
        .await;
    let reader = server.reader();
    for (after, tokens) in [(0, 1), (235, 1), (10, 2)] {
        tokio::time::advance(Duration::from_secs(after)).await;
        reader.deployments(&dev(), None).await.unwrap();
        assert_eq!(server.tokens(), tokens);
    }
}

#[tokio::test(start_paused = true)]
async fn a05_ten_tasks_that_need_a_token_ask_for_one() {
    let server = Server::api(|_, _| page(&[], 0)).await;
    let reader = server.reader();
    let group = dev();
    let all = futures_util::future::join_all((0..10).map(|_| reader.deployments(&group, None))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(server.tokens(), 1);
}

#[tokio::test(start_paused = true)]
async fn a05_ten_tasks_whose_token_is_not_taken_renew_it_once() {
    let server = Server::new(|seen, n| match seen.is_token() {
        true => answer(200, &json!({ "access_token": format!("token-{n}"), "expires_in": 3600 })),
        false if seen.header("authorization") == ["Bearer token-0"] => answer(401, &json!({})),
        false => page(&[], 0),
    })
    .await;
    let reader = server.reader();
    let group = dev();
    let all = futures_util::future::join_all((0..10).map(|_| reader.deployments(&group, None))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(server.tokens(), 2);
}

#[tokio::test(start_paused = true)]
async fn a05_ten_tasks_that_wait_for_a_token_in_vain_fail_together() {
    let server = Server::new(|_, _| answer(500, &json!({}))).await;
    let reader = server.reader();
    let group = dev();
    let all = futures_util::future::join_all((0..10).map(|_| reader.deployments(&group, None))).await;
    assert!(all.iter().all(|result| result.as_ref().is_err_and(|error| error.code().as_str() == "token")));
    assert_eq!(server.tokens(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_used_for_the_next_token_but_not_one_of_another_tenant() {
    let server = Server::api(|_, _| page(&[], 0)).await;
    let reader = server.reader();
    reader.deployments(&dev(), None).await.unwrap();
    server.write_key("rotated");
    tokio::time::advance(Duration::from_secs(7200)).await;
    reader.deployments(&dev(), None).await.unwrap();
    let bodies: Vec<_> = server.journal().into_iter().filter(Seen::is_token).map(|seen| seen.body).collect();
    assert!(bodies[1].contains("client_secret=rotated"), "{bodies:?}");

    let other = std::fs::read_to_string(server.key_path()).unwrap().replace("\"zone\"", "\"another\"");
    server.write(&other);
    tokio::time::advance(Duration::from_secs(7200)).await;
    let error = reader.deployments(&dev(), None).await.unwrap_err();
    assert_eq!(error.code().as_str(), "key");
    assert!(error.to_string().contains("another tenant"), "{error}");
    assert_eq!(server.tokens(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_a_connection_says_so() {
    let server = Server::api(|_, _| page(&[], 0)).await;
    let key = std::fs::read_to_string(server.key_path()).unwrap().replace(&server.address, "http://127.0.0.1:1");
    server.write(&key);
    let error = server.reader().groups().await.unwrap_err();
    assert_eq!(error.code().as_str(), "token");
    assert!(error.to_string().contains("no connection"), "{error}");
}
