//! Event types.

use super::{actor::show_attribution, value};
use crate::{
    domain::{
        error::Faults,
        event_metadata::{EventMetadata, EventMetadataSpec, EventOrigin, SchemaEnforcement},
        id::TenantId,
    },
    grpc::proto,
};

/// Reads what the owner of an event type decides.
pub(crate) fn read_event_metadata(
    metadata: &proto::EventMetadata,
    faults: &mut Faults,
) -> EventMetadataSpec {
    let proto::EventMetadata {
        event_name: _,
        tenant_id: _,
        active,
        origin: _,
        description,
        schema_json,
        schema_enforcement,
        attribution: _,
        etag: _,
    } = metadata;
    let at = "event_metadata.schema_enforcement";
    let enforcement = value::read_enum(*schema_enforcement, at, faults);
    EventMetadataSpec {
        active: active.unwrap_or(true),
        description: description.clone(),
        schema_json: schema_json.clone(),
        enforcement: match enforcement.unwrap_or_default() {
            proto::SchemaEnforcement::Unspecified | proto::SchemaEnforcement::Warn => {
                SchemaEnforcement::Warn
            }
            proto::SchemaEnforcement::Off => SchemaEnforcement::Off,
            proto::SchemaEnforcement::Reject => SchemaEnforcement::Reject,
        },
    }
}

/// The origin that a list is limited to, if it is.
pub(crate) fn read_origin(number: i32, faults: &mut Faults) -> Option<EventOrigin> {
    match value::read_enum(number, "origin", faults).unwrap_or_default() {
        proto::EventOrigin::Unspecified => None,
        proto::EventOrigin::Standard => Some(EventOrigin::Standard),
        proto::EventOrigin::Custom => Some(EventOrigin::Custom),
    }
}

/// An event type as callers see it.
pub(crate) fn show_event_metadata(
    metadata: &EventMetadata,
    tenant: &TenantId,
) -> proto::EventMetadata {
    let EventMetadata { event_name, origin, spec, version: _, attribution } = metadata;
    proto::EventMetadata {
        event_name: event_name.clone(),
        tenant_id: match origin {
            EventOrigin::Standard => String::new(),
            EventOrigin::Custom => tenant.to_string(),
        },
        // The domain's numbers are the contract's.
        origin: *origin as i32,
        attribution: attribution.as_ref().map(show_attribution),
        etag: metadata.etag(),
        ..definition(spec)
    }
}

/// A definition as a client would send it: what an update is applied to.
pub(crate) fn definition(spec: &EventMetadataSpec) -> proto::EventMetadata {
    let EventMetadataSpec { active, description, schema_json, enforcement } = spec;
    proto::EventMetadata {
        active: Some(*active),
        description: description.clone(),
        schema_json: schema_json.clone(),
        // The domain's numbers are the contract's.
        schema_enforcement: *enforcement as i32,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_reads_back_as_it_was() {
        for enforcement in
            [SchemaEnforcement::Off, SchemaEnforcement::Warn, SchemaEnforcement::Reject]
        {
            let spec = EventMetadataSpec {
                active: false,
                description: "d".into(),
                schema_json: "{}".into(),
                enforcement,
            };
            let mut faults = Faults::default();
            assert_eq!(read_event_metadata(&definition(&spec), &mut faults), spec);
            assert!(faults.is_empty());
        }
        let mut faults = Faults::default();
        let unknown = proto::EventMetadata { schema_enforcement: 9, ..Default::default() };
        assert_eq!(read_event_metadata(&unknown, &mut faults), EventMetadataSpec::default());
        assert!(!faults.is_empty());
    }
}
