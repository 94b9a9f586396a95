//! Who may call what over HTTP: for each route, as the table of permissions has it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tidings::{
    domain::{
        access::Access,
        permission::{Permission, Permissions},
    },
    http::ACCESS,
};

use super::support::{
    clock::ManualClock,
    http_client::{HttpAnswer, HttpClient},
    keys::{self, HOME},
    server::TestServer,
    theirs::{EVENT_NAME, OTHER, REF, REQUEST, Theirs},
};

/// The routes that need a permission.
fn gated() -> impl Iterator<Item = (&'static Method, &'static str, Permission)> {
    ACCESS.iter().filter_map(|(method, path, access)| match access {
        Access::Needs(permission) => Some((method, *path, *permission)),
        Access::Open | Access::Known => None,
    })
}

/// A template with something in the place of each name.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let parts = template.split('/').map(|part| {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        name.map_or_else(|| part.to_owned(), &value)
    });
    let path = parts.collect::<Vec<_>>().join("/");
    // What would go on for ever is asked for in a way that is refused.
    if path.ends_with("/tail") { format!("{path}?position=now") } else { path }
}

/// The path of a route in a tenant, naming what is not there.
fn path_in(tenant: &str, template: &str) -> String {
    fill(template, |name| if name == "tenantLocator" { tenant.into() } else { "x".into() })
}

fn bearer(server: &TestServer, token: &str) -> HttpClient {
    HttpClient::new(server.address).with("authorization", &format!("Bearer {token}"))
}

/// The status of a refusal, and what it says, in the shape of the route's dialect.
fn refusal(path: &str, answer: &HttpAnswer) -> (u16, String) {
    let (status, told) = answer.parts();
    let said = if path.starts_with("/v3/") {
        assert_eq!((&told["data"], &told["warnings"]), (&Value::Null, &Value::Null), "{told}");
        let error = &told["errors"][0];
        assert!(error["code"].is_u64() && error["status"] == json!(false), "{told}");
        error["message"].clone()
    } else if path.starts_with("/api/v1/Webhook") {
        assert_eq!(told["Error"], json!(true), "{told}");
        told["Message"].clone()
    } else {
        if path.starts_with("/api/v1/webhooks") && status == 401 {
            assert_eq!(told, json!({"error": "Bad Token"}), "as documented");
        }
        told["error"].clone()
    };
    (status, said.as_str().expect("a text").to_owned())
}

#[tokio::test]
async fn no_route_answers_without_credentials_or_with_bad_ones() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |config| config.dev = false).await;
    let anybody = HttpClient::new(server.address);
    for (method, template, _) in gated() {
        let path = path_in(HOME, template);
        for client in [anybody.clone(), anybody.clone().with("authorization", "Digest x")] {
            let answer = client.send(method.as_str(), &path, "{").await;
            assert_eq!(refusal(&path, &answer).0, 401, "{method} {path}");
        }
        // More than one bad one each second would have to wait.
        clock.advance(Duration::from_secs(2));
        let client = bearer(&server, "tk_nobody");
        let answer = client.send(method.as_str(), &path, "{").await;
        assert_eq!(refusal(&path, &answer).0, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn every_route_needs_its_permission_and_no_other_is_enough() {
    let server = TestServer::strict().await;
    for permission in Permission::ALL {
        let others: Permissions =
            Permission::ALL.into_iter().filter(|p| *p != permission).collect();
        let token = keys::make(&server.database(), HOME, &others.to_string()).await;
        let client = bearer(&server, &token);
        for (method, template, needed) in gated() {
            let path = path_in(HOME, template);
            let answer = client.send(method.as_str(), &path, "{").await;
            let status = answer.status.as_u16();
            assert_eq!(status == 403, needed == permission, "{method} {path} without {permission}");
            assert!(status != 401 && status < 500, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn other_tenants_are_closed_and_nobody_hears_whether_they_exist() {
    let server = TestServer::strict().await;
    let token = keys::make(&server.database(), HOME, "all").await;
    keys::make(&server.database(), OTHER, "all").await;
    let client = bearer(&server, &token);
    let mut routes = 0;
    for (method, template, _) in gated().filter(|(_, path, _)| path.contains("{tenantLocator}")) {
        let mut told = Vec::new();
        for tenant in [OTHER, "ghost"] {
            let path = path_in(tenant, template);
            told.push(refusal(&path, &client.send(method.as_str(), &path, "{").await));
        }
        assert_eq!((told[0].0, &told[0]), (403, &told[1]), "{method} {template}");
        routes += 1;
    }
    assert!(routes > 10, "{routes}");
}

#[tokio::test]
async fn what_another_tenant_has_is_answered_as_what_nobody_has() {
    let (server, theirs) = Box::pin(Theirs::make()).await;
    let home = bearer(&server, &keys::make(&server.database(), HOME, "all").await);
    let before = theirs.seen().await;
    for (method, template, _) in gated().filter(|(_, path, _)| path.contains('{')) {
        let named = fill(template, |name| theirs_named(&theirs, template, name));
        let unknown = fill(template, |name| nobodys(template, name));
        let body = if method == Method::GET { "" } else { "{}" };
        let (status, told) = home.send(method.as_str(), &named, body).await.parts();
        let of_nobody = home.send(method.as_str(), &unknown, body).await.parts();
        // What was asked for may be said back.
        let told = told.to_string().replace("theirs", "ghost");
        assert_eq!((status, told), (of_nobody.0, of_nobody.1.to_string()), "{method} {named}");
    }
    assert_eq!(theirs.seen().await, before, "nothing was changed");
}

/// What a path may name of what another tenant has.
fn theirs_named(theirs: &Theirs, template: &str, name: &str) -> String {
    let text = match name {
        "tenantLocator" => HOME,
        "webHookId" => &theirs.webhook_id,
        "consumerGroupId" => &theirs.consumer_group_id,
        "locator" if is_webhook(template) => &theirs.webhook_id,
        "eventName" => EVENT_NAME,
        "requestId" | "requestLocator" => REQUEST,
        "refId" => REF,
        "id" | "primaryKey" => "1",
        "eventId" | "locator" => &theirs.event_id,
        name => panic!("what is {name}?"),
    };
    text.to_owned()
}

/// The same of what nobody has.
fn nobodys(template: &str, name: &str) -> String {
    match name {
        "tenantLocator" => HOME.to_owned(),
        "webHookId" => "0".repeat(24),
        "locator" if is_webhook(template) => "0".repeat(24),
        "id" => "999".to_owned(),
        "primaryKey" => "1".to_owned(),
        "eventId" | "locator" | "consumerGroupId" => {
            "00000000-0000-4000-8000-000000000000".to_owned()
        }
        _ => "ghost".to_owned(),
    }
}

/// Whether a route's locator is that of a webhook.
fn is_webhook(template: &str) -> bool {
    template.contains("/webhooks/")
}
