//! The other end of webhooks: an HTTP/1.1 receiver on a thread of its own that does
//! as little as it can for each request, or misbehaves.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::arrivals::Arrivals;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const SLOW_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";

/// What a receiver does with requests.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Notes what arrives and answers 200 at once.
    Answers(Arc<Arrivals>),
    /// Reads and never answers.
    Silent,
    /// Answers a byte a second.
    Drips,
    /// Resets the connection once it has been sent something.
    Resets,
}

/// A receiver at work; it ends when dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Receiver {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, behaviour) => {}
                    _ = stopped => {}
                }
            });
        };
        std::thread::Builder::new().name("receiver".into()).spawn(serve).expect("a thread");
        Self { address, _stop: stop }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where webhook number `webhook` delivers to.
    pub(crate) fn url(&self, webhook: usize) -> String {
        format!("http://{}/{webhook}", self.address)
    }
}

async fn accept(listener: std::net::TcpListener, behaviour: Behaviour) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let behaviour = behaviour.clone();
        // The sender may go away at any time, and does when it is killed.
        tokio::spawn(async move { drop(serve(tcp, behaviour).await) });
    }
}

async fn serve(mut tcp: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    match behaviour {
        Behaviour::Answers(arrivals) => loop {
            if let Some(request) = Request::read(&buffer) {
                arrivals.note(request.webhook, request.event);
                buffer.drain(..request.bytes);
                tcp.write_all(ANSWER).await?;
            } else if tcp.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        },
        Behaviour::Silent => {
            while tcp.read_buf(&mut buffer).await? > 0 {
                buffer.clear();
            }
            Ok(())
        }
        Behaviour::Drips => {
            tcp.read_buf(&mut buffer).await?;
            tcp.write_all(SLOW_HEAD).await?;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                tcp.write_all(b".").await?;
            }
        }
        Behaviour::Resets => {
            tcp.read_buf(&mut buffer).await?;
            tcp.set_zero_linger()
        }
    }
}

/// As much as has to be known of a request.
struct Request {
    webhook: usize,
    event: usize,
    /// Its length, head and body.
    bytes: usize,
}

impl Request {
    /// Reads `POST /WEBHOOK HTTP/1.1` with a payload of [`super::payload`] in its body;
    /// nothing where it is not complete yet.
    fn read(buffer: &[u8]) -> Option<Self> {
        let head = find(buffer, b"\r\n\r\n")? + 4;
        let length = &buffer[find(&buffer[..head], b"content-length: ").expect("a length") + 16..];
        let bytes = head + number(length);
        let body = buffer.get(head..bytes)?;
        let event = &body[find(body, b"\"n\":").expect("an event's number") + 4..];
        let path = &buffer[find(&buffer[..head], b" /").expect("a path") + 2..];
        Some(Self { webhook: number(path), event: number(event), bytes })
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn number(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
