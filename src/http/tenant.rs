//! Which tenant a request is about, where its caller may enter several: its path says so,
//! or a header, or for browsers that follow the tail the query.

use http::{HeaderMap, HeaderName};

use super::parameters::Parameters;
use crate::domain::error::{Error, Reason, Result};

/// Headers that name the tenant: ours, and that of v3.
pub(super) static HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("tidings-tenant"), HeaderName::from_static("x-cap-api-auth-org-id")];
/// What a query calls the tenant.
pub(super) const QUERY_TENANT: &str = "orgId";

/// The tenant that a request names; empty where it names none. `path` is the one that its
/// path names, if any.
///
/// # Errors
///
/// `FIELD_INVALID` where it names several.
pub(super) fn of(path: String, headers: &HeaderMap, mut query: Parameters) -> Result<String> {
    let in_headers = HEADERS.iter().flat_map(|name| headers.get_all(name));
    // What is no text is no tenant either, and is refused as such.
    let in_headers = in_headers.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let named = [path].into_iter().chain(in_headers).chain(query.texts(QUERY_TENANT));
    let mut named = named.filter(|name| !name.is_empty());
    let first = named.next().unwrap_or_default();
    if named.any(|other| other != first) {
        let message = "is named several times, and not the same";
        return Err(Error::field("tenant_id", Reason::FieldInvalid, message));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_may_be_named_at_several_places_but_only_one() {
        let [ours, theirs] = &HEADERS;
        let tenant = |path: &str, headers: &[(&HeaderName, &str)], query: &str| {
            let headers = headers.iter().map(|(name, value)| {
                ((*name).clone(), http::HeaderValue::from_str(value).expect("a value"))
            });
            of(path.to_owned(), &headers.collect(), Parameters::of(Some(query))).ok()
        };
        let is = |name: &str| Some(name.to_owned());
        assert_eq!(tenant("", &[], ""), is(""));
        assert_eq!(tenant("", &[(ours, "")], "orgId="), is(""));
        assert_eq!(tenant("", &[(ours, "acme")], ""), is("acme"));
        assert_eq!(tenant("acme", &[], ""), is("acme"));
        assert_eq!(tenant("", &[], "orgId=acme"), is("acme"));
        assert_eq!(tenant("acme", &[(ours, "acme"), (theirs, "acme")], "orgId=acme"), is("acme"));
        assert_eq!(tenant("", &[(ours, "acme"), (theirs, "other")], ""), None);
        assert_eq!(tenant("other", &[(ours, "acme")], ""), None);
        assert_eq!(tenant("", &[(ours, "acme")], "orgId=other"), None);
    }
}
