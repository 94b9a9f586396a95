//! Times as this dialect writes them, and the zone that a caller wants.

use http::HeaderMap;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::{
    domain::{
        error::{Error, Reason},
        time::Timestamp,
    },
    service::scope::Scope,
};

/// The header that names a zone.
const HEADER: &str = "so-timezone";

/// The zone that a request names, or that of the tenant.
///
/// # Errors
///
/// `FIELD_INVALID` where there is no zone of that name.
pub(super) fn zone(headers: &HeaderMap, scope: &Scope) -> Result<TimeZone, Error> {
    let zones = TimeZoneDatabase::bundled();
    let Some(name) = headers.get(HEADER) else {
        // Names of zones are looked up before they are stored.
        return Ok(zones.get(&scope.time_zone()).unwrap_or(TimeZone::UTC));
    };
    let zone = name.to_str().ok().and_then(|name| zones.get(name.trim()).ok());
    zone.ok_or_else(|| {
        let message = "must be the name of a time zone, such as Europe/Oslo";
        Error::field("SO-TimeZone", Reason::FieldInvalid, message)
    })
}

/// A time in a zone, such as `2024-04-18T14:34:02.9242705+02:00`.
pub(super) fn show(at: Timestamp, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(jiff::Timestamp::MAX);
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%7f%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_seven_decimals_and_the_offset_of_their_zone() {
        let at = Timestamp::from_micros(1_713_443_642_924_270);
        assert_eq!(show(at, &TimeZone::UTC), "2024-04-18T12:34:02.9242700+00:00");
        let oslo = TimeZoneDatabase::bundled().get("Europe/Oslo").expect("a zone");
        assert_eq!(show(at, &oslo), "2024-04-18T14:34:02.9242700+02:00");
    }
}
