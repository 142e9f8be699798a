//! An SMTP server that does what a test wants: refuse, hang up, fall silent, lie in clear before TLS. It is as strict as
//! the strictest, and keeps a journal.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How much an answer without an end says before the server hangs up.
pub const FLOOD: usize = 64 << 20;
/// RFC 5321, 4.5.3.1.6: the longest line, without its end.
const LONGEST_LINE: usize = 998;

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
    /// Say nothing, and wait for what comes next.
    Pass,
    /// Say this line, then begin TLS. All that it says is in clear and in one packet. Then, once the client's own first
    /// bytes of TLS are there, say `late`, in clear too.
    Protect { said: &'static str, late: &'static str },
    /// Say it, then [`FLOOD`] bytes without a line end, then hang up.
    Flood(&'static str),
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
    /// How much of a flood the client took.
    pub flooded: usize,
}

/// A server; it ends with its runtime.
#[derive(Debug, Clone)]
pub struct Sink {
    pub port: u16,
    pub journal: Arc<Mutex<Journal>>,
}

/// Asked at each step: the number of the connection, and the step, which is `GREETING`, `DOT` or the client's line.
type Script = dyn Fn(usize, &str) -> Option<Act> + Send + Sync;

/// Where the certificate is that a client must trust; it stands for `localhost`.
pub fn certificate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/localhost.pem")
}

fn acceptor() -> TlsAcceptor {
    let pem = std::fs::read(certificate()).unwrap();
    let certificates = vec![CertificateDer::from_pem_slice(&pem).unwrap()];
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

impl Sink {
    /// A server that follows `script`, and does what servers do where that says nothing.
    pub async fn start(script: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self::listen(script, false).await
    }

    /// The same, with TLS from the first byte.
    pub async fn start_protected(script: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self::listen(script, true).await
    }

    async fn listen(script: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static, protected: bool) -> Self {
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
                let (script, journal) = (script.clone(), kept.clone());
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    let mut stream = BufReader::new(Box::new(stream) as Box<dyn Line>);
                    if protected {
                        let Some(inside) = protect(stream).await else { return };
                        stream = inside;
                    }
                    serve(stream, number, script, journal).await;
                });
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

/// What the conversation goes over: TCP, or TLS on it.
trait Line: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}
type Conversation = BufReader<Box<dyn Line>>;

async fn protect(stream: Conversation) -> Option<Conversation> {
    // What the client has said in clear after STARTTLS would be read as TLS, as it must.
    let inside = acceptor().accept(stream).await.ok()?;
    Some(BufReader::new(Box::new(inside)))
}

async fn serve(mut stream: Conversation, number: usize, script: Arc<Script>, journal: Arc<Mutex<Journal>>) {
    let mut recipient = String::new();
    let mut step = "GREETING".to_owned();
    let mut fault = None;
    loop {
        journal.lock().unwrap().steps.push(step.clone());
        let act = match fault.take() {
            Some(fault) => Act::Say(fault),
            None => script(number, &step).unwrap_or(Act::Say(usual(&step))),
        };
        let said = match act {
            Act::Protect { said, late } => {
                let Some(inside) = begin_tls(stream, said, late).await else { return };
                stream = inside;
                said
            }
            act => match perform(&mut stream, act, &journal).await {
                Some(said) => said,
                None => return,
            },
        };
        if step == "DOT" && said.starts_with('2') {
            let mut journal = journal.lock().unwrap();
            let mail = journal.sent.last().cloned().unwrap_or_default();
            journal.mails.push((recipient.clone(), mail));
        }
        if step == "DATA" && said.starts_with('3') {
            let Some((mail, wrong)) = read_mail(&mut stream).await else { return };
            journal.lock().unwrap().sent.push(mail);
            fault = wrong;
            "DOT".clone_into(&mut step);
            continue;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        fault = wrong_in(line.as_bytes());
        line.trim_end().clone_into(&mut step);
        if let Some(address) = step.strip_prefix("RCPT TO:") {
            address.trim_matches(['<', '>']).clone_into(&mut recipient);
        }
        journal.lock().unwrap().lines.push(step.clone());
    }
}

async fn begin_tls(mut stream: Conversation, said: &'static str, late: &'static str) -> Option<Conversation> {
    if !said.is_empty() {
        stream.write_all(format!("{said}\r\n").as_bytes()).await.ok()?;
    }
    if !late.is_empty() {
        // By now the client has read what was said, and believes that TLS has begun.
        stream.fill_buf().await.ok()?;
        stream.write_all(format!("{late}\r\n").as_bytes()).await.ok()?;
    }
    protect(stream).await
}

/// Does what the script says; none where the conversation is over.
async fn perform(stream: &mut Conversation, act: Act, journal: &Mutex<Journal>) -> Option<&'static str> {
    match act {
        Act::Say(text) => {
            stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
            Some(text)
        }
        Act::SayAndDrop(text) => {
            let _ = stream.write_all(format!("{text}\r\n").as_bytes()).await;
            let _ = stream.flush().await;
            None
        }
        Act::Late(after, text) => {
            tokio::time::sleep(after).await;
            stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
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
        Act::Pass => Some(""),
        Act::Protect { .. } => unreachable!("TLS is begun by `begin_tls`"),
        Act::Flood(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            while journal.lock().unwrap().flooded < FLOOD {
                stream.write_all(&[b'x'; 16 << 10]).await.ok()?;
                journal.lock().unwrap().flooded += 16 << 10;
            }
            None
        }
    }
}

/// A mail up to its final dot, with the dots unstuffed, and why a strict server refuses it.
async fn read_mail(stream: &mut Conversation) -> Option<(Vec<u8>, Option<&'static str>)> {
    let (mut mail, mut fault) = (Vec::new(), None);
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some((mail, fault));
        }
        fault = fault.or(wrong_in(&line));
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// What is wrong with a line, if anything: RFC 5321, 2.3.8 and 4.5.3.1.6; RFC 5322, 2.3.
fn wrong_in(line: &[u8]) -> Option<&'static str> {
    let Some(line) = line.strip_suffix(b"\r\n") else { return Some("554 5.6.0 bare line feed") };
    if line.contains(&b'\r') {
        return Some("554 5.6.0 bare carriage return");
    }
    if line.len() > LONGEST_LINE {
        return Some("554 5.6.0 line too long");
    }
    line.iter().any(|byte| *byte == 0 || *byte > 127).then_some("554 5.6.0 not seven bits, or NUL")
}
