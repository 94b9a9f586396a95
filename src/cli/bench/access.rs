//! How the benchmark, as a client, reaches a server.

use std::{sync::Arc, time::Duration};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

const CONNECT: Duration = Duration::from_secs(10);
/// Bytes on the way to us, of one stream and of all of a connection: no tail waits for us
/// to take what it has sent.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// A connection with the credential that each call carries.
pub(super) type Wire = InterceptedService<Channel, Credential>;

/// Where a server is, and what it asks for.
#[derive(Clone)]
pub struct Access {
    endpoint: Arc<Endpoint>,
    credential: Credential,
}

impl Access {
    /// Of the server at `http://HOST:PORT`; without a token where it asks for none.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the URL or the token, which is not shown.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, String> {
        if !url.starts_with("http://") {
            return Err(format!("{url} must be http://HOST:PORT"));
        }
        let endpoint = Endpoint::from_shared(url.to_owned());
        let endpoint = endpoint.map_err(|e| format!("{url} is no URL: {e}"))?;
        let header = token.map(|token| format!("Bearer {token}").parse()).transpose();
        let header: Option<MetadataValue<Ascii>> =
            header.map_err(|_| "the token has characters that no token has")?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(CONNECT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        Ok(Self { endpoint: Arc::new(endpoint), credential: Credential(header) })
    }

    /// A connection of its own; it is made by the first call.
    pub(super) fn wire(&self) -> Wire {
        InterceptedService::new(self.channel(), self.credential.clone())
    }

    /// A connection of its own without the credential.
    pub fn channel(&self) -> Channel {
        self.endpoint.connect_lazy()
    }
}

/// Puts the token into each call.
#[derive(Clone)]
pub(super) struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}
