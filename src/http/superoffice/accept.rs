//! What callers take, and what they are given: JSON.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::refusal::Refusal;
use crate::http::answer;

/// Media ranges that JSON is in.
const TAKEN: [&str; 7] = [
    "*/*",
    "application/*",
    "application/json",
    "text/*",
    "text/json",
    "application/json-patch+json",
    "application/merge-patch+json",
];

/// Refuses who takes no JSON, before anything is done.
pub(super) async fn check(request: Request, next: Next) -> Response {
    if takes_json(request.headers()) {
        next.run(request).await
    } else {
        Refusal::NotAcceptable.into_response()
    }
}

/// An answer in JSON, with the character set that the documentation shows.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = answer::json(status, body);
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn takes_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::ACCEPT).iter().peekable();
    if given.peek().is_none() {
        return true;
    }
    let given = given.filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(is_json)
}

/// Whether a media range takes JSON; one of weight 0 takes nothing.
fn is_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let refused = parts.any(|parameter| {
        let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
        weight.and_then(|weight| weight.trim().parse().ok()) == Some(0.0)
    });
    TAKEN.contains(&kind.as_str()) && !refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_with_json_are_told_from_others() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, value.parse().expect("a value"));
            takes_json(&headers)
        };
        for good in [
            "application/json; charset=utf-8",
            "text/xml, */*;q=0.1",
            "TEXT/JSON",
            "application/xml, application/json",
        ] {
            assert!(takes(good), "{good}");
        }
        for bad in ["application/xml", "text/html, image/*", "application/json;q=0", ""] {
            assert!(!takes(bad), "{bad}");
        }
        assert!(takes_json(&HeaderMap::new()));
    }
}
