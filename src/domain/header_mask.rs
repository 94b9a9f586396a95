//! How the secrets of headers survive a round trip through a caller who sees them masked.

use super::{error::Faults, webhook::Header};

/// Reads a header as a caller gave it, at the path `at`. A masked value means the stored
/// one at its place, where `stored` has a sensitive header of that name; else it is a fault.
pub fn read_header(given: Header, stored: &[Header], at: &str, faults: &mut Faults) -> Header {
    let mut header = given;
    header.sensitive |= Header::always_sensitive(&header.name);
    let kept = stored.iter().find(|h| h.sensitive && h.name.eq_ignore_ascii_case(&header.name));
    let mut masked =
        header.values.iter_mut().enumerate().filter(|(_, value)| *value == Header::MASK);
    if let Some(kept) = kept {
        for (i, value) in masked {
            // A value that its owner does not send stays a secret.
            header.sensitive = true;
            match kept.values.get(i) {
                Some(secret) => value.clone_from(secret),
                None => faults.invalid(format!("{at}.values[{i}]"), "has no stored value to keep"),
            }
        }
    } else if header.sensitive && masked.next().is_some() {
        let message = "must be the value itself: *** only stands for one that is stored";
        faults.invalid(format!("{at}.values"), message);
    }
    header
}
