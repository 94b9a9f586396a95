//! A receiver that writes what it is told, HTTP or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Answers one request per TCP connection with the next of these texts, then closes it. A request
/// is taken to be complete when it ends in "hello".
pub(crate) struct Raw {
    pub(crate) url: String,
    pub(crate) connections: Arc<AtomicUsize>,
    /// For [`Raw::keeping`]: a permit closes one connection.
    pub(crate) close: Arc<Semaphore>,
    closed: Arc<Semaphore>,
}

impl Raw {
    /// Closes each connection after the answer.
    pub(crate) async fn start(address: &str, answers: Vec<String>) -> Self {
        let raw = Self::keeping(address, answers).await;
        raw.close.close();
        raw
    }

    /// Closes a connection after the answer when there is a permit for it.
    pub(crate) async fn keeping(address: &str, answers: Vec<String>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let raw = Self {
            url: format!("http://{}/hook", listener.local_addr().expect("an address")),
            connections: Arc::default(),
            close: Arc::new(Semaphore::new(0)),
            closed: Arc::new(Semaphore::new(0)),
        };
        let connections = raw.connections.clone();
        let (close, closed) = (raw.close.clone(), raw.closed.clone());
        tokio::spawn(async move {
            for answer in answers {
                let (mut tcp, _) = listener.accept().await.expect("a connection");
                connections.fetch_add(1, Ordering::SeqCst);
                let mut seen = Vec::new();
                while !seen.ends_with(b"hello") {
                    let read = tcp.read_buf(&mut seen).await.expect("a request");
                    assert_ne!(read, 0, "the request is not complete");
                }
                tcp.write_all(answer.as_bytes()).await.expect("written");
                if let Ok(permit) = close.acquire().await {
                    permit.forget();
                }
                drop(tcp);
                closed.add_permits(1);
            }
        });
        raw
    }

    /// Waits until one more connection was closed.
    pub(crate) async fn closed(&self) {
        self.closed.acquire().await.expect("open").forget();
    }
}
