//! Bodies at the running server: each format, to the byte, for each attempt.

use tidings::grpc::proto::{Event, PayloadFormat, Webhook};

use super::support::{
    api::{event, quick_retries, update, webhook},
    receiver::{Receiver, Reply},
    server::TestServer,
};

const PAYLOAD: &str = r#"{"PrimaryKey": 9007199254740993, "uuid":"x", "n":1.10}"#;

fn shaped(name: &str, url: &str, format: PayloadFormat) -> Webhook {
    Webhook { payload_format: format.into(), ..webhook(name, url, &["contact.changed"]) }
}

fn properties(key: &str) -> Option<prost_types::Struct> {
    let kind = Some(prost_types::value::Kind::NumberValue(5.0));
    let fields = [(key.to_owned(), prost_types::Value { kind })].into();
    Some(prost_types::Struct { fields })
}

fn sample() -> Event {
    let occur_time = Some(prost_types::Timestamp { seconds: 1_587_620_451, nanos: 351_999_000 });
    Event { occur_time, ref_id: "r".into(), ..event("contact.changed", PAYLOAD) }
}

#[tokio::test]
async fn each_format_arrives_to_the_byte() {
    let (server, receiver) = (TestServer::start().await, Receiver::start().await);
    let formats = [
        PayloadFormat::Event,
        PayloadFormat::Cloudevents,
        PayloadFormat::Raw,
        PayloadFormat::Superoffice,
        PayloadFormat::Sonar,
        PayloadFormat::Socotra,
    ];
    for format in formats {
        let url = receiver.url_at(&format!("/{}", format.as_str_name()));
        let made = server.create(shaped(format.as_str_name(), &url, format)).await;
        assert_eq!(made.payload_format(), format);
    }
    let id = server.publish(sample()).await.event_id;
    let time = "2020-04-23T05:40:51.351999Z";
    let expected = [
        format!(
            r#"{{"eventName":"contact.changed","eventId":"{id}","orgId":"default","refId":"r","apiRequestId":"","createdAt":1587620451351,"data":{PAYLOAD}}}"#
        ),
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/tenants/default","type":"contact.changed","subject":"r","time":"{time}","datacontenttype":"application/json","data":{PAYLOAD}}}"#
        ),
        PAYLOAD.to_owned(),
        format!(
            r#"{{"EventId":"{id}","Timestamp":"{time}","Changes":[],"Event":"contact.changed","PrimaryKey":9007199254740993,"Entity":"contact","ContextIdentifier":"default","ChangedByAssociateId":0,"WebhookName":"PAYLOAD_FORMAT_SUPEROFFICE"}}"#
        ),
        format!(
            r#"{{"action":"contact.changed","uuid":"{id}","PrimaryKey":9007199254740993,"n":1.10}}"#
        ),
        format!(
            r#"{{"locator":"{id}","requestId":null,"userLocator":null,"timestamp":"{time}","type":"contact.changed","data":{PAYLOAD}}}"#
        ),
    ];
    let received = receiver.wait_for(formats.len()).await;
    for (format, expected) in formats.into_iter().zip(expected) {
        let path = format!("/{}", format.as_str_name());
        let got = received.iter().find(|r| r.path == path).expect("a delivery");
        assert_eq!(String::from_utf8_lossy(&got.body), expected);
        assert_eq!(got.header("tidings-event-id"), Some(&*id));
        let content_type = match format {
            PayloadFormat::Cloudevents => "application/cloudevents+json; charset=utf-8",
            _ => "application/json",
        };
        assert_eq!(got.header("content-type"), Some(content_type), "{path}");
    }
}

#[tokio::test]
async fn properties_reach_only_the_webhook_that_has_them_and_every_attempt_is_the_same() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index < 3 { 503 } else { 204 })).await;
    for (name, key) in [("one", Some("a")), ("two", Some("b")), ("three", None)] {
        let mut hook = shaped(name, &receiver.url_at(&format!("/{name}")), PayloadFormat::Event);
        hook.static_properties = key.and_then(properties);
        hook.retry_policy = Some(quick_retries(9));
        let made = server.create(hook.clone()).await;
        assert_eq!(made.static_properties, hook.static_properties);
    }
    server.publish(sample()).await;
    let received = receiver.wait_for(6).await;
    for (path, end) in [
        ("/one", r#","properties":{"a":5}}"#),
        ("/two", r#","properties":{"b":5}}"#),
        ("/three", r#""n":1.10}}"#),
    ] {
        let bodies: Vec<_> = received.iter().filter(|r| r.path == path).map(|r| &r.body).collect();
        let first = String::from_utf8_lossy(bodies[0]);
        assert!(first.ends_with(end), "{first}");
        assert!(bodies.len() >= 2 || received.len() > 6, "{path} was tried once");
        assert!(bodies.iter().all(|body| *body == bodies[0]));
    }
}

#[tokio::test]
async fn a_raw_payload_has_no_place_for_properties() {
    let server = TestServer::start().await;
    let made = server.create(shaped("w", "http://127.0.0.1:9/", PayloadFormat::Raw)).await;
    let id = made.webhook_id;
    let change = Webhook {
        webhook_id: id.clone(),
        static_properties: properties("a"),
        ..Default::default()
    };
    let refused = server.try_update(update(change.clone(), &["static_properties"])).await;
    assert_eq!(refused.expect_err("a fault").code(), tonic::Code::InvalidArgument);
    let change = Webhook { payload_format: PayloadFormat::Sonar.into(), ..change };
    let changed = server.update(update(change, &["static_properties", "payload_format"])).await;
    assert_eq!(changed.static_properties, properties("a"));
    let cleared = Webhook { webhook_id: id, ..Default::default() };
    let cleared = server.update(update(cleared, &["static_properties"])).await;
    assert_eq!(
        (cleared.static_properties.as_ref(), cleared.payload_format()),
        (None, PayloadFormat::Sonar)
    );
}
