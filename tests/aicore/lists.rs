//! Listings that change while they are read, and rows nobody would expect.

use serde_json::{Value, json};

use crate::aicore::server::{Seen, Server, answer, answer_with, api_error, dev, id, page};
use offhours::domain::deployment::Status;

fn skip(seen: &Seen) -> usize {
    seen.target.split("$skip=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap()
}

fn rows(range: std::ops::Range<usize>, count: usize) -> Value {
    let resources: Vec<_> = range.map(|n| json!({ "id": format!("d{n:05}"), "status": "RUNNING" })).collect();
    json!({ "count": count, "resources": resources })
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_read_and_no_more() {
    let server = Server::api(|seen, _| answer(200, &rows(skip(seen)..(skip(seen) + 1000).min(2500), 2500))).await;
    let listing = server.reader().deployments(&dev(), Some(&Status::Running)).await.unwrap();
    assert_eq!((listing.deployments.len(), listing.consistent, listing.refused_ids), (2500, true, 0));
    let targets: Vec<_> = server.calls().into_iter().map(|seen| seen.target).collect();
    let target = |skip| format!("/v2/lm/deployments?$top=1000&$skip={skip}&status=RUNNING");
    assert_eq!(targets, [target(0), target(1000), target(2000)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_with_smaller_pages_than_asked_for_is_read_to_its_count() {
    let server = Server::api(|seen, _| answer(200, &rows(skip(seen)..(skip(seen) + 100).min(250), 250))).await;
    let listing = server.reader().deployments(&dev(), None).await.unwrap();
    assert_eq!((listing.deployments.len(), listing.consistent, server.calls().len()), (250, true, 3));
}

/// A server whose `count` is its page's, as SAP's description can be read, and which keeps pages below what is asked for.
fn paged(seen: &Seen, all: usize, most: usize) -> Value {
    let top = seen.target.split("$top=").nth(1).unwrap().split('&').next().unwrap().parse::<usize>().unwrap();
    let from = skip(seen).min(all);
    let to = (from + top.min(most)).min(all);
    rows(from..to, to - from)
}

#[tokio::test(start_paused = true)]
async fn a30_a_count_that_is_the_pages_ends_no_list() {
    for (all, most) in [(2500, 1000), (2500, 100), (1000, 1000), (2, 1), (1, 1), (0, 1000), (300, 300), (75, 30)] {
        let server = Server::api(move |seen, _| answer(200, &paged(seen, all, most))).await;
        let reader = server.reader();
        for _ in 0..2 {
            let listing = reader.deployments(&dev(), None).await.unwrap();
            assert_eq!((listing.deployments.len(), listing.consistent), (all, true), "{all} in pages of {most}");
        }
        // At most a page more than there are, each time.
        assert!(server.calls().len() <= 2 * (all.div_ceil(most) + 1), "{} calls", server.calls().len());
    }
}

/// Lists of many groups at once: one of them asks for the page after its last, and all know.
#[tokio::test(start_paused = true)]
async fn a30_what_a_short_page_means_is_asked_for_once() {
    let server = Server::api(|seen, _| answer(200, &paged(seen, 20, 1000))).await;
    let (reader, group) = (server.reader(), dev());
    let lists = futures_util::future::join_all((0..50).map(|_| reader.deployments(&group, None))).await;
    assert!(lists.into_iter().all(|list| list.unwrap().deployments.len() == 20));
    assert_eq!(server.calls().len(), 50 + 1);
}

/// A group that is as large as the server's own limit proves nothing of the others.
#[tokio::test(start_paused = true)]
async fn a30_a_list_of_just_the_servers_limit_does_not_hide_the_rest_of_another() {
    let server = Server::api(|seen, _| {
        let all = if seen.header("ai-resource-group") == ["dev"] { 100 } else { 250 };
        answer(200, &paged(seen, all, 100))
    })
    .await;
    let reader = server.reader();
    let other = offhours::domain::id::ResourceGroup::new("other").unwrap();
    assert_eq!(reader.deployments(&dev(), None).await.unwrap().deployments.len(), 100);
    assert_eq!(reader.deployments(&other, None).await.unwrap().deployments.len(), 250);
}

#[tokio::test(start_paused = true)]
async fn a30_what_is_looked_for_is_read_no_further_than_it_is_seen() {
    let server = Server::api(|seen, _| answer(200, &paged(seen, 2500, 1000))).await;
    let ids = ["d00001", "d01001"].map(id).into();
    let listing = server.reader().look_for(&dev(), &ids).await.unwrap();
    assert!(ids.iter().all(|id| listing.deployments.iter().any(|one| one.id == *id)));
    assert_eq!(server.calls().iter().filter(|seen| skip(seen) > 1000).count(), 0);
}

/// A server that ignores `$top`, and one whose pages have no end: no more is kept than any resource group has.
#[tokio::test(start_paused = true)]
async fn a30_a_list_without_measure_is_refused() {
    let server = Server::api(|_, _| answer(200, &rows(0..100_001, 100_001))).await;
    assert_eq!(server.reader().deployments(&dev(), None).await.unwrap_err().code().as_str(), "too_large");
    let server = Server::api(|seen, _| answer(200, &rows(skip(seen)..skip(seen) + 20_000, 20_000))).await;
    assert_eq!(server.reader().deployments(&dev(), None).await.unwrap_err().code().as_str(), "too_large");
    assert!(server.calls().len() <= 8, "{} pages", server.calls().len());
}

/// a21: `$skip` is ignored; every page is the first.
#[tokio::test(start_paused = true)]
async fn a21_a_page_that_adds_nothing_new_ends_the_walk() {
    let server = Server::api(|_, _| answer(200, &rows(0..1000, 3000))).await;
    let listing = server.reader().deployments(&dev(), None).await.unwrap();
    assert_eq!((listing.deployments.len(), listing.consistent), (1000, false));
    assert_eq!(server.calls().len(), 4);
}

/// a21: an id slides over the page border once; the second and third walk agree.
#[tokio::test(start_paused = true)]
async fn a21_a_listing_that_moved_is_read_again_until_it_stands_still() {
    let server = Server::api(|seen, n| match (n, skip(seen)) {
        (0, _) => answer(200, &rows(0..1000, 1500)),
        (1, _) => answer(200, &rows(999..1499, 1500)),
        (_, skip) => answer(200, &rows(skip..(skip + 1000).min(1500), 1500)),
    })
    .await;
    let listing = server.reader().deployments(&dev(), None).await.unwrap();
    assert_eq!((listing.deployments.len(), listing.consistent, server.calls().len()), (1500, true, 4));
}

/// a21: it never stands still; all that was seen is told, and that it may not be all.
#[tokio::test(start_paused = true)]
async fn a21_a_listing_that_never_stands_still_is_marked() {
    let server = Server::api(|seen, n| {
        let new = format!("d222{n}");
        if skip(seen) == 0 { page(&["d1111", &new, &new], 3) } else { page(&[], 0) }
    })
    .await;
    let listing = server.reader().deployments(&dev(), None).await.unwrap();
    let ids: Vec<_> = listing.deployments.iter().map(|d| d.id.as_str()).collect();
    assert_eq!((ids.as_slice(), listing.consistent), (["d1111", "d2220", "d2222", "d2223"].as_slice(), false));
    assert_eq!(server.calls().len(), 3 + 1, "three walks, and a page that proves what a short one means");
}

/// a21: `count` is wrong, but what is listed is the same twice.
#[tokio::test(start_paused = true)]
async fn a21_a_wrong_count_is_outvoted_unless_something_is_missing() {
    let server = Server::api(|_, _| page(&["d1111", "d2222"], 1)).await;
    let listing = server.reader().deployments(&dev(), None).await.unwrap();
    assert_eq!((listing.deployments.len(), listing.consistent, server.calls().len()), (2, true, 2));

    let server = Server::api(|seen, _| if skip(seen) == 0 { page(&["d1111"], 2) } else { page(&[], 2) }).await;
    let listing = server.reader().deployments(&dev(), None).await.unwrap();
    assert_eq!((listing.deployments.len(), listing.consistent, server.calls().len()), (1, false, 4));
}

#[tokio::test(start_paused = true)]
async fn a22_a28_odd_rows_cost_no_more_than_themselves() {
    let row = |id: &Value, status: &str| json!({ "id": id, "status": status, "surprise": [{ "deep": null }] });
    let resources = json!([
        row(&json!("d1111"), "RUNNING"), row(&json!(".."), "RUNNING"), row(&json!(""), "RUNNING"), row(&json!("dé11"), "RUNNING"),
        row(&json!("d".repeat(65)), "RUNNING"), row(&json!(null), "RUNNING"), 7, null, row(&json!("d2222"), "HIBERNATING"),
        { "id": "d3333", "status": null, "createdAt": 12, "configurationName": "<script>\r\n\u{202e}\u{1b}[31m".to_owned() + &"x".repeat(10_000) },
    ]);
    let server =
        Server::api(move |_, _| answer(200, &json!({ "resources": resources, "count": 10, "links": {} }))).await;
    let listing = server.reader().deployments(&dev(), None).await.unwrap();
    assert_eq!((listing.deployments.len(), listing.refused_ids, listing.consistent), (3, 7, true));
    assert!(listing.deployments[0].status.can_be_stopped());
    assert!(!listing.deployments[1].status.can_be_stopped() && !listing.deployments[2].status.can_be_stopped());
    let name = listing.deployments[2].configuration_name.clone().unwrap();
    assert_eq!(name.chars().count(), 200);
    assert!(!name.chars().any(|c| c.is_control() || c == '\u{202e}'), "{name}");
}

#[tokio::test(start_paused = true)]
async fn one_deployment_is_the_one_that_was_asked_for_or_none() {
    let server = Server::api(|seen, _| match seen.target.rsplit('/').next().unwrap() {
        "d1111" => {
            answer(200, &json!({ "id": "d1111", "status": "STOPPED", "completionTime": "2026-11-23T18:05:00Z" }))
        }
        "d2222" => answer(200, &json!({ "id": "d1111", "status": "STOPPED" })),
        _ => api_error(404, "01010001", "not found"),
    })
    .await;
    let reader = server.reader();
    let stopped = reader.deployment(&dev(), &id("d1111")).await.unwrap().unwrap();
    assert_eq!((stopped.status, stopped.completed_at.is_some()), (Status::Stopped, true));
    assert_eq!(reader.deployment(&dev(), &id("d2222")).await.unwrap_err().code().as_str(), "unexpected_response");
    assert_eq!(reader.deployment(&dev(), &id("d3333")).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn groups_are_read_from_all_pages_and_never_from_another_host() {
    let group =
        |id: &str| json!({ "resourceGroupId": id, "labels": [{ "key": "ext.ai.sap.com/env", "value": "dev" }] });
    let server = Server::api(move |seen, n| {
        assert!(seen.header("ai-resource-group").is_empty());
        assert_eq!(seen.header("prefer"), ["maxpagesize=500"]);
        let token = seen.target.split("continueToken=").nth(1);
        match (n, token) {
            (0, None) => {
                let link = "<https://elsewhere.example/v2/admin/resourceGroups?continueToken=a%2Bb>; rel=\"next\"";
                answer_with(200, "link", link, &json!({ "resources": [group("default"), group("-bad-")] }))
            }
            // An expired token begins the walk anew.
            (1, Some("a%2Bb")) => api_error(410, "expired", "ResourceExpired"),
            (2, None) => {
                answer_with(200, "link", "</v2/x?continueToken=c>", &json!({ "resources": [group("default")] }))
            }
            (3, Some("c")) => answer(200, &json!({ "resources": [group("team-a"), { "resourceGroupId": "bare" }] })),
            other => panic!("{other:?}"),
        }
    })
    .await;
    let groups = server.reader().groups().await.unwrap();
    let ids: Vec<_> = groups.iter().map(|group| group.id.as_str()).collect();
    assert_eq!(ids, ["bare", "default", "team-a"]);
    assert_eq!(groups[1].labels["ext.ai.sap.com/env"], "dev");
}

#[tokio::test(start_paused = true)]
async fn instance_types_are_under_one_of_two_paths_or_nowhere() {
    let types = json!({ "instanceTypes": { "g5": { "billableUnitsPerHour": 1.23 }, "t4": { "billableUnitsPerHour": "0.9" },
        "odd": { "billableUnitsPerHour": null }, "free": { "billableUnitsPerHour": 0 } } });
    let server = Server::api(move |seen, _| match seen.target.as_str() {
        "/v2/admin/resources/instanceType" => answer(200, &types),
        "/v2/admin/resources/nodes" => {
            answer(200, &json!({ "resourcePlans": { "infer.l": { "provisioned": 1, "requested": 2 } } }))
        }
        _ => api_error(404, "404", "not found"),
    })
    .await;
    let types = server.reader().instance_types().await.unwrap();
    let told: Vec<_> = types.iter().map(|(name, units)| format!("{name} {units}")).collect();
    assert_eq!(told, ["g5 1.23", "t4 0.9"]);
    assert_eq!(server.reader().reserved_nodes().await.unwrap()["infer.l"], 1);

    let server = Server::api(|_, _| api_error(404, "404", "not found")).await;
    assert!(server.reader().instance_types().await.unwrap().is_empty());
    assert!(server.reader().reserved_nodes().await.unwrap().is_empty());
    let server = Server::api(|_, _| api_error(403, "403", "no")).await;
    assert!(server.reader().reserved_nodes().await.unwrap().is_empty());
}
