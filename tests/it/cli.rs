//! The command line, as an operator uses it.

use std::{
    path::Path,
    process::{Command, Output},
};

fn tidings(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("TIDINGS_DEV")
        .env_remove("TIDINGS_CONFIG")
        .output()
        .expect("the binary runs")
}

/// The command fails, and says why.
fn refused(directory: &Path, arguments: &[&str]) -> String {
    let output = tidings(directory, arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(output.stdout.is_empty(), "nothing is promised on standard output");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn development_is_served_only_locally() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let public = refused(at, &["serve", "--dev", "--listen", "0.0.0.0:0"]);
    assert!(public.contains("loopback") && public.contains("listen"), "{public}");
    assert_eq!(std::fs::read_dir(at).expect("readable").count(), 0, "nothing was made");
}

#[test]
fn faults_of_the_configuration_name_the_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    for (arguments, key) in [
        (&["serve", "--dev", "--database", "postgres://h"][..], "database must name"),
        (&["serve", "--dev", "--database-connections", "2"], "database_connections"),
        (&["serve", "--dev", "--database-timeout", "10ms"], "database_timeout"),
        (&["serve", "--dev", "--retention", "soon"], "retention"),
        (&["serve", "--dev", "--log", "tidings=loud"], "log"),
        (&["serve", "--dev", "--allow-destination", "10.0.0.1"], "allow_destination"),
        (&["serve", "--dev", "--listen", "nowhere"], "listen"),
        (&["serve", "--dev", "--config", "missing.toml"], "missing.toml"),
        (&["serve", "--dev", "--tls-cert", "missing.pem"], "tls_key"),
        (
            &["serve", "--dev", "--tls-cert", "missing.pem", "--tls-key", "k"],
            "tls_cert: cannot read",
        ),
        (&["migrate", "--database", "sqlite:"], "database"),
    ] {
        let error = refused(at, arguments);
        assert!(error.contains(key), "{arguments:?}: {error}");
    }
    std::fs::write(at.join("tidings.toml"), "max_tails = 'many'\n").expect("written");
    assert!(refused(at, &["serve", "--dev"]).contains("max_tails"));
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = "postgres://anna:s3cret@127.0.0.1:1/tidings";
    for command in [&["serve", "--dev"][..], &["migrate"], &["keys", "list"]] {
        let arguments = [command, &["--database", url]].concat();
        let error = refused(directory.path(), &arguments);
        assert!(error.contains("postgres://anna@127.0.0.1:1/tidings"), "{error}");
        assert!(error.contains("refused") && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn ranges_to_allow_come_from_a_variable_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let migrate = |ranges: &str| {
        Command::new(env!("CARGO_BIN_EXE_tidings"))
            .args(["migrate", "--database", "sqlite:ranges.db"])
            .current_dir(directory.path())
            .env("TIDINGS_ALLOW_DESTINATION", ranges)
            .output()
            .expect("the binary runs")
    };
    for good in ["10.0.0.0/8", "10.0.0.0/8, fd00::/8", "[10.0.0.0/8, 192.168.0.0/16]", ""] {
        assert!(migrate(good).status.success(), "{good}: {:?}", migrate(good));
    }
    for bad in ["10.0.0.1", "10.0.0.1/8", "localhost", "10"] {
        let output = migrate(bad);
        assert!(!output.status.success(), "{bad}");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(error.contains("ALLOW_DESTINATION"), "{error}");
    }
}

#[test]
fn a_database_is_migrated_once_and_stays_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("tidings.toml"), "database = 'sqlite:from-file.db'\n").expect("written");
    for _ in 0..2 {
        assert!(tidings(at, &["migrate"]).status.success());
        assert!(tidings(at, &["migrate", "--database", "sqlite:from-flag.db"]).status.success());
    }
    for file in ["from-file.db", "from-flag.db"] {
        assert!(at.join(file).is_file(), "{file}");
    }
}

#[test]
fn help_lists_what_there_is_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let help = |arguments: &[&str]| {
        let output = tidings(directory.path(), arguments);
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let all = help(&["--help"]);
    for command in ["serve", "demo", "bench", "migrate", "keys", "health"] {
        assert!(all.contains(command), "{command}");
    }
    for later in ["tail", "publish", "webhooks"] {
        assert!(!all.contains(&format!("\n  {later}")), "{later} is not built");
    }
    let serve = help(&["serve", "--help"]);
    for key in [
        "dev",
        "listen",
        "database",
        "log-format",
        "attempt-timeout",
        "retention",
        "allow-destination",
        "tls-cert",
        "tls-key",
        "tls-client-ca",
        "jwt-issuer",
        "jwt-audience",
        "jwt-key-set",
        "jwt-tenant-claim",
        "jwt-permissions-claim",
    ] {
        assert!(serve.contains(&format!("--{key}")), "{key}");
        let variable = format!("TIDINGS_{}", key.replace('-', "_").to_uppercase());
        assert!(serve.contains(&variable), "{variable}");
    }
}
