//! Who may call what: for each RPC, as the table of permissions has it.

use std::time::Duration;

use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};
use prost_types::{DescriptorProto, FileDescriptorSet};
use tidings::{
    domain::{
        access::Access,
        permission::{Permission, Permissions},
    },
    grpc::{ACCESS, DESCRIPTOR, MOUNTED},
};
use tonic::{Code, Status, Streaming};

use super::support::{
    clock::ManualClock,
    keys::{self, HOME},
    raw_grpc::call_with,
    refusal::Refusal,
    server::TestServer,
    theirs::{EVENT_NAME, Theirs},
};

/// The RPCs that are served and need a permission.
fn served() -> impl Iterator<Item = (&'static str, Permission)> {
    ACCESS.iter().filter_map(|(path, access)| {
        let service = path.split('/').nth(1).expect("a service");
        match access {
            Access::Needs(permission) if MOUNTED.contains(&service) => Some((*path, *permission)),
            _ => None,
        }
    })
}

/// The RPC's request, naming a tenant wherever it can.
fn request(path: &str, tenant: &str) -> Option<Vec<u8>> {
    let set = FileDescriptorSet::decode(DESCRIPTOR).expect("descriptors");
    let (service, rpc) = path[1..].split_once('/').expect("a path");
    let file = |f: &&prost_types::FileDescriptorProto| {
        f.service.iter().any(|s| format!("{}.{}", f.package(), s.name()) == service)
    };
    let file = set.file.iter().find(file).expect("the service");
    let method = file.service.iter().flat_map(|s| &s.method).find(|m| m.name() == rpc);
    let of_type = |name: &str| -> Option<DescriptorProto> {
        let short = name.rsplit('.').next().expect("a name");
        set.file.iter().flat_map(|f| &f.message_type).find(|m| m.name() == short).cloned()
    };
    let text = |field: i32, bytes: &[u8]| {
        let mut encoded = vec![u8::try_from(field << 3 | 2).expect("a low number")];
        encoded.push(u8::try_from(bytes.len()).expect("short"));
        encoded.extend(bytes);
        encoded
    };
    let asks = of_type(method.expect("the RPC").input_type()).expect("its request");
    let own = asks.field.iter().find(|f| f.name() == "tenant_id");
    if let Some(own) = own {
        return Some(text(own.number(), tenant.as_bytes()));
    }
    asks.field.iter().find_map(|outer| {
        let inner = of_type(outer.type_name())?;
        let field = inner.field.iter().find(|f| f.name() == "tenant_id")?;
        Some(text(outer.number(), &text(field.number(), tenant.as_bytes())))
    })
}

/// Calls and waits for the end of the answer.
async fn call(
    server: &TestServer,
    path: &str,
    headers: &[(&'static str, &str)],
    message: Vec<u8>,
) -> Result<(), Status> {
    let mut answer: Streaming<Vec<u8>> =
        call_with(&server.channel, path, headers, vec![message]).await?;
    answer.message().await.map(drop)
}

async fn refused(
    server: &TestServer,
    path: &str,
    headers: &[(&'static str, &str)],
    message: Vec<u8>,
) -> Refusal {
    match call(server, path, headers, message).await {
        Ok(()) => panic!("{path} was answered"),
        Err(status) => Refusal::of(&status),
    }
}

#[tokio::test]
async fn no_rpc_answers_without_credentials_or_with_bad_ones() {
    let clock = ManualClock::new();
    let server = TestServer::with_clock(clock.clone(), |config| config.dev = false).await;
    for (path, _) in served() {
        let schemes = [("authorization", "Digest x")];
        let token = [("authorization", "Bearer tk_nobody")];
        for headers in [&[][..], &schemes, &token] {
            let refusal = refused(&server, path, headers, Vec::new()).await;
            assert_eq!(refusal.what(), (Code::Unauthenticated, "UNAUTHENTICATED"), "{path}");
        }
        // More than one bad one each second would have to wait.
        clock.advance(Duration::from_secs(2));
    }
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let refusal = refused(&server, reflection, &[], Vec::new()).await;
    assert_eq!(refusal.what(), (Code::Unauthenticated, "UNAUTHENTICATED"));
    call(&server, "/grpc.health.v1.Health/Check", &[], Vec::new()).await.expect("the health");
}

#[tokio::test]
async fn every_rpc_needs_its_permission_and_no_other_is_enough() {
    let server = TestServer::strict().await;
    for permission in Permission::ALL {
        let others: Permissions =
            Permission::ALL.into_iter().filter(|p| *p != permission).collect();
        let token = keys::make(&server.database(), HOME, &others.to_string()).await;
        let bearer = format!("Bearer {token}");
        let header = [("authorization", bearer.as_str())];
        for (path, needed) in served() {
            let answer = call(&server, path, &header, Vec::new()).await;
            let denied = answer.err().is_some_and(|s| s.code() == Code::PermissionDenied);
            let alone = path.ends_with("/ListTenants");
            assert_eq!(denied, needed == permission || alone, "{path} without {permission}");
        }
    }
}

#[tokio::test]
async fn other_tenants_are_closed_and_nobody_hears_whether_they_exist() {
    let server = TestServer::strict().await;
    let token = keys::make(&server.database(), HOME, "all").await;
    keys::make(&server.database(), "other", "all").await;
    let bearer = format!("Bearer {token}");
    let header = [("authorization", bearer.as_str())];
    for (path, _) in served() {
        let Some(existing) = request(path, "other") else { continue };
        let told = refused(&server, path, &header, existing).await;
        assert_eq!(told.what(), (Code::PermissionDenied, "PERMISSION_DENIED"), "{path}");
        let ghost = request(path, "ghost").expect("a request");
        let of_ghost = refused(&server, path, &header, ghost).await;
        assert_eq!((of_ghost.code, of_ghost.message), (told.code, told.message), "{path}");
    }
}

#[tokio::test]
async fn administrators_of_all_tenants_name_one_that_exists() {
    let server = TestServer::strict().await;
    let token = keys::make(&server.database(), "*", "all").await;
    keys::make(&server.database(), "other", "all").await;
    let bearer = format!("Bearer {token}");
    let header = [("authorization", bearer.as_str())];
    let list = "/tidings.v1.WebhookService/ListWebhooks";
    let refusal = refused(&server, list, &header, Vec::new()).await;
    assert_eq!(refusal.what(), (Code::InvalidArgument, "FIELD_REQUIRED"));
    assert_eq!(refusal.fields(), ["tenant_id"]);
    let ask = |tenant| request(list, tenant).expect("a request");
    let refusal = refused(&server, list, &header, ask("ghost")).await;
    assert_eq!(refusal.what(), (Code::NotFound, "TENANT_NOT_FOUND"));
    call(&server, list, &header, ask("other")).await.expect("a list");
}

#[tokio::test]
async fn what_another_tenant_has_is_answered_as_what_nobody_has() {
    let (server, theirs) = Box::pin(Theirs::make()).await;
    let token = keys::make(&server.database(), HOME, "all").await;
    let bearer = format!("Bearer {token}");
    let header = [("authorization", bearer.as_str())];
    let before = theirs.seen().await;
    let mut asked = 0;
    for (path, _) in served() {
        let Some(named) = naming(path, &|field| theirs_named(&theirs, field)) else { continue };
        let unknown = naming(path, &nobodys).expect("the same fields");
        let mut told = Vec::new();
        for message in [named, unknown] {
            let answer = call(&server, path, &header, message).await;
            told.push(answer.map_err(|status| (status.code(), status.message().to_owned())));
        }
        assert_eq!(told[0], told[1], "{path}");
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
    assert_eq!(theirs.seen().await, before, "nothing was changed");
}

fn theirs_named(theirs: &Theirs, field: &str) -> Option<String> {
    let id = match field {
        "webhook_id" | "webhook_ids" => &theirs.webhook_id,
        "event_id" => &theirs.event_id,
        "event_log_id" => &theirs.event_log_id,
        "diverted_event_id" | "diverted_event_ids" => &theirs.diverted_event_id,
        "job_id" => &theirs.job_id,
        "api_key_id" => &theirs.api_key_id,
        "event_name" => EVENT_NAME,
        _ => return None,
    };
    Some(id.to_owned())
}

/// The same of what nobody has.
fn nobodys(field: &str) -> Option<String> {
    let (webhook, event) = ("0".repeat(24), "00000000-0000-4000-8000-000000000000");
    match field {
        "webhook_id" | "webhook_ids" => Some(webhook),
        "event_id" | "job_id" => Some(event.to_owned()),
        "event_log_id" | "diverted_event_id" | "diverted_event_ids" => {
            Some(format!("{event}.{webhook}"))
        }
        "api_key_id" => Some("ak_0123456789abcdef".to_owned()),
        "event_name" => Some("ghost".to_owned()),
        _ => None,
    }
}

/// The RPC's request, naming things; absent where it can name none. What makes new things is
/// left out: it may give them any name.
fn naming(path: &str, id: &dyn Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    let (service, rpc) = path[1..].split_once('/').expect("a path");
    if rpc.starts_with("Create") || rpc.contains("Publish") {
        return None;
    }
    let pool = DescriptorPool::decode(DESCRIPTOR).expect("a descriptor");
    let service = pool.get_service_by_name(service).expect("the service");
    let method = service.methods().find(|method| method.name() == rpc).expect("the RPC");
    named(&method.input(), 1, id).map(|message| message.encode_to_vec())
}

/// A message with all the names that it, or what is so many levels below it, can have.
fn named(
    of: &MessageDescriptor,
    depth: usize,
    id: &dyn Fn(&str) -> Option<String>,
) -> Option<DynamicMessage> {
    let value = |field: &FieldDescriptor| match field.kind() {
        Kind::String => {
            let text = Value::String(id(field.name())?);
            Some(if field.is_list() { Value::List(vec![text]) } else { text })
        }
        Kind::Message(inner) if depth > 0 && !field.is_list() => {
            named(&inner, depth - 1, id).map(Value::Message)
        }
        _ => None,
    };
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        if let Some(value) = value(&field) {
            message.set_field(&field, value);
        }
    }
    let is_named = of.fields().any(|field| message.has_field(&field));
    is_named.then_some(message)
}
