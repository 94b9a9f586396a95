//! The fields of an event type that masks can name.

use super::{Field, Others, own};
use crate::grpc::proto::EventMetadata;

/// What can be written.
pub(super) static FIELDS: &[Field<EventMetadata>] = &[
    own!(active, leaf: true),
    own!(description, leaf: true),
    own!(schema_json, leaf: true),
    own!(schema_enforcement, leaf: true),
];

/// What cannot be written, and the etag, which is compared and not written.
pub(super) static OTHERS: Others<EventMetadata> = Others {
    read_only: &["event_name", "tenant_id", "origin", "attribution"],
    ignored: &["etag"],
    label: None,
};
