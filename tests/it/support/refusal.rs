//! What a caller is told when a call fails.

use std::fmt::Debug;

use prost::Message;
use tidings::grpc::proto::ErrorReason;
use tonic::{Code, Status};
use tonic_types::pb;

/// A failed call, taken apart. That it has an `ErrorInfo` of ours is checked on the way.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Path, reason and description of each bad field, in order.
    pub(crate) faults: Vec<(String, String, String)>,
}

impl Refusal {
    /// Of a status as a call ended with it.
    pub(crate) fn of(status: &Status) -> Self {
        let details = pb::Status::decode(status.details()).expect("a google.rpc.Status");
        assert_eq!(details.code, i32::from(status.code()), "{status:?}");
        Self::of_details(&details)
    }

    /// Of a status as an outcome among others carries it.
    pub(crate) fn of_details(status: &pb::Status) -> Self {
        let (mut info, mut faults) = (None, Vec::new());
        for detail in &status.details {
            match detail.type_url.as_str() {
                "type.googleapis.com/google.rpc.ErrorInfo" => {
                    info = Some(pb::ErrorInfo::decode(&*detail.value).expect("ErrorInfo"));
                }
                "type.googleapis.com/google.rpc.BadRequest" => {
                    let bad = pb::BadRequest::decode(&*detail.value).expect("BadRequest");
                    let parts = |v: pb::bad_request::FieldViolation| {
                        assert_known(&v.reason);
                        (v.field, v.reason, v.description)
                    };
                    faults = bad.field_violations.into_iter().map(parts).collect();
                }
                _ => {}
            }
        }
        let info = info.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
        assert_eq!(info.domain, "tidings");
        assert_known(&info.reason);
        Self {
            code: Code::from_i32(status.code),
            reason: info.reason,
            message: status.message.clone(),
            faults,
        }
    }

    /// Code and reason.
    pub(crate) fn what(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }

    /// Paths of the bad fields.
    pub(crate) fn fields(&self) -> Vec<&str> {
        self.faults.iter().map(|(field, ..)| field.as_str()).collect()
    }

    /// Paths and reasons of the bad fields.
    pub(crate) fn reasons(&self) -> Vec<(&str, &str)> {
        self.faults.iter().map(|(field, reason, _)| (field.as_str(), reason.as_str())).collect()
    }
}

/// How a call was refused; panics where it was not.
pub(crate) fn refused<T: Debug>(result: Result<T, Status>) -> Refusal {
    Refusal::of(&result.expect_err("a refusal"))
}

fn assert_known(reason: &str) {
    let known = ErrorReason::from_str_name(&format!("ERROR_REASON_{reason}"));
    assert!(known.is_some_and(|known| known != ErrorReason::Unspecified), "reason {reason:?}");
}
