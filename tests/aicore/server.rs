//! A server that answers as a test says and keeps a journal of what it received.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use offhours::aicore::{KeySource, Options, Reader, Tenant};
use offhours::clock::Clock;
use offhours::domain::id::{DeploymentId, ResourceGroup};

/// Secrets that must appear nowhere but where they belong.
pub const SECRET: &str = "canary-client-secret-4711";
pub(crate) const TOKEN: &str = "canary-access-token-0815";

/// One request as it was received.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Instant,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub(crate) fn is_token(&self) -> bool {
        self.target.ends_with("/oauth/token")
    }

    pub fn is_patch(&self) -> bool {
        self.method == "PATCH"
    }

    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// What the server does with a request.
pub enum Act {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// These bytes, and the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, one a second.
    Drip(Vec<u8>),
    Hang,
    Close,
}

pub fn answer(status: u16, body: &Value) -> Act {
    let headers = vec![("content-type", "application/json".to_owned())];
    Act::Answer { status, headers, body: body.to_string().into_bytes() }
}

pub(crate) fn answer_with(status: u16, name: &'static str, value: &str, body: &Value) -> Act {
    let headers = vec![("content-type", "application/json".to_owned()), (name, value.to_owned())];
    Act::Answer { status, headers, body: body.to_string().into_bytes() }
}

pub(crate) fn token_answer() -> Act {
    answer(200, &json!({ "access_token": TOKEN, "token_type": "bearer", "expires_in": 7199 }))
}

pub fn page(ids: &[&str], count: usize) -> Act {
    let resources: Vec<_> = ids.iter().map(|id| json!({ "id": id, "status": "RUNNING" })).collect();
    answer(200, &json!({ "count": count, "resources": resources }))
}

pub(crate) fn api_error(status: u16, code: &str, message: &str) -> Act {
    let error = json!({ "code": code, "message": message, "requestId": "req-42", "target": "/v2" });
    answer(status, &json!({ "error": error }))
}

type Script = dyn Fn(&Seen, usize) -> Act + Send + Sync;

pub(crate) struct Server {
    pub address: String,
    journal: Arc<Mutex<Vec<Seen>>>,
    directory: tempfile::TempDir,
}

impl Server {
    /// Answers token requests well and every other one by `script`, which is given the request's number among those,
    /// from 0.
    pub async fn api(script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::new(move |seen, n| if seen.is_token() { token_answer() } else { script(seen, n) }).await
    }

    /// Answers every request by `script`; token requests and others are numbered apart.
    pub async fn new(script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let journal = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(listener, Arc::new(script), Arc::clone(&journal)));
        let server = Self { address, journal, directory: tempfile::tempdir().unwrap() };
        server.write_key(SECRET);
        server
    }

    pub(crate) fn write_key(&self, secret: &str) {
        let key = json!({
            "clientid": "client", "clientsecret": secret, "url": self.address, "identityzoneid": "zone",
            "serviceurls": { "AI_API_URL": format!("{}/", self.address) },
        });
        self.write(&key.to_string());
    }

    pub fn write(&self, key: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.key_path(), key).unwrap();
        std::fs::set_permissions(self.key_path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn key_path(&self) -> PathBuf {
        self.directory.path().join("key.json")
    }

    pub fn tenant(&self) -> Tenant {
        Tenant::connect(KeySource::file(self.key_path()), options()).unwrap()
    }

    pub fn reader(&self) -> Reader {
        Reader::connect(KeySource::file(self.key_path()), options()).unwrap()
    }

    pub fn journal(&self) -> Vec<Seen> {
        self.journal.lock().unwrap().clone()
    }

    pub fn tokens(&self) -> usize {
        self.journal().iter().filter(|seen| seen.is_token()).count()
    }

    pub fn calls(&self) -> Vec<Seen> {
        self.journal().into_iter().filter(|seen| !seen.is_token()).collect()
    }
}

/// Virtual time from a fixed start on.
pub fn options() -> Options {
    let start: DateTime<Utc> = "2026-11-23T18:00:00Z".parse().unwrap();
    Options { clock: Clock::Virtual { start, origin: Instant::now() }, ..Options::default() }
}

pub fn dev() -> ResourceGroup {
    ResourceGroup::new("dev").unwrap()
}

pub fn id(text: &str) -> DeploymentId {
    DeploymentId::new(text).unwrap()
}

async fn serve(listener: TcpListener, script: Arc<Script>, journal: Arc<Mutex<Vec<Seen>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&script), Arc::clone(&journal)));
    }
}

async fn converse(mut stream: TcpStream, script: Arc<Script>, journal: Arc<Mutex<Vec<Seen>>>) {
    while let Some(seen) = receive(&mut stream).await {
        let n = {
            let mut journal = journal.lock().unwrap();
            journal.push(seen.clone());
            journal.iter().filter(|other| other.is_token() == seen.is_token()).count() - 1
        };
        match script(&seen, n) {
            Act::Answer { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.extend([name, ": ", &value, "\r\n"]);
                }
                head.push_str("\r\n");
                if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
                    return;
                }
            }
            Act::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Act::Drip(bytes) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                return;
            }
            Act::Hang => std::future::pending().await,
            Act::Close => return,
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut request = lines.next()?.split(' ');
    let (method, target) = (request.next()?.to_owned(), request.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        stream.read_buf(&mut body).await.ok()?;
    }
    Some(Seen { at: Instant::now(), method, target, headers, body: String::from_utf8(body).unwrap() })
}
