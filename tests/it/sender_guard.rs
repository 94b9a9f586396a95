//! The sender connects to addresses that the guard permits, and to no others.

use std::sync::Arc;

use tidings::domain::address::AddressGuard;
use tidings::sender::{Addresses, Connection, FailureKind};

use crate::support::names::Names;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sending::{fails, post, sender};

/// A connection that is open to public addresses and these ranges.
fn guarded(names: &Arc<Names>, allowed: &[&str]) -> Connection {
    let allowed = allowed.iter().map(|range| range.parse().expect("a range")).collect();
    let guard = AddressGuard { local: false, allowed };
    Connection::new(sender(Addresses::new(guard, names.clone())))
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_in_every_form() {
    let (names, receiver) = (Names::new(), Receiver::start().await);
    let port = receiver.url().rsplit(':').next().expect("a port").replace("/hook", "");
    let mut connection = guarded(&names, &[]);
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "%31%32%37.0.0.1",
        "１２７。０。０。１",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "localhost",
        "LocalHost.",
        "a.localhost",
    ] {
        let url = format!("http://{host}:{port}/secret?token=secret");
        fails(&mut connection, &url, FailureKind::Forbidden, "is not allowed").await;
    }
    assert_eq!(receiver.connections(), 0);
    assert_eq!(names.asked("localhost") + names.asked("a.localhost"), 0);
}

#[tokio::test]
async fn one_bad_address_among_good_ones_forbids_the_name() {
    let (names, receiver) = (Names::new(), Receiver::start().await);
    let url = receiver.url().replace("127.0.0.1", "mixed.test");
    let mut connection = guarded(&names, &["127.0.0.1/32"]);
    for bad in ["10.0.0.1", "127.0.0.2", "169.254.169.254", "::1", "fe80::1", "::ffff:10.0.0.1"] {
        for mixed in [["127.0.0.1", bad], [bad, "127.0.0.1"]] {
            names.tell("mixed.test", &mixed);
            fails(&mut connection, &url, FailureKind::Forbidden, "mixed.test").await;
            let failure = post(&mut connection, &url).await.expect_err("a failure");
            assert!(!failure.message.contains(bad), "{failure}");
        }
    }
    assert_eq!(receiver.connections(), 0);
    names.tell("mixed.test", &["::ffff:127.0.0.1", "127.0.0.1"]);
    post(&mut connection, &url).await.expect("an answer");
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    let names = Names::new();
    let receiver = Receiver::with(|got| match got.index {
        1 => Reply::reset(),
        _ => Reply::status(200),
    })
    .await;
    let url = receiver.url().replace("127.0.0.1", "turns.test");
    names.tell_in_turn("turns.test", &[&["127.0.0.1"], &["127.0.0.1", "127.0.0.2"]]);
    let mut connection = guarded(&names, &["127.0.0.1/32"]);

    post(&mut connection, &url).await.expect("an answer");
    assert_eq!(names.asked("turns.test"), 1, "asked once for a connection");
    // The kept connection leads where it led. When it is gone, the name is asked for again.
    fails(&mut connection, &url, FailureKind::Connection, "connection").await;
    assert_eq!((names.asked("turns.test"), receiver.count()), (1, 2));
    fails(&mut connection, &url, FailureKind::Forbidden, "turns.test").await;
    assert_eq!((names.asked("turns.test"), receiver.connections()), (2, 1));
}

#[tokio::test]
async fn a_name_without_addresses_is_a_connection_failure() {
    let names = Names::new();
    names.tell("empty.test", &[]);
    let mut connection = guarded(&names, &[]);
    let words = "cannot resolve empty.test: it has no address";
    fails(&mut connection, "http://empty.test/", FailureKind::Connection, words).await;
    let words = "cannot resolve other.test: no such name";
    fails(&mut connection, "http://other.test/", FailureKind::Connection, words).await;
}
