//! What the simulator promises to whoever rehearses against it.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use offhours::clock::{self, Clock};
use offhours::domain::cron::Cron;
use offhours::domain::deployment::Status;
use offhours::simulator::{Behaviour, DetailsSpelling, Entry, Fault, Fleet, Moment, Redeployed, Simulator, Spec};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

const MERGE_PATCH: &str = "application/merge-patch+json";

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A simulator in virtual time, and a client of it with a token and a timeout.
struct Bench {
    simulator: Simulator,
    clock: Clock,
    client: reqwest::Client,
    token: String,
}

impl Bench {
    /// Monday, 16 November 2026, at noon.
    async fn new(fleet: Fleet) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::start_virtual(utc("2026-11-16T12:00:00Z"));
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::start(fleet, clock.clone(), listen).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut bench = Self { simulator, clock, client, token: String::new() };
        bench.token = bench.fresh_token().await;
        bench
    }

    fn key(&self) -> Value {
        serde_json::from_str(&self.simulator.service_key()).unwrap()
    }

    async fn fresh_token(&self) -> String {
        let key = self.key();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", key["clientid"].as_str().unwrap()),
            ("client_secret", key["clientsecret"].as_str().unwrap()),
        ];
        let url = format!("{}/oauth/token", key["url"].as_str().unwrap());
        let answer = self.client.post(url).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/v2{path}", self.simulator.base_url());
        self.client.request(method, url).bearer_auth(&self.token).header("AI-Resource-Group", "dev-a")
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(self.ask(Method::GET, path).send().await.unwrap()).await
    }

    async fn ids(&self, path: &str) -> Vec<String> {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{body}");
        body["resources"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn patch(&self, path: &str, content_type: &str, body: Value) -> (u16, Value) {
        let request = self.ask(Method::PATCH, path).header("content-type", content_type).body(body.to_string());
        read(request.send().await.unwrap()).await
    }

    async fn stop(&self, id: &str) -> (u16, Value) {
        self.patch(&format!("/lm/deployments/{id}"), "application/json", json!({"targetStatus": "STOPPED"})).await
    }

    async fn bulk_stop(&self, ids: &[&str]) -> (u16, Value) {
        let entries: Vec<Value> = ids.iter().map(|id| json!({"id": id, "targetStatus": "STOPPED"})).collect();
        self.patch("/lm/deployments", MERGE_PATCH, json!({"deployments": entries})).await
    }

    fn status(&self, id: &str) -> Option<Status> {
        self.simulator.deployment("dev-a", id).map(|one| one.status)
    }

    async fn pause(&self, wait: TimeDelta) {
        self.clock.pause(wait.to_std().unwrap()).await;
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn one() -> Fleet {
    Fleet::new().group("dev-a").running("d001", "infer.s")
}

#[tokio::test]
async fn requests_take_no_virtual_time_and_pauses_take_theirs() {
    let bench = Bench::new(one()).await;
    for _ in 0..200 {
        assert_eq!(bench.get("/lm/deployments/d001").await.0, 200);
    }
    assert_eq!(bench.clock.now(), utc("2026-11-16T12:00:00Z"));
    bench.pause(TimeDelta::days(3)).await;
    // tokio's timers round up to the millisecond.
    assert!(bench.clock.now() - utc("2026-11-19T12:00:00Z") < TimeDelta::milliseconds(2));
}

#[tokio::test]
async fn latency_passes_in_virtual_time_and_a_silent_server_runs_into_the_clients_timeout() {
    let bench = Bench::new(one().latency(Duration::from_millis(250))).await;
    let start = bench.clock.now();
    bench.get("/lm/deployments").await;
    assert!((bench.clock.now() - start - TimeDelta::milliseconds(250)).abs() < TimeDelta::milliseconds(2));
    bench.simulator.inject(Fault::on("GET", "/deployments").hangs());
    let start = bench.clock.now();
    assert!(bench.ask(Method::GET, "/lm/deployments").send().await.unwrap_err().is_timeout());
    assert!((bench.clock.now() - start - TimeDelta::seconds(30)).abs() < TimeDelta::milliseconds(10));
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_stop_is_scheduled_and_then_happens() {
    let bench = Bench::new(one().stop_after(TimeDelta::seconds(40))).await;
    let (status, body) = bench.stop("d001").await;
    assert_eq!((status, &body), (202, &json!({"id": "d001", "message": "Deployment modification scheduled"})));
    let (_, body) = bench.get("/lm/deployments/d001").await;
    assert_eq!((&body["status"], &body["targetStatus"]), (&json!("STOPPING"), &json!("STOPPED")));
    bench.pause(TimeDelta::seconds(39)).await;
    assert_eq!(bench.status("d001"), Some(Status::Stopping));
    bench.pause(TimeDelta::minutes(5)).await;
    let (_, body) = bench.get("/lm/deployments/d001").await;
    assert_eq!((&body["status"], &body["completionTime"]), (&json!("STOPPED"), &json!("2026-11-16T12:00:40Z")));
    assert_eq!(body["statusDetails"], json!({}));
    assert_eq!(bench.simulator.violations(), []);
}

#[tokio::test]
async fn only_running_and_pending_can_be_stopped_and_only_what_is_over_deleted() {
    for (word, stops, deletes) in [
        ("RUNNING", 202, 412),
        ("PENDING", 202, 412),
        ("UNKNOWN", 412, 202),
        ("STOPPING", 412, 412),
        ("STOPPED", 412, 202),
        ("DEAD", 412, 202),
    ] {
        let fleet = one().status(&word.into()).running("d002", "infer.s").status(&word.into());
        // A runtime of its own, because each pauses its clock.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let bench = Bench::new(fleet).await;
                let (status, body) = bench.stop("d001").await;
                assert_eq!(status, stops, "stop {word}");
                if stops == 412 {
                    let expected = format!("Invalid Request, Current status {word} cannot be changed.");
                    assert_eq!(body["error"]["code"], "01010076");
                    assert_eq!(body["error"]["message"], json!(expected));
                    assert_eq!(body["error"]["target"], "/v2/lm/deployments/d001");
                    assert!(body["error"]["requestId"].is_string());
                }
                let answer = bench.ask(Method::DELETE, "/lm/deployments/d002").send().await.unwrap();
                assert_eq!(answer.status().as_u16(), deletes, "delete {word}");
                bench.pause(TimeDelta::minutes(1)).await;
                assert_eq!(bench.status("d002").is_none(), deletes == 202, "deleted {word}");
            });
        })
        .join()
        .unwrap();
    }
}

#[tokio::test]
async fn a_bulk_stop_answers_for_each_id() {
    let fleet = one().running("d002", "infer.s").behaviour(Behaviour::Refuses).running("d003", "infer.s");
    let bench = Bench::new(fleet).await;
    let (status, body) = bench.bulk_stop(&["d001", "d002", "d003", "d999"]).await;
    assert_eq!(status, 202);
    let entries = body["deployments"].as_array().unwrap();
    assert_eq!(entries[0], json!({"id": "d001", "message": "Deployment modification scheduled"}));
    assert_eq!(entries[1]["error"]["code"], "01010076");
    assert_eq!(entries[3]["error"]["message"], "Deployment ID d999 not found");
    assert_eq!(bench.status("d003"), Some(Status::Stopping));
    let entry = bench.simulator.journal().pop().unwrap();
    assert_eq!(entry.patched_ids(), ["d001", "d002", "d003", "d999"]);
    let refused: Vec<_> = entry.effects.iter().map(|effect| effect.refused.as_deref()).collect();
    assert_eq!(refused, [None, Some("01010076"), None, Some("01010052")]);
}

#[tokio::test]
async fn what_saps_description_forbids_is_refused_and_written_down() {
    let bench = Bench::new(one().running_many("d1", 120, "infer.s")).await;
    let entry = |id: &str| json!({"id": id, "targetStatus": "STOPPED"});
    let many: Vec<Value> = (1..=101).map(|n| entry(&format!("d1{n:03}"))).collect();
    let single = "/lm/deployments/d001";
    let cases = [
        (single, MERGE_PATCH, json!({"targetStatus": "STOPPED"}), 415),
        ("/lm/deployments", "application/json", json!({"deployments": [entry("d001")]}), 415),
        (single, "application/json", json!({"targetStatus": "STOPPED", "configurationId": "cfg-x"}), 400),
        (single, "application/json", json!({"targetStatus": "DELETED"}), 400),
        (single, "application/json", json!({"targetStatus": "RUNNING"}), 400),
        (single, "application/json", json!({}), 400),
        (single, "application/json", json!([]), 400),
        ("/lm/deployments", MERGE_PATCH, json!({"deployments": []}), 400),
        ("/lm/deployments", MERGE_PATCH, json!({"deployments": many}), 400),
        ("/lm/deployments", MERGE_PATCH, json!({"deployments": [entry("d001"), entry("d001")]}), 400),
        ("/lm/deployments", MERGE_PATCH, json!({"deployments": [{"id": "d001"}]}), 400),
        ("/lm/deployments", MERGE_PATCH, json!({"deployments": [entry("..")]}), 400),
        ("/lm/deployments/d0", "application/json", json!({"targetStatus": "STOPPED"}), 400),
    ];
    for (number, (path, content_type, body, expected)) in cases.into_iter().enumerate() {
        let (status, answer) = bench.patch(path, content_type, body).await;
        assert_eq!(status, expected, "case {number}: {answer}");
        assert!(bench.simulator.violations().len() > number, "case {number} was not written down");
    }
    assert!(bench.simulator.statuses().iter().all(|(_, _, status)| *status == Status::Running));
    for path in ["/lm/deployments?status=running", "/lm/deployments?$top=100001", "/lm/deployments?$filter=x"] {
        assert_eq!(bench.get(path).await.0, 400, "{path}");
    }
    for path in ["/lm/nothing", "/admin/resources/instanceType"] {
        assert_eq!(bench.get(path).await.0, 404, "{path}");
    }
    assert_eq!(read(bench.ask(Method::PUT, single).send().await.unwrap()).await.0, 405);
}

#[tokio::test]
async fn a_second_patch_for_what_stops_and_the_bytes_deleted_are_violations() {
    let bench = Bench::new(one()).await;
    bench.stop("d001").await;
    assert_eq!(bench.simulator.violations(), []);
    bench.stop("d001").await;
    let reasons: Vec<_> = bench.simulator.violations().into_iter().map(|one| one.reason).collect();
    assert_eq!(reasons, ["a PATCH for d001, which is STOPPING"]);
    bench
        .patch("/lm/deployments", MERGE_PATCH, json!({"deployments": [{"id": "d002", "targetStatus": "DELETED"}]}))
        .await;
    assert_eq!(bench.simulator.violations()[1].reason, "a PATCH holds the bytes DELETED");
}

#[tokio::test]
async fn authorization_and_group_are_asked_for() {
    let bench = Bench::new(one().group("closed").inaccessible()).await;
    let url = format!("{}/v2/lm/deployments", bench.simulator.base_url());
    let plain = bench.client.get(&url).header("AI-Resource-Group", "dev-a");
    assert_eq!(read(plain.send().await.unwrap()).await.0, 401);
    let without_group = bench.client.get(&url).bearer_auth(&bench.token);
    assert_eq!(read(without_group.send().await.unwrap()).await.0, 400);
    for group in ["closed", "no-such-group"] {
        let other = bench.client.get(&url).bearer_auth(&bench.token).header("AI-Resource-Group", group);
        let (status, body) = read(other.send().await.unwrap()).await;
        assert_eq!(status, 403, "{body}");
    }
}

#[tokio::test]
async fn tokens_are_given_for_credentials_and_expire() {
    let bench = Bench::new(one().token_lifetime(Duration::from_secs(600))).await;
    bench.pause(TimeDelta::seconds(599)).await;
    assert_eq!(bench.get("/lm/deployments").await.0, 200);
    bench.pause(TimeDelta::seconds(1)).await;
    assert_eq!(bench.get("/lm/deployments").await.0, 401);
    let url = format!("{}/oauth/token", bench.simulator.auth_url());
    let (id, secret) = (bench.key()["clientid"].clone(), bench.key()["clientsecret"].clone());
    let basic = bench.client.post(&url).basic_auth(id.as_str().unwrap(), secret.as_str());
    let (status, body) = read(basic.form(&[("grant_type", "client_credentials")]).send().await.unwrap()).await;
    assert_eq!((status, &body["expires_in"]), (200, &json!(600)));
    let wrong = [("grant_type", "client_credentials"), ("client_id", "x"), ("client_secret", "y")];
    let (status, body) = read(bench.client.post(&url).form(&wrong).send().await.unwrap()).await;
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
    let odd = [("grant_type", "password")];
    let (status, body) = read(bench.client.post(&url).form(&odd).send().await.unwrap()).await;
    assert_eq!((status, &body["error"]), (400, &json!("unsupported_grant_type")));
    let journal = serde_json::to_string(&bench.simulator.journal()).unwrap();
    assert!(!journal.contains(secret.as_str().unwrap()) && !journal.contains(&bench.token));
}

#[tokio::test]
async fn lists_are_filtered_counted_and_paged() {
    let fleet = Fleet::new()
        .group("dev-a")
        .running("d001", "infer.s")
        .configuration("chat")
        .scenario("scenario-1")
        .running("d002", "infer.s")
        .executable("exec-2")
        .status(&Status::Pending)
        .model("d003", "gpt-4o");
    let bench = Bench::new(fleet).await;
    for (query, expected) in [
        ("", &["d001", "d002", "d003"][..]),
        ("?status=PENDING", &["d002"]),
        ("?scenarioId=scenario-1", &["d001"]),
        ("?configurationId=cfg-chat", &["d001"]),
        ("?executableIds=exec-2,exec-3", &["d002"]),
        ("?$top=1&$skip=1", &["d002"]),
        ("?%24skip=2", &["d003"]),
        ("?scenarioId=foundation-models", &["d003"]),
    ] {
        assert_eq!(bench.ids(&format!("/lm/deployments{query}")).await, expected, "{query}");
    }
    assert_eq!(bench.get("/lm/deployments/$count?status=RUNNING").await, (200, json!(2)));
    let (_, body) = bench.get("/lm/deployments?$select=status").await;
    assert!(body["resources"][0].get("details").is_none() && body["resources"][0]["status"] == "RUNNING");
    let (_, body) = bench.get("/lm/deployments/d003").await;
    assert_eq!(body["details"]["resources"]["backendDetails"]["model"]["name"], "gpt-4o");
    let (_, body) = bench.get("/lm/deployments/d002").await;
    assert_eq!(body["details"]["scaling"]["backend_details"]["predictor"]["runningReplicas"], 0);
    assert_eq!(bench.get("/lm/deployments/d999").await.1["error"]["message"], "Deployment ID d999 not found");
    assert_eq!(bench.simulator.violations(), []);
}

#[tokio::test]
async fn bulk_and_meta_are_as_the_tenant_has_them() {
    let bench = Bench::new(one().refusing_bulk(501)).await;
    let (_, meta) = bench.get("/lm/meta").await;
    assert_eq!(meta["aiApi"]["capabilities"]["bulkUpdates"]["deployments"], true);
    assert_eq!(bench.bulk_stop(&["d001"]).await.0, 501);
    assert_eq!(bench.status("d001"), Some(Status::Running));
    assert_eq!(bench.simulator.violations(), []);
}

#[tokio::test]
async fn a_tenant_without_meta_answers_404() {
    let bench = Bench::new(one().without_bulk().without_meta()).await;
    assert_eq!(bench.get("/lm/meta").await.0, 404);
    assert_eq!(bench.bulk_stop(&["d001"]).await.0, 400);
}

#[tokio::test]
async fn resource_groups_are_selected_by_label_and_paged() {
    let fleet =
        one().label("ext.ai.sap.com/env", "dev").group("dev-b").label("ext.ai.sap.com/env", "dev").group("prod");
    let bench = Bench::new(fleet).await;
    let ids = |body: &Value| -> Vec<String> {
        let resources = body["resources"].as_array().unwrap();
        resources.iter().map(|one| one["resourceGroupId"].as_str().unwrap().to_owned()).collect()
    };
    let (_, body) = bench.get("/admin/resourceGroups?labelSelector=ext.ai.sap.com/env=dev").await;
    assert_eq!(ids(&body), ["dev-a", "dev-b"]);
    assert_eq!(body["resources"][0]["labels"][0], json!({"key": "ext.ai.sap.com/env", "value": "dev"}));
    let (_, body) = bench.get("/admin/resourceGroups?labelSelector=ext.ai.sap.com/env!=dev").await;
    assert_eq!(ids(&body), ["default", "prod"]);
    let mut path = "/admin/resourceGroups".to_owned();
    let mut pages = Vec::new();
    loop {
        let answer = bench.ask(Method::GET, &path).header("Prefer", "maxpagesize=3").send().await.unwrap();
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        pages.push(ids(&answer.json().await.unwrap()));
        let Some(link) = link else { break };
        path = link[1..].split('>').next().unwrap().split_once("/v2").unwrap().1.to_owned();
    }
    assert_eq!(pages, [vec!["default", "dev-a", "dev-b"], vec!["prod"]]);
    bench.pause(TimeDelta::minutes(16)).await;
    assert_eq!(bench.get(&path).await.0, 410);
    assert_eq!(bench.get("/admin/resourceGroups/prod").await.1["status"], "PROVISIONED");
    assert_eq!(bench.get("/admin/resourceGroups/nope").await.0, 404);
}

#[tokio::test]
async fn behaviours_are_kept() {
    let fleet = Fleet::new().group("dev-a");
    let fleet = [
        ("dies", Behaviour::Dies),
        ("vanishes", Behaviour::Vanishes),
        ("comes-back", Behaviour::ComesBack),
        ("stuck", Behaviour::Stuck),
        ("slow", Behaviour::Slow),
        ("forbidden", Behaviour::Forbidden),
    ]
    .into_iter()
    .fold(fleet, |fleet, (id, behaviour)| fleet.running(id, "infer.s").behaviour(behaviour));
    let bench = Bench::new(fleet).await;
    for id in ["dies", "vanishes", "comes-back", "stuck", "slow"] {
        assert_eq!(bench.stop(id).await.0, 202, "{id}");
    }
    assert_eq!(bench.stop("forbidden").await.0, 403);
    bench.pause(TimeDelta::minutes(10)).await;
    assert_eq!(bench.status("dies"), Some(Status::Dead));
    assert_eq!(bench.status("vanishes"), None);
    assert_eq!(bench.status("comes-back"), Some(Status::Running));
    assert_eq!(bench.status("slow"), Some(Status::Stopping));
    bench.pause(TimeDelta::days(8)).await;
    assert_eq!(bench.status("slow"), Some(Status::Stopped));
    assert_eq!(bench.status("stuck"), Some(Status::Stopping));
    assert_eq!(bench.status("dies"), None, "the platform deletes what is DEAD for a week");
}

#[tokio::test]
async fn people_deploy_again_in_the_morning_what_was_stopped() {
    let mornings = Redeployed::new(Cron::parse("0 7 * * MON-FRI").unwrap(), clock::zone("Europe/Berlin").unwrap());
    let fleet = one()
        .token_lifetime(Duration::from_hours(240))
        .configuration("chat")
        .redeployed(&mornings)
        .running("d002", "infer.s");
    let bench = Bench::new(fleet).await;
    bench.pause(TimeDelta::days(1)).await;
    assert_eq!(bench.ids("/lm/deployments").await, ["d001", "d002"], "nobody stopped it");
    bench.stop("d001").await;
    bench.pause(TimeDelta::hours(17)).await;
    assert_eq!(bench.ids("/lm/deployments").await.len(), 2);
    bench.pause(TimeDelta::hours(2)).await;
    let ids = bench.ids("/lm/deployments?status=RUNNING").await;
    assert_eq!(ids.len(), 2);
    let (_, body) = bench.get(&format!("/lm/deployments/{}", ids[1])).await;
    assert_eq!((&body["configurationName"], &body["createdAt"]), (&json!("chat"), &json!("2026-11-18T06:00:00Z")));
    assert_eq!(body["startTime"], "2026-11-18T06:02:00Z");
    // The replacement is stopped and replaced in its turn.
    bench.stop(&ids[1]).await;
    bench.pause(TimeDelta::days(1)).await;
    let again = bench.ids("/lm/deployments?status=RUNNING").await;
    assert!(again.len() == 2 && again[1] != ids[1]);
}

#[tokio::test]
async fn deployments_appear_start_expire_and_are_deleted_in_their_time() {
    let fleet = one()
        .ttl("2H")
        .aged(TimeDelta::hours(1))
        .running("later", "infer.s")
        .appears_at(Moment::After(TimeDelta::minutes(30)))
        .running("leaves", "infer.s")
        .deleted_at(Moment::At(utc("2026-11-16T12:45:00Z")));
    let bench = Bench::new(fleet).await;
    assert_eq!(bench.ids("/lm/deployments").await, ["d001", "leaves"]);
    bench.pause(TimeDelta::minutes(30)).await;
    assert_eq!(bench.status("later"), Some(Status::Unknown));
    bench.pause(TimeDelta::seconds(10)).await;
    assert_eq!(bench.status("later"), Some(Status::Pending));
    bench.pause(TimeDelta::seconds(110)).await;
    assert_eq!(bench.status("later"), Some(Status::Running));
    bench.pause(TimeDelta::hours(1)).await;
    assert_eq!(bench.ids("/lm/deployments").await, ["later"]);
}

#[tokio::test]
async fn a_deployment_is_created_from_a_configuration_and_reconfigured() {
    let bench = Bench::new(one().configuration("chat").running("d002", "infer.m").configuration("search")).await;
    let create = |body: Value| bench.ask(Method::POST, "/lm/deployments").json(&body).send();
    let answer = create(json!({"configurationId": "cfg-chat", "ttl": "3h"})).await.unwrap();
    assert!(answer.headers().contains_key("location"));
    let (status, body) = read(answer).await;
    assert_eq!((status, &body["message"], &body["status"]), (202, &json!("Deployment scheduled"), &json!("UNKNOWN")));
    bench.pause(TimeDelta::minutes(5)).await;
    let (_, made) = bench.get(&format!("/lm/deployments/{}", body["id"].as_str().unwrap())).await;
    assert_eq!((&made["status"], &made["configurationName"]), (&json!("RUNNING"), &json!("chat")));
    assert_eq!(read(create(json!({"configurationId": "cfg-none"})).await.unwrap()).await.0, 400);
    let change = json!({"configurationId": "cfg-search"});
    assert_eq!(bench.patch("/lm/deployments/d001", "application/json", change).await.0, 202);
    let (_, body) = bench.get("/lm/deployments/d001").await;
    assert_eq!(body["latestRunningConfigurationId"], "cfg-chat");
    assert_eq!(body["configurationName"], "search");
    assert_eq!(bench.simulator.violations(), []);
}

#[tokio::test]
async fn a_fault_by_chance_strikes_about_one_in_so_many_and_with_one_seed_the_same_ones() {
    let bench = Bench::new(one()).await;
    let mut struck = Vec::new();
    for _ in 0..2 {
        bench.simulator.inject(Fault::on("GET", "/d001").answers(503).by_chance(10, 4711));
        let mut statuses = Vec::new();
        for _ in 0..200 {
            statuses.push(bench.get("/lm/deployments/d001").await.0);
        }
        bench.simulator.heal();
        struck.push(statuses);
    }
    let count = struck[0].iter().filter(|status| **status == 503).count();
    assert!((8..=40).contains(&count), "{count} of 200");
    assert_eq!(struck[0], struck[1]);
}

#[tokio::test]
async fn a_journal_that_was_taken_begins_anew_and_what_is_under_way_harms_nothing() {
    let bench = Bench::new(one()).await;
    bench.simulator.inject(Fault::on("GET", "/d001").delays(Duration::from_secs(5)));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    tokio::join!(bench.get("/lm/deployments/d001"), async {
        bench.pause(TimeDelta::seconds(1)).await;
        first = bench.simulator.take_journal();
        bench.get("/lm/deployments").await;
        second = bench.simulator.take_journal();
    });
    let seen = |entries: &[Entry]| entries.iter().map(|one| (one.target.clone(), one.status)).collect::<Vec<_>>();
    assert_eq!(seen(&first).last(), Some(&("/v2/lm/deployments/d001".to_owned(), None)));
    assert_eq!(seen(&second), [("/v2/lm/deployments".to_owned(), Some(200))]);
    assert_eq!(bench.simulator.journal(), []);
}

#[tokio::test]
async fn faults_strike_where_and_as_often_as_they_are_told() {
    let bench = Bench::new(one()).await;
    let fault =
        Fault::on("GET", "/deployments").group("dev-a").skip(1).times(2).answers(429).header("Retry-After", "7");
    bench.simulator.inject(fault);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(bench.get("/lm/deployments").await.0);
    }
    assert_eq!(statuses, [200, 429, 429, 200]);
    bench.simulator.inject(Fault::on("GET", "/d001").answers_with(200, "text/html", "<html>log in</html>"));
    assert_eq!(bench.get("/lm/deployments/d001").await, (200, json!("<html>log in</html>")));
    assert_eq!(bench.simulator.violations(), []);
}

#[tokio::test]
async fn a_stop_can_be_done_although_its_client_is_not_told() {
    let tricks: [fn(Fault) -> Fault; 5] = [
        Fault::does_but_drops,
        Fault::truncates,
        |fault| fault.does_but_answers(500),
        Fault::does_but_hangs,
        |fault| fault.does_but_answers_with(202, "application/json", "{]"),
    ];
    let fleet = (0..5).fold(Fleet::new().group("dev-a"), |fleet, n| fleet.running(&format!("d00{n}"), "infer.s"));
    let bench = Bench::new(fleet).await;
    for (n, trick) in tricks.iter().enumerate() {
        let id = format!("d00{n}");
        bench.simulator.inject(trick(Fault::on("PATCH", &id)));
        let request = bench.ask(Method::PATCH, &format!("/lm/deployments/{id}"));
        let result = match request.json(&json!({"targetStatus": "STOPPED"})).send().await {
            Ok(answer) if answer.status() == 202 => answer.json::<Value>().await.map(|_| ()),
            Ok(answer) => answer.error_for_status().map(|_| ()),
            Err(e) => Err(e),
        };
        assert!(result.is_err(), "trick {n}");
        assert!(bench.status(&id).unwrap().is_off(), "trick {n}");
    }
    bench.simulator.inject(Fault::on("GET", "/deployments").drops());
    assert!(bench.ask(Method::GET, "/lm/deployments").send().await.is_err());
    assert_eq!(bench.simulator.journal().last().unwrap().status, None);
}

#[tokio::test]
async fn a_bulk_answer_can_lack_add_and_repeat_ids() {
    let bench = Bench::new(one().running("d002", "infer.s")).await;
    bench.simulator.inject(Fault::on("PATCH", "/deployments").lacks("d001"));
    let (_, body) = bench.bulk_stop(&["d001"]).await;
    assert_eq!((body, bench.status("d001")), (json!({"deployments": []}), Some(Status::Stopping)));
    bench.simulator.inject(Fault::on("GET", "/deployments").repeats("d002"));
    assert_eq!(bench.ids("/lm/deployments").await, ["d001", "d002", "d002"]);
    bench.simulator.inject(Fault::on("GET", "/deployments").adds(json!({"id": ".."})));
    assert_eq!(bench.ids("/lm/deployments").await, ["d001", "d002", ".."]);
    bench.simulator.inject(Fault::on("GET", "/d002").rewrites(|body| body["status"] = json!("HIBERNATING")));
    assert_eq!(bench.get("/lm/deployments/d002").await.1["status"], "HIBERNATING");
}

#[tokio::test]
async fn a_test_can_create_and_delete_by_hand() {
    let bench = Bench::new(one().details(DetailsSpelling::HalfFilled)).await;
    bench.simulator.create(Spec::running("dev-a", "d777", "infer.l"));
    assert_eq!(bench.status("d777"), Some(Status::Unknown));
    bench.simulator.place(Spec::running("dev-c", "d888", "infer.l"));
    assert_eq!(bench.simulator.deployment("dev-c", "d888").unwrap().status, Status::Running);
    assert!(bench.simulator.delete("dev-a", "d001") && !bench.simulator.delete("dev-a", "d001"));
    assert_eq!(bench.get("/lm/deployments/d001").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_by_the_machines_clock_as_well() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::start(one(), Clock::System, SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{}/v2/lm/meta", simulator.base_url())).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let address = simulator.base_url().to_owned();
    simulator.shutdown().await;
    assert!(client.get(address).send().await.is_err(), "it serves after its shutdown");
}
