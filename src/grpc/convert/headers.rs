//! Headers of a destination, and how their secrets survive a round trip.

use crate::{
    domain::{error::Faults, header_mask::read_header, webhook::Header},
    grpc::proto,
};

/// Reads headers. A masked value means the stored one at its place, where
/// `stored` has a sensitive header of that name; else it is a fault.
pub(crate) fn read_headers(
    given: &[proto::HttpHeader],
    stored: &[Header],
    at: &str,
    faults: &mut Faults,
) -> Vec<Header> {
    let read = |(i, header): (usize, &proto::HttpHeader)| {
        let proto::HttpHeader { name, values, sensitive } = header.clone();
        read_header(Header { name, values, sensitive }, stored, &format!("{at}[{i}]"), faults)
    };
    given.iter().enumerate().map(read).collect()
}

/// A header for the wire, with the values that it has: mask it first where a
/// caller is to see it.
pub(crate) fn show_header(header: Header) -> proto::HttpHeader {
    let Header { name, values, sensitive } = header;
    proto::HttpHeader { name, values, sensitive }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, values: &[&str], sensitive: bool) -> proto::HttpHeader {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        proto::HttpHeader { name: name.to_owned(), values, sensitive }
    }

    fn read(given: proto::HttpHeader, stored: &[Header]) -> (Header, Vec<String>) {
        let mut faults = Faults::default();
        let header = read_headers(&[given], stored, "h", &mut faults).remove(0);
        let faults = faults.check().err().map(|e| e.violations).unwrap_or_default();
        (header, faults.into_iter().map(|v| v.field).collect())
    }

    fn stored() -> [Header; 1] {
        let values = vec!["s3cret".to_owned(), "other".to_owned()];
        [Header { name: "X-Secret".to_owned(), values, sensitive: true }]
    }

    #[test]
    fn a_mask_keeps_what_is_stored_and_its_secrecy() {
        let (header, faults) = read(given("x-secret", &["***", "new"], false), &stored());
        assert_eq!(header.values, ["s3cret", "new"]);
        assert!(header.sensitive && faults.is_empty(), "a client cannot unmask by asking");
    }

    #[test]
    fn a_mask_with_nothing_behind_it_is_a_fault() {
        let (_, faults) = read(given("X-Secret", &["***"], true), &[]);
        assert_eq!(faults, ["h[0].values"]);
        let (_, faults) = read(given("Authorization", &["***"], false), &stored());
        assert_eq!(faults, ["h[0].values"]);
        let (_, faults) = read(given("X-Secret", &["***", "***", "***"], true), &stored());
        assert_eq!(faults, ["h[0].values[2]"]);
    }

    #[test]
    fn stars_in_an_open_header_are_just_stars() {
        let (header, faults) = read(given("X-Stars", &["***"], false), &stored());
        assert!(faults.is_empty() && !header.sensitive);
        assert_eq!(header.values, ["***"]);
    }

    #[test]
    fn authorization_is_sensitive_without_being_asked() {
        assert!(read(given("AUTHORIZATION", &["Basic x"], false), &[]).0.sensitive);
    }
}
