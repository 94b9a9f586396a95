//! The id of each request: the caller's, or a new one; in every answer.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use crate::domain::limits;

/// Carries it, in requests and answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-cap-request-id");

/// The id of the request that is being handled.
#[derive(Clone)]
pub(super) struct RequestId(pub(super) String);

/// Gives each request its id, and each answer that of its request.
pub(super) async fn carry(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).and_then(usable).map(str::to_owned);
    let id = id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let header = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    // Both kinds of ids are of characters that a header can have.
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// The caller's id, where it is one that can be stored and looked up by.
fn usable(value: &HeaderValue) -> Option<&str> {
    let id = value.to_str().ok()?;
    let visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    (visible && id.len() <= limits::NAME_CHARS).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_callers_are_visible_and_short() {
        let long = "x".repeat(255);
        for good in ["ebcce693-48ff-4a5f-b335-76abd1c9e33f", "1", &long] {
            let header = HeaderValue::from_str(good).expect("a value");
            assert_eq!(usable(&header), Some(good));
        }
        let long = "x".repeat(256);
        for bad in ["", "a b", "a\tb", "ä", &long] {
            let header = HeaderValue::from_bytes(bad.as_bytes()).expect("a value");
            assert_eq!(usable(&header), None, "{bad}");
        }
    }
}
