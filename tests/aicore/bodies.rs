//! Answers that are cut, slow, huge, or not AI Core's at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::aicore::server::{Act, SECRET, Server, TOKEN, answer, answer_with, api_error, dev, id, page};
use offhours::aicore::Error;

const PAGE: &str = r#"{"count":2,"resources":[{"id":"d1111","status":"RUNNING"},{"id":"d2222","status":"RUNNING"}]}"#;

fn raw(head: &str, body: &[u8]) -> Act {
    Act::Raw([format!("HTTP/1.1 {head}\r\ncontent-type: application/json\r\n").as_bytes(), body].concat())
}

/// a16: a reset in the body, a short one, a cut chunk, one that ends with the connection.
#[tokio::test(start_paused = true)]
async fn a16_a_page_that_breaks_off_is_thrown_away_and_read_again() {
    let cut = &PAGE[..60];
    let cuts = [
        format!("content-length: {}\r\n\r\n{cut}", PAGE.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{cut}", PAGE.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{cut}\r\n", cut.len()),
        format!("connection: close\r\n\r\n{cut}"),
        "connection: close\r\n\r\n".to_owned(),
    ];
    for cut in cuts {
        let body = cut.clone();
        let server =
            Server::api(move |_, n| if n < 2 { raw("200 OK", body.as_bytes()) } else { page(&["d1111"], 1) }).await;
        let listing = server.reader().deployments(&dev(), None).await.unwrap();
        assert_eq!((listing.deployments.len(), listing.consistent, server.calls().len()), (1, true, 4), "{cut}");

        let body = cut.clone();
        let server = Server::api(move |_, _| raw("200 OK", body.as_bytes())).await;
        let error = server.reader().deployments(&dev(), None).await.unwrap_err();
        assert_eq!((error.code().as_str(), server.calls().len()), ("truncated", 3), "{cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a17_an_acceptance_with_a_broken_body_leaves_the_outcome_unknown_and_is_not_repeated() {
    let bodies = [
        "content-length: 99\r\n\r\n{\"id\"",
        "content-length: 5\r\n\r\n{\"id\"",
        "content-length: 4\r\n\r\noops",
        "content-length: 2\r\n\r\n{}",
        "content-length: 0\r\n\r\n",
    ];
    for body in bodies {
        let server = Server::api(move |_, _| raw("202 Accepted", body.as_bytes())).await;
        let error = server.tenant().stopper.stop(&dev(), &id("d1111")).await.unwrap_err();
        assert!(error.outcome_is_unknown(), "{body}: {error}");
        assert_eq!(server.calls().len(), 1, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a18_an_answer_that_is_not_ai_cores_is_no_answer() {
    let other = Server::api(|_, _| page(&["d9999"], 1)).await;
    let elsewhere = format!("{}/v2/lm/deployments", other.address);
    let html = || vec![("content-type", "text/html; charset=utf-8".to_owned())];
    let login = b"<html>log in</html>".to_vec();
    for status in [204, 200, 301, 302, 307, 308, 404] {
        let (elsewhere, login) = (elsewhere.clone(), login.clone());
        let server = Server::api(move |_, _| match status {
            200 | 404 => Act::Answer { status, headers: html(), body: login.clone() },
            204 => Act::Answer { status, headers: vec![], body: vec![] },
            _ => answer_with(status, "location", &elsewhere, &json!({})),
        })
        .await;
        let tenant = server.tenant();
        let error = tenant.reader.deployments(&dev(), None).await.unwrap_err();
        assert_eq!(error.code().as_str(), if status == 404 { "not_found" } else { "unexpected_response" }, "{status}");
        assert_eq!(server.calls().len(), 1, "{status}");
        let error = tenant.stopper.stop(&dev(), &id("d1111")).await.unwrap_err();
        assert_eq!(error.code().as_str(), "unexpected_response", "{status}");
        assert_eq!(error.outcome_is_unknown(), status != 404, "{status}");
        assert_eq!(server.calls().len(), 2, "{status}");
    }
    assert!(other.journal().is_empty(), "a redirect was followed");
}

#[tokio::test(start_paused = true)]
async fn a08_a_404_of_a_gateway_does_not_make_a_deployment_gone() {
    let gateway = || Act::Answer {
        status: 404,
        headers: vec![("content-type", "text/plain".into())],
        body: b"404 Not Found: Requested route does not exist".into(),
    };
    let ours = || api_error(404, "01010001", "Deployment ID d1111 not found");
    let server = Server::api(move |seen, _| if seen.target.ends_with("d1111") { ours() } else { gateway() }).await;
    let reader = server.reader();
    assert_eq!(reader.deployment(&dev(), &id("d1111")).await.unwrap(), None);
    assert_eq!(reader.deployment(&dev(), &id("d2222")).await.unwrap_err().code().as_str(), "unexpected_response");
}

#[tokio::test(start_paused = true)]
async fn a19_a_drip_and_a_silence_end_after_thirty_seconds_each() {
    let slow: [fn() -> Act; 2] = [
        || Act::Drip([b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec(), vec![b' '; 900]].concat()),
        || Act::Hang,
    ];
    for slow in slow {
        let server = Server::api(move |_, _| slow()).await;
        let tenant = server.tenant();
        let started = Instant::now();
        let error = tenant.reader.deployments(&dev(), None).await.unwrap_err();
        assert_eq!((error.code().as_str(), server.calls().len()), ("unreachable", 3));
        let took = started.elapsed();
        assert!((Duration::from_secs(90)..Duration::from_secs(94)).contains(&took), "{took:?}");
        // a15: it may have been carried out, so it is not sent again.
        let error = tenant.stopper.stop(&dev(), &id("d1111")).await.unwrap_err();
        assert!(error.outcome_is_unknown());
        assert_eq!(server.calls().len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a19_a_flood_of_headers_is_no_answer() {
    let flood = "x-flood: y\r\n".repeat(500);
    let server =
        Server::api(move |_, _| raw("200 OK", format!("{flood}content-length: 2\r\n\r\n{{}}").as_bytes())).await;
    let error = server.reader().deployments(&dev(), None).await.unwrap_err();
    assert_eq!((error.code().as_str(), server.calls().len()), ("unreachable", 3));
}

#[tokio::test(start_paused = true)]
async fn a20_a_body_beyond_the_cap_is_not_read() {
    let announced = |_: &_, _| raw("200 OK", b"content-length: 314572800\r\n\r\n{\"resources\":[");
    let server = Server::api(announced).await;
    let error = server.reader().deployments(&dev(), None).await.unwrap_err();
    assert_eq!((error.code().as_str(), server.calls().len()), ("too_large", 1));

    let unannounced = |_: &_, _| raw("200 OK", &[b"connection: close\r\n\r\n".to_vec(), vec![b' '; 17 << 20]].concat());
    let server = Server::api(unannounced).await;
    let error = server.reader().deployments(&dev(), None).await.unwrap_err();
    assert_eq!((error.code().as_str(), server.calls().len()), ("too_large", 1));
}

#[tokio::test(start_paused = true)]
async fn json_of_another_shape_is_no_listing() {
    let bodies =
        [json!({}), json!([]), json!("x"), json!({ "count": 3, "resources": null }), json!({ "resources": {} })];
    for body in bodies {
        let told = body.clone();
        let server = Server::api(move |_, _| answer(200, &body)).await;
        let error = server.reader().deployments(&dev(), None).await.unwrap_err();
        assert_eq!((error.code().as_str(), server.calls().len()), ("unexpected_response", 1), "{told}");
    }
}

/// Whatever the other side does: no secret in a message, no query in it, and one header of each kind on the wire.
#[tokio::test(start_paused = true)]
async fn no_secret_gets_into_a_message_and_requests_are_well_formed() {
    let echo =
        || json!({ "error": { "code": "x", "message": format!("Bearer {TOKEN} {SECRET}"), "requestId": TOKEN } });
    for status in [200, 202, 400, 401, 403, 404, 409, 412, 418, 429, 500, 503] {
        let server = Server::api(move |_, _| answer(status, &echo())).await;
        let tenant = server.tenant();
        let mut errors = vec![tenant.reader.deployments(&dev(), None).await.map(drop).unwrap_err()];
        errors.push(tenant.reader.deployment(&dev(), &id("d1111")).await.map(drop).err().unwrap_or(errors[0].clone()));
        errors.push(tenant.stopper.stop(&dev(), &id("d1111")).await.unwrap_err());
        for error in errors {
            let told = format!("{error} {error:?}");
            assert!(!told.contains(TOKEN) && !told.contains(SECRET) && !told.contains("$top"), "{status}: {told}");
        }
        assert!(!format!("{tenant:?}").contains(SECRET));
        for seen in server.calls() {
            assert_eq!(seen.header("authorization"), [format!("Bearer {TOKEN}")]);
            assert_eq!(
                (seen.header("ai-resource-group"), seen.header("ai-client-type")),
                (vec!["dev"], vec!["offhours"])
            );
            assert!(!seen.body.contains(SECRET));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_names_call_group_status_code_and_request_id() {
    let server = Server::api(|_, _| api_error(403, "01010042", "not yours")).await;
    let error = server.reader().deployments(&dev(), None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GET /lm/deployments in resource group `dev` was answered 403, code 01010042 (\"not yours\"), request id req-42: \
         the service key may not do that"
    );
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a20_a_compressed_bomb_meets_the_cap_too() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    // 20 MiB of blanks.
    let bomb = include_bytes!("blanks.gz");
    let server = Server::api(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        let head = format!("content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
        raw("200 OK", &[head.as_bytes(), bomb].concat())
    })
    .await;
    let error = server.reader().deployments(&dev(), None).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(sent.load(Ordering::Relaxed), 1);
}
