//! Tenants: what their administrators set.

use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use serde::{Deserialize, Serialize};

use super::{
    actor::Attribution,
    error::Faults,
    id::{TenantId, TenantKey},
    limits, text,
};

/// The zone of tenants that name none.
const DEFAULT_ZONE: &str = "UTC";

/// What is set of a tenant; zero and absent mean the server's default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Name for humans.
    pub display_name: String,
    /// IANA zone, in which dialects without UTC write times.
    pub time_zone: String,
    /// How long events, log entries and diverted events are kept.
    pub retention: Option<Duration>,
    /// Webhooks at a time.
    pub max_webhooks: u32,
    /// Published events per second.
    pub max_events_per_second: f64,
    /// Deliveries that are not settled.
    pub max_waiting_deliveries: u64,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            display_name: String::new(),
            time_zone: DEFAULT_ZONE.to_owned(),
            retention: None,
            max_webhooks: 0,
            max_events_per_second: 0.0,
            max_waiting_deliveries: 0,
        }
    }
}

/// The name of a zone as the IANA database writes it.
pub fn zone_name(name: &str) -> Option<String> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    zone.iana_name().map(str::to_owned)
}

impl TenantSettings {
    /// Notes what is wrong.
    pub fn check(&self, faults: &mut Faults) {
        text::check(faults, "tenant.display_name", &self.display_name, limits::NAME_CHARS);
        if zone_name(&self.time_zone).is_none() {
            faults.invalid("tenant.time_zone", "is no IANA time zone such as Asia/Kolkata");
        }
        let span = limits::SHORTEST_RETENTION..=limits::LONGEST_RETENTION;
        if self.retention.is_some_and(|retention| !span.contains(&retention)) {
            faults.invalid("tenant.retention", "must be 1 hour to 3,650 days");
        }
        let rate = self.max_events_per_second;
        if !(rate == 0.0 || (limits::MIN_RATE..=limits::MAX_EVENT_RATE).contains(&rate)) {
            let message = "must be 0, or one in a day to 1,000,000 in a second";
            faults.invalid("tenant.max_events_per_second", message);
        }
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Its key.
    pub key: TenantKey,
    /// Its id.
    pub id: TenantId,
    /// What is set of it.
    pub settings: TenantSettings,
    /// Rises with each change of the settings.
    pub version: i64,
    /// Who made and changed it.
    pub attribution: Attribution,
}

impl Tenant {
    /// The version as clients see it.
    pub fn etag(&self) -> String {
        self.version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(settings: &TenantSettings) -> Vec<String> {
        let mut faults = Faults::default();
        settings.check(&mut faults);
        faults
            .check()
            .err()
            .map(|e| e.violations)
            .unwrap_or_default()
            .into_iter()
            .map(|v| v.field)
            .collect()
    }

    #[test]
    fn zones_are_those_of_iana() {
        for (given, name) in [("UTC", "UTC"), ("asia/kolkata", "Asia/Kolkata")] {
            assert_eq!(zone_name(given).as_deref(), Some(name));
        }
        for bad in ["", "Mars/Olympus", "+05:30", "IST-5:30", "../etc/passwd", "UTC\0"] {
            assert_eq!(zone_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn all_faults_are_told() {
        assert!(fields(&TenantSettings::default()).is_empty());
        let bad = TenantSettings {
            display_name: "a\0".into(),
            time_zone: "nowhere".into(),
            retention: Some(Duration::from_secs(3599)),
            max_events_per_second: f64::NAN,
            ..TenantSettings::default()
        };
        let expected = ["display_name", "time_zone", "retention", "max_events_per_second"];
        assert_eq!(fields(&bad), expected.map(|field| format!("tenant.{field}")));
        for rate in [-1.0, f64::INFINITY, 1e-9] {
            let bad = TenantSettings { max_events_per_second: rate, ..TenantSettings::default() };
            assert_eq!(fields(&bad).len(), 1, "{rate}");
        }
    }
}
