//! A mail server for tests: it speaks just enough SMTP, and keeps what it takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A mail as it came.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    /// Headers and text, with the line ends of SMTP.
    pub(crate) data: String,
}

#[derive(Default)]
struct Shared {
    mails: Mutex<Vec<Mail>>,
    refusing: AtomicBool,
    connections: AtomicUsize,
    changed: Notify,
}

/// See the module.
pub(crate) struct MailSink {
    port: u16,
    shared: Arc<Shared>,
}

impl MailSink {
    /// One that takes every mail.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::<Shared>::default();
        let served = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&served)));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Refuses all mails from now on, or takes them again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.refusing.store(refuse, Ordering::SeqCst);
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().clone()
    }

    /// Waits for so many mails.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Mail> {
        self.until("mails", || self.shared.mails.lock().len() >= count).await;
        self.mails()
    }

    /// Waits until somebody has connected so often.
    pub(crate) async fn wait_for_connections(&self, count: usize) {
        self.until("connections", || self.shared.connections.load(Ordering::SeqCst) >= count).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                if is_so() {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "waited {PATIENCE:?} for {what}; got {:#?}", self.mails());
    }
}

/// One conversation; it ends when the client goes.
async fn talk(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let mut mail = Mail { to: Vec::new(), data: String::new() };
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let command = std::mem::take(&mut line);
        let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "RCPT" if shared.refusing.load(Ordering::SeqCst) => b"450 later\r\n",
            "RCPT" => {
                let to = command.trim_end().trim_start_matches("RCPT TO:<").trim_end_matches('>');
                mail.to.push(to.to_owned());
                b"250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                while stream.read_line(&mut line).await? > 0 && line != ".\r\n" {
                    mail.data.push_str(&std::mem::take(&mut line));
                }
                line.clear();
                shared.mails.lock().push(mail.clone());
                (mail.to, mail.data) = (Vec::new(), String::new());
                b"250 taken\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
        if verb == "QUIT" || answer.starts_with(b"450") {
            shared.connections.fetch_add(1, Ordering::SeqCst);
        }
        shared.changed.notify_waiters();
    }
    Ok(())
}
