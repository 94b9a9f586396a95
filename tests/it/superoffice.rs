//! The dialect of SuperOffice's webhooks: made, shown, listed, replaced, deleted.

use serde_json::{Value, json};
use tidings::grpc::proto::{ListWebhooksRequest, Webhook};

use super::support::{
    api::{update, webhook},
    http_client::{HttpAnswer, HttpClient},
    keys::{self, HOME},
    receiver::{Receiver, Reply},
    samples::assert_like,
    server::TestServer,
};

pub(crate) const PATH: &str = "/api/v1/Webhook";

/// The request of the documentation; its type, URL and events are filler.
const SAMPLE: &str = include_str!("samples/superoffice/create_request.json");
const ANSWER: &str = include_str!("samples/superoffice/create_answer.json");

/// The sample for a receiver.
fn sample(url: &str) -> String {
    let sample = SAMPLE.replace("http://www.example.com/", url).replace("ratione", "webhook");
    sample.replace("nostrum", "contact.created").replace("nihil", "sale.changed")
}

pub(crate) fn definition(name: &str, url: &str) -> Value {
    json!({"Name": name, "Events": ["contact.created"], "TargetUrl": url})
}

pub(crate) async fn create(client: &HttpClient, webhook: &Value) -> Value {
    let (status, made) = client.send("POST", PATH, webhook.to_string()).await.parts();
    assert_eq!(status, 200, "{made}");
    made
}

/// A server that asks for credentials and delivers to this machine.
pub(crate) async fn strict() -> TestServer {
    TestServer::with(|config| {
        config.dev = false;
        config.allow_destination = vec!["127.0.0.0/8".parse().expect("a range")];
    })
    .await
}

fn names(answer: &HttpAnswer) -> String {
    let listed = answer.json();
    let listed = listed.as_array().expect("an array").iter();
    listed.map(|webhook| webhook["Name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn the_sample_makes_a_webhook_and_is_answered_like_the_sample() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address)
        .with("accept", "application/json; charset=utf-8")
        .with("accept-language", "en")
        .with("content-type", "application/json; charset=utf-8")
        .with("so-apptoken", "ignored")
        .with("x-xsrf-token", "ignored");
    let answer = client.send("POST", PATH, sample(&receiver.url())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
    let free = [
        "WebhookId",
        "Name",
        "0",
        "1",
        "TargetUrl",
        "Secret",
        "Type",
        "Headers1",
        "Headers2",
        "Registered",
        "Updated",
        "ErrorsEmail",
        "Self",
        "Archive",
    ];
    assert_like(ANSWER, answer.text(), &free);
    let (made, asked) = (answer.json(), serde_json::from_str(&sample(&receiver.url())));
    let asked: Value = asked.expect("JSON");
    for member in [
        "Name",
        "Events",
        "TargetUrl",
        "Secret",
        "State",
        "Type",
        "Headers",
        "Properties",
        "RegisteredAssociate",
        "UpdatedAssociate",
        "ErrorsEmail",
    ] {
        assert_eq!(made[member], asked[member], "{member}");
    }
    assert_eq!(made["WebhookId"], 1);
    let origin = format!("http://{}{PATH}", server.address);
    assert_eq!(made["_Links"], json!({"Self": format!("{origin}/1"), "Archive": origin}));
    assert_eq!(receiver.count(), 1, "the test event");

    // Sent as it stands, only its filler is in the way.
    let (status, told) = client.send("POST", PATH, SAMPLE).await.parts();
    assert_eq!((status, &told["Message"]), (400, &json!("Type must be webhook")));
}

#[tokio::test]
async fn webhooks_are_seen_through_the_other_dialects_and_the_other_way_round() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let made = create(&client, &definition("w", &receiver.url())).await;
    let listed = server.list(ListWebhooksRequest::default()).await.webhooks.remove(0);
    assert_eq!((listed.name.as_str(), listed.number), ("w", 1));
    assert_eq!(client.get("/api/v1/webhooks").await.json()[0]["name"], "w");
    assert_eq!(client.get("/v3/webHooks").await.json()["data"][0]["name"], "w");
    assert_eq!(client.get("/event/default/webhooks/list").await.json()[0]["name"], "w");

    let other = server.create(webhook("other", "http://127.0.0.1:1/", &["a", "b.*"])).await;
    let (status, shown) = client.get(&format!("{PATH}/{}", other.number)).await.parts();
    assert_eq!(status, 200);
    assert_eq!((&shown["Name"], &shown["Events"]), (&json!("other"), &json!(["a", "b.*"])));
    assert_eq!((&shown["Secret"], &shown["Headers"]), (&Value::Null, &json!({})));
    assert_eq!(names(&client.get(PATH).await), "wother");
    let mut alone = made.clone();
    alone.as_object_mut().expect("an object").remove("_Links");
    assert_eq!(client.get(PATH).await.json()[0], alone, "the same, without links");

    // What is put back as it was shown changes nothing that cannot be shown.
    let before = server.webhook(&other.webhook_id).await;
    let put = client.send("PUT", &format!("{PATH}/2"), shown.to_string()).await;
    assert_eq!(put.parts(), (200, shown));
    assert_eq!(server.webhook(&other.webhook_id).await, before);
}

#[tokio::test]
async fn the_defaults_and_lists_are_filtered_and_cut() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let default = client.get(&format!("{PATH}/default")).await;
    assert_eq!(
        default.text(),
        concat!(
            r#"{"WebhookId":0,"Name":null,"Events":null,"TargetUrl":null,"Secret":null,"#,
            r#""State":"Active","Type":"webhook","Headers":null,"Properties":null,"#,
            r#""Registered":"0001-01-01T00:00:00","RegisteredAssociate":null,"#,
            r#""Updated":"0001-01-01T00:00:00","UpdatedAssociate":null,"ErrorsEmail":null}"#
        )
    );
    for name in ["Aa", "Bb", "Cc"] {
        let mut webhook = definition(name, &receiver.url());
        webhook["Events"] = json!([format!("{name}.x"), "all.x"]);
        webhook["State"] = json!(if name == "Bb" { "Stopped" } else { "Active" });
        create(&client, &webhook).await;
    }
    for (query, expected) in [
        ("", "AaBbCc"),
        ("?nameFilter=b", "Bb"),
        ("?eventFilter=Cc.x", "Cc"),
        ("?eventFilter=all.x&statusFilter=active", "AaCc"),
        ("?statusFilter=2", "Bb"),
        ("?statusFilter=TooManyErrors", ""),
    ] {
        assert_eq!(names(&client.get(&format!("{PATH}{query}")).await), expected, "{query}");
    }
    let selected = client.get(&format!("{PATH}/1?$select=name,department,category/id")).await;
    let expected = concat!(
        r#"{"WebhookId":null,"Name":"Aa","Events":null,"TargetUrl":null,"Secret":null,"#,
        r#""State":null,"Type":null,"Headers":null,"Properties":null,"Registered":null,"#,
        r#""RegisteredAssociate":null,"Updated":null,"UpdatedAssociate":null,"#,
        r#""ErrorsEmail":null,"_Links":null}"#
    );
    assert_eq!(selected.text(), expected);
    let listed = client.get(&format!("{PATH}?%24select=STATE")).await.json();
    assert_eq!((&listed[1]["State"], &listed[1]["Name"]), (&json!("Stopped"), &Value::Null));
}

#[tokio::test]
async fn names_need_not_be_unique_here_and_end_when_others_rename() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    for _ in 0..2 {
        assert_eq!(create(&client, &definition("w", &receiver.url())).await["Name"], "w");
    }
    let listed = server.list(ListWebhooksRequest::default()).await.webhooks;
    let own: Vec<_> = listed.iter().map(|webhook| webhook.name.as_str()).collect();
    assert_eq!(own, ["w", "w (2)"]);
    server.register("contact.created").await;
    server.publish(super::support::api::event("contact.created", "{}")).await;
    let received = receiver.wait_for(4).await;
    assert!(received[2..].iter().all(|r| r.json()["WebhookName"] == "w"), "{received:?}");

    let webhook_id = listed[1].webhook_id.clone();
    let change = Webhook { webhook_id, name: "v".into(), ..Default::default() };
    server.update(update(change, &["name"])).await;
    let mut shown = client.get(&format!("{PATH}/2")).await.json();
    assert_eq!(shown["Name"], "v");
    shown["Name"] = json!("w");
    let put = client.send("PUT", &format!("{PATH}/2"), shown.to_string()).await;
    assert_eq!(put.json()["Name"], "w");
    let put = client.send("PUT", &format!("{PATH}/2"), put.text().to_owned()).await;
    assert_eq!(put.json()["Name"], "w");
}

#[tokio::test]
async fn nothing_is_saved_where_the_target_does_not_take_the_test_event() {
    let server = TestServer::start().await;
    let receiver = Receiver::with(|r| Reply::status(if r.index < 2 { 500 } else { 200 })).await;
    let client = HttpClient::new(server.address);
    let mut webhook = definition("w", &receiver.url());
    let tried = client.send("POST", &format!("{PATH}/Test"), webhook.to_string()).await.parts();
    assert_eq!(tried, (200, json!({"Success": false, "Message": "answered 500"})));
    let (status, told) = client.send("POST", PATH, webhook.to_string()).await.parts();
    let message = "TargetUrl did not take the test event: answered 500";
    assert_eq!((status, &told["Message"]), (400, &json!(message)));
    assert_eq!(client.get(PATH).await.json(), json!([]));
    let tried = client.send("POST", &format!("{PATH}/Test"), webhook.to_string()).await.parts();
    assert_eq!(tried, (200, json!({"Success": true, "Message": "answered 200"})));
    webhook["State"] = json!("Stopped");
    create(&client, &webhook).await;
    let last = receiver.wait_for(4).await.remove(3);
    assert_eq!(last.header("tidings-test"), Some("true"));
    assert_eq!(last.json()["Event"], "webhook.ping");

    // A webhook is tested again before deliveries go where none went.
    let dead = json!({"TargetUrl": "http://127.0.0.1:1/", "State": "Active"}).to_string();
    let (status, told) = client.send("PATCH", &format!("{PATH}/1"), dead).await.parts();
    assert_eq!(status, 400, "{told}");
    let shown = client.get(&format!("{PATH}/1")).await.json();
    assert_eq!((&shown["State"], &shown["TargetUrl"]), (&json!("Stopped"), &webhook["TargetUrl"]));
    let started = client.send("PATCH", &format!("{PATH}/1"), r#"{"State":1}"#).await.json();
    assert_eq!((&started["State"], receiver.count()), (&json!("Active"), 5));
    let name = client.send("PATCH", &format!("{PATH}/1"), r#"{"Name":"v"}"#).await.json();
    assert_eq!((&name["Name"], receiver.count()), (&json!("v"), 5), "and not for other changes");
}

#[tokio::test]
async fn a_replacement_wants_only_what_it_names() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let mut webhook = definition("w", &receiver.url());
    webhook["Secret"] = json!("s");
    webhook["State"] = json!("Stopped");
    webhook["Headers"] = json!({"X-A": "1", "Authorization": "secret"});
    webhook["Properties"] = json!({"n": 1.5, "a": [1, {"b": null}]});
    webhook["ErrorsEmail"] = json!("a@example.com");
    let made = create(&client, &webhook).await;
    assert_eq!(made["Headers"], json!({"X-A": "1", "Authorization": "***"}));
    assert_eq!(made["Properties"], webhook["Properties"]);
    let path = format!("{PATH}/1");
    let same = client.send("PUT", &path, made.to_string()).await;
    assert_eq!(same.parts(), (200, made.clone()), "as it was shown, time of change included");

    let plain = definition("v", &receiver.url());
    let (status, after) = client.send("PUT", &path, plain.to_string()).await.parts();
    assert_eq!(status, 200, "{after}");
    assert_eq!((&after["Name"], &after["State"]), (&json!("v"), &json!("Stopped")));
    assert_eq!((&after["Headers"], &after["Properties"]), (&json!({}), &json!({})));
    assert_eq!((&after["Secret"], &after["ErrorsEmail"]), (&Value::Null, &Value::Null));
    assert_eq!(after["Registered"], made["Registered"]);

    let deleted = client.send("DELETE", &path, "").await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    assert_eq!(client.get(&path).await.parts().0, 404);
    assert_eq!(client.send("DELETE", &path, "").await.parts().0, 404);
}

#[tokio::test]
async fn forms_are_definitions_too() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let url: String = url::form_urlencoded::byte_serialize(receiver.url().as_bytes()).collect();
    let form = format!(
        "Name=a+b&Events=contact.created&Events=sale.changed&TargetUrl={url}&State=1\
         &Headers[X-A]=1&Properties[p]=x"
    );
    let typed = client.with("content-type", "application/x-www-form-urlencoded");
    let (status, made) = typed.send("POST", PATH, form).await.parts();
    assert_eq!(status, 200, "{made}");
    assert_eq!((&made["Name"], &made["State"]), (&json!("a b"), &json!("Active")));
    assert_eq!(made["Events"], json!(["contact.created", "sale.changed"]));
    assert_eq!((&made["Headers"], &made["Properties"]), (&json!({"X-A": "1"}), &json!({"p": "x"})));
}

#[tokio::test]
async fn times_are_in_the_zone_that_the_caller_names() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let client = HttpClient::new(server.address);
    let made = create(&client, &definition("w", &receiver.url())).await;
    let time = |value: &Value| -> String { value["Registered"].as_str().expect("a time").into() };
    assert!(time(&made).ends_with("+00:00"), "{made}");
    let kolkata = client.clone().with("so-timezone", "Asia/Kolkata");
    let there = time(&kolkata.get(&format!("{PATH}/1")).await.json());
    assert!(there.ends_with("+05:30"), "{there}");
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time");
    assert_eq!(at(&there), at(&time(&made)));
    let (status, told) = client.with("so-timezone", "Mars").get(PATH).await.parts();
    assert_eq!((status, told["Error"].clone()), (400, json!(true)), "{told}");
}

#[tokio::test]
async fn callers_are_associates_and_secrets_are_shown_to_those_who_may_see_them() {
    let server = strict().await;
    let receiver = Receiver::start().await;
    let anybody = HttpClient::new(server.address);
    let with = |token: &str| anybody.clone().with("authorization", &format!("SoTicket {token}"));
    let writer = with(&keys::make(&server.database(), HOME, "webhooks-read,webhooks-write").await);
    let all = with(&keys::make(&server.database(), HOME, "all").await);
    let mut webhook = definition("w", &receiver.url());
    webhook["Secret"] = json!("s3cret");
    // Its events are no event types of the tenant so far.
    let made = create(&writer, &webhook).await;
    assert_eq!(made["Secret"], "***");
    assert_eq!(all.get(&format!("{PATH}/1")).await.json()["Secret"], "s3cret");
    let put = writer.send("PUT", &format!("{PATH}/1"), made.to_string()).await;
    assert_eq!(put.parts(), (200, made.clone()));
    assert_eq!(all.get(&format!("{PATH}/1")).await.json()["Secret"], "s3cret");
    let associate = &made["RegisteredAssociate"];
    let members: Vec<_> = associate.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["AssociateId", "FullName", "Name", "PersonId"]);
    assert_eq!(associate["PersonId"], Value::Null);
}
