//! The standard event types, which every tenant has.

/// JSON Schema of the payload of `transaction`.
pub const TRANSACTION_SCHEMA: &str = include_str!("catalogue/transaction.schema.json");

/// Names of the standard event types, in byte order.
pub const STANDARD_EVENTS: [&str; 52] = [
    "CouponIssue",
    "CouponRedeem",
    "changeidentifier",
    "customerAdded",
    "customerUpdated",
    "customer_created",
    "customer_double_opted_in",
    "customer_state_changed",
    "customer_subscribed",
    "customer_unsubscribed",
    "customerupdate",
    "groupCreated",
    "groupMemberRemoved",
    "groupUpdated",
    "issuedPointsReversed",
    "loyaltyCustomerMerge",
    "mergecustomer",
    "new_assigned_message",
    "new_unassigned_message",
    "outbound_message",
    "partnerProgramDelinked",
    "partnerProgramLinked",
    "partnerProgramUpdated",
    "pointredemption",
    "pointsContributionToGroup",
    "pointsExpired",
    "pointsExpiryChange",
    "pointsExpiryReminder",
    "pointsIssued",
    "pointsRedeemed",
    "pointsTransferredInitiated",
    "pointsTransferredReceived",
    "promisedToCurrentPointsConversion",
    "redeemedPointsReversed",
    "registration",
    "rewardIssued",
    "rewardUpdated",
    "singlePointsExpiryUpdated",
    "supplementaryMembershipExpiryReminder",
    "tag_added_to_message",
    "tag_removed_from_message",
    "tierDowngradeReminder",
    "tierDowngraded",
    "tierRenewed",
    "tierUpgraded",
    "transaction",
    "transactionAdded",
    "transactionUpdated",
    "updateidentifier",
    "user_assignment",
    "webhook.resumed",
    "webhook.suspended",
];

/// Whether an event type of this name is standard.
pub fn is_standard(name: &str) -> bool {
    STANDARD_EVENTS.binary_search(&name).is_ok()
}

/// The JSON Schema of a standard event type; empty where it has none.
pub fn schema(name: &str) -> &'static str {
    if name == "transaction" { TRANSACTION_SCHEMA.trim_ascii_end() } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_differ() {
        assert!(STANDARD_EVENTS.is_sorted_by(|a, b| a < b));
        assert!(is_standard("pointsIssued") && !is_standard("pointsissued"));
    }

    #[test]
    fn the_schema_of_transaction_is_an_object_schema() {
        let schema: serde_json::Value = serde_json::from_str(schema("transaction")).expect("JSON");
        assert_eq!(schema["properties"]["attributes"]["required"][1], "transactionId");
    }
}
