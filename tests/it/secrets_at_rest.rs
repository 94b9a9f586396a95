//! Secrets in the database: encrypted where a key is configured, and how keys change.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use sea_orm::{ConnectionTrait, Statement};
use tidings::{
    domain::secret::Secret,
    grpc::proto::{
        CreateWebhookRequest, GetWebhookRequest, SigningScheme, Webhook,
        event_service_client::EventServiceClient, webhook_service_client::WebhookServiceClient,
    },
    server::{Server, SystemClock, config::Config},
    store::{SecretKeys, Store},
};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{
    signatures::{secrets, signed},
    support::{
        api::{event, header, http},
        database::{Database, is_postgres},
        http_client::HttpClient,
        keys::{self, HOME},
        receiver::{Receiver, Reply},
        server::TestServer,
    },
};

const SECRET: &str = "whsec_c2VjcmV0LXRoYXQtbm9ib2R5LWtub3dzLTEyMzQ1Ng==";
const HEADER: &str = "Basic aGVhZGVyLXRoYXQtbm9ib2R5LWtub3dz";
const IDEMPOTENCY_KEY: &str = "0b09a1b5-6fcb-4c4f-9d4b-6f3a0e7e0002";

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn configured(keys: &str) -> Option<Secret> {
    (!keys.is_empty()).then(|| Secret::new(keys))
}

/// What tells that a file or a text holds a secret.
fn leaks(bytes: &[u8]) -> Vec<&'static str> {
    let parts = [SECRET, &SECRET["whsec_".len()..], HEADER, &HEADER["Basic ".len()..]];
    let clear = ["secret-that-nobody-knows", "header-that-nobody-knows"];
    let holds = |part: &&str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
    parts.into_iter().chain(clear).filter(holds).collect()
}

/// Looks into every file of a directory.
fn files_leak(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).expect("a directory");
    let files = files.map(|entry| entry.expect("an entry").path());
    files
        .flat_map(|path| {
            let found = leaks(&std::fs::read(&path).expect("readable"));
            found.into_iter().map(move |part| format!("{part} in {}", path.display()))
        })
        .collect()
}

/// Looks into everything that a database holds: its files, or, on a server, the rows of the
/// tables that have secrets.
async fn database_leaks(database: &Database) -> Vec<String> {
    if !is_postgres() {
        return files_leak(database.directory());
    }
    let rows = "SELECT t::text AS row FROM webhooks t UNION ALL
                SELECT t::text FROM webhook_headers t UNION ALL
                SELECT t::text FROM idempotency_keys t";
    let connection = database.connect().await;
    let rows = sea_orm::Statement::from_string(connection.get_database_backend(), rows);
    let rows = connection.query_all_raw(rows).await.expect("read");
    let texts = rows.iter().map(|row| row.try_get::<String>("", "row").expect("a text"));
    texts.flat_map(|text| leaks(text.as_bytes())).map(str::to_owned).collect()
}

fn request(url: &str) -> CreateWebhookRequest {
    let mut hook = signed(url, SigningScheme::StandardWebhooks, &[SECRET]);
    http(&mut hook).headers.push(header("Authorization", HEADER));
    CreateWebhookRequest {
        webhook: Some(hook),
        idempotency_key: IDEMPOTENCY_KEY.into(),
        ..Default::default()
    }
}

async fn create(server: &TestServer) -> Webhook {
    let made = server.webhooks().create_webhook(request("http://127.0.0.1:9/")).await;
    made.expect("a webhook").into_inner().webhook.expect("the webhook")
}

/// A server on the database of that directory, with these keys.
async fn serve(database: &Arc<Database>, keys: &str) -> TestServer {
    TestServer::on_database(Arc::clone(database), |config| {
        config.secret_key = configured(keys);
    })
    .await
}

/// Why a server does not start.
async fn refusal(database: &Database, keys: &str) -> String {
    let config = Config {
        listen: "127.0.0.1:0".into(),
        database: database.url(),
        dev: true,
        secret_key: configured(keys),
        ..Config::default()
    };
    let Err(refusal) = Server::bind(config, Arc::new(SystemClock)).await else {
        panic!("it starts");
    };
    refusal
}

/// The secrets are there, and the first answer is given again.
async fn assert_whole(server: &TestServer, made: &Webhook) {
    let request = GetWebhookRequest {
        webhook_id: made.webhook_id.clone(),
        reveal_secrets: true,
        ..Default::default()
    };
    let seen = server.webhooks().get_webhook(request).await.expect("found").into_inner();
    let mut seen = seen.webhook.expect("the webhook");
    assert_eq!(secrets(&seen)[0].value, SECRET);
    assert_eq!(http(&mut seen).headers[0].values, [HEADER]);
    assert_eq!(&create(server).await, made, "the same call gets the same answer");
}

async fn migrate(database: &Database, keys: &str) {
    let keys: SecretKeys = keys.parse().expect("keys");
    Store::migrate(&database.parsed(), &keys).await.expect("migrated");
}

#[tokio::test]
async fn no_secret_is_in_files_logs_and_what_is_written_about_deliveries() {
    let database = Database::new().await;
    let receiver = Receiver::with(|_| Reply::status(503)).await;
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["serve", "--dev", "--log", "trace", "--listen", "127.0.0.1:0", "--database"])
        .arg(database.url())
        .env("TIDINGS_SECRET_KEY", key(1))
        .stdout(Stdio::piped())
        .stderr(log.reopen().expect("a file"))
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let line = lines.next_line().await.expect("readable").expect("a first line");
    let address = line.strip_prefix("listening on ").expect("the promised first line");
    let uri = format!("http://{address}");
    let mut webhooks = WebhookServiceClient::connect(uri.clone()).await.expect("a connection");
    let mut events = EventServiceClient::connect(uri).await.expect("a connection");
    webhooks.create_webhook(request(&receiver.url())).await.expect("a webhook");
    webhooks.create_webhook(request(&receiver.url())).await.expect("the same answer");
    let mut other = request(&receiver.url());
    other.idempotency_key.clear();
    let taken = webhooks.create_webhook(other.clone()).await.expect_err("the name is taken");
    other.webhook.iter_mut().for_each(|hook| hook.max_allowed_connections = Some(0));
    let invalid = webhooks.create_webhook(other).await.expect_err("a fault");
    for refused in [taken, invalid] {
        assert_eq!(leaks(format!("{refused:?}").as_bytes()), [""; 0]);
        assert_eq!(leaks(refused.details()), [""; 0]);
    }
    let publish = tidings::grpc::proto::PublishEventRequest {
        event: Some(event("a", "{}")),
        ..Default::default()
    };
    events.publish_event(publish).await.expect("published");
    let sent = receiver.wait_for(1).await;
    assert_eq!(sent[0].header("authorization"), Some(HEADER), "the receiver gets it");
    assert_eq!(database_leaks(&database).await, [""; 0]);
    child.kill().await.expect("killed");
    assert_eq!(database_leaks(&database).await, [""; 0]);
    let log = std::fs::read(log.path()).expect("the log");
    assert!(!log.is_empty(), "it logs");
    assert_eq!(leaks(&log), [""; 0]);
    let key = key(1);
    assert!(!log.windows(key.len()).any(|window| window == key.as_bytes()), "the key is logged");
}

#[tokio::test]
async fn without_a_key_they_are_in_clear() {
    // Or the test above could not fail.
    let database = Database::new().await;
    let server = serve(&database, "").await;
    let made = create(&server).await;
    assert!(!database_leaks(&database).await.is_empty());
    assert_whole(&server, &made).await;
}

#[tokio::test]
async fn a_database_is_not_opened_without_its_key() {
    let database = Database::new().await;
    let server = serve(&database, &key(1)).await;
    let made = create(&server).await;
    server.stop().await;
    for keys in [String::new(), key(2)] {
        let refusal = refusal_once_free(&database, &keys).await;
        assert!(refusal.contains("encrypted with key"), "{refusal}");
        assert!(refusal.contains("TIDINGS_SECRET_KEY"), "{refusal}");
        assert!(!refusal.contains(&key(1)) && !refusal.contains(&key(2)), "{refusal}");
    }
    assert_whole(&serve(&database, &key(1)).await, &made).await;
}

/// As [`refusal`], once the server before has let go of the file.
async fn refusal_once_free(database: &Database, keys: &str) -> String {
    loop {
        let refusal = refusal(database, keys).await;
        if !refusal.contains("another process") {
            return refusal;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn keys_rotate_and_the_old_one_can_be_dropped() {
    let database = Database::new().await;
    let server = serve(&database, &key(1)).await;
    let made = create(&server).await;
    server.stop().await;
    let server = serve(&database, &format!("{},{}", key(2), key(1))).await;
    assert_whole(&server, &made).await;
    settled(&database).await;
    server.stop().await;
    let server = serve(&database, &key(2)).await;
    assert_whole(&server, &made).await;
    server.stop().await;
    assert!(refusal_once_free(&database, &key(1)).await.contains("encrypted with key"));
}

/// Waits until the database needs one key only.
async fn settled(database: &Database) {
    let wait = async {
        while read::<i64>(database, "SELECT COUNT(*) AS value FROM secret_keys").await != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("resealed in time");
}

/// Reads one value past the server.
async fn read<T: sea_orm::TryGetable>(database: &Database, sql: &str) -> T {
    let connection = database.connect().await;
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.expect("read").expect("a row");
    connection.close().await.expect("closed");
    row.try_get("", "value").expect("a value")
}

#[tokio::test]
async fn the_key_of_session_tokens_is_encrypted_and_stays_the_same() {
    let database = Database::new().await;
    let stored = "SELECT session_key AS value FROM database_identity";
    let strict = |keys: String| {
        TestServer::on_database(Arc::clone(&database), move |config| {
            config.secret_key = configured(&keys);
            config.dev = false;
        })
    };
    let server = strict(String::new()).await;
    let secret = keys::make(&server.database(), HOME, "all").await;
    let listed = keys::run(&server.database(), "list", &[]).await;
    let id = listed.split('\t').next().expect("a key");
    let asked = serde_json::json!({"key": id, "secret": secret}).to_string();
    let client = HttpClient::new(server.address);
    let issued = client.send("POST", "/v3/oauth/token/generate", asked).await.json();
    let token = issued["data"]["accessToken"].as_str().expect("a token");
    let clear: String = read(&database, stored).await;
    assert_eq!(clear.len(), 64, "without a key it is in clear");
    server.stop().await;

    let mut before = clear.clone();
    for keys in [key(1), format!("{},{}", key(2), key(1)), key(2)] {
        let server = strict(keys.clone()).await;
        settled(&database).await;
        let sealed: String = read(&database, stored).await;
        assert!(sealed.starts_with("enc:v1:") && !sealed.contains(&clear), "{sealed}");
        assert_eq!(sealed == before, keys == key(2), "each new key seals it once");
        before = sealed;
        let client = HttpClient::new(server.address).with("x-token", token);
        assert_eq!(client.get("/v3/webHooks").await.status, 200, "the token works on");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_key_given_later_encrypts_what_was_there_in_clear() {
    let database = Database::new().await;
    let server = serve(&database, "").await;
    let made = create(&server).await;
    server.stop().await;
    let server = serve(&database, &key(1)).await;
    assert_whole(&server, &made).await;
    settled(&database).await;
    let wait = async {
        while !database_leaks(&database).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let wiped = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(wiped.is_ok(), "left: {:?}", database_leaks(&database).await);
    server.stop().await;
    assert_whole(&serve(&database, &key(1)).await, &made).await;
}

#[tokio::test]
async fn migrate_brings_everything_under_the_first_key() {
    let database = Database::new().await;
    let server = serve(&database, "").await;
    let made = create(&server).await;
    server.stop().await;
    wait_free(&database).await;
    migrate(&database, &key(1)).await;
    assert_eq!(database_leaks(&database).await, [""; 0]);
    migrate(&database, &format!("{},{}", key(2), key(1))).await;
    assert_whole(&serve(&database, &key(2)).await, &made).await;
}

/// Waits until the server before has let go of the file.
async fn wait_free(database: &Database) {
    while let Err(busy) = Store::migrate(&database.parsed(), &SecretKeys::default()).await {
        if !busy.contains("another process") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
