//! `$select`: which members of an answer are wanted; the others are null.

use crate::domain::members::members;

/// Paths such as `Name` or `RegisteredAssociate/Name`.
pub(super) struct Select(Vec<String>);

impl Select {
    /// Reads a list with commas. Names that nothing has select nothing.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.split(',').map(|path| path.trim().to_owned()).collect())
    }

    /// An object without the values that are not wanted; all its members stay, in their order.
    pub(super) fn cut(&self, object: &str) -> String {
        let paths: Vec<_> = self.0.iter().map(String::as_str).collect();
        cut(object, &paths)
    }
}

fn cut(object: &str, paths: &[&str]) -> String {
    let members = members(object);
    let kept = members.iter().map(|member| {
        let value = wanted(&member.name, member.value, paths);
        format!("{}:{value}", member.raw_name)
    });
    format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
}

/// What is left of the value of a member.
fn wanted(name: &str, value: &str, paths: &[&str]) -> String {
    if paths.iter().any(|path| path.eq_ignore_ascii_case(name)) {
        return value.to_owned();
    }
    let inner = paths.iter().filter_map(|path| {
        let (first, rest) = path.split_once('/')?;
        first.eq_ignore_ascii_case(name).then_some(rest)
    });
    let inner: Vec<_> = inner.collect();
    if inner.is_empty() || !value.starts_with('{') {
        return "null".to_owned();
    }
    cut(value, &inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_selected_is_null_and_stays_in_its_place() {
        let object = r#"{"Id":7,"Name":"a,b","Associate":{"Id":1,"Name":"x"},"Other":null}"#;
        for (select, left) in [
            ("name", r#"{"Id":null,"Name":"a,b","Associate":null,"Other":null}"#),
            (
                "ID, associate/name,department,category/id",
                r#"{"Id":7,"Name":null,"Associate":{"Id":null,"Name":"x"},"Other":null}"#,
            ),
            (
                "Associate,Name/first",
                r#"{"Id":null,"Name":null,"Associate":{"Id":1,"Name":"x"},"Other":null}"#,
            ),
            ("", r#"{"Id":null,"Name":null,"Associate":null,"Other":null}"#),
        ] {
            assert_eq!(Select::parse(select).cut(object), left, "{select}");
        }
    }
}
