//! Tenants.

use super::{
    actor::show_attribution,
    time::{read_duration, show_duration},
};
use crate::{
    domain::{
        error::Faults,
        tenant::{Tenant, TenantSettings, zone_name},
    },
    grpc::proto,
};

/// Reads what an administrator decides.
pub(crate) fn read_settings(tenant: &proto::Tenant, faults: &mut Faults) -> TenantSettings {
    let proto::Tenant {
        tenant_id: _,
        display_name,
        time_zone,
        retention,
        max_webhooks,
        attribution: _,
        etag: _,
        max_events_per_second,
        max_waiting_deliveries,
    } = tenant;
    let retention = read_duration(retention.as_ref(), "tenant.retention", faults);
    let default = TenantSettings::default();
    // A zone that is none is refused as it was given.
    let zone = zone_name(time_zone).unwrap_or_else(|| time_zone.clone());
    TenantSettings {
        display_name: display_name.clone(),
        time_zone: if time_zone.is_empty() { default.time_zone } else { zone },
        retention: retention.filter(|retention| !retention.is_zero()),
        max_webhooks: u32::try_from(*max_webhooks).unwrap_or_else(|_| {
            faults.invalid("tenant.max_webhooks", "must not be negative");
            0
        }),
        max_events_per_second: *max_events_per_second,
        max_waiting_deliveries: u64::try_from(*max_waiting_deliveries).unwrap_or_else(|_| {
            faults.invalid("tenant.max_waiting_deliveries", "must not be negative");
            0
        }),
    }
}

/// Settings as a client would send them: what an update is applied to.
pub(crate) fn settings(settings: &TenantSettings) -> proto::Tenant {
    let TenantSettings {
        display_name,
        time_zone,
        retention,
        max_webhooks,
        max_events_per_second,
        max_waiting_deliveries,
    } = settings;
    proto::Tenant {
        display_name: display_name.clone(),
        time_zone: time_zone.clone(),
        retention: retention.map(show_duration),
        max_webhooks: i32::try_from(*max_webhooks).unwrap_or(i32::MAX),
        max_events_per_second: *max_events_per_second,
        max_waiting_deliveries: i64::try_from(*max_waiting_deliveries).unwrap_or(i64::MAX),
        ..Default::default()
    }
}

/// A tenant as callers see it.
pub(crate) fn show_tenant(tenant: &Tenant) -> proto::Tenant {
    proto::Tenant {
        tenant_id: tenant.id.to_string(),
        attribution: Some(show_attribution(&tenant.attribution)),
        etag: tenant.etag(),
        ..settings(&tenant.settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_back_as_they_were() {
        let all = TenantSettings {
            display_name: "Acme".into(),
            time_zone: "Asia/Kolkata".into(),
            retention: Some(std::time::Duration::from_secs(86_400)),
            max_webhooks: 5,
            max_events_per_second: 0.5,
            max_waiting_deliveries: 7,
        };
        for given in [all, TenantSettings::default()] {
            let mut faults = Faults::default();
            assert_eq!(read_settings(&settings(&given), &mut faults), given);
            assert!(faults.is_empty());
        }
        let negative =
            proto::Tenant { max_webhooks: -1, max_waiting_deliveries: -1, ..Default::default() };
        let mut faults = Faults::default();
        read_settings(&negative, &mut faults);
        assert_eq!(faults.into_error().violations.len(), 2);
    }
}
