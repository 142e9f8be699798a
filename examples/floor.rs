//! The leanest client that does the work of `bench/run stop-run`: the floor that offhours is measured against. Threads,
//! one kept connection each, HTTP/1.1 by hand, no retries, no ledger, no judgement: never point it at a real tenant.
//!
//! Usage: `floor SERVICE_KEY bulk|single CONNECTIONS`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what goes wrong ends the measurement")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The pause before look number `round`: offhours' own.
fn pause(round: u32) -> Duration {
    (Duration::from_millis(250) * 2_u32.saturating_pow(round)).min(Duration::from_secs(30))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    List(String),
    StopAll(String, Vec<String>),
    StopOne(String, String),
    Look(String, u32),
}

/// What is to be done, each not before its time.
#[derive(Default)]
struct Work {
    jobs: BinaryHeap<Reverse<(Instant, Job)>>,
    /// Groups with something left to do.
    open: usize,
    /// Single stops that are not answered yet.
    unanswered: BTreeMap<String, usize>,
}

struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    token: String,
}

impl Connection {
    fn open(host: &str, token: &str) -> Self {
        let stream = TcpStream::connect(host).expect("the simulator listens");
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), host: host.to_owned(), token: token.to_owned() }
    }

    fn ask(&mut self, method: &str, path: &str, group: Option<&str>, body: Option<(&str, String)>) -> Value {
        let (kind, body) = body.unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.host, body.len());
        let headers =
            [("Content-Type", kind), ("AI-Resource-Group", group.unwrap_or("")), ("Authorization", &self.token)];
        for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                assert!(line.contains(" 200 ") || line.contains(" 202 "), "{method} {path}: {line}");
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn list(&mut self, group: &str) -> Vec<(String, String)> {
        let page = self.ask("GET", "/v2/lm/deployments?$top=1000", Some(group), None);
        let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        page["resources"].as_array().unwrap().iter().map(|one| (text(one, "id"), text(one, "status"))).collect()
    }
}

fn do_one(connection: &mut Connection, job: Job, bulk: bool, work: &Mutex<Work>) -> Vec<(Duration, Job)> {
    const NOW: Duration = Duration::ZERO;
    match job {
        Job::List(group) => {
            let listed = connection.list(&group).into_iter();
            let ids: Vec<String> = listed.filter(|(_, status)| status == "RUNNING").map(|(id, _)| id).collect();
            if bulk {
                return vec![(NOW, Job::StopAll(group, ids))];
            }
            work.lock().unwrap().unanswered.insert(group.clone(), ids.len());
            ids.into_iter().map(|id| (NOW, Job::StopOne(group.clone(), id))).collect()
        }
        Job::StopAll(group, ids) => {
            let entries: Vec<Value> = ids.iter().map(|id| json!({"id": id, "targetStatus": "STOPPED"})).collect();
            let body = ("application/merge-patch+json", json!({"deployments": entries}).to_string());
            connection.ask("PATCH", "/v2/lm/deployments", Some(&group), Some(body));
            vec![(pause(0), Job::Look(group, 0))]
        }
        Job::StopOne(group, id) => {
            let body = ("application/json", json!({"targetStatus": "STOPPED"}).to_string());
            connection.ask("PATCH", &format!("/v2/lm/deployments/{id}"), Some(&group), Some(body));
            let mut work = work.lock().unwrap();
            let left = work.unanswered.get_mut(&group).unwrap();
            *left -= 1;
            if *left == 0 { vec![(pause(0), Job::Look(group, 0))] } else { Vec::new() }
        }
        Job::Look(group, round) => {
            if connection.list(&group).iter().all(|(_, status)| status == "STOPPED") {
                work.lock().unwrap().open -= 1;
                return Vec::new();
            }
            vec![(pause(round + 1), Job::Look(group, round + 1))]
        }
    }
}

/// Does jobs until no group is left.
fn labour(mut connection: Connection, bulk: bool, work: &Mutex<Work>, news: &Condvar) {
    loop {
        let mut state = work.lock().unwrap();
        let job = loop {
            if state.open == 0 {
                return;
            }
            let next = state.jobs.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()));
            state = match next {
                Some(Duration::ZERO) => break state.jobs.pop().unwrap().0.1,
                Some(wait) => news.wait_timeout(state, wait).unwrap().0,
                None => news.wait(state).unwrap(),
            };
        };
        drop(state);
        let more = do_one(&mut connection, job, bulk, work);
        let mut state = work.lock().unwrap();
        state.jobs.extend(more.into_iter().map(|(wait, job)| Reverse((Instant::now() + wait, job))));
        drop(state);
        news.notify_all();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, key, how, connections] = arguments.as_slice() else { panic!("floor SERVICE_KEY bulk|single CONNECTIONS") };
    let key: Value = serde_json::from_str(&std::fs::read_to_string(key).unwrap()).unwrap();
    let host = key["serviceurls"]["AI_API_URL"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let mut first = Connection::open(&host, "");
    let secret = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        key["clientid"].as_str().unwrap(),
        key["clientsecret"].as_str().unwrap()
    );
    let token = first.ask("POST", "/oauth/token", None, Some(("application/x-www-form-urlencoded", secret)));
    first.token = format!("Bearer {}", token["access_token"].as_str().unwrap());
    first.ask("GET", "/v2/lm/meta", None, None);
    let groups = first.ask("GET", "/v2/admin/resourceGroups", None, None);
    let name = |group: &Value| group["resourceGroupId"].as_str().unwrap().to_owned();
    let groups: Vec<String> = groups["resources"].as_array().unwrap().iter().map(name).collect();
    let groups: Vec<String> = groups.into_iter().filter(|name| name.starts_with("dev-")).collect();

    let now = Instant::now();
    let jobs = groups.iter().map(|group| Reverse((now, Job::List(group.clone())))).collect();
    let work = Mutex::new(Work { jobs, open: groups.len(), unanswered: BTreeMap::new() });
    let news = Condvar::new();
    let token = first.token.clone();
    std::thread::scope(|scope| {
        for _ in 0..connections.parse().unwrap() {
            scope.spawn(|| labour(Connection::open(&host, &token), how == "bulk", &work, &news));
        }
    });
}
