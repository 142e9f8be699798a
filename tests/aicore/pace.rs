//! Too many requests, outages, and how much is asked again.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::aicore::server::{Act, Server, answer, answer_with, dev, id, page};
use offhours::aicore::{KeySource, Options, Reader};

#[tokio::test(start_paused = true)]
async fn a10_all_tasks_of_a_client_honour_a_pause() {
    let server =
        Server::api(|_, n| if n == 0 { answer_with(429, "retry-after", "7", &json!({})) } else { page(&[], 0) }).await;
    let reader = server.reader();
    let group = dev();
    let first = reader.deployments(&group, None);
    let others = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        join_all((0..8).map(|_| reader.deployments(&group, None))).await
    };
    let (first, others) = tokio::join!(first, others);
    assert!(first.is_ok() && others.iter().all(Result::is_ok));
    let calls = server.calls();
    assert_eq!(calls.len(), 10);
    assert!(calls[1..].iter().all(|call| call.at - calls[0].at >= Duration::from_secs(7)));
}

/// a10, for a change: it was refused, so it is sent again.
#[tokio::test(start_paused = true)]
async fn a10_a_stop_that_was_put_off_is_sent_after_the_pause() {
    let server = Server::api(|_, n| match n {
        0 => answer_with(429, "retry-after", "7", &json!({})),
        _ => answer(202, &json!({ "id": "d1111", "message": "Deployment modification scheduled" })),
    })
    .await;
    server.tenant().stopper.stop(&dev(), &id("d1111")).await.unwrap();
    let calls = server.calls();
    assert!(calls.len() == 2 && calls[1].at - calls[0].at >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a11_a_date_is_honoured_nonsense_is_a_normal_pause_and_a_day_is_an_error() {
    let cases = [
        ("Mon, 23 Nov 2026 18:01:40 GMT", 95..=100),
        ("Mon, 23 Nov 2026 17:00:00 GMT", 0..=1),
        ("soon", 0..=1),
        ("-3", 0..=1),
    ];
    for (wish, range) in cases {
        let server = Server::api(move |_, n| match n {
            0 => answer_with(429, "retry-after", wish, &json!({})),
            _ => page(&[], 0),
        })
        .await;
        let started = Instant::now();
        server.reader().deployments(&dev(), None).await.unwrap();
        assert!(range.contains(&started.elapsed().as_secs()), "{wish}: {:?}", started.elapsed());
    }
    let server = Server::api(|_, _| answer_with(429, "retry-after", "86400", &json!({}))).await;
    let reader = server.reader();
    let started = Instant::now();
    let error = reader.deployments(&dev(), None).await.unwrap_err();
    assert_eq!(error.code().as_str(), "rate_limited");
    assert!(error.to_string().contains("a pause of 86400 s"), "{error}");
    assert_eq!(reader.groups().await.unwrap_err().code().as_str(), "rate_limited");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(server.calls().len(), 1, "a call was sent during the pause");
}

#[tokio::test(start_paused = true)]
async fn a12_an_endless_429_gets_three_attempts_and_then_fewer() {
    let server = Server::api(|_, _| answer(429, &json!({}))).await;
    let tenant = server.tenant();
    assert_eq!(tenant.reader.deployments(&dev(), None).await.unwrap_err().code().as_str(), "rate_limited");
    assert_eq!(server.calls().len(), 3);
    let error = tenant.stopper.stop(&dev(), &id("d1111")).await.unwrap_err();
    assert_eq!((error.code().as_str(), error.outcome_is_unknown()), ("rate_limited", false));
    for _ in 0..50 {
        assert!(tenant.reader.deployments(&dev(), None).await.is_err());
    }
    assert!(server.calls().len() <= 52 + 5 + 5, "{}", server.calls().len());
}

#[tokio::test(start_paused = true)]
async fn a13_two_failures_of_a_read_are_forgiven_and_a_stop_is_not_repeated() {
    for status in [500, 502, 503, 504] {
        let server =
            Server::api(move |_, n| if n < 2 { answer(status, &json!({})) } else { page(&["d1111"], 1) }).await;
        assert!(server.reader().deployments(&dev(), None).await.is_ok());
        let server = Server::api(move |_, _| answer(status, &json!({}))).await;
        let error = server.tenant().stopper.stop(&dev(), &id("d1111")).await.unwrap_err();
        assert!(error.outcome_is_unknown() && error.code().as_str() == "unreachable", "{error}");
        assert_eq!(server.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a14_an_outage_adds_a_tenth_at_most() {
    let server = Server::api(|_, _| Act::Close).await;
    let reader = server.reader();
    for _ in 0..300 {
        assert_eq!(reader.deployments(&dev(), None).await.unwrap_err().code().as_str(), "unreachable");
    }
    let calls = server.calls().len();
    assert!(calls <= 300 + 30 + 5, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_allowed() {
    let server = Server::api(|_, _| Act::Hang).await;
    let options = Options { in_flight: 3, ..crate::aicore::server::options() };
    let reader = Reader::connect(KeySource::file(server.key_path()), options).unwrap();
    let group = dev();
    let all = join_all((0..10).map(|_| reader.deployments(&group, None)));
    let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
    assert_eq!(server.calls().len(), 3);
}
