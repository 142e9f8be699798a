//! An SMTP server that does what a test wants: refuse, hang up, fall silent. It keeps a journal.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does at one step.
#[derive(Debug, Clone)]
pub enum Act {
    /// Say this line (or these lines).
    Say(&'static str),
    /// Say it, then hang up.
    SayAndDrop(&'static str),
    /// Say it after a while.
    Late(Duration, &'static str),
    /// Say one letter after the other, this far apart, and never a line end.
    Drip(Duration),
    /// Hang up.
    Drop,
    /// Say nothing, for ever.
    Silence,
    /// Say it, then stop reading, for ever.
    Deaf(&'static str),
}

/// What the server saw.
#[derive(Debug, Default)]
pub struct Journal {
    /// How many connections were made.
    pub connections: usize,
    /// Every step that was come to; see [`Script`].
    pub steps: Vec<String>,
    /// Every line a client sent, mails left out.
    pub lines: Vec<String>,
    /// Mails that were taken: recipient and bytes as they came, dots unstuffed.
    pub mails: Vec<(String, Vec<u8>)>,
    /// Mails that were sent, taken or not.
    pub sent: Vec<Vec<u8>>,
}

/// A server; it ends with its runtime.
#[derive(Debug, Clone)]
pub struct Sink {
    pub port: u16,
    pub journal: Arc<Mutex<Journal>>,
}

/// Asked at each step: the number of the connection, and the step, which is `GREETING`, `DOT` or the client's line.
type Script = dyn Fn(usize, &str) -> Option<Act> + Send + Sync;

impl Sink {
    /// A server that follows `script`, and does what servers do where that says nothing.
    pub async fn start(script: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let journal = Arc::new(Mutex::new(Journal::default()));
        let (script, kept): (Arc<Script>, _) = (Arc::new(script), journal.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut journal = kept.lock().unwrap();
                    journal.connections += 1;
                    journal.connections
                };
                tokio::spawn(serve(stream, number, script.clone(), kept.clone()));
            }
        });
        Self { port, journal }
    }

    pub fn connections(&self) -> usize {
        self.journal.lock().unwrap().connections
    }

    /// Waits until a client has come to this step. Other tasks go on meanwhile; the clock need not.
    pub async fn reached(&self, step: &str) {
        while !self.journal.lock().unwrap().steps.iter().any(|known| known.starts_with(step)) {
            tokio::task::yield_now().await;
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.journal.lock().unwrap().lines.clone()
    }

    pub fn mails(&self) -> Vec<(String, Vec<u8>)> {
        self.journal.lock().unwrap().mails.clone()
    }

    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.journal.lock().unwrap().sent.clone()
    }
}

fn usual(step: &str) -> &'static str {
    match step.split([' ', ':']).next().unwrap_or_default() {
        "GREETING" => "220 sink ESMTP",
        "EHLO" => "250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN",
        "AUTH" => "235 2.7.0 welcome",
        "DATA" => "354 go on",
        "DOT" => "250 2.0.0 taken",
        "QUIT" => "221 bye",
        _ => "250 2.1.0 fine",
    }
}

async fn serve(stream: TcpStream, number: usize, script: Arc<Script>, journal: Arc<Mutex<Journal>>) {
    let mut stream = BufReader::new(stream);
    let mut recipient = String::new();
    let mut step = "GREETING".to_owned();
    loop {
        journal.lock().unwrap().steps.push(step.clone());
        let act = script(number, &step).unwrap_or(Act::Say(usual(&step)));
        let Some(said) = perform(&mut stream, act).await else { return };
        if step == "DOT" && said.starts_with('2') {
            let mut journal = journal.lock().unwrap();
            let mail = journal.sent.last().cloned().unwrap_or_default();
            journal.mails.push((recipient.clone(), mail));
        }
        if step == "DATA" && said.starts_with('3') {
            let Some(mail) = read_mail(&mut stream).await else { return };
            journal.lock().unwrap().sent.push(mail);
            "DOT".clone_into(&mut step);
            continue;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        line.trim_end().clone_into(&mut step);
        if let Some(address) = step.strip_prefix("RCPT TO:") {
            address.trim_matches(['<', '>']).clone_into(&mut recipient);
        }
        journal.lock().unwrap().lines.push(step.clone());
    }
}

/// Does what the script says; none where the conversation is over.
async fn perform(stream: &mut BufReader<TcpStream>, act: Act) -> Option<&'static str> {
    match act {
        Act::Say(text) => {
            stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
            Some(text)
        }
        Act::SayAndDrop(text) => {
            let _ = stream.write_all(format!("{text}\r\n").as_bytes()).await;
            None
        }
        Act::Late(after, text) => {
            tokio::time::sleep(after).await;
            stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
            Some(text)
        }
        Act::Drip(pause) => loop {
            tokio::time::sleep(pause).await;
            stream.write_all(b"2").await.ok()?;
        },
        Act::Drop => None,
        Act::Silence => {
            // Reads on, so that the client's writes never fail.
            let mut rest = [0_u8; 1024];
            while stream.read(&mut rest).await.unwrap_or(0) > 0 {}
            None
        }
        Act::Deaf(text) => {
            stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
            std::future::pending().await
        }
    }
}

/// A mail up to its final dot, with the dots unstuffed.
async fn read_mail(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some(mail);
        }
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
