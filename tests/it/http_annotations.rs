//! Every verb and path that the contract's annotations name is served.

use prost_reflect::{DescriptorPool, DynamicMessage, Kind, Value};
use tidings::grpc::DESCRIPTOR;

use super::support::{http_client::HttpClient, server::TestServer};

/// Verbs in annotations.
const VERBS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

#[tokio::test]
async fn every_annotation_of_the_contract_has_its_route() {
    let routes = annotated();
    assert!(routes.len() >= 10, "{routes:?}");
    let server = TestServer::start().await;
    let client = HttpClient::new(server.address);
    for (rpc, verb, template) in routes {
        let path = fill(&template);
        let answer = client.send(&verb.to_uppercase(), &path, "").await;
        let body = answer.json();
        let code = body["errors"][0]["code"].as_i64();
        // No method, or nothing at this path.
        assert!(!matches!(code, Some(900_054 | 900_055)), "{rpc}: {verb} {template}: {body}");
        let unknown = client.send(&verb.to_uppercase(), &format!("{path}/x/y/z"), "").await.json();
        assert_eq!(unknown["errors"][0]["code"], 900_055, "this test can fail: {path}");
    }
}

/// RPC, verb and path of all annotations.
fn annotated() -> Vec<(String, String, String)> {
    let pool = DescriptorPool::decode(DESCRIPTOR).expect("a descriptor");
    let http = pool.get_extension_by_name("google.api.http").expect("the annotation");
    assert!(matches!(http.kind(), Kind::Message(_)));
    let mut routes = Vec::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let options = method.options();
        if options.has_extension(&http)
            && let Value::Message(rule) = &*options.get_extension(&http)
        {
            collect(method.full_name(), rule, &mut routes);
        }
    }
    routes
}

fn collect(rpc: &str, rule: &DynamicMessage, routes: &mut Vec<(String, String, String)>) {
    for verb in VERBS {
        if rule.has_field_by_name(verb)
            && let Some(path) =
                rule.get_field_by_name(verb).and_then(|v| v.as_str().map(str::to_owned))
        {
            routes.push((rpc.to_owned(), verb.to_owned(), path));
        }
    }
    let more = rule.get_field_by_name("additional_bindings").expect("the field");
    for rule in more.as_list().expect("a list") {
        collect(rpc, rule.as_message().expect("a rule"), routes);
    }
}

/// A path with something in the place of each variable.
fn fill(template: &str) -> String {
    let parts = template.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
