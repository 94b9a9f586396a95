//! Who may call what: for each RPC, as the table of permissions has it.

use prost::Message;
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
    keys::{self, HOME},
    raw_grpc::call_with,
    refusal::Refusal,
    server::TestServer,
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
    let server = TestServer::strict().await;
    for (path, _) in served() {
        let refusal = refused(&server, path, &[], Vec::new()).await;
        assert_eq!(refusal.what(), (Code::Unauthenticated, "UNAUTHENTICATED"), "{path}");
        let scheme = [("authorization", "Digest x")];
        let refusal = refused(&server, path, &scheme, Vec::new()).await;
        assert_eq!(refusal.what(), (Code::Unauthenticated, "UNAUTHENTICATED"), "{path}");
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
