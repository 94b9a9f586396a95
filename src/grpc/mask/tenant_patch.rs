//! An update of a tenant, ready to be applied to whatever is stored.

use prost_types::FieldMask;

use super::{Field, Mask, Others, own, read_mask};
use crate::{
    domain::{error::Faults, tenant::TenantSettings},
    grpc::{
        convert::tenant::{read_settings, settings},
        proto::Tenant,
    },
};

/// What can be written.
static FIELDS: &[Field<Tenant>] = &[
    own!(display_name, leaf: true),
    own!(time_zone, leaf: true),
    own!(retention, leaf: true),
    own!(max_webhooks, leaf: true),
    own!(max_events_per_second, leaf: true),
    own!(max_waiting_deliveries, leaf: true),
];

/// What cannot be written, and the etag, which is compared and not written.
static OTHERS: Others<Tenant> =
    Others { read_only: &["tenant_id", "attribution"], ignored: &["etag"], label: None };

/// What an UpdateTenant request changes.
pub(crate) struct TenantPatch {
    given: Tenant,
    mask: Mask<Tenant>,
    /// Faults that do not depend on what is stored.
    faults: Faults,
}

impl TenantPatch {
    /// Reads the request.
    pub(crate) fn new(given: Tenant, mask: Option<&FieldMask>) -> Self {
        let mut faults = Faults::default();
        let mask = read_mask(mask, FIELDS, &OTHERS, &mut faults);
        Self { given, mask, faults }
    }

    /// The settings that `current` becomes.
    pub(crate) fn apply(&self, current: &TenantSettings, faults: &mut Faults) -> TenantSettings {
        faults.append(self.faults.clone());
        let mut merged = settings(current);
        self.mask.write(&mut merged, &self.given);
        read_settings(&merged, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(mask: &[&str]) -> (TenantSettings, bool) {
        let current =
            TenantSettings { display_name: "old".into(), max_webhooks: 3, ..Default::default() };
        let given = Tenant { display_name: "new".into(), ..Default::default() };
        let mask = FieldMask { paths: mask.iter().map(|p| (*p).to_owned()).collect() };
        let mut faults = Faults::default();
        let patched = TenantPatch::new(given, Some(&mask)).apply(&current, &mut faults);
        (patched, faults.is_empty())
    }

    #[test]
    fn masks_say_what_is_written() {
        let named = TenantSettings { display_name: "new".into(), ..Default::default() };
        let kept = TenantSettings { max_webhooks: 3, ..named.clone() };
        assert_eq!(patch(&[]), (kept.clone(), true));
        assert_eq!(patch(&["display_name", "etag"]), (kept, true));
        assert_eq!(patch(&["*"]), (named.clone(), true));
        assert_eq!(patch(&["display_name", "max_webhooks"]), (named, true));
        for refused in ["tenant_id", "attribution.create_time", "labels.a", "x", ""] {
            assert!(!patch(&[refused]).1, "{refused}");
        }
    }
}
