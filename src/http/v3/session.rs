//! `/v3/oauth/token/generate`: a token for a while, for a key and its secret.

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{envelope, object::Object, refusal::Refusal};
use crate::{
    domain::error::Faults,
    http::{Facades, body},
    service::auth::Peer,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    access_token: String,
    ttl_seconds: u64,
}

pub(super) async fn generate(
    State(facades): State<Facades>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read_json_text(request).await?;
    let mut faults = Faults::default();
    let mut object = Object::read(&text, &mut faults)?;
    let mut required = |name: &str| {
        let text = object.text(name, &mut faults);
        if text.is_none() && !faults.names(name) {
            faults.required(name);
        }
        text.unwrap_or_default()
    };
    let (key, secret) = (required("key"), required("secret"));
    faults.check()?;
    let from = peer.map(|Extension(Peer(address))| address);
    let session = facades.services.auth.issue_session(&key, &secret, from).await?;
    let issued = Issued { access_token: session.token, ttl_seconds: session.ttl.as_secs() };
    let mut response = envelope::done(StatusCode::OK, issued, object.ignored().collect());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
