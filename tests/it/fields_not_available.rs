//! What the contract has and this server cannot do yet is refused, never ignored.

use tidings::grpc::proto::{
    CreateWebhookRequest, DeliveryOrder, Destination, FailureHandling, PayloadFormat,
    QueueDestination, Webhook, destination::Kind,
};
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::support::{
    api::{http, update, webhook},
    refusal::{Refusal, refused},
    server::TestServer,
};

fn assert_unavailable(refusal: &Refusal, field: &str) {
    let what = (Code::InvalidArgument, "FEATURE_NOT_AVAILABLE");
    assert_eq!(refusal.what(), what, "{field}: {refusal:?}");
    assert_eq!(refusal.reasons(), [(field, "FEATURE_NOT_AVAILABLE")]);
}

fn plain() -> Webhook {
    webhook("w", "http://127.0.0.1:9/hook", &["*"])
}

/// Every field of a webhook without effect yet, each asked for in every way it can be.
fn asking() -> Vec<(&'static str, Webhook)> {
    let mut cases = Vec::new();
    let mut ask = |field, set: &dyn Fn(&mut Webhook)| {
        let mut asking = plain();
        set(&mut asking);
        cases.push((field, asking));
    };
    // Without a mail server.
    ask("failure_handling.notify_emails", &|w| {
        let notify_emails = vec!["a@example.com".into()];
        w.failure_handling = Some(FailureHandling { notify_emails, ..Default::default() });
    });
    ask("destination.queue", &|w| {
        let kind = Some(Kind::Queue(QueueDestination::default()));
        w.destination = Some(Destination { kind });
    });
    cases
}

#[tokio::test]
async fn a_webhook_that_asks_for_what_has_no_effect_yet_is_refused() {
    let server = TestServer::start().await;
    let made = server.create(plain()).await;
    for (field, asking) in asking() {
        let at = format!("webhook.{field}");
        let create = CreateWebhookRequest {
            webhook: Some(Webhook { name: "v".into(), ..asking.clone() }),
            ..Default::default()
        };
        assert_unavailable(&refused(server.webhooks().create_webhook(create).await), &at);
        let change = Webhook { webhook_id: made.webhook_id.clone(), ..asking };
        for mask in [&[][..], &["*"], &[field]] {
            assert_unavailable(
                &refused(server.try_update(update(change.clone(), mask)).await),
                &at,
            );
        }
    }
    assert_eq!(server.webhook(&made.webhook_id).await, made);
}

#[tokio::test]
async fn what_a_webhook_shows_of_such_fields_may_be_sent_back() {
    let server = TestServer::start().await;
    let mut made = server.create(plain()).await;
    assert_eq!(
        (made.delivery_order(), made.payload_format()),
        (DeliveryOrder::Unordered, PayloadFormat::Event)
    );
    http(&mut made).url = "http://127.0.0.1:9/new".into();
    server.update(update(made, &["*"])).await;
}

#[tokio::test]
async fn all_services_are_shown() {
    let server = TestServer::start().await;
    let channel = server.channel.clone();
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let answers = reflection.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = answers.expect("answers").into_inner().message().await.expect("no error");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.and_then(|a| a.message_response)
    else {
        panic!("no list of services");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "tidings.v1.ApiKeyService",
            "tidings.v1.DivertedEventService",
            "tidings.v1.EventLogService",
            "tidings.v1.EventMetadataService",
            "tidings.v1.EventService",
            "tidings.v1.TenantService",
            "tidings.v1.WebhookService",
        ]
    );
}
