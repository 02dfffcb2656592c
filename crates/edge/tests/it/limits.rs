//! What a client may take, and what an endpoint may.

use std::io::BufReader;
use std::time::Duration;

use grit_types::Revision;

use crate::client::head;
use crate::upstream::{Upstream, ok};
use crate::world::{With, World, eventually, route};

const SHORT: Duration = Duration::from_millis(200);
const HOST: &str = "host: api.production.localhost\r\n";

/// An upstream that reads a head and never answers.
fn silent() -> Upstream {
    Upstream::raw(|stream| {
        let mut stream = BufReader::new(stream);
        while head(&mut stream).is_ok() {}
    })
}

#[test]
fn a_head_that_trickles_in_is_cut_off() {
    let world = World::with(|config| config.limits.header_timeout = SHORT);
    let mut client = world.client();
    client.send(b"GET / HTTP/1.1\r\nhost: a").unwrap();
    assert!(client.is_closed());
    // So is a connection on which nothing ever comes.
    assert!(world.client().is_closed());
}

#[test]
fn the_limit_of_a_head_begins_anew_with_each_request() {
    let upstream = Upstream::named("one");
    let world = World::with(|config| config.limits.header_timeout = SHORT);
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    assert_eq!(client.get("/").status, 200);
    client.send(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(client.is_closed());
}

#[test]
fn an_idle_connection_is_closed() {
    let upstream = Upstream::named("one");
    let world = World::with(|config| config.limits.idle_timeout = SHORT);
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    assert_eq!(client.get("/").status, 200);
    assert!(client.is_closed());
    eventually("nobody is connected", || world.state().connections == 0);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let world = World::with(|config| config.limits.header_bytes = 8 * 1024);
    let line = format!("x-large: {}\r\n", "x".repeat(20_000));
    assert_eq!(world.client().raw(&format!("GET / HTTP/1.1\r\n{HOST}{line}\r\n")).status, 431);
    let many = "x-a: b\r\n".repeat(101);
    assert_eq!(world.client().raw(&format!("GET / HTTP/1.1\r\n{HOST}{many}\r\n")).status, 431);
}

#[test]
fn connections_above_the_limit_are_refused() {
    let upstream = Upstream::named("one");
    let world = World::with(|config| config.limits.connections = 3);
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut clients = [(); 3].map(|()| world.client());
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    assert_eq!(world.client().reply(false).unwrap().status, 503);
    drop(clients);
    eventually("there is room again", || world.client().request("GET", "/", b"").is_ok());
}

#[test]
fn an_endpoint_that_does_not_answer_is_a_timeout() {
    let upstream = silent();
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]).timeout(SHORT));
    let mut client = world.client();
    assert_eq!(client.get("/").status, 504);
    assert_eq!(client.get("/").status, 504);
    let stats = world.stats();
    let revision = &stats.revisions[&Revision(1)];
    assert_eq!((revision.requests, revision.timeouts, revision.broken), (2, 2, 0));
    assert!(revision.p50 >= SHORT * 9 / 10);
}

#[test]
fn the_time_to_answer_begins_when_the_body_is_there() {
    let upstream = Upstream::start(|request| ok(&request.body.len().to_string()));
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]).timeout(SHORT * 2));
    let mut client = world.client();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}content-length: 6\r\n\r\n").as_bytes()).unwrap();
    for _ in 0..6 {
        std::thread::sleep(SHORT);
        client.send(b"x").unwrap();
    }
    assert_eq!(client.reply(false).unwrap().text(), "6");
}

#[test]
fn a_body_that_does_not_come_is_the_clients_fault() {
    let upstream = silent();
    let world = World::with(|config| config.limits.stall_timeout = SHORT);
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    let reply = client.raw(&format!("POST / HTTP/1.1\r\n{HOST}content-length: 9\r\n\r\nx"));
    assert_eq!(reply.status, 408);
    assert_eq!(world.stats().revisions[&Revision(1)].failed(), 0);
}

#[test]
fn a_client_that_leaves_in_the_middle_is_no_failure() {
    let upstream = silent();
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let in_flight = |world: &World| world.stats().revisions[&Revision(1)].in_flight;
    let mut uploading = world.client();
    uploading
        .send(format!("POST / HTTP/1.1\r\n{HOST}content-length: 9\r\n\r\nx").as_bytes())
        .unwrap();
    let mut waiting = world.client();
    waiting.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n").as_bytes()).unwrap();
    eventually("both are in flight", || in_flight(&world) == 2);
    drop((uploading, waiting));
    eventually("both are gone", || in_flight(&world) == 0);
    assert_eq!(world.stats().revisions[&Revision(1)].failed(), 0);
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let upstream = Upstream::start(|_| ok(&"x".repeat(64 << 20)));
    let world = World::with(|config| config.limits.stall_timeout = SHORT);
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n").as_bytes()).unwrap();
    eventually("it is served", || world.stats().revisions[&Revision(1)].requests == 1);
    eventually("it is let go", || world.state().connections == 0);
    assert_eq!(world.stats().revisions[&Revision(1)].in_flight, 0);
}
