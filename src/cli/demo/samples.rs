//! What the demo subscribes to and publishes: names, headers, limits and ids as in
//! the documented examples of v3.

use std::net::SocketAddr;

use crate::grpc::proto::{
    Destination, Event, HttpDestination, HttpHeader, RetryPolicy, Webhook, destination::Kind,
    event::Payload,
};

/// The id of the documented event log, and so of the event that is published with it.
pub(super) const EVENT_ID: &str = "ccc983c2-df7a-4ece-b5cc-e574cec66fc1";
/// The call that caused it, and what it is about.
const REQUEST_ID: &str = "ebcce693-48ff-4a5f-b335-76abd1c9e33f";
const REF_ID: &str = "50074_38236069";
/// Its header value, which the receiver must see.
pub(super) const AUTHORIZATION: &str = "Basic Q2FwaWxsYXJ5OxzYkdGeWVVQTROekl5";
/// The smallest integer that a double cannot hold: read as one, it becomes ...992.
pub(super) const LARGE_NUMBER: &str = "9007199254740993";

const LOYALTY_EVENTS: [&str; 30] = [
    "loyaltyCustomerMerge",
    "partnerProgramLinked",
    "pointsExpired",
    "customerAdded",
    "transactionUpdated",
    "groupUpdated",
    "promisedToCurrentPointsConversion",
    "pointsTransferredReceived",
    "groupMemberRemoved",
    "groupCreated",
    "partnerProgramUpdated",
    "pointsIssued",
    "tierDowngradeReminder",
    "pointsContributionToGroup",
    "CouponRedeem",
    "pointsExpiryReminder",
    "partnerProgramDelinked",
    "CouponIssue",
    "tierRenewed",
    "tierDowngraded",
    "pointsTransferredInitiated",
    "customerUpdated",
    "tierUpgraded",
    "rewardIssued",
    "pointsExpiryChange",
    "rewardUpdated",
    "supplementaryMembershipExpiryReminder",
    "singlePointsExpiryUpdated",
    "issuedPointsReversed",
    "redeemedPointsReversed",
];
const SALES_EVENTS: [&str; 4] =
    ["transactionAdded", "pointsRedeemed", "pointsIssued", "transaction"];

/// The webhook of "Add Webhook", at the receiver.
pub(super) fn loyalty_webhook(receiver: SocketAddr) -> Webhook {
    let headers = [("Authorization", AUTHORIZATION), ("Content-Type", "application/json")];
    webhook(receiver, "test_post_webhook_12345", &LOYALTY_EVENTS, &headers, 150)
}

/// The webhook of "Event Notifications", at the receiver, with quick retries.
pub(super) fn sales_webhook(receiver: SocketAddr) -> Webhook {
    let headers = [("Content-Type", "application/json")];
    let retry_policy = RetryPolicy {
        max_retries: Some(10),
        initial_backoff: Some(seconds(1)),
        multiplier: Some(1.0),
        jitter: Some(0.0),
        ..Default::default()
    };
    Webhook {
        retry_policy: Some(retry_policy),
        ..webhook(receiver, "DemoWebhook1", &SALES_EVENTS, &headers, 30)
    }
}

fn webhook(
    receiver: SocketAddr,
    name: &str,
    events: &[&str],
    headers: &[(&str, &str)],
    sla: i64,
) -> Webhook {
    let header = |&(name, value): &(&str, &str)| HttpHeader {
        name: name.to_owned(),
        values: vec![value.to_owned()],
        sensitive: false,
    };
    let http = HttpDestination {
        url: format!("http://{receiver}/{name}"),
        headers: headers.iter().map(header).collect(),
        ..Default::default()
    };
    Webhook {
        name: name.to_owned(),
        event_names: events.iter().map(|&name| name.to_owned()).collect(),
        destination: Some(Destination { kind: Some(Kind::Http(http)) }),
        max_allowed_connections: Some(10),
        sla: Some(seconds(sla)),
        ..Default::default()
    }
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

/// Two events of one purchase: one that both webhooks want, one that one wants.
pub(super) fn purchase() -> [Event; 2] {
    let points = r#"{"customerId":343040321,"points":250,"expiryDate":"2021-04-23"}"#;
    let bill = r#"{"customerId":343040321,"transactionId":38236069,"amount":2500.00}"#;
    [
        event("pointsIssued", REF_ID, points),
        Event { event_id: EVENT_ID.to_owned(), ..event("transactionAdded", REF_ID, bill) },
    ]
}

/// An event in the shape of its schema, with an integer that many systems spoil.
pub(super) fn transaction() -> Event {
    let payload = format!(
        r#"{{"ingestionTimestamp":1587620451351,"name":"transaction","description":"a purchase","attributes":{{"transactionId":{LARGE_NUMBER},"transactionNumber":"numberPOS-38236069","amount":2500.00,"grossAmount":2750.50,"customerId":null}}}}"#
    );
    event("transaction", &format!("50074_{LARGE_NUMBER}"), &payload)
}

fn event(name: &str, ref_id: &str, payload: &str) -> Event {
    Event {
        event_name: name.to_owned(),
        ref_id: ref_id.to_owned(),
        request_id: REQUEST_ID.to_owned(),
        payload: Some(Payload::Json(payload.to_owned())),
        ..Default::default()
    }
}
