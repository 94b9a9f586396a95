//! Changes of a part: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396).

use axum::extract::Request;
use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::{
    document::{is_json, media_type, parse},
    refusal::Refusal,
};
use crate::{
    domain::{
        error::{Error, Faults, Reason},
        limits,
    },
    http::body::{self, BodyFault},
};

/// The media type of a JSON Patch.
pub(super) const OPERATIONS: &str = "application/json-patch+json";
/// The media type of a merge patch.
pub(super) const MERGE: &str = "application/merge-patch+json";
/// Most operations of a patch.
const MOST: usize = 1_000;
/// Deepest path of an operation: into a header or a property.
const DEEPEST: usize = limits::PROPERTIES_DEPTH + 1;

/// A change of a part of a webhook.
pub(super) enum Patch {
    /// One operation after the other; all or none.
    Operations(json_patch::Patch),
    /// An object whose members replace, and remove where they are null.
    Merge(Value),
}

impl Patch {
    /// Reads the body of a request. One that is merely JSON is what it looks like.
    pub(super) async fn read(request: Request) -> Result<Self, Refusal> {
        let kind = media_type(request.headers());
        if !is_json(&kind) {
            return Err(BodyFault::MediaType.into());
        }
        let value = parse(&body::read(request.into_body()).await?)?;
        match (kind.as_str(), value) {
            (OPERATIONS, value) | (_, value @ Value::Array(_)) if kind != MERGE => {
                read_operations(value)
            }
            (_, value @ Value::Object(_)) => Ok(Self::Merge(value)),
            _ => Err(refused("body", "must be an object")),
        }
    }

    /// Changes a document.
    pub(super) fn apply(&self, document: &mut Value) -> Result<(), Refusal> {
        match self {
            Self::Merge(patch) => {
                json_patch::merge(document, patch);
                Ok(())
            }
            Self::Operations(operations) => {
                json_patch::patch(document, operations).map_err(|error| match error.kind {
                    PatchErrorKind::TestFailed => Refusal::TestFailed(error.to_string()),
                    _ => Error::new(Reason::FieldInvalid, error.to_string()).into(),
                })
            }
        }
    }
}

/// Operations that cannot make more of a document than they bring: `copy`, time and again,
/// could fill any memory.
fn read_operations(value: Value) -> Result<Patch, Refusal> {
    let read = serde_json::from_value::<json_patch::Patch>(value);
    let patch = read.map_err(|error| refused("body", format!("is no JSON Patch: {error}")))?;
    if patch.len() > MOST {
        return Err(refused("body", format!("must have at most {MOST} operations")));
    }
    let mut faults = Faults::default();
    for (i, operation) in patch.iter().enumerate() {
        if matches!(operation, PatchOperation::Copy(_) | PatchOperation::Move(_)) {
            faults.invalid(format!("body[{i}].op"), "must be add, replace, remove or test");
        }
        if operation.path().as_str().matches('/').count() > DEEPEST {
            faults.invalid(format!("body[{i}].path"), "is too deep");
        }
    }
    faults.check()?;
    Ok(Patch::Operations(patch))
}

fn refused(at: &str, message: impl Into<String>) -> Refusal {
    Error::field(at, Reason::FieldInvalid, message).into()
}
