//! `ApiKeyService` and `tidings keys`.

use tidings::grpc::proto::{
    Actor, ApiKey, CreateApiKeyRequest, ListApiKeysRequest, Permission, RevokeApiKeyRequest,
};
use tonic::Code;

use super::support::{
    clients::Clients,
    keys::{self, HOME},
    refusal::refused,
    server::TestServer,
};

fn reader(tenant_id: &str) -> ApiKey {
    let permissions = vec![Permission::WebhooksRead.into()];
    ApiKey { tenant_id: tenant_id.into(), permissions, ..Default::default() }
}

fn create(api_key: ApiKey) -> CreateApiKeyRequest {
    CreateApiKeyRequest { api_key: Some(api_key) }
}

/// Makes a key that reads webhooks of the home tenant, and its clients.
pub(crate) async fn make(
    server: &TestServer,
    admin: &Clients,
    configure: impl FnOnce(&mut ApiKey),
) -> (Clients, ApiKey) {
    let mut key = reader(HOME);
    configure(&mut key);
    let made = admin.api_keys().create_api_key(create(key)).await.expect("a key").into_inner();
    (server.with_token(&made.token), made.api_key.expect("the key"))
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let server = TestServer::strict().await;
    let admin = server.with_key("all").await;
    let actor = Actor { id: 7, code: "till-7".into(), r#type: "TILL".into(), ..Default::default() };
    let (clients, made) = make(&server, &admin, |key| key.actor = Some(actor.clone())).await;
    assert_eq!((made.tenant_id.as_str(), &made.actor), (HOME, &Some(actor)));
    assert!(made.create_time.is_some() && made.revoke_time.is_none());
    let query = || ListApiKeysRequest { page_size: 1, ..Default::default() };
    let first = admin.api_keys().list_api_keys(query()).await.expect("a page").into_inner();
    let rest = ListApiKeysRequest { page_token: first.next_page_token, ..query() };
    let rest = admin.api_keys().list_api_keys(rest).await.expect("a page").into_inner();
    assert_eq!((&rest.api_keys[..], rest.next_page_token.as_str()), (&[made.clone()][..], ""));

    let own = RevokeApiKeyRequest { api_key_id: made.api_key_id.clone(), ..Default::default() };
    let denied = refused(clients.api_keys().revoke_api_key(own.clone()).await);
    assert_eq!(denied.code, Code::PermissionDenied);
    admin.api_keys().revoke_api_key(own).await.expect("revoked");
    let self_made = admin.api_keys().list_api_keys(query()).await.expect("a page").into_inner();
    let listed = admin.api_keys().list_api_keys(ListApiKeysRequest::default()).await;
    let listed = listed.expect("a page").into_inner().api_keys;
    assert!(listed[0].revoke_time.is_none() && listed[1].revoke_time.is_some());

    let api_key_id = self_made.api_keys[0].api_key_id.clone();
    let own = RevokeApiKeyRequest { api_key_id, ..Default::default() };
    admin.api_keys().revoke_api_key(own).await.expect("a key may revoke itself, and is told so");
    let ended = refused(admin.api_keys().list_api_keys(query()).await);
    assert_eq!(ended.code, Code::Unauthenticated);
}

#[tokio::test]
async fn no_key_makes_one_that_can_do_more_than_itself() {
    let server = TestServer::strict().await;
    let admin = server.with_key("admin,webhooks-read").await;
    let everywhere = server.with_token(&keys::make(&server.database(), "*", "admin").await);
    let mut more = reader(HOME);
    more.permissions.push(Permission::SecretsRead.into());
    for (clients, beyond) in [
        (&admin, more),
        (&admin, reader("*")),
        (&admin, reader("other")),
        (&everywhere, reader(HOME)),
    ] {
        let refusal = refused(clients.api_keys().create_api_key(create(beyond)).await);
        assert_eq!(refusal.what(), (Code::PermissionDenied, "PERMISSION_DENIED"));
    }
    let ghost = ApiKey { permissions: vec![Permission::Admin.into()], ..reader("ghost") };
    let refusal = refused(everywhere.api_keys().create_api_key(create(ghost)).await);
    assert_eq!(refusal.what(), (Code::NotFound, "TENANT_NOT_FOUND"));
    make(&server, &admin, |_| {}).await;
}

#[tokio::test]
async fn keys_of_others_are_not_found() {
    let server = TestServer::strict().await;
    let admin = server.with_key("all").await;
    let all = server.with_token(&keys::make(&server.database(), "*", "all").await);
    let other = ListApiKeysRequest { tenant_id: "*".into(), ..Default::default() };
    let listed = all.api_keys().list_api_keys(other.clone()).await.expect("a page").into_inner();
    assert_eq!(listed.api_keys.len(), 1, "only those that cover all tenants");
    assert_eq!(refused(admin.api_keys().list_api_keys(other).await).code, Code::PermissionDenied);
    for id in [listed.api_keys[0].api_key_id.as_str(), "ak_0000000000000000", "x"] {
        let revoke = RevokeApiKeyRequest { api_key_id: id.into(), ..Default::default() };
        let refusal = refused(admin.api_keys().revoke_api_key(revoke).await);
        assert_eq!(refusal.what(), (Code::NotFound, "API_KEY_NOT_FOUND"), "{id}");
    }
}

#[tokio::test]
async fn all_faults_of_a_key_are_told() {
    let server = TestServer::strict().await;
    let admin = server.with_key("all").await;
    let bad = ApiKey {
        permissions: vec![0, 99],
        expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        actor: Some(Actor { name: "x".repeat(256), ..Default::default() }),
        ..reader(HOME)
    };
    let refusal = refused(admin.api_keys().create_api_key(create(bad)).await);
    let expected = ["permissions[0]", "permissions[1]", "permissions", "expire_time", "actor.name"];
    assert_eq!(refusal.fields(), expected.map(|field| format!("api_key.{field}")));
    let none = CreateApiKeyRequest::default();
    assert_eq!(refused(admin.api_keys().create_api_key(none).await).fields(), ["api_key"]);
}
