//! Destinations that misbehave, on a thread of their own.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

const SLOW_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";

/// What a destination does with requests.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Reads and never answers.
    Silent,
    /// Answers a byte a second.
    Drips,
    /// Resets the connection once it has been sent something.
    Resets,
}

/// A destination at work; it ends when dropped.
pub(crate) struct Dead {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Dead {
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
        std::thread::Builder::new().name("dead".into()).spawn(serve).expect("a thread");
        Self { address, _stop: stop }
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
        // The sender may go away at any time, and does when it is killed.
        tokio::spawn(async move { drop(serve(tcp, behaviour).await) });
    }
}

async fn serve(mut tcp: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    tcp.read_buf(&mut buffer).await?;
    match behaviour {
        Behaviour::Silent => {
            while tcp.read_buf(&mut buffer).await? > 0 {
                buffer.clear();
            }
            Ok(())
        }
        Behaviour::Drips => {
            tcp.write_all(SLOW_HEAD).await?;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                tcp.write_all(b".").await?;
            }
        }
        Behaviour::Resets => tcp.set_zero_linger(),
    }
}
