//! Lists that have pages in the services, and none in a dialect.

use crate::domain::{error::Result, limits};

/// The largest page that services give.
pub(super) const LARGEST: i32 = limits::MAX_PAGE as i32;

/// Reads all pages. `read` gets the token of a page, empty for the first one, and gives what
/// is on it and the token of the next one, empty where there is none.
///
/// # Errors
///
/// Those of `read`.
pub(super) async fn all<T, F>(mut read: impl FnMut(String) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<(Vec<T>, String)>>,
{
    let (mut found, mut next) = read(String::new()).await?;
    while !next.is_empty() {
        let page = read(next).await?;
        found.extend(page.0);
        next = page.1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_read_until_one_names_no_other() {
        let read = |token: String| async move {
            let page = match token.as_str() {
                "" => (vec![1, 2], "a"),
                "a" => (vec![], "b"),
                _ => (vec![3], ""),
            };
            Ok((page.0, page.1.to_owned()))
        };
        assert_eq!(all(read).await, Ok(vec![1, 2, 3]));
    }
}
