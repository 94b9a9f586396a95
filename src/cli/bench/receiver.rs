//! The other end of webhooks: an HTTP/1.1 receiver on a thread of its own that does as
//! little as it can for each request.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
};

use super::arrivals::Arrivals;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Longer requests are none of ours.
const LONGEST: usize = 64 * 1024;
/// Connections that wait to be accepted: all that a load may open. Where there are more, the
/// kernel drops the request for one, and the sender asks again after a second.
const BACKLOG: u32 = 4_096;

/// A receiver at work; it ends when dropped.
pub struct Receiver {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Receiver {
    /// Starts one that notes what arrives and answers 200 at once. To be called within a runtime.
    ///
    /// # Errors
    ///
    /// Where there is no port or no thread for it.
    pub fn start(arrivals: Arc<Arrivals>) -> Result<Self, String> {
        let failed = |e: io::Error| format!("the receiver does not start: {e}");
        let listener = listen().and_then(TcpListener::into_std).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    ended = accept(listener, arrivals) => ended,
                    _ = stopped => Ok(()),
                }
            })
        };
        std::thread::Builder::new().name("receiver".into()).spawn(serve).map_err(failed)?;
        Ok(Self { address, _stop: stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where webhook number `webhook` delivers to.
    pub fn url(&self, webhook: usize) -> String {
        format!("http://{}/{webhook}", self.address)
    }
}

/// Listens on a free port.
fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG)
}

async fn accept(listener: std::net::TcpListener, arrivals: Arc<Arrivals>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (tcp, _) = listener.accept().await?;
        let arrivals = Arc::clone(&arrivals);
        // The sender may go away at any time, and does when it is killed.
        tokio::spawn(async move { drop(serve(tcp, &arrivals).await) });
    }
}

/// Answers what a connection brings, until it ends or brings what is no request of ours.
async fn serve(mut tcp: TcpStream, arrivals: &Arrivals) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        match Request::read(&buffer) {
            Ok(Some(Request { webhook, event, due, bytes })) => {
                if !arrivals.note(webhook, event, due) {
                    return Ok(());
                }
                buffer.drain(..bytes);
                tcp.write_all(ANSWER).await?;
            }
            Ok(None) => {
                if tcp.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            Err(Foreign) => return Ok(()),
        }
    }
}

/// As much as has to be known of a request.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    webhook: usize,
    event: usize,
    due: u64,
    /// Its length, head and body.
    bytes: usize,
}

/// It is no request with a payload of ours.
#[derive(Debug, PartialEq, Eq)]
struct Foreign;

impl Request {
    /// Reads `POST /WEBHOOK HTTP/1.1` with a payload of [`super::payload`] in its body, as
    /// hyper writes it; nothing where it is not complete yet.
    fn read(buffer: &[u8]) -> Result<Option<Self>, Foreign> {
        let Some(head) = memmem::find(buffer, b"\r\n\r\n").map(|end| end + 4) else {
            return if buffer.len() > LONGEST { Err(Foreign) } else { Ok(None) };
        };
        let length = number_after(&buffer[..head], b"content-length: ")?;
        let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST);
        let bytes = head + length.ok_or(Foreign)?;
        let Some(body) = buffer.get(head..bytes) else { return Ok(None) };
        let index = |number: u64| usize::try_from(number).map_err(|_| Foreign);
        Ok(Some(Self {
            webhook: index(number_after(&buffer[..head], b" /")?)?,
            event: index(number_after(body, b"\"n\":")?)?,
            due: number_after(body, b"\"due\":")?,
            bytes,
        }))
    }
}

/// The number that follows the first `mark`.
fn number_after(text: &[u8], mark: &[u8]) -> Result<u64, Foreign> {
    let at = memmem::find(text, mark).ok_or(Foreign)? + mark.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold((0_u64, 0), |(number, count), digit| {
        (number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')), count + 1)
    });
    if number.1 == 0 { Err(Foreign) } else { Ok(number.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::payload;

    fn request(path: &str, body: &str) -> String {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}")
    }

    #[test]
    fn requests_are_read_once_they_are_complete() {
        let text = request("/12", &format!("{{\"data\":{}}}", payload(345, 6789)));
        let bytes = text.len();
        for end in 0..bytes {
            assert_eq!(Request::read(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        let read = Request::read(format!("{text}POST").as_bytes());
        assert_eq!(read, Ok(Some(Request { webhook: 12, event: 345, due: 6789, bytes })));
    }

    #[test]
    fn what_is_no_request_of_ours_is_told() {
        let long = format!("POST /1 HTTP/1.1\r\nx: {}", "x".repeat(LONGEST));
        for foreign in [
            "GET /1 HTTP/1.1\r\nhost: h\r\n\r\n",
            "POST /1 HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
            "POST /1 HTTP/1.1\r\ncontent-length: many\r\n\r\n",
            &request("/a", &payload(1, 1)),
            &request("/1", "{}"),
            &request("/1", r#"{"n":1}"#),
            &long,
        ] {
            assert_eq!(Request::read(foreign.as_bytes()), Err(Foreign), "{foreign:.60}");
        }
    }
}
