//! Beginning and end of an edge.

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use grit_edge::{Edge, EdgeError};
use grit_rollout::{RouterError, TrafficRouter};
use grit_types::Revision;

use crate::client::{Client, head};
use crate::upstream::{Upstream, reply};
use crate::world::{With, World, eventually, route, slot};

#[test]
fn an_edge_that_ends_finishes_what_is_in_flight() {
    let (answer, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        while head(&mut stream).is_ok() {
            wait.lock().unwrap().recv().unwrap();
            stream.get_mut().write_all(&reply(200, "late")).unwrap();
        }
    });
    let mut world = World::with(|config| {
        config.limits.shutdown_deadline = Duration::from_secs(60);
    });
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let address = world.address();
    let mut idle = world.client();
    let late = std::thread::spawn(move || Client::connect(address).get("/"));
    eventually("it is in flight", || world.stats().revisions[&Revision(1)].in_flight == 1);
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| world.stop());
        assert!(idle.is_closed());
        answer.send(()).unwrap();
        let late = late.join().unwrap();
        assert_eq!((late.text(), late.header("connection")), ("late", Some("close")));
        ending.join().unwrap();
    });
    assert!(!world.config.admin_socket.exists());
}

#[test]
fn a_successor_takes_over_without_a_refused_connection() {
    let upstream = Upstream::named("one");
    let mut world = World::with(|config| config.takeover = Duration::from_secs(60));
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    world.config.listen = world.address();
    let over = AtomicBool::new(false);
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let address = world.address();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                match std::net::TcpStream::connect(address) {
                    Ok(_) => served.fetch_add(1, SeqCst),
                    Err(_) => refused.fetch_add(1, SeqCst),
                };
            }
        });
        for _ in 0..3 {
            let config = world.config.clone();
            let successor = std::thread::spawn(move || Edge::bind(config));
            let threads = world.config.threads;
            eventually("it listens, and waits", || listeners(address) == 2 * threads);
            world.stop();
            let successor = successor.join().unwrap().unwrap();
            world.adopt(successor.spawn().unwrap());
            assert_eq!(world.client().get("/").text(), "one");
        }
        over.store(true, SeqCst);
    });
    assert_eq!(refused.load(SeqCst), 0, "of {}", served.load(SeqCst));
}

/// Sockets that listen at the address, of all processes (proc(5)).
fn listeners(address: std::net::SocketAddr) -> usize {
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listens = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().is_some_and(|local| local.ends_with(&port)) && fields.nth(1) == Some("0A")
    };
    table.lines().filter(listens).count()
}

#[test]
fn a_port_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.stop();
    world.config.listen = taken.local_addr().unwrap();
    assert!(matches!(world.start(), Err(EdgeError::Listen { .. })));
}

#[test]
fn an_edge_that_is_away_is_unreachable_and_found_again() {
    let upstream = Upstream::named("one");
    let mut world = World::new();
    let one = route(1, 1).stable(1, 100, &[upstream.address]);
    let router = world.router();
    let before = world.runtime.block_on(router.apply(&one)).unwrap();
    world.stop();
    let away = world.runtime.block_on(router.observed(&slot()));
    assert!(matches!(away, Err(RouterError::Unreachable(_))), "{away:?}");
    world.start().unwrap();
    assert_eq!(world.runtime.block_on(router.observed(&slot())).unwrap(), Some(before));
}

#[test]
fn a_stale_socket_of_a_killed_edge_is_replaced() {
    let mut world = World::new();
    world.stop();
    drop(std::os::unix::net::UnixListener::bind(&world.config.admin_socket).unwrap());
    assert!(world.config.admin_socket.exists());
    world.start().unwrap();
    assert_eq!(world.state().pid, std::process::id());
}
