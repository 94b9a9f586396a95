//! A definition on its way in: JSON, or the fields of a form.

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::{
    domain::members::members,
    http::body::{self, BodyFault},
};

/// Media types of JSON. Those of patches are documented for all requests.
const JSON: [&str; 4] =
    ["application/json", "text/json", super::patch::OPERATIONS, super::patch::MERGE];
/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// The member whose text is kept as it is written.
const PROPERTIES: &str = "Properties";

/// What a request says.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// All of it.
    pub(super) members: Value,
    /// The text of `Properties`, where there is such a member.
    pub(super) properties: Option<String>,
}

/// Reads the body of a request.
pub(super) async fn read(request: Request) -> Result<Document, BodyFault> {
    let kind = media_type(request.headers());
    if kind == FORM {
        let text = body::read(request.into_body()).await?;
        return Ok(Document::of(Value::Object(read_form(&text))));
    }
    if !is_json(&kind) {
        return Err(BodyFault::MediaType);
    }
    let text = body::read(request.into_body()).await?;
    let document = Document::of(parse(&text)?);
    let text = std::str::from_utf8(&text).unwrap_or_default();
    let written = members(text).into_iter().rfind(|member| member.name == PROPERTIES);
    let written = written.map(|member| member.value.to_owned());
    Ok(Document { properties: written.or(document.properties), ..document })
}

impl Document {
    /// One that nobody has written.
    pub(super) fn of(members: Value) -> Self {
        let properties = members.get(PROPERTIES).map(Value::to_string);
        Self { members, properties }
    }
}

/// The media type of a body, in lower case; empty where it has none.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return String::new() };
    // What is no text is no media type, and none that is known.
    let kind = kind.to_str().unwrap_or("?");
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a body of this media type is JSON. One that names none may be.
pub(super) fn is_json(kind: &str) -> bool {
    kind.is_empty() || JSON.contains(&kind)
}

/// Reads JSON.
pub(super) fn parse(text: &Bytes) -> Result<Value, BodyFault> {
    serde_json::from_slice(text).map_err(|error| BodyFault::Malformed(error.to_string()))
}

/// Fields by their names: `Events` as often as there are events, `Headers[NAME]`,
/// `Properties[NAME]`, all others once. What is empty is absent.
fn read_form(text: &[u8]) -> Map<String, Value> {
    let mut read = Map::new();
    let fields = form_urlencoded::parse(text).filter(|(_, value)| !value.is_empty());
    for (name, value) in fields {
        let value = Value::from(value);
        match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some(("Events", _)) => push(&mut read, value),
            Some((outer @ ("Headers" | PROPERTIES), inner)) => {
                let object = read.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                // What is a text as well is refused as that.
                if let Value::Object(members) = object {
                    members.insert(inner.to_owned(), value);
                }
            }
            None if name == "Events" => push(&mut read, value),
            _ => drop(read.insert(name.into_owned(), value)),
        }
    }
    read
}

fn push(read: &mut Map<String, Value>, event: Value) {
    let events = read.entry("Events").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(events) = events {
        events.push(event);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_says_what_json_says() {
        let form = "Name=a+b&Events=x&Events[]=y&Events[0]=z&Headers[X-A]=1&Headers%5BX-B%5D=2\
                    &Properties[p]=%C3%A4&Secret=&State=2&Odd[x]=1";
        let expected = json!({"Name": "a b", "Events": ["x", "y", "z"], "State": "2",
            "Headers": {"X-A": "1", "X-B": "2"}, "Properties": {"p": "ä"}, "Odd[x]": "1"});
        assert_eq!(Value::Object(read_form(form.as_bytes())), expected);
        // A member of another kind than its name says is no panic.
        let clash = read_form(b"Headers=1&Headers[a]=2&Events=x");
        assert!(clash.contains_key("Headers"));
    }
}
