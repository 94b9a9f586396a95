//! What the sender makes of receivers that behave: connections kept and replaced, requests and
//! answers as they should be.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use http::{HeaderValue, Method};
use tidings::sender::{Connection, Limits, Target};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::support::raw::Raw;
use crate::support::receiver::{Receiver, Reply};
use crate::support::sending::{PATIENCE, connection, local, post, request, sender};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let receiver = Receiver::with(|got| {
        let number = got.json()["number"].to_string();
        Reply::status(200).header("x-number", number.clone()).body(number)
    })
    .await;
    let target = Target::parse(&receiver.url_at("/a/b?c=d")).expect("a target");
    let mut connection = connection();
    for number in 0..50 {
        let body = format!(r#"{{"number":{number}}}"#);
        let length = body.len().to_string();
        let answer = connection
            .send(&target, request(Method::POST, body), &Limits::default())
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["x-number"], number.to_string());
        assert_eq!(answer.excerpt, number.to_string());
        let received = receiver.received().pop().expect("a request");
        assert_eq!(received.index, number);
        assert_eq!(received.method, "POST");
        assert_eq!(received.path, "/a/b?c=d");
        assert_eq!(received.header("content-length"), Some(length.as_str()));
        let host = target.to_string().replace("http://", "");
        assert_eq!(received.header("host"), Some(host.as_str()));
    }
    assert_eq!(receiver.connections(), 1);
    assert_eq!(receiver.max_open(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_work_side_by_side() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let receiver = Receiver::with(move |_| Reply::status(200).held_by(held.clone())).await;
    let sender = sender(local());
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (mut connection, url) = (Connection::new(sender.clone()), receiver.url());
            tokio::spawn(async move {
                for _ in 0..20 {
                    post(&mut connection, &url).await.expect("an answer");
                }
            })
        })
        .collect();
    receiver.wait_for(8).await;
    assert_eq!(receiver.count(), 8, "each waits for its first answer");
    gate.close();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(receiver.count(), 160);
    assert_eq!(receiver.max_open(), 8);
    assert_eq!(receiver.connections(), 8);
}

#[tokio::test]
async fn name_is_resolved_and_its_addresses_tried() {
    let receiver = Receiver::start().await;
    let url = receiver.url().replace("127.0.0.1", "localhost");
    post(&mut connection(), &url).await.expect("an answer");
    let host = receiver.received()[0].header("host").map(str::to_owned);
    assert!(host.expect("a host").starts_with("localhost:"));
}

#[tokio::test]
async fn stale_connection_is_replaced_unnoticed() {
    let raw = Raw::keeping("127.0.0.1:0", vec![OK.to_owned(); 3]).await;
    let mut connection = connection();
    for connections in 1..=3 {
        post(&mut connection, &raw.url).await.expect("an answer");
        assert_eq!(raw.connections.load(Ordering::SeqCst), connections);
        raw.close.add_permits(1);
        raw.closed().await;
    }
}

#[tokio::test]
async fn stale_connection_is_replaced_even_when_the_runtime_had_no_time_to_notice() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (close, closing) = mpsc::channel::<()>();
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (mut tcp, _) = listener.accept().expect("a connection");
            let mut seen = Vec::new();
            while !seen.ends_with(b"hello") {
                let mut byte = [0];
                tcp.read_exact(&mut byte).expect("a request");
                seen.extend(byte);
            }
            tcp.write_all(OK.as_bytes()).expect("written");
            closing.recv().expect("told to close");
        }
    });
    let mut connection = connection();
    post(&mut connection, &url).await.expect("an answer");
    close.send(()).expect("the server is there");
    // Blocks the only thread of the runtime on purpose: the connection is idle and then closed, and
    // nobody looks.
    thread::sleep(Duration::from_millis(20));
    post(&mut connection, &url).await.expect("an answer");
    close.send(()).expect("the server is there");
    server.join().expect("no panic");
}

#[tokio::test]
async fn closed_connection_is_noticed_while_idle() {
    let raw = Raw::keeping("127.0.0.1:0", vec![OK.to_owned(); 2]).await;
    let mut connection = connection();
    let nothing = timeout(Duration::ZERO, connection.closed()).await;
    nothing.expect_err("without a connection it pends");
    for _ in 0..2 {
        post(&mut connection, &raw.url).await.expect("an answer");
        let nothing = timeout(Duration::ZERO, connection.closed()).await;
        nothing.expect_err("the connection is open");
        raw.close.add_permits(1);
        let noticed = timeout(PATIENCE, connection.closed()).await;
        noticed.expect("the closed connection is noticed");
        let nothing = timeout(Duration::ZERO, connection.closed()).await;
        nothing.expect_err("the closed connection is discarded");
    }
}

#[tokio::test]
async fn waiting_for_the_close_can_be_given_up() {
    let receiver = Receiver::start().await;
    let mut connection = connection();
    for _ in 0..3 {
        post(&mut connection, &receiver.url()).await.expect("an answer");
        let idle = timeout(Duration::from_millis(1), connection.closed()).await;
        idle.expect_err("the connection stays open");
    }
    assert_eq!(receiver.connections(), 1);
    connection.disconnect();
    post(&mut connection, &receiver.url()).await.expect("an answer");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn other_target_gets_a_connection_of_its_own() {
    let (one, other) = (Receiver::start().await, Receiver::start().await);
    let mut connection = connection();
    for receiver in [&one, &other, &other, &one] {
        post(&mut connection, &receiver.url()).await.expect("an answer");
    }
    assert_eq!((one.connections(), one.count()), (2, 2));
    assert_eq!((other.connections(), other.count()), (1, 2));
}

#[tokio::test]
async fn connection_is_discarded_when_the_answer_says_so() {
    let receiver = Receiver::with(|_| Reply::status(200).body("bye").close()).await;
    let mut connection = connection();
    for connections in 1..=3 {
        let answer = post(&mut connection, &receiver.url()).await.expect("an answer");
        assert_eq!(answer.excerpt, "bye");
        assert_eq!(receiver.connections(), connections);
        let nothing = timeout(Duration::ZERO, connection.closed()).await;
        nothing.expect_err("there is no connection left");
    }
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let elsewhere = Receiver::start().await;
    let location = elsewhere.url();
    let receiver =
        Receiver::with(move |_| Reply::status(307).header("location", location.clone())).await;
    let answer = post(&mut connection(), &receiver.url()).await.expect("an answer");
    assert_eq!(answer.status, 307);
    assert_eq!(answer.headers["location"], elsewhere.url());
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn get_has_no_body_and_an_empty_post_has_a_length() {
    let receiver = Receiver::start().await;
    let target = Target::parse(&receiver.url()).expect("a target");
    let mut connection = connection();
    for (method, body, length) in [
        (Method::GET, "ignored", None),
        (Method::POST, "", Some("0")),
        (Method::DELETE, "sent", Some("4")),
    ] {
        let request = request(method.clone(), body);
        let sent = connection.send(&target, request, &Limits::default()).await;
        sent.expect("an answer");
        let received = receiver.received().pop().expect("a request");
        assert_eq!(received.method, method.as_str());
        assert_eq!(received.header("content-length"), length);
        assert_eq!(received.header("transfer-encoding"), None);
        assert_eq!(received.body.is_empty(), method != Method::DELETE);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn framing_headers_of_the_caller_are_replaced_and_its_host_kept() {
    let receiver = Receiver::start().await;
    let target = Target::parse(&receiver.url()).expect("a target");
    let mut request = request(Method::PUT, "12345");
    for (name, value) in [
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("host", "virtual.test"),
        ("x-other", "kept"),
    ] {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    let sent = connection().send(&target, request, &Limits::default()).await;
    sent.expect("an answer");
    let received = receiver.received().pop().expect("a request");
    assert_eq!(received.body, "12345");
    assert_eq!(received.header("content-length"), Some("5"));
    assert_eq!(received.header("transfer-encoding"), None);
    assert_eq!(received.header("host"), Some("virtual.test"));
    assert_eq!(received.header("x-other"), Some("kept"));
}

#[tokio::test]
async fn ipv6_literal_is_connected_to() {
    let raw = Raw::start("[::1]:0", vec![OK.to_owned()]).await;
    assert!(raw.url.starts_with("http://[::1]:"), "{}", raw.url);
    let answer = post(&mut connection(), &raw.url).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn interim_answers_are_skipped_and_an_upgrade_is_not_made() {
    let hint = format!("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{OK}");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    for (answer, status) in [(hint, 200), (switch.to_owned(), 101)] {
        let raw = Raw::start("127.0.0.1:0", vec![answer, OK.to_owned()]).await;
        let mut connection = connection();
        let answer = post(&mut connection, &raw.url).await.expect("an answer");
        assert_eq!(answer.status, status);
        raw.closed().await;
        post(&mut connection, &raw.url).await.expect("an answer");
    }
}

#[tokio::test]
async fn body_that_ends_with_the_connection_is_whole() {
    let answer = vec!["HTTP/1.0 200 OK\r\n\r\nold style".to_owned()];
    let raw = Raw::start("127.0.0.1:0", answer).await;
    let answer = post(&mut connection(), &raw.url).await.expect("an answer");
    assert_eq!(answer.excerpt, "old style");
}
