//! The fields of a webhook that masks can name, at every depth of the contract.

use super::{Field, Others, is_set, own, part};
use crate::grpc::proto::{
    Destination, HttpDestination, QueueDestination, Webhook, destination::Kind,
};

/// A field of one kind of destination.
macro_rules! kind {
    ($path:literal, $kind:ident, $message:ident, $field:ident) => {
        Field {
            path: $path,
            leaf: true,
            is_set: |webhook| match kind(webhook) {
                Some(Kind::$kind(part)) => is_set(&part.$field),
                Some(_) | None => false,
            },
            write: |to, from| {
                let value = match kind(from) {
                    Some(Kind::$kind(part)) => part.$field.clone(),
                    Some(_) | None => Default::default(),
                };
                match kind_mut(to) {
                    Some(Kind::$kind(part)) => part.$field = value,
                    other if is_set(&value) => {
                        *other =
                            Some(Kind::$kind($message { $field: value, ..Default::default() }));
                    }
                    Some(_) | None => {}
                }
            },
        }
    };
}

/// What can be written. Fields that are not available yet are among them: it is
/// reading the result that refuses them, and only where they are set.
pub(super) static FIELDS: &[Field<Webhook>] = &[
    own!(name, leaf: true),
    own!(enabled, leaf: true),
    own!(event_names, leaf: true),
    own!(event_filters, leaf: true),
    own!(destination, leaf: false),
    Field {
        path: "destination.http",
        leaf: false,
        is_set: |webhook| matches!(kind(webhook), Some(Kind::Http(_))),
        write: |to, from| {
            *kind_mut(to) = kind(from).filter(|k| matches!(k, Kind::Http(_))).cloned()
        },
    },
    kind!("destination.http.url", Http, HttpDestination, url),
    kind!("destination.http.method", Http, HttpDestination, method),
    kind!("destination.http.headers", Http, HttpDestination, headers),
    kind!("destination.http.timeout", Http, HttpDestination, timeout),
    Field {
        path: "destination.queue",
        // A queue that says nothing more is one all the same.
        leaf: true,
        is_set: |webhook| matches!(kind(webhook), Some(Kind::Queue(_))),
        write: |to, from| {
            let queue = kind(from).filter(|k| matches!(k, Kind::Queue(_))).cloned();
            if queue.is_some() || matches!(kind(to), Some(Kind::Queue(_))) {
                *kind_mut(to) = queue;
            }
        },
    },
    kind!("destination.queue.uri", Queue, QueueDestination, uri),
    kind!("destination.queue.queue", Queue, QueueDestination, queue),
    kind!("destination.queue.headers", Queue, QueueDestination, headers),
    own!(max_allowed_connections, leaf: true),
    own!(sla, leaf: true),
    own!(retry_policy, leaf: false),
    part!(retry_policy.max_retries, leaf: true),
    part!(retry_policy.schedule, leaf: true),
    part!(retry_policy.initial_backoff, leaf: true),
    part!(retry_policy.max_backoff, leaf: true),
    part!(retry_policy.multiplier, leaf: true),
    part!(retry_policy.jitter, leaf: true),
    part!(retry_policy.max_age, leaf: true),
    part!(retry_policy.retry_on, leaf: true),
    own!(failure_handling, leaf: false),
    part!(failure_handling.suspend_after_failures, leaf: true),
    part!(failure_handling.min_failing_time, leaf: true),
    part!(failure_handling.suspend_on_exhausted, leaf: true),
    part!(failure_handling.resume_after, leaf: true),
    part!(failure_handling.drop_exhausted, leaf: true),
    part!(failure_handling.notify_emails, leaf: true),
    part!(failure_handling.alert_url, leaf: true),
    own!(signing, leaf: false),
    part!(signing.scheme, leaf: true),
    part!(signing.header_name, leaf: true),
    part!(signing.secrets, leaf: true),
    own!(static_properties, leaf: true),
    own!(enrichment, leaf: false),
    part!(enrichment.till_details, leaf: true),
    part!(enrichment.store_details, leaf: true),
    part!(enrichment.awarded_reference, leaf: true),
    part!(enrichment.available_points_balance, leaf: true),
    part!(enrichment.customer_identifiers, leaf: true),
    own!(labels, leaf: true),
    own!(delivery_order, leaf: true),
    own!(max_deliveries_per_second, leaf: true),
    own!(payload_format, leaf: true),
];

/// What cannot be written, and the etag, which is compared and not written.
pub(super) static OTHERS: Others<Webhook> = Others {
    read_only: &[
        "webhook_id",
        "tenant_id",
        "state",
        "suspension",
        "consumer_group_id",
        "attribution",
        "number",
    ],
    ignored: &["etag"],
    label: Some(write_label),
};

fn write_label(to: &mut Webhook, from: &Webhook, key: &str) {
    match from.labels.get(key) {
        Some(value) => to.labels.insert(key.to_owned(), value.clone()),
        None => to.labels.remove(key),
    };
}

fn kind(webhook: &Webhook) -> Option<&Kind> {
    webhook.destination.as_ref()?.kind.as_ref()
}

fn kind_mut(webhook: &mut Webhook) -> &mut Option<Kind> {
    &mut webhook.destination.get_or_insert_with(Destination::default).kind
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use prost::Message;
    use prost_types::{
        DescriptorProto, FileDescriptorSet,
        field_descriptor_proto::{Label, Type},
    };

    use super::*;
    use crate::grpc::DESCRIPTOR;

    /// Every path of a message, through messages of the contract that do not repeat.
    fn paths(
        message: &DescriptorProto,
        messages: &HashMap<String, DescriptorProto>,
        at: &str,
        found: &mut Vec<String>,
    ) {
        for field in &message.field {
            let path = format!("{at}{}", field.name());
            let part = messages.get(field.type_name());
            if let Some(part) = part
                && field.r#type() == Type::Message
                && field.label() != Label::Repeated
            {
                paths(part, messages, &format!("{path}."), found);
            }
            found.push(path);
        }
    }

    fn contract_paths(message: &str) -> Vec<String> {
        let set = FileDescriptorSet::decode(DESCRIPTOR).expect("a descriptor set");
        let messages: HashMap<_, _> = (set.file.into_iter())
            .filter(|file| file.package() == "tidings.v1")
            .flat_map(|file| file.message_type)
            .map(|message| (format!(".tidings.v1.{}", message.name()), message))
            .collect();
        let mut found = Vec::new();
        paths(&messages[&format!(".tidings.v1.{message}")], &messages, "", &mut found);
        found
    }

    fn check<M>(message: &str, fields: &[Field<M>], others: &Others<M>) {
        let paths = contract_paths(message);
        assert!(paths.len() >= fields.len());
        for path in &paths {
            let writable = fields.iter().filter(|field| field.path == path).count();
            let read_only = others.read_only.iter().any(|p| super::super::is_at_or_below(path, p));
            let ignored = others.ignored.contains(&path.as_str());
            let times = writable + usize::from(read_only) + usize::from(ignored);
            assert_eq!(times, 1, "{message}.{path} is handled {times} times");
        }
        for field in fields {
            assert!(
                paths.iter().any(|path| path == field.path),
                "{} is not in the contract",
                field.path
            );
        }
    }

    #[test]
    fn every_path_of_the_contract_is_written_or_refused() {
        check("Webhook", FIELDS, &OTHERS);
        let event_types = super::super::event_type_fields::FIELDS;
        check("EventMetadata", event_types, &super::super::event_type_fields::OTHERS);
    }
}
