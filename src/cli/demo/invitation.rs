//! What a newcomer can try next: lines to paste into another terminal.

use std::net::SocketAddr;

use super::{
    output::{Output, Style},
    samples::EVENT_ID,
};

/// Prints lines that work as they are, against the running service.
pub(super) fn invite(
    output: &Output,
    service: SocketAddr,
    receiver: SocketAddr,
) -> Result<(), String> {
    let heading = output.paint("Try it:", Style::Bold);
    output.line("")?;
    output.line(&format!("{heading} in another terminal; what happens shows up here, as above"))?;
    let grpc = |call: &str, request: &str| {
        format!("grpcurl -plaintext -d '{request}' {service} tidings.v1.{call}")
    };
    let event =
        r#"{"event":{"event_name":"pointsIssued","ref_id":"50074_1","object":{"points":25}}}"#;
    let lines = [
        ("What is there", format!("grpcurl -plaintext {service} list")),
        (
            "What an event is, with comments",
            format!("grpcurl -plaintext {service} describe tidings.v1.Event"),
        ),
        ("Publish an event", grpc("EventService/PublishEvent", event)),
        (
            "What became of the one above",
            grpc("EventLogService/GetEventLog", &format!(r#"{{"event_id":"{EVENT_ID}"}}"#)),
        ),
        (
            "Follow the log, from its beginning",
            grpc("EventLogService/TailEventLogs", r#"{"position":"TAIL_START_EARLIEST"}"#),
        ),
        ("What the receiver got", format!("curl http://{receiver}/received")),
        ("Let the next delivery fail", format!("curl -X POST http://{receiver}/refuse-next")),
    ];
    for (what, line) in lines {
        output
            .line(&format!("  {}\n    {line}", output.paint(&format!("# {what}"), Style::Dim)))?;
    }
    output.line("\nCtrl-C stops the service and removes its database.")
}
