//! Event types: the standard catalogue, custom ones, and what their schemas do.

use std::collections::HashSet;

use serde_json::{Value, json};
use tidings::grpc::proto::{
    CreateEventMetadataRequest, DeleteEventMetadataRequest, EventMetadata, EventOrigin,
    GetEventMetadataRequest, ListEventMetadataRequest, ListEventMetadataResponse,
    PublishEventRequest, SchemaEnforcement, UpdateEventMetadataRequest, Webhook,
};
use tonic::{Code, Status};

use super::{
    support::{
        api::{event, update, webhook},
        refusal::{Refusal, refused},
        server::TestServer,
    },
    webhooks::delete,
};

/// Nothing is ever sent there.
const URL: &str = "http://127.0.0.1:9/hook";

/// What every tenant has, as the documented APIs name them.
const STANDARD: &str = "CouponIssue CouponRedeem changeidentifier customerAdded customerUpdated \
    customer_created customer_double_opted_in customer_state_changed customer_subscribed \
    customer_unsubscribed customerupdate groupCreated groupMemberRemoved groupUpdated \
    issuedPointsReversed loyaltyCustomerMerge mergecustomer new_assigned_message \
    new_unassigned_message outbound_message partnerProgramDelinked partnerProgramLinked \
    partnerProgramUpdated pointredemption pointsContributionToGroup pointsExpired \
    pointsExpiryChange pointsExpiryReminder pointsIssued pointsRedeemed \
    pointsTransferredInitiated pointsTransferredReceived promisedToCurrentPointsConversion \
    redeemedPointsReversed registration rewardIssued rewardUpdated singlePointsExpiryUpdated \
    supplementaryMembershipExpiryReminder tag_added_to_message tag_removed_from_message \
    tierDowngradeReminder tierDowngraded tierRenewed tierUpgraded transaction transactionAdded \
    transactionUpdated updateidentifier user_assignment webhook.resumed webhook.suspended";

fn custom(name: &str) -> EventMetadata {
    EventMetadata { event_name: name.into(), ..Default::default() }
}

async fn create(server: &TestServer, metadata: EventMetadata) -> Result<EventMetadata, Status> {
    let event_metadata = Some(metadata);
    let request = CreateEventMetadataRequest { event_metadata, ..Default::default() };
    let made = server.event_types().create_event_metadata(request).await?;
    Ok(made.into_inner().event_metadata.expect("the event type"))
}

async fn get(server: &TestServer, name: &str) -> Result<EventMetadata, Status> {
    let request = GetEventMetadataRequest { event_name: name.into(), ..Default::default() };
    let found = server.event_types().get_event_metadata(request).await?;
    Ok(found.into_inner().event_metadata.expect("the event type"))
}

async fn change(
    server: &TestServer,
    metadata: EventMetadata,
    mask: &[&str],
) -> Result<EventMetadata, Status> {
    let paths = mask.iter().map(|&path| path.into()).collect();
    let update_mask = (!mask.is_empty()).then_some(prost_types::FieldMask { paths });
    let event_metadata = Some(metadata);
    let request = UpdateEventMetadataRequest { event_metadata, update_mask, ..Default::default() };
    let changed = server.event_types().update_event_metadata(request).await?;
    Ok(changed.into_inner().event_metadata.expect("the event type"))
}

async fn remove(server: &TestServer, name: &str, etag: &str) -> Result<(), Status> {
    let (event_name, etag) = (name.into(), etag.into());
    let request = DeleteEventMetadataRequest { event_name, etag, ..Default::default() };
    server.event_types().delete_event_metadata(request).await.map(drop)
}

async fn list(server: &TestServer, request: ListEventMetadataRequest) -> ListEventMetadataResponse {
    server.event_types().list_event_metadata(request).await.expect("a page").into_inner()
}

async fn publish_refused(server: &TestServer, name: &str, json: &str) -> Refusal {
    let request = PublishEventRequest { event: Some(event(name, json)), ..Default::default() };
    refused(server.events().publish_event(request).await)
}

#[tokio::test]
async fn every_tenant_has_the_standard_catalogue() {
    let server = TestServer::start().await;
    for tenant_id in ["", "acme"] {
        let (tenant_id, page_size) = (tenant_id.into(), 1000);
        let request = ListEventMetadataRequest { tenant_id, page_size, ..Default::default() };
        let page = list(&server, request).await;
        let names: Vec<_> = page.event_metadata.iter().map(|t| t.event_name.as_str()).collect();
        assert_eq!(names, STANDARD.split_whitespace().collect::<Vec<_>>());
        assert_eq!((page.total_size, page.next_page_token.as_str()), (52, ""));
        for standard in page.event_metadata {
            assert_eq!(standard.origin(), EventOrigin::Standard);
            assert_eq!((standard.active, standard.tenant_id.as_str()), (Some(true), ""));
        }
    }
}

#[tokio::test]
async fn transaction_has_its_documented_schema() {
    let server = TestServer::start().await;
    let transaction = get(&server, "transaction").await.expect("transaction");
    let schema: Value = serde_json::from_str(&transaction.schema_json).expect("JSON");
    let expected = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "required": ["ingestionTimestamp", "name", "description", "attributes"],
        "properties": {
            "ingestionTimestamp": {"type": "integer"},
            "name": {"type": "string"},
            "description": {"type": "string"},
            "attributes": {
                "type": "object",
                "required": ["transactionNumber", "transactionId"],
                "properties": {
                    "amount": {"type": "number"},
                    "subtype": {"type": "string"},
                    "billClientId": {"type": "string"},
                    "transactionNumber": {"type": "string"},
                    "basketSize": {"type": "number"},
                    "customerId": {"type": ["integer", "null"]},
                    "entityId": {"type": "integer"},
                    "grossAmount": {"type": "number"},
                    "transactionId": {"type": "integer"}
                }
            }
        }
    });
    assert_eq!(schema, expected);

    let listed =
        ListEventMetadataRequest { omit_schema: true, page_size: 99, ..Default::default() };
    let page = list(&server, listed).await;
    assert!(page.event_metadata.iter().all(|t| t.schema_json.is_empty()));
    // It warns where a payload does not fit.
    let published = server.publish(event("transaction", r#"{"name": 7}"#)).await;
    assert!(published.warnings.iter().any(|w| w.contains("/name")), "{published:?}");
}

#[tokio::test]
async fn a_custom_event_type_is_made_changed_and_deleted() {
    let server = TestServer::start().await;
    let mut given = custom("order.placed");
    given.description = "An order was placed".into();
    given.schema_json = "{ \"type\":\"object\" }".into();
    let made = create(&server, given).await.expect("made");
    assert_eq!((made.origin(), made.tenant_id.as_str()), (EventOrigin::Custom, "default"));
    assert_eq!((made.active, made.schema_enforcement()), (Some(true), SchemaEnforcement::Warn));
    assert_eq!(made.schema_json, "{ \"type\":\"object\" }", "kept as it was sent");
    assert!(made.attribution.is_some() && !made.etag.is_empty());
    assert_eq!(get(&server, "order.placed").await.expect("found"), made);

    let next = EventMetadata { description: "New".into(), active: Some(false), ..made.clone() };
    let changed = change(&server, next, &["description"]).await.expect("changed");
    assert_eq!((changed.description.as_str(), changed.active), ("New", Some(true)));
    assert_ne!(changed.etag, made.etag);
    assert_eq!(get(&server, "order.placed").await.expect("found"), changed);

    let other =
        change(&server, EventMetadata { description: "x".into(), ..made.clone() }, &[]).await;
    assert_eq!(refused(other).what(), (Code::Aborted, "ETAG_MISMATCH"));
    let old = refused(remove(&server, "order.placed", &made.etag).await);
    assert_eq!(old.what(), (Code::Aborted, "ETAG_MISMATCH"));
    remove(&server, "order.placed", &changed.etag).await.expect("deleted");

    let missing = (Code::NotFound, "EVENT_METADATA_NOT_FOUND");
    assert_eq!(refused(get(&server, "order.placed").await).what(), missing);
    assert_eq!(refused(change(&server, made.clone(), &[]).await).what(), missing);
    assert_eq!(refused(remove(&server, "order.placed", "").await).what(), missing);
    let again = create(&server, custom("order.placed")).await.expect("the name is free again");
    assert!(![&made.etag, &changed.etag].contains(&&again.etag), "no etag comes back");
    assert_eq!((again.description.as_str(), again.schema_json.as_str()), ("", ""));
}

#[tokio::test]
async fn names_are_unique_within_a_tenant() {
    let server = TestServer::start().await;
    create(&server, custom("a.b")).await.expect("made");
    for taken in ["a.b", "pointsIssued"] {
        let refusal = refused(create(&server, custom(taken)).await);
        assert_eq!(refusal.what(), (Code::AlreadyExists, "EVENT_METADATA_EXISTS"), "{taken}");
    }
    let elsewhere = CreateEventMetadataRequest {
        tenant_id: "acme".into(),
        event_metadata: Some(custom("a.b")),
        ..Default::default()
    };
    server.event_types().create_event_metadata(elsewhere).await.expect("another tenant's own");
}

#[tokio::test]
async fn a_standard_event_type_can_only_be_switched_off() {
    let server = TestServer::start().await;
    let standard = get(&server, "pointsIssued").await.expect("found");
    let read_only = (Code::FailedPrecondition, "EVENT_METADATA_READ_ONLY");
    let next = EventMetadata { description: "mine".into(), ..standard.clone() };
    assert_eq!(refused(change(&server, next, &["description"]).await).what(), read_only);
    let next = EventMetadata { schema_json: "{}".into(), ..standard.clone() };
    assert_eq!(refused(change(&server, next, &[]).await).what(), read_only);
    assert_eq!(refused(remove(&server, "pointsIssued", "").await).what(), read_only);

    let next = EventMetadata { active: Some(false), ..standard.clone() };
    let off = change(&server, next, &["active"]).await.expect("switched off");
    assert_eq!((off.active, off.origin()), (Some(false), EventOrigin::Standard));
    assert_ne!(off.etag, standard.etag);
    let inactive = ListEventMetadataRequest { active: Some(false), ..Default::default() };
    assert_eq!(list(&server, inactive).await.total_size, 1);
    let request =
        GetEventMetadataRequest { tenant_id: "acme".into(), event_name: "pointsIssued".into() };
    let elsewhere = server.event_types().get_event_metadata(request).await.expect("found");
    assert_eq!(elsewhere.into_inner().event_metadata, Some(standard), "for one tenant only");
}

#[tokio::test]
async fn an_inactive_event_type_takes_no_events() {
    let server = TestServer::start().await;
    for name in ["pointsIssued", "own.type"] {
        if name == "own.type" {
            create(&server, custom(name)).await.expect("made");
        }
        let off = EventMetadata { active: Some(false), ..custom(name) };
        change(&server, off, &["active"]).await.expect("switched off");
        let refusal = publish_refused(&server, name, "{}").await;
        assert_eq!(refusal.what(), (Code::InvalidArgument, "EVENT_NAME_UNKNOWN"), "{name}");
        assert_eq!(refusal.fields(), ["event.event_name"]);
        let on = EventMetadata { active: Some(true), ..custom(name) };
        change(&server, on, &["active"]).await.expect("switched on");
        server.publish(event(name, "{}")).await;
    }
}

#[tokio::test]
async fn an_event_type_that_a_webhook_names_stays() {
    let server = TestServer::start().await;
    create(&server, custom("a.b")).await.expect("made");
    let hook = server.create(webhook("w", URL, &["pointsIssued", "a.b"])).await;
    let in_use = (Code::FailedPrecondition, "EVENT_METADATA_IN_USE");
    assert_eq!(refused(remove(&server, "a.b", "").await).what(), in_use);
    // A stopped webhook names it all the same.
    server.enable(&hook, false).await;
    assert_eq!(refused(remove(&server, "a.b", "").await).what(), in_use);
    let other =
        Webhook { event_names: vec!["a.*".into()], ..server.webhook(&hook.webhook_id).await };
    server.update(update(other, &["event_names"])).await;
    remove(&server, "a.b", "").await.expect("a pattern does not name it");
    create(&server, custom("a.b")).await.expect("made");
    let named = server.create(webhook("v", URL, &["a.b"])).await;
    delete(&server, &named.webhook_id, "").await.expect("deleted");
    remove(&server, "a.b", "").await.expect("no webhook is left that names it");
}

#[tokio::test]
async fn unknown_names_are_registered_by_who_uses_them_first() {
    let server = TestServer::start().await;
    server.create(webhook("w", URL, &["by.webhook", "a.*", "*"])).await;
    server.publish(event("by.event", "{}")).await;
    let request =
        ListEventMetadataRequest { origin: EventOrigin::Custom.into(), ..Default::default() };
    let page = list(&server, request).await;
    let names: Vec<_> = page.event_metadata.iter().map(|t| t.event_name.as_str()).collect();
    assert_eq!(names, ["by.event", "by.webhook"]);
}

#[tokio::test]
async fn what_a_schema_does_is_its_owners_choice() {
    let server = TestServer::start().await;
    let schema = json!({
        "type": "object",
        "required": ["id"],
        "properties": {"items": {"type": "array", "items": {"type": "integer"}}}
    });
    let bad = r#"{"items": [1, "two"]}"#;
    let mut given = custom("order");
    given.schema_json = schema.to_string();
    given.set_schema_enforcement(SchemaEnforcement::Off);
    let mut order = create(&server, given).await.expect("made");
    assert_eq!(server.publish(event("order", bad)).await.warnings.len(), 0);

    order.set_schema_enforcement(SchemaEnforcement::Warn);
    order = change(&server, order, &["schema_enforcement"]).await.expect("changed");
    let warned = server.publish(event("order", bad)).await.warnings;
    assert!(warned.len() == 2 && warned.iter().any(|w| w.ends_with("at /items/1")), "{warned:?}");

    order.set_schema_enforcement(SchemaEnforcement::Reject);
    order = change(&server, order, &["schema_enforcement"]).await.expect("changed");
    let refusal = publish_refused(&server, "order", bad).await;
    assert_eq!(refusal.what(), (Code::InvalidArgument, "PAYLOAD_SCHEMA_MISMATCH"));
    assert_eq!(refusal.fields(), ["event.json", "event.json"]);
    let told = format!("{:?}", refusal.faults);
    assert!(told.contains("at /items/1") && told.contains("at the root"), "{told}");
    assert!(!told.contains("two"), "payloads are not repeated: {told}");
    server.publish(event("order", r#"{"id": 1, "items": []}"#)).await;

    let no_schema = EventMetadata { schema_json: String::new(), ..order };
    change(&server, no_schema, &["schema_json"]).await.expect("changed");
    server.publish(event("order", bad)).await;
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_refused() {
    let server = TestServer::start().await;
    for schema in
        ["{", "7", r#"{"type":"nonsense"}"#, r#"{"$ref":"http://schemas.example/a.json"}"#]
    {
        let given = EventMetadata { schema_json: schema.into(), ..custom("order") };
        let refusal = refused(create(&server, given).await);
        assert_eq!(refusal.what(), (Code::InvalidArgument, "SCHEMA_INVALID"), "{schema}");
        assert_eq!(refusal.fields(), ["event_metadata.schema_json"]);
    }
    let given = EventMetadata {
        schema_json: "{".into(),
        event_name: "a b".into(),
        description: "nul \0".into(),
        schema_enforcement: 9,
        tenant_id: "acme".into(),
        ..Default::default()
    };
    let mut fields = refused(create(&server, given).await).fields().join(" ");
    fields = fields.replace("event_metadata.", "");
    assert_eq!(fields, "tenant_id schema_enforcement event_name description schema_json");
    assert_eq!(
        refused(get(&server, "order").await).what(),
        (Code::NotFound, "EVENT_METADATA_NOT_FOUND")
    );
}

#[tokio::test]
async fn an_idempotency_key_makes_one_event_type() {
    let server = TestServer::start().await;
    let request = |name: &str| CreateEventMetadataRequest {
        event_metadata: Some(custom(name)),
        idempotency_key: "0b9f9a70-9d5b-4b6a-8f19-0d6c3f7f0a03".into(),
        ..Default::default()
    };
    let calls = (0..8).map(|_| {
        let mut client = server.event_types();
        let request = request("a.b");
        async move { client.create_event_metadata(request).await }
    });
    let mut etags = HashSet::new();
    for answer in futures_util::future::join_all(calls).await {
        let made = answer.expect("the one event type").into_inner().event_metadata.expect("one");
        etags.insert(made.etag);
    }
    assert_eq!(etags.len(), 1);
    let again = server.event_types().create_event_metadata(request("a.b")).await;
    again.expect("a repeated call");
    let reused = refused(server.event_types().create_event_metadata(request("a.c")).await);
    assert_eq!(reused.what(), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
}

#[tokio::test]
async fn pages_have_every_event_type_once() {
    let server = TestServer::start().await;
    create(&server, custom("m.middle")).await.expect("made");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let request =
            ListEventMetadataRequest { page_size: 10, page_token: token, ..Default::default() };
        let page = list(&server, request).await;
        assert_eq!(page.total_size, 53);
        seen.extend(page.event_metadata.into_iter().map(|t| t.event_name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        let other = ListEventMetadataRequest {
            page_token: token.clone(),
            origin: EventOrigin::Custom.into(),
            ..Default::default()
        };
        let refusal = refused(server.event_types().list_event_metadata(other).await);
        assert_eq!(refusal.what(), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    }
    let mut expected: Vec<_> = STANDARD.split_whitespace().chain(["m.middle"]).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}
