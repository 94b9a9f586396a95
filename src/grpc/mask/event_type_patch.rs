//! An update of an event type, ready to be applied to whatever is stored.

use prost_types::FieldMask;

use super::{
    Mask,
    event_type_fields::{FIELDS, OTHERS},
    read_mask,
};
use crate::{
    domain::{error::Faults, event_metadata::EventMetadataSpec},
    grpc::{
        convert::event_metadata::{definition, read_event_metadata},
        proto::EventMetadata,
    },
};

/// What an UpdateEventMetadata request changes.
pub(crate) struct EventTypePatch {
    given: EventMetadata,
    mask: Mask<EventMetadata>,
    /// Faults that do not depend on what is stored.
    faults: Faults,
}

impl EventTypePatch {
    /// Reads the request; `faults` are those found before.
    pub(crate) fn new(given: EventMetadata, mask: Option<&FieldMask>, mut faults: Faults) -> Self {
        let mask = read_mask(mask, FIELDS, &OTHERS, &mut faults);
        Self { given, mask, faults }
    }

    /// The definition that `current` becomes.
    pub(crate) fn apply(
        &self,
        current: &EventMetadataSpec,
        faults: &mut Faults,
    ) -> EventMetadataSpec {
        faults.append(self.faults.clone());
        let mut merged = definition(current);
        self.mask.write(&mut merged, &self.given);
        read_event_metadata(&merged, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event_metadata::SchemaEnforcement;

    fn stored() -> EventMetadataSpec {
        EventMetadataSpec {
            active: false,
            description: "old".into(),
            schema_json: "{}".into(),
            enforcement: SchemaEnforcement::Reject,
        }
    }

    fn patch(given: EventMetadata, mask: &[&str]) -> (EventMetadataSpec, bool) {
        let mask = FieldMask { paths: mask.iter().map(|p| (*p).to_owned()).collect() };
        let mut faults = Faults::default();
        let patch = EventTypePatch::new(given, Some(&mask), Faults::default());
        (patch.apply(&stored(), &mut faults), faults.is_empty())
    }

    #[test]
    fn masks_say_what_is_written() {
        let given = EventMetadata { description: "new".into(), ..Default::default() };
        let described = EventMetadataSpec { description: "new".into(), ..stored() };
        assert_eq!(patch(given.clone(), &[]), (described.clone(), true));
        assert_eq!(patch(given.clone(), &["description", "etag"]), (described, true));
        let replaced = EventMetadataSpec { description: "new".into(), ..Default::default() };
        assert_eq!(patch(given.clone(), &["*"]), (replaced, true));
        let reset = EventMetadataSpec { active: true, schema_json: String::new(), ..stored() };
        assert_eq!(patch(given.clone(), &["active", "schema_json"]), (reset, true));
        for refused in ["event_name", "origin", "attribution.create_time", "labels.a", "x", ""] {
            assert!(!patch(given.clone(), &[refused]).1, "{refused}");
        }
    }
}
