//! `tidings health`, as probes call it.

use std::{path::Path, process::Output};

use tempfile::TempDir;
use tokio::process::Command;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::support::{
    secured::{CA, CERT, CLIENT, CLIENTS_CA, KEY, RENEWED_CA},
    server::TestServer,
};

async fn health(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("health")
        .args(arguments)
        .current_dir(directory)
        .env_remove("TIDINGS_CONFIG")
        .output()
        .await
        .expect("the binary runs")
}

/// It finds the server well, and says nothing else.
async fn serving(directory: &Path, arguments: &[&str]) {
    let Output { status, stdout, stderr } = health(directory, arguments).await;
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    assert_eq!(stdout, b"SERVING\n");
}

/// It does not, and says why.
async fn failing(directory: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = health(directory, arguments).await;
    assert!(!status.success() && stdout.is_empty(), "{arguments:?} found it well");
    String::from_utf8(stderr).expect("UTF-8")
}

fn written(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("written");
    }
    directory
}

#[tokio::test]
async fn a_server_is_asked_by_its_address_or_where_its_configuration_says() {
    let server = TestServer::start().await;
    let address = server.address.to_string();
    let nothing = written(&[]);
    serving(nothing.path(), &["--address", &address]).await;
    serving(nothing.path(), &["--address", &address, "--service", "live"]).await;
    let everywhere = format!("listen = '0.0.0.0:{}'\n", server.address.port());
    let configured = written(&[("tidings.toml", &everywhere)]);
    serving(configured.path(), &[]).await;
    let unknown = ["--address", &address, "--service", "tidings.v9.EventService"];
    assert!(failing(nothing.path(), &unknown).await.contains("NotFound"));
    server.stop().await;
    let gone = failing(nothing.path(), &["--address", &address]).await;
    assert!(gone.contains(&address) && gone.contains("refused"), "{gone}");
}

#[tokio::test]
async fn a_server_with_tls_is_asked_with_its_roots_and_a_certificate_where_it_wants_one() {
    let files = written(&[
        ("server.pem", CERT),
        ("server.key", KEY),
        ("ca.pem", CA),
        ("other-ca.pem", RENEWED_CA),
        ("clients-ca.pem", CLIENTS_CA),
        ("client.pem", CLIENT.0),
        ("client.key", CLIENT.1),
    ]);
    let at = |name: &str| Some(files.path().join(name));
    let server = TestServer::with(|config| {
        (config.tls_cert, config.tls_key) = (at("server.pem"), at("server.key"));
        config.tls_client_ca = at("clients-ca.pem");
    })
    .await;
    let address = format!("127.0.0.1:{}", server.address.port());
    let pair = ["--cert", "client.pem", "--key", "client.key"];
    let asked = |ca: &'static str| [&["--address", &address, "--ca", ca], &pair[..]].concat();
    serving(files.path(), &asked("ca.pem")).await;
    serving(files.path(), &[&asked("ca.pem")[..], &["--server-name", "localhost"]].concat()).await;
    let misnamed = [&asked("ca.pem")[..], &["--server-name", "tidings.example"]].concat();
    assert!(failing(files.path(), &misnamed).await.contains("not valid for name"));
    let other = failing(files.path(), &asked("other-ca.pem")).await;
    assert!(other.contains("UnknownIssuer"), "{other}");
    failing(files.path(), &["--address", &address, "--ca", "ca.pem"]).await;
    failing(files.path(), &["--address", &address]).await;
    let missing = failing(files.path(), &asked("nowhere.pem")).await;
    assert!(missing.contains("cannot read nowhere.pem"), "{missing}");
    let toml = format!("listen = '{address}'\ntls_cert = 'server.pem'\ntls_key = 'server.key'\n");
    std::fs::write(files.path().join("tidings.toml"), toml).expect("written");
    assert!(failing(files.path(), &[]).await.contains("--ca"));
    serving(files.path(), &[&["--ca", "ca.pem"], &pair[..]].concat()).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = silent.local_addr().expect("an address").to_string();
    let told = failing(written(&[]).path(), &["--address", &address]).await;
    assert!(told.contains("no answer within 3s"), "{told}");
}

#[tokio::test]
async fn a_server_that_drains_takes_no_requests_but_lives() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(server.channel.clone());
    let live = HealthCheckRequest { service: "live".to_owned() };
    let watch = health.watch(live).await.expect("a watch");
    let mut watch = watch.into_inner();
    let stopping = tokio::spawn(server.stop());
    let first = watch.message().await.expect("no error").expect("a status");
    assert_eq!(first.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    // The end of the call, not a change.
    watch.message().await.expect_err("the end");
    stopping.await.expect("the server has ended");
}
