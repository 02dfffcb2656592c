//! What clients and endpoints see of each other.

use std::sync::{Arc, Mutex};

use crate::client::{Client, Head};
use crate::upstream::{Answer, Upstream, nobody, ok};
use crate::world::{With, World, route};

/// An upstream that keeps what it was asked.
fn recorder() -> (Upstream, Arc<Mutex<Vec<Head>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let upstream = Upstream::start(move |request| {
        kept.lock().unwrap().push((request.line.clone(), request.headers.clone()));
        ok("seen")
    });
    (upstream, seen)
}

fn world(upstream: &Upstream) -> World {
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    world
}

#[test]
fn connections_are_kept_on_both_sides() {
    let upstream = Upstream::named("one");
    let world = world(&upstream);
    let mut client = world.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "one");
        assert_eq!(client.post("/", b"body").text(), "one");
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.requests(), 100);
}

#[test]
fn a_host_is_found_in_any_case_with_any_port() {
    let upstream = Upstream::named("one");
    let world = world(&upstream);
    for host in
        ["api.production.localhost", "API.Production.localhost:7780", "api.production.localhost."]
    {
        let reply = world.client().raw(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!((reply.status, reply.text()), (200, "one"), "{host}");
    }
}

#[test]
fn a_host_that_is_no_slot_is_not_found() {
    let upstream = Upstream::named("one");
    let world = world(&upstream);
    let mut client = world.client();
    let reply = client.raw("GET / HTTP/1.1\r\nhost: web.production.localhost\r\n\r\n");
    assert_eq!(reply.status, 404);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    // The connection goes on.
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn exactly_one_host_is_needed() {
    let upstream = Upstream::named("one");
    let world = world(&upstream);
    assert_eq!(world.client().raw("GET / HTTP/1.1\r\n\r\n").status, 400);
    let twice = "host: api.production.localhost\r\n".repeat(2);
    assert_eq!(world.client().raw(&format!("GET / HTTP/1.1\r\n{twice}\r\n")).status, 400);
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn the_absolute_form_outranks_the_host_line() {
    let (upstream, seen) = recorder();
    let world = world(&upstream);
    let target = "http://api.production.localhost:7780/a?b=c";
    let reply = world.client().raw(&format!("GET {target} HTTP/1.1\r\nhost: other\r\n\r\n"));
    assert_eq!(reply.status, 200);
    let (line, headers) = seen.lock().unwrap().remove(0);
    assert_eq!(line, "GET /a?b=c HTTP/1.1");
    let hosts: Vec<_> = headers.iter().filter(|(name, _)| name == "host").collect();
    assert_eq!(hosts, [&("host".to_owned(), "api.production.localhost:7780".to_owned())]);
}

#[test]
fn an_old_client_is_answered_and_let_go() {
    let upstream = Upstream::named("one");
    let world = world(&upstream);
    let mut client = world.client();
    let reply = client.raw("GET / HTTP/1.0\r\nhost: api.production.localhost\r\n\r\n");
    assert_eq!((reply.status, reply.text()), (200, "one"));
    assert!(client.is_closed());
}

#[test]
fn a_client_that_asks_to_close_is_let_go_and_the_endpoint_is_kept() {
    let upstream = Upstream::named("one");
    let world = world(&upstream);
    for _ in 0..3 {
        let mut client = world.client();
        let request =
            "GET / HTTP/1.1\r\nhost: api.production.localhost\r\nconnection: close\r\n\r\n";
        assert_eq!(client.raw(request).status, 200);
        assert!(client.is_closed());
    }
    assert!(upstream.connections() <= world.config.threads);
}

#[test]
fn what_is_meant_for_one_hop_ends_there() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let upstream = Upstream::start(move |request| {
        kept.lock().unwrap().push(request.headers.clone());
        let head = "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=9\r\n\
            upgrade: h2c\r\nx-end: 1\r\ncontent-length: 2\r\n\r\nok";
        Answer::Bytes(head.as_bytes().to_vec())
    });
    let world = world(&upstream);
    let reply = world.client().raw(
        "GET / HTTP/1.1\r\nhost: api.production.localhost\r\nconnection: x-secret, upgrade\r\n\
         x-secret: 1\r\nupgrade: websocket\r\nte: trailers\r\nkeep-alive: 5\r\n\
         proxy-connection: keep-alive\r\nx-forwarded-for: 9.9.9.9\r\nx-kept: 1\r\n\r\n",
    );
    assert_eq!((reply.text(), reply.header("x-end")), ("ok", Some("1")));
    for name in ["connection", "x-hop", "keep-alive", "upgrade"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    let mut headers = seen.lock().unwrap().remove(0);
    headers.sort();
    let expected = [
        ("host", "api.production.localhost"),
        ("x-forwarded-for", "9.9.9.9, 127.0.0.1"),
        ("x-forwarded-host", "api.production.localhost"),
        ("x-forwarded-proto", "http"),
        ("x-kept", "1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers, expected);
}

#[test]
fn a_request_with_two_lengths_reaches_endpoints_with_one_meaning() {
    let (upstream, seen) = recorder();
    let world = world(&upstream);
    let host = "host: api.production.localhost\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    for lines in
        [format!("content-length: 4\r\n{chunked}"), format!("{chunked}content-length: 4\r\n")]
    {
        let mut client = world.client();
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: api.production.localhost\r\n\r\n";
        client.send(format!("POST / HTTP/1.1\r\n{host}{lines}\r\n{smuggled}").as_bytes()).unwrap();
        let _ = client.reply(false);
        assert!(client.is_closed(), "the connection is of no use after {lines}");
    }
    let differing = "content-length: 4\r\ncontent-length: 5\r\n";
    let reply = world.client().raw(&format!("POST / HTTP/1.1\r\n{host}{differing}\r\nabcde"));
    assert_eq!(reply.status, 400);
    for (line, headers) in seen.lock().unwrap().iter() {
        assert_eq!(line, "POST / HTTP/1.1");
        assert!(!headers.iter().any(|(name, _)| name == "content-length"), "{headers:?}");
    }
}

#[test]
fn methods_without_an_answer_body_have_none() {
    let upstream = Upstream::start(|request| match request.line.split(' ').next() {
        Some("HEAD") => Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_vec()),
        _ => Answer::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    });
    let world = world(&upstream);
    let mut client = world.client();
    for _ in 0..3 {
        let reply = client.request("HEAD", "/", b"").unwrap();
        assert_eq!((reply.status, reply.header("content-length")), (200, Some("10")));
        assert_eq!(client.request("DELETE", "/", b"").unwrap().status, 204);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn without_an_endpoint_that_accepts_there_is_503() {
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[nobody(), nobody()]));
    let mut client = world.client();
    for _ in 0..20 {
        let reply = client.get("/");
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    }
}

#[test]
fn connect_is_not_carried() {
    let upstream = Upstream::named("one");
    let world = world(&upstream);
    let request =
        "CONNECT api.production.localhost:80 HTTP/1.1\r\nhost: api.production.localhost\r\n\r\n";
    assert_eq!(Client::connect(world.address()).raw(request).status, 501);
}
