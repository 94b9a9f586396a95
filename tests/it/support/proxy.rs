//! Stands between a server and its PostgreSQL: cuts connections at the worst moment.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What happens to the next commit.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Commit {
    /// It goes through.
    Passes,
    /// The connection ends before it.
    IsLost,
    /// It is done, and the connection ends before its answer.
    IsDoneInSilence,
}

/// What becomes of connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// They end, and every new one at once.
    Closed,
    /// They stay, and nothing comes through.
    Silent,
}

/// A proxy. Dropped, it ends with all its connections.
pub(crate) struct Proxy {
    address: SocketAddr,
    next: Arc<AtomicU8>,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// A proxy before the server of a URL; also gives the URL that leads through it.
    pub(crate) async fn before(url: &str) -> (Self, String) {
        let mut through = url::Url::parse(url).expect("a URL");
        let host = through.host_str().expect("a host").to_owned();
        let target = format!("{host}:{}", through.port().expect("a port"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let proxy = Self {
            address,
            next: Arc::new(AtomicU8::new(Commit::Passes as u8)),
            way: watch::Sender::new(Way::Open),
        };
        let (next, way) = (Arc::clone(&proxy.next), proxy.way.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *way.borrow() == Way::Closed {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                tokio::spawn(relay(client, server, Arc::clone(&next), way.clone()));
            }
        });
        through.set_port(Some(proxy.address.port())).expect("a port");
        (proxy, through.into())
    }

    /// Says what happens to the next commit; those after it go through.
    pub(crate) fn next_commit(&self, what: Commit) {
        self.next.store(what as u8, Ordering::SeqCst);
    }

    /// Ends all connections, and every new one at once.
    pub(crate) fn close(&self) {
        self.way.send_replace(Way::Closed);
    }

    /// Lets nothing through any more, in silence, as where a network is gone.
    pub(crate) fn silence(&self) {
        self.way.send_replace(Way::Silent);
    }

    /// Lets connections through again.
    pub(crate) fn open(&self) {
        self.way.send_replace(Way::Open);
    }
}

async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    next: Arc<AtomicU8>,
    mut way: watch::Receiver<Way>,
) {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            biased;
            () = closed(&mut way) => return,
            read = client.read(&mut asked) => {
                let Ok(bytes @ 1..) = read else { return };
                silence_ends(&mut way).await;
                let is_commit = asked[..bytes].windows(7).any(|part| part == b"COMMIT\0");
                let what = match is_commit {
                    true => next.swap(Commit::Passes as u8, Ordering::SeqCst),
                    false => Commit::Passes as u8,
                };
                if what == Commit::IsLost as u8 {
                    return;
                }
                if server.write_all(&asked[..bytes]).await.is_err() {
                    return;
                }
                if what == Commit::IsDoneInSilence as u8 {
                    // Its answer has come: it is done.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(bytes @ 1..) = read else { return };
                silence_ends(&mut way).await;
                if client.write_all(&answered[..bytes]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn silence_ends(way: &mut watch::Receiver<Way>) {
    let _ = way.wait_for(|way| *way != Way::Silent).await;
}

async fn closed(way: &mut watch::Receiver<Way>) {
    let _ = way.wait_for(|way| *way == Way::Closed).await;
}
