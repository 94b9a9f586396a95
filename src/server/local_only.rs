//! With `--dev` no credentials are asked for, so a web page could make its
//! visitor's browser call the service (DNS rebinding): requests whose Host or
//! Origin is not local are refused.

use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use tonic::body::Body;

/// What a request hears that is not local.
pub(super) fn refused() -> Response<Body> {
    let text = "with --dev only local requests are served\n".to_owned();
    let mut response = Response::new(Body::new(text));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Whether a request comes from this machine, and from no page of another one.
pub(super) fn is_local<B>(request: &Request<B>) -> bool {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    // HTTP/2 has the authority in the URI instead of a Host header.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let hosts = authority.into_iter().chain(header(header::HOST));
    let origin = header(header::ORIGIN).map(|origin| {
        let uri = origin.parse::<Uri>().ok();
        uri.and_then(|uri| uri.authority().map(|a| is_local_authority(a.as_str()))).unwrap_or(false)
    });
    hosts.map(is_local_authority).chain(origin).all(|local| local)
}

fn is_local_authority(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_foreign_page_can_send_is_not_local() {
        let local = |uri: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_local(&request.body(()).expect("a request"))
        };
        assert!(local("/", &[("host", "localhost:50051")]));
        assert!(local("http://127.0.0.1:50051/x", &[]));
        assert!(local("/", &[("host", "[::1]:50051"), ("origin", "http://localhost:3000")]));
        assert!(!local("/", &[("host", "evil.example:50051")]));
        assert!(!local("http://evil.example/x", &[]));
        assert!(!local("/", &[("host", "127.0.0.1.evil.example")]));
        assert!(!local("/", &[("host", "localhost"), ("origin", "https://evil.example")]));
        assert!(!local("/", &[("host", "localhost"), ("origin", "null")]));
    }
}
