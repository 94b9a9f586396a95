//! What goes out, what comes back, and the limits in between.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::Full;

use super::target::Target;

/// One request as it goes out.
pub struct Request {
    /// Any method but `CONNECT`.
    pub method: Method,
    /// Sent as they are, apart from those that frame the message: `Content-Length` and
    /// `Transfer-Encoding` are replaced. `Host` is added when it is missing.
    pub headers: HeaderMap,
    /// Not sent with `GET` and `HEAD`.
    pub body: Bytes,
}

/// What one request may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For everything: DNS, connecting, TLS, headers and body. At most a day. Default: 10
    /// seconds.
    pub timeout: Duration,
    /// How many bytes of the answer's body are kept. Default: 1024.
    pub excerpt_bytes: usize,
    /// How many bytes of the answer's body are read so that the connection can be used again. When
    /// there are more, the body is cut and the connection closed. Default: 64 KiB.
    pub drain_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), excerpt_bytes: 1024, drain_bytes: 64 * 1024 }
    }
}

/// What the receiver answered, whatever the status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code, from 101 to 999: a 3xx is not followed, other 1xx are never final.
    pub status: u16,
    /// At most 100, at most 64 KiB together.
    pub headers: HeaderMap,
    /// The beginning of the body, at most [`Limits::excerpt_bytes`].
    pub excerpt: Bytes,
    /// From before the first byte of the request was sent until after the last byte of the answer
    /// was read. Connecting is not in it.
    pub time_taken: Duration,
}

pub(super) type HttpRequest = http::Request<Full<Bytes>>;

impl Request {
    pub(super) fn into_http(self, target: &Target) -> HttpRequest {
        let Self { method, mut headers, mut body } = self;
        // hyper would believe these, and a wrong one desynchronizes the connection.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        if method == Method::GET || method == Method::HEAD {
            body = Bytes::new();
        } else if body.is_empty() {
            // hyper leaves the header out for an empty body; receivers that want a length answer 411.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, target.authority.clone());
        }
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.path_and_query.clone();
        *request.headers_mut() = headers;
        request
    }
}
