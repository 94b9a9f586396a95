//! Webhooks: what an owner says, and what an owner sees.

use super::{
    actor::show_attribution,
    enrichment::{read_enrichment, show_enrichment},
    event_filter::{read_filters, show_filter},
    failure_handling::{read_failure_handling, show_failure_handling},
    headers::{read_headers, show_header},
    json,
    retry_policy::{read_retry_policy, show_retry_policy},
    signing::{read_signing, show_signing},
    time, value,
};
use crate::{
    domain::{
        body::PayloadFormat,
        error::Faults,
        id::TenantId,
        limits,
        order::DeliveryOrder,
        signing::SigningSecret,
        webhook::{Header, HttpDestination, Method, Suspension, Webhook, WebhookSpec},
    },
    grpc::proto::{self, destination::Kind},
};

/// Stands for a URL where the whole destination is at fault already, so that one
/// fault is not told twice. Never stored: the request is refused.
const UNREAD_URL: &str = "https://unread.invalid/";

/// Reads a definition. `stored` is the one that masked values and ids of secrets
/// refer to; absent while a webhook is made.
/// Output-only fields are ignored; what is not available yet is a fault.
pub(crate) fn read_webhook(
    webhook: &proto::Webhook,
    stored: Option<&WebhookSpec>,
    faults: &mut Faults,
) -> WebhookSpec {
    let proto::Webhook {
        webhook_id: _,
        tenant_id: _,
        name,
        enabled,
        state: _,
        suspension: _,
        event_names,
        event_filters,
        destination,
        max_allowed_connections,
        sla,
        retry_policy,
        failure_handling,
        signing,
        static_properties,
        enrichment,
        consumer_group_id: _,
        labels,
        attribution: _,
        etag: _,
        delivery_order,
        max_deliveries_per_second,
        payload_format,
        number: _,
    } = webhook;
    let headers = stored.map_or(&[][..], |stored| &stored.destination.headers);
    let secrets =
        stored.map(|stored| stored.signing.as_ref().map_or(&[][..], |signing| &signing.secrets));
    WebhookSpec {
        name: name.clone(),
        display_name: None,
        enabled: enabled.unwrap_or(true),
        event_names: event_names.clone(),
        event_filters: read_filters(event_filters, faults),
        destination: read_destination(destination.as_ref(), headers, faults),
        max_allowed_connections: match max_allowed_connections {
            None => limits::DEFAULT_MAX_CONNECTIONS,
            // The domain refuses zero, and with it what is below.
            Some(given) => u32::try_from(*given).unwrap_or(0),
        },
        sla: time::read_duration(sla.as_ref(), "webhook.sla", faults)
            .unwrap_or(limits::DEFAULT_SLA),
        retry_policy: retry_policy.as_ref().map(|policy| read_retry_policy(policy, faults)),
        delivery_order: read_order(*delivery_order, faults),
        max_deliveries_per_second: *max_deliveries_per_second,
        failure_handling: (failure_handling.as_ref())
            .map(|handling| read_failure_handling(handling, faults)),
        signing: signing.as_ref().and_then(|signing| read_signing(signing, secrets, faults)),
        labels: labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        payload_format: read_format(*payload_format, faults),
        static_properties: (static_properties.as_ref())
            .filter(|properties| !properties.fields.is_empty())
            .map(|p| json::read_object(p, "webhook.static_properties", faults).into()),
        enrichment: read_enrichment(enrichment.as_ref()),
    }
}

fn read_order(number: i32, faults: &mut Faults) -> DeliveryOrder {
    use proto::DeliveryOrder as Order;
    match value::read_enum(number, "webhook.delivery_order", faults).unwrap_or_default() {
        Order::Unspecified | Order::Unordered => DeliveryOrder::Unordered,
        Order::ByKey => DeliveryOrder::ByKey,
        Order::Fifo => DeliveryOrder::Fifo,
    }
}

fn show_order(order: DeliveryOrder) -> proto::DeliveryOrder {
    match order {
        DeliveryOrder::Unordered => proto::DeliveryOrder::Unordered,
        DeliveryOrder::ByKey => proto::DeliveryOrder::ByKey,
        DeliveryOrder::Fifo => proto::DeliveryOrder::Fifo,
    }
}

fn read_format(number: i32, faults: &mut Faults) -> PayloadFormat {
    use proto::PayloadFormat as Format;
    match value::read_enum(number, "webhook.payload_format", faults).unwrap_or_default() {
        Format::Unspecified | Format::Event => PayloadFormat::Event,
        Format::Cloudevents => PayloadFormat::CloudEvents,
        Format::Raw => PayloadFormat::Raw,
        Format::Superoffice => PayloadFormat::SuperOffice,
        Format::Sonar => PayloadFormat::Sonar,
        Format::Socotra => PayloadFormat::Socotra,
    }
}

fn show_format(format: PayloadFormat) -> proto::PayloadFormat {
    match format {
        PayloadFormat::Event => proto::PayloadFormat::Event,
        PayloadFormat::CloudEvents => proto::PayloadFormat::Cloudevents,
        PayloadFormat::Raw => proto::PayloadFormat::Raw,
        PayloadFormat::SuperOffice => proto::PayloadFormat::Superoffice,
        PayloadFormat::Sonar => proto::PayloadFormat::Sonar,
        PayloadFormat::Socotra => proto::PayloadFormat::Socotra,
    }
}

fn read_destination(
    destination: Option<&proto::Destination>,
    stored: &[Header],
    faults: &mut Faults,
) -> HttpDestination {
    let unread = || HttpDestination { url: UNREAD_URL.to_owned(), ..HttpDestination::default() };
    let http = match destination.and_then(|destination| destination.kind.as_ref()) {
        Some(Kind::Http(http)) => http,
        Some(Kind::Queue(_)) => {
            faults.unavailable("webhook.destination.queue");
            return unread();
        }
        None => {
            faults.required("webhook.destination");
            return unread();
        }
    };
    let proto::HttpDestination { url, method, headers, timeout } = http;
    let at = |field: &str| format!("webhook.destination.http.{field}");
    HttpDestination {
        url: url.clone(),
        method: read_method(*method, &at("method"), faults),
        headers: read_headers(headers, stored, &at("headers"), faults),
        timeout: time::read_duration(timeout.as_ref(), &at("timeout"), faults),
    }
}

fn read_method(number: i32, at: &str, faults: &mut Faults) -> Method {
    match value::read_enum(number, at, faults).unwrap_or_default() {
        proto::HttpMethod::Unspecified | proto::HttpMethod::Post => Method::Post,
        proto::HttpMethod::Put => Method::Put,
        proto::HttpMethod::Get => Method::Get,
        proto::HttpMethod::Delete => Method::Delete,
        proto::HttpMethod::Patch => Method::Patch,
    }
}

/// What a caller sees of what is secret.
#[derive(Clone, Copy)]
pub(crate) enum Reveal<'a> {
    /// Nothing.
    Nothing,
    /// The values of signing secrets with these ids: those that the call set.
    Secrets(&'a [String]),
    /// All signing secrets and sensitive headers.
    Everything,
}

/// A webhook as a caller sees it. One that is not stored has none of the ids that
/// storing gives.
pub(crate) fn show_webhook(
    webhook: &Webhook,
    tenant: &TenantId,
    reveal: Reveal<'_>,
) -> proto::Webhook {
    let mut shown = match reveal {
        Reveal::Nothing => show_spec(&webhook.spec, Header::masked, |_| false),
        Reveal::Secrets(ids) => {
            show_spec(&webhook.spec, Header::masked, |secret| ids.contains(&secret.secret_id))
        }
        Reveal::Everything => definition(&webhook.spec),
    };
    shown.tenant_id = tenant.to_string();
    // The domain's numbers are the contract's.
    shown.state = webhook.state() as i32;
    shown.suspension = webhook.suspension.as_ref().map(show_suspension);
    shown.attribution = Some(show_attribution(&webhook.attribution));
    if webhook.is_stored() {
        shown.webhook_id = webhook.webhook_id.to_string();
        shown.consumer_group_id = webhook.consumer_group_id.to_string();
        shown.etag = webhook.etag();
        shown.number = webhook.number;
    }
    shown
}

/// A definition as a client would send it, secrets included: what an update is
/// applied to, and what is shown to who may see everything.
pub(crate) fn definition(spec: &WebhookSpec) -> proto::Webhook {
    show_spec(spec, Header::clone, |_| true)
}

fn show_spec(
    spec: &WebhookSpec,
    show: impl Fn(&Header) -> Header,
    reveal: impl Fn(&SigningSecret) -> bool,
) -> proto::Webhook {
    let WebhookSpec {
        name,
        // Of one dialect only.
        display_name: _,
        enabled,
        event_names,
        event_filters,
        destination: HttpDestination { url, method, headers, timeout },
        max_allowed_connections,
        sla,
        retry_policy,
        max_deliveries_per_second,
        failure_handling,
        signing,
        labels,
        payload_format,
        static_properties,
        delivery_order,
        enrichment,
    } = spec;
    let http = proto::HttpDestination {
        url: url.clone(),
        method: show_method(*method).into(),
        headers: headers.iter().map(|header| show_header(show(header))).collect(),
        timeout: timeout.map(time::show_duration),
    };
    proto::Webhook {
        name: name.clone(),
        enabled: Some(*enabled),
        event_names: event_names.clone(),
        event_filters: event_filters.iter().map(show_filter).collect(),
        destination: Some(proto::Destination { kind: Some(Kind::Http(http)) }),
        max_allowed_connections: Some(value::show_count(*max_allowed_connections)),
        sla: Some(time::show_duration(*sla)),
        retry_policy: retry_policy.as_ref().map(show_retry_policy),
        max_deliveries_per_second: *max_deliveries_per_second,
        failure_handling: failure_handling.as_ref().map(show_failure_handling),
        signing: signing.as_ref().map(|signing| show_signing(signing, reveal)),
        labels: labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        delivery_order: show_order(*delivery_order).into(),
        payload_format: show_format(*payload_format).into(),
        static_properties: static_properties.as_deref().map(json::show_object),
        enrichment: show_enrichment(enrichment),
        ..Default::default()
    }
}

fn show_method(method: Method) -> proto::HttpMethod {
    match method {
        Method::Post => proto::HttpMethod::Post,
        Method::Put => proto::HttpMethod::Put,
        Method::Get => proto::HttpMethod::Get,
        Method::Delete => proto::HttpMethod::Delete,
        Method::Patch => proto::HttpMethod::Patch,
    }
}

fn show_suspension(suspension: &Suspension) -> proto::Suspension {
    let Suspension { suspend_time, cause, message, resume_time } = suspension;
    proto::Suspension {
        suspend_time: Some(time::show_timestamp(*suspend_time)),
        // The domain's numbers are the contract's.
        cause: *cause as i32,
        message: message.clone(),
        resume_time: resume_time.map(time::show_timestamp),
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
