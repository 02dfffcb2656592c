//! A request is sent again where nobody can have acted on it, and nowhere else.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::upstream::{Answer, Upstream, nobody, ok, reply};
use crate::world::{With, World, route};

#[test]
fn a_refused_connection_is_another_endpoints_request() {
    let alive = Upstream::named("alive");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[nobody(), alive.address, nobody()]));
    let mut client = world.client();
    for _ in 0..30 {
        assert_eq!(client.get("/").text(), "alive");
        assert_eq!(client.post("/", b"body").text(), "alive");
    }
    assert_eq!(alive.requests(), 60);
}

#[test]
fn a_group_that_refuses_everything_falls_back_to_stable() {
    let stable = Upstream::named("stable");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 50, &[stable.address]).canary(2, 50, &[nobody()]));
    let mut client = world.client();
    for _ in 0..50 {
        assert_eq!(client.post("/", b"body").text(), "stable");
    }
    let totals = world.state().slots.remove(0).totals;
    let canary = &totals[&grit_types::Revision(2)];
    assert!(canary.broken > 0);
    assert_eq!((canary.broken, canary.retried), (canary.requests, canary.requests));
}

#[test]
fn an_endpoint_that_comes_back_is_found_again() {
    let address = nobody();
    let alive = Upstream::named("alive");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[address, alive.address]));
    let mut client = world.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "alive");
    }
    let listener = std::net::TcpListener::bind(address).unwrap();
    let back = std::thread::spawn(move || drop(listener.accept().unwrap()));
    crate::world::eventually("it is tried again", || {
        let _ = client.get("/");
        back.is_finished()
    });
}

#[test]
fn a_connection_that_was_closed_while_unused_costs_no_request() {
    // Closes after each answer, without a word.
    let upstream = Upstream::start(|_| Answer::Close(reply(200, "one")));
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").text(), "one");
    }
    for _ in 0..100 {
        // Unused long enough that the end of the connection is there before the next request.
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert_eq!(client.post("/", b"body").text(), "one");
    }
    assert_eq!(upstream.connections(), 200);
}

/// An upstream that answers its first request, and to the next ones sends `bytes` and closes.
fn closes_on_the_second(bytes: &'static str) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |_| match count.fetch_add(1, SeqCst) {
        0 => ok("first"),
        _ => Answer::Close(bytes.as_bytes().to_vec()),
    })
}

#[test]
fn what_may_have_been_acted_on_is_not_sent_again() {
    let upstream = closes_on_the_second("");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    assert_eq!(client.get("/").text(), "first");
    assert_eq!(client.post("/", b"body").status, 502);
    assert_eq!(upstream.requests(), 2);
    assert_eq!(client.request("DELETE", "/", b"body").unwrap().status, 502);
    assert_eq!(upstream.requests(), 3);
}

#[test]
fn an_idempotent_request_on_a_connection_that_ends_is_sent_once_more() {
    let upstream = closes_on_the_second("");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    assert_eq!(client.get("/").text(), "first");
    assert_eq!(client.get("/").status, 502);
    // On the connection that was kept, then on a fresh one.
    assert_eq!(upstream.requests(), 3);
}

#[test]
fn after_the_first_byte_of_an_answer_nothing_is_sent_again() {
    let upstream = closes_on_the_second("HTTP/1.1 200 OK\r\ncontent-le");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    assert_eq!(client.get("/").text(), "first");
    assert_eq!(client.get("/").status, 502);
    assert_eq!(upstream.requests(), 2);
}

#[test]
fn a_reset_instead_of_an_answer_counts_as_broken() {
    let upstream = Upstream::start(|_| Answer::Close(Vec::new()));
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    assert_eq!(world.client().post("/", b"body").status, 502);
    let stats = world.stats();
    let revision = &stats.revisions[&grit_types::Revision(1)];
    assert_eq!((revision.requests, revision.broken, revision.errors), (1, 1, 0));
}
