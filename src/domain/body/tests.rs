//! Each body, to the byte.

use proptest::prelude::*;

use super::*;
use crate::domain::{enrichment::Blocks, error::Faults, time::Timestamp};

const PAYLOAD: &str =
    "{ \"b\":9007199254740993,\"PrimaryKey\": 7,\"action\":\"x\",\"a\":1.10, \"a\":[ ]}";

fn event(payload: &str) -> Event {
    Event {
        event_id: "ccc983c2-df7a-4ece-b5cc-e574cec66fc1".parse().expect("a UUID"),
        event_name: "contact.changed".into(),
        ref_id: "50074_38236069".into(),
        request_id: "quo\"te".into(),
        payload: payload.into(),
        enrichments: None,
        occur_time: None,
        ingest_time: Timestamp::from_micros(1_587_620_451_351_999),
        ordering_key: String::new(),
        attributes: Default::default(),
    }
}

fn body_of(format: PayloadFormat, properties: Option<&str>, event: &Event) -> String {
    let spec = WebhookSpec {
        name: "hook".into(),
        payload_format: format,
        static_properties: properties.map(Into::into),
        ..WebhookSpec::default()
    };
    let body = Recipe::new(&spec).body(&"50074".parse().expect("a tenant id"), event);
    assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
    body
}

#[test]
fn each_format_is_exact() {
    let cases = [
        (
            PayloadFormat::Event,
            None,
            r#"{"eventName":"contact.changed","eventId":"ID","orgId":50074,"refId":"50074_38236069","apiRequestId":"quo\"te","createdAt":1587620451351,"data":PAYLOAD}"#,
        ),
        (
            PayloadFormat::Event,
            Some(r#"{"k":[1]}"#),
            r#"{"eventName":"contact.changed","eventId":"ID","orgId":50074,"refId":"50074_38236069","apiRequestId":"quo\"te","createdAt":1587620451351,"data":PAYLOAD,"properties":{"k":[1]}}"#,
        ),
        (
            PayloadFormat::CloudEvents,
            Some(r#"{"stage":"test"}"#),
            r#"{"specversion":"1.0","id":"ID","source":"/tenants/50074","type":"contact.changed","subject":"50074_38236069","time":"2020-04-23T05:40:51.351999Z","requestid":"quo\"te","stage":"test","datacontenttype":"application/json","data":PAYLOAD}"#,
        ),
        (PayloadFormat::Raw, None, "PAYLOAD"),
        (
            PayloadFormat::SuperOffice,
            Some(r#"{"Event":"no","own":true}"#),
            r#"{"EventId":"ID","Timestamp":"2020-04-23T05:40:51.351999Z","Changes":[],"Event":"contact.changed","PrimaryKey":7,"Entity":"contact","ContextIdentifier":"50074","ChangedByAssociateId":0,"WebhookName":"hook","own":true}"#,
        ),
        (
            PayloadFormat::Sonar,
            Some(r#"{"k":1}"#),
            r#"{"action":"contact.changed","uuid":"ID","b":9007199254740993,"PrimaryKey":7,"a":1.10,"a":[ ],"properties":{"k":1}}"#,
        ),
        (
            PayloadFormat::Socotra,
            Some(r#"{"k":1}"#),
            r#"{"locator":"ID","requestId":"quo\"te","userLocator":null,"timestamp":"2020-04-23T05:40:51.351999Z","type":"contact.changed","data":PAYLOAD,"properties":{"k":1}}"#,
        ),
    ];
    for (format, properties, expected) in cases {
        let event = event(PAYLOAD);
        let expected =
            expected.replace("ID", "\0").replace("\0\"", "ID\"").replace("PAYLOAD", PAYLOAD);
        let expected = expected.replace("\"ID\"", &format!("\"{}\"", event.event_id));
        let expected = expected.replace('\0', "ID");
        assert_eq!(body_of(format, properties, &event), expected, "{format:?}");
    }
}

#[test]
fn what_is_not_known_is_left_out_or_null() {
    let event = Event { ref_id: String::new(), request_id: String::new(), ..event("{}") };
    let cloud = body_of(PayloadFormat::CloudEvents, None, &event);
    assert!(!cloud.contains("subject") && !cloud.contains("requestid"), "{cloud}");
    let socotra = body_of(PayloadFormat::Socotra, None, &event);
    assert!(socotra.contains("\"requestId\":null"), "{socotra}");
    let sonar = body_of(PayloadFormat::Sonar, None, &event);
    assert_eq!(
        sonar,
        format!("{{\"action\":\"contact.changed\",\"uuid\":\"{}\"}}", event.event_id)
    );
}

#[test]
fn only_tenants_that_are_exact_numbers_become_numbers() {
    for (tenant, written) in [
        ("0", "0"),
        ("007", "\"007\""),
        ("1e5", "\"1e5\""),
        ("acme", "\"acme\""),
        ("999999999999999", "999999999999999"),
        ("9999999999999999", "\"9999999999999999\""),
    ] {
        let body = Recipe::default().body(&tenant.parse().expect("a tenant id"), &event("{}"));
        assert!(body.contains(&format!("\"orgId\":{written},")), "{body}");
    }
}

#[test]
fn blocks_stand_where_each_format_has_them_and_only_if_asked_for() {
    let given = [("tillDetails", r#"{"till":1.10}"#), ("customerIdentifiers", r#"{"a":1,"b":2}"#)];
    let mut faults = Faults::default();
    let mut event = event(r#"{"n":1, "tillDetails":"theirs"}"#);
    event.enrichments = Blocks::read(given, "e", &mut faults);
    let blocks = r#""tillDetails":{"till":1.10},"customerIdentifiers":{"b":2}"#;
    let asking = Enrichment {
        till_details: true,
        customer_identifiers: vec!["b".into()],
        ..Enrichment::default()
    };
    let data = r#""data":{"n":1, "tillDetails":"theirs"},"#;
    let cases = [
        (PayloadFormat::Event, format!("{data}\"properties\":{{\"k\":1}},{blocks}}}")),
        (PayloadFormat::CloudEvents, format!("\"data\":{{\"n\":1,{blocks}}}}}")),
        (PayloadFormat::SuperOffice, format!("\"WebhookName\":\"hook\",\"k\":1,{blocks}}}")),
        (PayloadFormat::Sonar, format!("\"n\":1,\"properties\":{{\"k\":1}},{blocks}}}")),
        (PayloadFormat::Socotra, format!("{data}\"properties\":{{\"k\":1}},{blocks}}}")),
    ];
    for (payload_format, end) in cases {
        let spec = |enrichment: &Enrichment| WebhookSpec {
            name: "hook".into(),
            payload_format,
            static_properties: Some(r#"{"k":1}"#.into()),
            enrichment: enrichment.clone(),
            ..WebhookSpec::default()
        };
        let tenant = "50074".parse().expect("a tenant id");
        let body = Recipe::new(&spec(&asking)).body(&tenant, &event);
        assert!(body.ends_with(&end), "{payload_format:?}: {body} {end}");
        let without = Recipe::new(&spec(&Enrichment::default()));
        let body = without.body(&tenant, &event);
        assert!(!body.contains("till\":1.10") && !body.contains("customerId"), "{body}");
        let bare = Event { enrichments: None, ..event.clone() };
        assert_eq!(body, without.body(&tenant, &bare));
        assert_eq!(Recipe::new(&spec(&asking)).body(&tenant, &bare), body);
    }
}

const FORMATS: [PayloadFormat; 6] = [
    PayloadFormat::Event,
    PayloadFormat::CloudEvents,
    PayloadFormat::Raw,
    PayloadFormat::SuperOffice,
    PayloadFormat::Sonar,
    PayloadFormat::Socotra,
];

/// Members of an object as a publisher may write them: names twice, blanks, escapes,
/// and names that the formats have themselves.
fn members() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        "\"(action|uuid|properties|Event|Entity|Timestamp|\\\\u0041ction|\\\\ud800|[a-c,:{}\\[\\]]{0,3})\"",
    ];
    let value = prop_oneof![
        name.clone(),
        "(-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?)|true|null",
        "\\[ ?\\]|\\[1,\"\\]\"\\]|\\{\"a\" : [0-9]\\}",
    ];
    prop::collection::vec((name, value), 0..6)
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{name} : {value} ")).collect();
    format!(" {{{}}}\n", members.join(","))
}

proptest! {
    #[test]
    fn any_event_makes_valid_json_of_any_format(
        names: [String; 4],
        members in members(),
        properties in prop::option::of(prop::collection::btree_map(any::<String>(), any::<i32>(), 1..4)),
        micros: i64,
    ) {
        let payload = object(&members);
        prop_assert_eq!(crate::domain::json::check_payload(&payload).is_err(), payload.contains("\\u0000"));
        let [event_name, ref_id, request_id, webhook_name] = names;
        let properties = properties.map(|p| serde_json::json!(p).to_string());
        let event = Event {
            event_name,
            ref_id,
            request_id,
            ingest_time: Timestamp::from_micros(micros.rem_euclid(250_000_000_000_000_000)),
            enrichments: Blocks::read([("tillDetails", &*payload)], "e", &mut Faults::default()),
            ..event(&payload)
        };
        for (format, till_details) in FORMATS.iter().flat_map(|format| [(*format, false), (*format, true)]) {
            let spec = WebhookSpec {
                enrichment: Enrichment { till_details, ..Enrichment::default() },
                name: webhook_name.clone(),
                payload_format: format,
                static_properties: properties.as_deref().map(Into::into),
                ..WebhookSpec::default()
            };
            let body = Recipe::new(&spec).body(&"acme".parse().expect("a tenant id"), &event);
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(&body);
            prop_assert!(valid.is_ok(), "{:?}: {}", format, body);
            let whole = !till_details && !matches!(format, PayloadFormat::SuperOffice | PayloadFormat::Sonar);
            prop_assert!(!whole || body.contains(&payload), "byte for byte: {}", body);
            // A half of a surrogate pair is JSON, but no text.
            let Ok(read) = serde_json::from_str::<serde_json::Value>(&body) else { continue };
            let ours = match format {
                PayloadFormat::Raw => continue,
                PayloadFormat::Event => "eventName",
                PayloadFormat::SuperOffice => "Event",
                PayloadFormat::Sonar => "action",
                // Its own attributes are checked when the webhook is made.
                PayloadFormat::CloudEvents if spec.static_properties.is_some() => continue,
                PayloadFormat::CloudEvents | PayloadFormat::Socotra => "type",
            };
            prop_assert_eq!(read[ours].as_str(), Some(&*event.event_name), "{:?}: {}", format, body);
        }
    }

    #[test]
    fn members_are_found_as_they_were_written(given in members()) {
        let text = object(&given);
        let found: Vec<_> = crate::domain::members::members(&text)
            .into_iter()
            .map(|member| (member.raw_name.to_owned(), member.value.to_owned()))
            .collect();
        prop_assert_eq!(found, given);
    }
}
