//! What the sender makes of receivers that are slow, broken or hostile.

use std::time::Duration;

use http::Method;
use tidings::sender::{FailureKind, Target};
use tokio::net::TcpListener;

use crate::support::raw::Raw;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sending::{connection, fails, limits, post, request};

#[tokio::test]
async fn receiver_that_never_answers_times_out() {
    let receiver = Receiver::with(|got| match got.index {
        0 => Reply::never(),
        _ => Reply::status(200),
    })
    .await;
    let target = Target::parse(&receiver.url()).expect("a target");
    let mut connection = connection();
    let limit = Duration::from_millis(50);
    let failure = connection
        .send(&target, request(Method::POST, ""), &limits(limit))
        .await
        .expect_err("a timeout");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert_eq!(failure.message, "timed out after 50ms while waiting for the answer");
    assert!(failure.time_taken >= limit);
    post(&mut connection, &receiver.url()).await.expect("an answer");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn slow_answer_within_the_timeout_is_an_answer() {
    let wait = Duration::from_millis(50);
    let receiver = Receiver::with(move |_| Reply::status(500).after(wait)).await;
    let answer = post(&mut connection(), &receiver.url()).await.expect("an answer");
    assert_eq!(answer.status, 500);
    assert!(answer.time_taken >= wait);
}

#[tokio::test]
async fn timeout_covers_a_dripping_body() {
    let receiver = Receiver::with(|_| {
        Reply::status(200).body(vec![b'x'; 1000]).drip(Duration::from_millis(20))
    })
    .await;
    let target = Target::parse(&receiver.url()).expect("a target");
    let limits = limits(Duration::from_millis(100));
    let failure = connection()
        .send(&target, request(Method::POST, ""), &limits)
        .await
        .expect_err("a timeout");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.ends_with("while reading the body of the answer"), "{failure}");
}

#[tokio::test]
async fn endless_body_is_cut_and_the_connection_discarded() {
    let receiver = Receiver::with(|_| Reply::endless()).await;
    let mut connection = connection();
    for connections in 1..=3 {
        let answer = post(&mut connection, &receiver.url()).await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.excerpt, vec![b'x'; 1024]);
        assert_eq!(receiver.connections(), connections);
    }
}

#[tokio::test]
async fn body_announced_as_too_long_is_cut_and_the_connection_discarded() {
    let receiver = Receiver::with(|_| Reply::status(200).body(vec![b'x'; 64 * 1024 + 1])).await;
    let mut connection = connection();
    for connections in 1..=2 {
        let answer = post(&mut connection, &receiver.url()).await.expect("an answer");
        assert_eq!(answer.excerpt.len(), 1024);
        assert_eq!(receiver.connections(), connections);
    }
}

#[tokio::test]
async fn excerpt_is_cut_and_the_connection_kept() {
    let receiver = Receiver::with(|_| Reply::status(200).body(vec![b'x'; 64 * 1024])).await;
    let mut connection = connection();
    for _ in 0..5 {
        let answer = post(&mut connection, &receiver.url()).await.expect("an answer");
        assert_eq!(answer.excerpt, vec![b'x'; 1024]);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn refused_connection_is_a_connection_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let words = format!("cannot connect to {address}: Connection refused");
    let url = format!("http://{address}/secret?token=secret");
    fails(&mut connection(), &url, FailureKind::Connection, &words).await;
}

#[tokio::test]
async fn name_that_does_not_resolve_is_a_connection_failure() {
    let words = "cannot resolve nothing.invalid:";
    let url = "http://nothing.invalid/";
    fails(&mut connection(), url, FailureKind::Connection, words).await;
}

#[tokio::test]
async fn reset_instead_of_an_answer_is_a_failure() {
    let receiver = Receiver::with(|got| match got.index {
        1 => Reply::reset(),
        _ => Reply::status(200),
    })
    .await;
    let (mut connection, url) = (connection(), receiver.url());
    post(&mut connection, &url).await.expect("an answer");
    fails(&mut connection, &url, FailureKind::Connection, "connection").await;
    assert_eq!(receiver.count(), 2, "the request was written, so it is not repeated");
    post(&mut connection, &url).await.expect("an answer");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn answer_that_breaks_off_is_a_failure() {
    let receiver = Receiver::with(|_| Reply::status(200).body("some").cut_off()).await;
    let url = receiver.url();
    fails(&mut connection(), &url, FailureKind::Connection, "broke").await;

    let half = vec!["HTTP/1.1 200 OK\r\ncontent-le".to_owned()];
    let raw = Raw::start("127.0.0.1:0", half).await;
    let words = "closed before the answer was complete";
    fails(&mut connection(), &raw.url, FailureKind::Connection, words).await;
}

#[tokio::test]
async fn something_else_than_http_is_a_failure() {
    let greeting = vec!["220 mail.test ESMTP\r\n\r\n".to_owned()];
    let raw = Raw::start("127.0.0.1:0", greeting).await;
    let words = "not valid HTTP/1";
    fails(&mut connection(), &raw.url, FailureKind::Connection, words).await;
}

#[tokio::test]
async fn headers_that_are_too_large_are_a_failure() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    for answer in [long, many] {
        let raw = Raw::start("127.0.0.1:0", vec![answer]).await;
        let words = "headers of the answer are too large";
        fails(&mut connection(), &raw.url, FailureKind::Connection, words).await;
    }
}

#[tokio::test]
async fn call_that_is_dropped_midway_discards_the_connection() {
    let receiver = Receiver::with(|got| match got.index {
        1 => Reply::never(),
        _ => Reply::status(200),
    })
    .await;
    let (mut connection, url) = (connection(), receiver.url());
    post(&mut connection, &url).await.expect("an answer");
    tokio::select! {
        result = post(&mut connection, &url) => panic!("there is no answer: {result:?}"),
        _ = receiver.wait_for(2) => {}
    }
    post(&mut connection, &url).await.expect("an answer");
    assert_eq!(receiver.count(), 3);
    assert_eq!(receiver.connections(), 2);
}
