//! Gives the errors that tonic itself makes — requests that do not decode, are
//! too large or ask for an unknown method — the same details that ours have.

use http::Response;
use tonic::{Code, Status};

use super::status;
use crate::domain::{
    error::{Error, Reason},
    limits,
};

/// What a request that cannot be read is called in `BadRequest`: no field of it is known.
const WHOLE_REQUEST: &str = "request";

/// Adds details to a response that failed before or without a handler.
pub(super) fn explain<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    // Such errors come as headers only; those of handlers have details by now.
    if !headers.contains_key(Status::GRPC_STATUS) || headers.contains_key("grpc-status-details-bin")
    {
        return response;
    }
    let Some(status) = Status::from_header_map(headers).filter(|s| s.code() != Code::Ok) else {
        return response;
    };
    if let Err(unwritable) = restate(&status).add_header(headers) {
        tracing::warn!(status = %unwritable, "the details of an error cannot be written");
    }
    response
}

/// The same for an error in the midst of a request stream.
pub(super) fn restate(status: &Status) -> Status {
    if !status.details().is_empty() {
        return status.clone();
    }
    let text = status.message();
    match status.code() {
        Code::Internal if is_unreadable(text) => refuse(text),
        // Too large as it came, or after it was unpacked.
        Code::OutOfRange => refuse(&too_large()),
        Code::ResourceExhausted if text.starts_with("Error decompressing") => refuse(&too_large()),
        Code::Unimplemented if text.is_empty() => status::not_built("this method"),
        Code::Unimplemented => keep(status, Reason::FeatureNotAvailable),
        // Health and reflection, asked for something that they do not know.
        Code::InvalidArgument | Code::NotFound => keep(status, Reason::FieldInvalid),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => keep(status, Reason::Internal),
    }
}

/// Whether tonic says INTERNAL of bytes that the client sent.
fn is_unreadable(text: &str) -> bool {
    const CAUSES: [&str; 4] = [
        "failed to decode Protobuf message",
        "Error decompressing",
        "Missing request message",
        "Unexpected EOF decoding stream",
    ];
    CAUSES.iter().any(|cause| text.starts_with(cause))
}

fn too_large() -> String {
    format!("is larger than the limit of {} bytes", limits::REQUEST_BYTES)
}

fn refuse(text: &str) -> Status {
    Status::from(Error::field(WHOLE_REQUEST, Reason::FieldInvalid, text))
}

fn keep(status: &Status, reason: Reason) -> Status {
    status::with_other_code(status.code(), &Error::new(reason, status.message()))
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn explained(status: Status) -> (Code, String, String) {
        let response = explain(status.into_http::<()>());
        assert_eq!(response.headers().get_all("grpc-status-details-bin").iter().count(), 1);
        let status = Status::from_header_map(response.headers()).expect("a status");
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone());
        (status.code(), reason.unwrap_or_default(), status.message().to_owned())
    }

    #[test]
    fn errors_of_the_transport_get_a_reason() {
        use Code::{InvalidArgument, NotFound, Unimplemented};
        for (made_by_tonic, code, reason) in [
            (
                Status::internal("failed to decode Protobuf message: invalid varint"),
                InvalidArgument,
                "FIELD_INVALID",
            ),
            (
                Status::out_of_range("Error, decoded message length too large: found 5000000"),
                InvalidArgument,
                "FIELD_INVALID",
            ),
            (Status::unimplemented(""), Unimplemented, "FEATURE_NOT_AVAILABLE"),
            (
                Status::unimplemented("Content is compressed with `br` which isn't supported"),
                Unimplemented,
                "FEATURE_NOT_AVAILABLE",
            ),
            (Status::not_found("service not registered"), NotFound, "FIELD_INVALID"),
            (Status::internal("protocol error: x"), Code::Internal, "INTERNAL"),
        ] {
            let told = made_by_tonic.to_string();
            let (got_code, got_reason, _) = explained(made_by_tonic);
            assert_eq!((got_code, got_reason.as_str()), (code, reason), "{told}");
        }
    }

    #[test]
    fn a_request_that_is_too_large_hears_the_limit() {
        let (_, _, message) = explained(Status::out_of_range("Error, decoded message length"));
        assert_eq!(message, "request is larger than the limit of 4194304 bytes");
    }

    #[test]
    fn our_own_errors_and_good_answers_stay_as_they_are() {
        let own = Status::from(Error::new(Reason::WebhookNotFound, "no such webhook"));
        let (code, reason, message) = explained(own);
        assert_eq!((code, reason.as_str()), (Code::NotFound, "WEBHOOK_NOT_FOUND"));
        assert_eq!(message, "no such webhook");
        let good = explain(Response::new(()));
        assert!(good.headers().is_empty());
        assert!(
            !explain(Status::ok("").into_http::<()>())
                .headers()
                .contains_key("grpc-status-details-bin")
        );
    }
}
