//! Opaque tokens: page tokens bound to their query, resume tokens bound to their
//! tenant and database. They are checked for form, not secret.

use std::fmt::Debug;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    error::{Error, Reason},
    id::{Position, TenantId},
};

const PAGE: u8 = 1;
const RESUME: u8 = 2;
const CHECKSUM_BYTES: usize = 4;

/// What a page token is bound to: a digest of the query that it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// Of all that the pages of one query have in common.
    pub fn of(query: &impl Debug) -> Self {
        Self(digest(format!("{query:?}").as_bytes()))
    }
}

fn digest<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut short = [0; N];
    short.copy_from_slice(&Sha256::digest(bytes)[..N]);
    short
}

fn seal(mut bytes: Vec<u8>) -> String {
    let checksum: [u8; CHECKSUM_BYTES] = digest(&bytes);
    bytes.extend(checksum);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(token: &str, kind: u8) -> Option<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let split = bytes.len().checked_sub(CHECKSUM_BYTES)?;
    let checksum: [u8; CHECKSUM_BYTES] = digest(&bytes[..split]);
    if bytes[split..] != checksum || bytes.first() != Some(&kind) {
        return None;
    }
    bytes.truncate(split);
    Some(bytes)
}

/// Makes the token of the page after `cursor`.
pub fn page_token(query: Fingerprint, cursor: &impl Serialize) -> String {
    let mut bytes = vec![PAGE];
    bytes.extend(query.0);
    bytes.extend(serde_json::to_vec(cursor).unwrap_or_default());
    seal(bytes)
}

/// Reads a page token; empty means the first page.
///
/// # Errors
///
/// `PAGE_TOKEN_INVALID` where it is malformed or belongs to another query.
pub fn read_page_token<C: DeserializeOwned>(
    token: &str,
    query: Fingerprint,
) -> Result<Option<C>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let cursor = open(token, PAGE).and_then(|bytes| {
        let (bound, cursor) = bytes.get(1..)?.split_at_checked(8)?;
        (bound == query.0).then(|| serde_json::from_slice(cursor).ok()).flatten()
    });
    cursor.map(Some).ok_or_else(|| {
        let message = "is malformed or belongs to another query";
        Error::field("page_token", Reason::PageTokenInvalid, message)
    })
}

/// Names one database: a restored backup gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseId(pub u64);

/// Makes the token that resumes right after `position`.
pub fn resume_token(database: DatabaseId, tenant: &TenantId, position: Position) -> String {
    let mut bytes = vec![RESUME];
    bytes.extend(database.0.to_be_bytes());
    bytes.extend(digest::<8>(tenant.as_str().as_bytes()));
    bytes.extend(position.0.to_be_bytes());
    seal(bytes)
}

/// Reads a resume token.
///
/// # Errors
///
/// `RESUME_TOKEN_INVALID` where it is malformed, another tenant's or of another database.
pub fn read_resume_token(
    token: &str,
    database: DatabaseId,
    tenant: &TenantId,
) -> Result<Position, Error> {
    let position = open(token, RESUME).and_then(|bytes| {
        let (head, position) = bytes.split_at_checked(17)?;
        let bound = head[1..9] == database.0.to_be_bytes()
            && head[9..] == digest::<8>(tenant.as_str().as_bytes());
        let position = i64::from_be_bytes(position.try_into().ok()?);
        (bound && position >= 0).then_some(Position(position))
    });
    position.ok_or_else(|| {
        let message = "is malformed, another tenant's or of another database";
        Error::field("resume_token", Reason::ResumeTokenInvalid, message)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(id: &str) -> TenantId {
        id.parse().expect("a tenant id")
    }

    proptest! {
        #[test]
        fn tokens_round_trip_and_stay_bound(position in 0i64.., database: u64, cursor: (i64, i64), query: u32) {
            let (home, other) = (tenant("home"), tenant("other"));
            let token = resume_token(DatabaseId(database), &home, Position(position));
            let read = |t: &TenantId, d| read_resume_token(&token, DatabaseId(d), t);
            prop_assert_eq!(read(&home, database), Ok(Position(position)));
            prop_assert!(read(&other, database).is_err());
            prop_assert!(read(&home, database ^ 1).is_err());

            let page = page_token(Fingerprint::of(&query), &cursor);
            prop_assert_eq!(read_page_token(&page, Fingerprint::of(&query)), Ok(Some(cursor)));
            prop_assert!(read_page_token::<(i64, i64)>(&page, Fingerprint::of(&(query ^ 1))).is_err());
            prop_assert!(read_resume_token(&page, DatabaseId(database), &home).is_err());
        }

        #[test]
        fn one_character_that_differs_is_refused(
            position in 0i64..,
            at: prop::sample::Index,
            other in "[A-Za-z0-9_-]",
            cursor: (i64, String),
        ) {
            let query = Fingerprint::of(&1);
            let spoil = |token: &str| {
                let at = at.index(token.len());
                let mut spoiled = token.to_owned();
                spoiled.replace_range(at..=at, &other);
                [spoiled, token[..at].to_owned(), format!("{token}{other}")]
            };
            let token = resume_token(DatabaseId(7), &tenant("t"), Position(position));
            for spoiled in spoil(&token).iter().filter(|spoiled| **spoiled != token) {
                prop_assert!(read_resume_token(spoiled, DatabaseId(7), &tenant("t")).is_err());
            }
            let page = page_token(query, &cursor);
            // Without any character it is no token, and asks for the first page.
            for spoiled in spoil(&page).iter().filter(|s| **s != page && !s.is_empty()) {
                prop_assert!(read_page_token::<(i64, String)>(spoiled, query).is_err());
            }
        }

        #[test]
        fn a_forged_checksum_makes_nothing_panic(
            kind in 0u8..4,
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let forged = seal([&[kind][..], &bytes].concat());
            let position = read_resume_token(&forged, DatabaseId(0), &tenant("t"));
            prop_assert!(position.is_err(), "bound to a database and a tenant");
            prop_assert!(read_page_token::<(i64, String)>(&forged, Fingerprint::of(&1)).is_err());
            prop_assert!(read_page_token::<i64>(&seal(bytes), Fingerprint::of(&1)).is_err());
        }

        #[test]
        fn no_text_makes_it_panic_or_pass(text in "\\PC{1,80}") {
            prop_assert!(read_resume_token(&text, DatabaseId(1), &tenant("t")).is_err());
            prop_assert!(read_page_token::<i64>(&text, Fingerprint::of(&1)).is_err());
        }
    }

    #[test]
    fn no_token_is_the_first_page() {
        assert_eq!(read_page_token::<i64>("", Fingerprint::of(&1)), Ok(None));
    }
}
