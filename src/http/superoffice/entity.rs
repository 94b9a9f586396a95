//! A webhook as answers have it, and how a caller wants to see it.

use axum::{extract::Request, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{PATH, accept, definition, select::Select, state::State, time};
use crate::{
    domain::{
        actor::Actor,
        error::{Error, Faults, Reason},
        permission::Permission,
        webhook::{Header, Webhook},
    },
    http::parameters::Parameters,
    service::scope::Scope,
};

/// The only type of webhooks that there is.
pub(super) const TYPE: &str = "webhook";
/// When nothing has happened yet.
const NEVER: &str = "0001-01-01T00:00:00";

/// A webhook; `_Links` only where it is shown alone.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entity {
    webhook_id: i32,
    name: Option<String>,
    events: Option<Vec<String>>,
    target_url: Option<String>,
    secret: Option<String>,
    state: State,
    r#type: &'static str,
    #[serde(serialize_with = "in_order")]
    headers: Option<Vec<(String, String)>>,
    properties: Option<Box<RawValue>>,
    registered: String,
    registered_associate: Option<Associate>,
    updated: String,
    updated_associate: Option<Associate>,
    errors_email: Option<String>,
    #[serde(rename = "_Links", skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Associate {
    associate_id: i64,
    name: String,
    full_name: String,
    person_id: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Links {
    #[serde(rename = "Self")]
    own: String,
    archive: String,
}

impl Entity {
    /// What a webhook is that nobody has made.
    pub(super) fn default() -> Self {
        Self {
            webhook_id: 0,
            name: None,
            events: None,
            target_url: None,
            secret: None,
            state: State::Active,
            r#type: TYPE,
            headers: None,
            properties: None,
            registered: NEVER.to_owned(),
            registered_associate: None,
            updated: NEVER.to_owned(),
            updated_associate: None,
            errors_email: None,
            links: None,
        }
    }
}

fn in_order<S: Serializer>(
    members: &Option<Vec<(String, String)>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match members {
        Some(members) => to.collect_map(members.iter().map(|(name, value)| (name, value))),
        None => to.serialize_none(),
    }
}

/// The administrator of development is nobody's associate.
fn associate(actor: &Actor) -> Option<Associate> {
    let Actor { id, code, name, .. } = actor.clone();
    let known = *actor != Actor::developer();
    known.then_some(Associate { associate_id: id, name: code, full_name: name, person_id: None })
}

/// How a caller sees webhooks.
pub(super) struct View {
    zone: TimeZone,
    /// Whether secrets are shown.
    reveal: bool,
    /// Scheme and host that the caller asked, empty where unknown.
    origin: String,
    select: Option<Select>,
}

impl View {
    /// What a request asks for, where it has no parameters but `$select`.
    pub(super) fn of(request: &Request, scope: &Scope) -> Result<Self, Error> {
        let mut parameters = Parameters::of(request.uri().query());
        let mut faults = Faults::default();
        let view = Self::with(request, &mut parameters, scope, &mut faults)?;
        for name in parameters.left() {
            faults.invalid(name, "is not known");
        }
        faults.check()?;
        Ok(view)
    }

    /// The same, where it may have other parameters.
    pub(super) fn with(
        request: &Request,
        parameters: &mut Parameters,
        scope: &Scope,
        faults: &mut Faults,
    ) -> Result<Self, Error> {
        Ok(Self {
            zone: time::zone(request.headers(), scope)?,
            reveal: scope.require(Permission::SecretsRead).is_ok(),
            origin: origin(request.uri(), request.headers()),
            select: parameters.text("$select", faults).map(|text| Select::parse(&text)),
        })
    }

    /// A webhook among others.
    pub(super) fn entity(&self, webhook: &Webhook) -> Entity {
        let (spec, attribution) = (&webhook.spec, &webhook.attribution);
        let secret = definition::secret(spec);
        let shown = |secret: &str| if self.reveal { secret } else { Header::MASK }.to_owned();
        Entity {
            webhook_id: webhook.number,
            name: Some(spec.shown_name().to_owned()),
            events: Some(spec.event_names.clone()),
            target_url: Some(spec.destination.url.clone()),
            secret: secret.map(shown),
            state: State::of(webhook.state()),
            headers: Some(definition::headers(spec)),
            properties: RawValue::from_string(definition::properties(spec).to_owned()).ok(),
            registered: time::show(attribution.create_time, &self.zone),
            registered_associate: associate(&attribution.created_by),
            updated: time::show(attribution.update_time, &self.zone),
            updated_associate: associate(&attribution.updated_by),
            errors_email: definition::errors_email(spec),
            ..Entity::default()
        }
    }

    /// The answer that is one webhook, with its links and the time of its last change.
    pub(super) fn answer(&self, webhook: &Webhook) -> Result<Response, Error> {
        let archive = format!("{}{PATH}", self.origin);
        let own = format!("{archive}/{}", webhook.number);
        let entity = Entity { links: Some(Links { own, archive }), ..self.entity(webhook) };
        let mut response = accept::json(StatusCode::OK, &self.cut(&entity)?);
        let changed = super::change::modified(webhook);
        if let Ok(changed) = HeaderValue::try_from(httpdate::fmt_http_date(changed)) {
            response.headers_mut().insert(header::LAST_MODIFIED, changed);
        }
        Ok(response)
    }

    /// A webhook as JSON, without what is not selected.
    pub(super) fn cut(&self, entity: &Entity) -> Result<Box<RawValue>, Error> {
        let unwritable = |_| Error::new(Reason::Internal, "a webhook cannot be written");
        let text = serde_json::to_string(entity).map_err(unwritable)?;
        let text = self.select.as_ref().map_or_else(|| text.clone(), |select| select.cut(&text));
        RawValue::from_string(text).map_err(unwritable)
    }
}

/// Scheme and host of a request: HTTP/2 names them in the target, HTTP/1 in a header.
fn origin(uri: &Uri, headers: &HeaderMap) -> String {
    let host = uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok());
    host.map(|host| format!("{}://{host}", uri.scheme_str().unwrap_or("http"))).unwrap_or_default()
}
