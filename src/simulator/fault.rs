//! Faults that a test puts between its client and the simulated tenant, each as one sentence:
//! `Fault::on("GET", "/deployments").skip(1).answers(503)`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::simulator::received::Received;

/// For which requests a fault is meant, and what then happens. It strikes once, unless told otherwise.
#[derive(Debug, Clone)]
pub struct Fault {
    method: String,
    path_suffix: String,
    group: Option<String>,
    skip: usize,
    times: usize,
    seen: usize,
    chance: Option<Chance>,
    trick: Trick,
}

/// Chance decides which requests are struck; the same seed always decides the same.
#[derive(Debug, Clone)]
struct Chance {
    one_in: u32,
    random: fastrand::Rng,
}

/// What happens to a request that a fault strikes.
#[derive(Clone)]
pub(super) enum Trick {
    /// Nothing is done; this is answered.
    Answer(Canned),
    /// It is done, later.
    Delay(Duration),
    /// Nothing is done and nothing is answered.
    Hang,
    /// It is done and nothing is answered.
    DoneThenHang,
    /// Nothing is done; the connection is closed.
    Drop,
    /// It is done; the connection is closed without an answer.
    DoneThenDrop,
    DoneThenAnswer(Canned),
    /// It is done; the answer ends in its middle.
    Truncate,
    /// It is done; the body of its answer is changed.
    Rewrite(Arc<dyn Fn(&mut Value) + Send + Sync>),
}

/// An answer made up beforehand.
#[derive(Debug, Clone)]
pub(super) struct Canned {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl fmt::Debug for Trick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(canned) => write!(f, "Answer({})", canned.status),
            Self::Delay(wait) => write!(f, "Delay({wait:?})"),
            Self::Hang => f.write_str("Hang"),
            Self::DoneThenHang => f.write_str("DoneThenHang"),
            Self::Drop => f.write_str("Drop"),
            Self::DoneThenDrop => f.write_str("DoneThenDrop"),
            Self::DoneThenAnswer(canned) => write!(f, "DoneThenAnswer({})", canned.status),
            Self::Truncate => f.write_str("Truncate"),
            Self::Rewrite(_) => f.write_str("Rewrite"),
        }
    }
}

impl Fault {
    /// Requests with this method whose path ends like this. `*` is any method; an empty path is any path.
    pub fn on(method: &str, path_suffix: &str) -> Self {
        Self {
            method: method.to_owned(),
            path_suffix: path_suffix.to_owned(),
            group: None,
            skip: 0,
            times: 1,
            seen: 0,
            chance: None,
            trick: Trick::Delay(Duration::ZERO),
        }
    }

    /// Only those for this resource group.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.group = Some(group.to_owned());
        self
    }

    /// The first so many pass.
    #[must_use]
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// It strikes so many times.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// It strikes each time.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// It strikes about one request in so many, for ever; the same `seed` strikes the same requests.
    #[must_use]
    pub fn by_chance(self, one_in: u32, seed: u64) -> Self {
        Self { chance: Some(Chance { one_in, random: fastrand::Rng::with_seed(seed) }), ..self.always() }
    }
}

impl Fault {
    /// This status, with an error in the API's shape; nothing is done.
    #[must_use]
    pub fn answers(self, status: u16) -> Self {
        let body = json!({"error": {"code": "01019999", "message": "injected", "requestId": "injected"}});
        self.answers_with(status, "application/json", body.to_string())
    }

    /// This status, content type and body; nothing is done.
    #[must_use]
    pub fn answers_with(self, status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.does(Trick::Answer(canned(status, content_type, body.into())))
    }

    /// It is done, but this status is answered.
    #[must_use]
    pub fn does_but_answers(self, status: u16) -> Self {
        let body = json!({"error": {"code": "01019999", "message": "injected", "requestId": "injected"}});
        self.does_but_answers_with(status, "application/json", body.to_string())
    }

    /// It is done, but this is answered.
    #[must_use]
    pub fn does_but_answers_with(self, status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.does(Trick::DoneThenAnswer(canned(status, content_type, body.into())))
    }

    /// Adds a header to the answer named before, such as `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Trick::Answer(canned) | Trick::DoneThenAnswer(canned) = &mut self.trick {
            canned.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Everything goes well, but so much later.
    #[must_use]
    pub fn delays(self, wait: Duration) -> Self {
        self.does(Trick::Delay(wait))
    }

    /// Nothing is done, and no answer ever comes.
    #[must_use]
    pub fn hangs(self) -> Self {
        self.does(Trick::Hang)
    }

    /// It is done, and no answer ever comes.
    #[must_use]
    pub fn does_but_hangs(self) -> Self {
        self.does(Trick::DoneThenHang)
    }

    /// Nothing is done, and the connection is closed.
    #[must_use]
    pub fn drops(self) -> Self {
        self.does(Trick::Drop)
    }

    /// It is done, and the connection is closed without an answer.
    #[must_use]
    pub fn does_but_drops(self) -> Self {
        self.does(Trick::DoneThenDrop)
    }

    /// It is done, and the connection is closed in the middle of the answer.
    #[must_use]
    pub fn truncates(self) -> Self {
        self.does(Trick::Truncate)
    }

    /// It is done; the body of the answer is changed by `change`.
    #[must_use]
    pub fn rewrites(self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.does(Trick::Rewrite(Arc::new(change)))
    }

    /// The list in the answer (`deployments` or `resources`) lacks this id, although it was done.
    #[must_use]
    pub fn lacks(self, id: &str) -> Self {
        let id = id.to_owned();
        self.rewrites_list(move |list| list.retain(|one| one["id"] != json!(id)))
    }

    /// The list in the answer has one more entry.
    #[must_use]
    pub fn adds(self, entry: Value) -> Self {
        self.rewrites_list(move |list| list.push(entry.clone()))
    }

    /// The list in the answer has this id twice.
    #[must_use]
    pub fn repeats(self, id: &str) -> Self {
        let id = id.to_owned();
        self.rewrites_list(move |list| list.extend(list.iter().find(|one| one["id"] == json!(id)).cloned()))
    }

    fn rewrites_list(self, change: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) -> Self {
        self.rewrites(move |body| {
            for name in ["deployments", "resources"] {
                if let Some(Value::Array(list)) = body.get_mut(name) {
                    change(list);
                }
            }
        })
    }

    fn does(mut self, trick: Trick) -> Self {
        self.trick = trick;
        self
    }
}

/// The first of `faults` that strikes this request.
pub(super) fn strike(faults: &mut [Fault], received: &Received) -> Option<Trick> {
    faults.iter_mut().find_map(|fault| fault.strike(received))
}

impl Fault {
    fn strike(&mut self, received: &Received) -> Option<Trick> {
        let meant = (self.method == "*" || received.method.as_str() == self.method)
            && received.path.ends_with(&self.path_suffix)
            && self.group.as_deref().is_none_or(|group| received.header("ai-resource-group") == Some(group));
        if !meant {
            return None;
        }
        self.seen += 1;
        let chosen = self.chance.as_mut().is_none_or(|chance| chance.random.u32(..chance.one_in) == 0);
        let strikes = chosen && self.seen > self.skip && self.seen - self.skip <= self.times;
        strikes.then(|| self.trick.clone())
    }
}

fn canned(status: u16, content_type: &str, body: Vec<u8>) -> Canned {
    Canned { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body }
}
