//! Beginning and end of an edge.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
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
    let wait = Mutex::new(wait);
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

/// Clients come all the time, each with a connection of its own, while edges with as many threads, more and fewer
/// follow one another.
#[test]
fn a_successor_takes_over_and_no_client_notices() {
    let upstream = Upstream::named("one");
    let mut world = World::with(|config| {
        config.takeover = Duration::from_secs(60);
        config.limits.shutdown_linger = Duration::from_secs(30);
        config.limits.shutdown_deadline = Duration::from_secs(60);
    });
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    world.config.listen = world.address();
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost = Mutex::new(Vec::new());
    let address = world.address();
    std::thread::scope(|scope| {
        let _over = Set(&over);
        scope.spawn(|| {
            while !over.load(SeqCst) {
                match one_request(address) {
                    Ok(()) => drop(answered.fetch_add(1, SeqCst)),
                    Err(error) => lost.lock().unwrap().push(error.to_string()),
                }
            }
        });
        for threads in [2, 4, 1] {
            let before = held(address);
            world.config.threads = threads;
            let config = world.config.clone();
            let successor = std::thread::spawn(move || Edge::bind(config));
            eventually("it holds the sockets, and waits", || holds_more(&before, &held(address)));
            world.stop();
            world.adopt(successor.join().unwrap().unwrap().spawn().unwrap());
            let so_far = answered.load(SeqCst);
            eventually("it answers", || answered.load(SeqCst) > so_far);
        }
    });
    let (lost, answered) = (lost.into_inner().unwrap(), answered.into_inner());
    assert_eq!(lost, Vec::<String>::new(), "beside {answered} that were answered");
}

/// Sets it however the test goes on.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn one_request(address: SocketAddr) -> std::io::Result<()> {
    let mut client = Client::try_connect(address)?;
    client.request("GET", "/", b"").map(|reply| assert_eq!(reply.text(), "one"))
}

/// Whether each socket of before has one holder more.
fn holds_more(before: &BTreeMap<u64, usize>, now: &BTreeMap<u64, usize>) -> bool {
    before.iter().all(|(socket, holders)| now.get(socket) == Some(&(holders + 1)))
}

/// The sockets that listen at the address, and how many descriptors of this process each has (proc(5)).
fn held(address: SocketAddr) -> BTreeMap<u64, usize> {
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listening = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listens = fields[1].ends_with(&port) && fields[3] == "0A";
        listens.then(|| fields[9].parse().unwrap())
    });
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links: Vec<_> = links.filter_map(|link| std::fs::read_link(link.path()).ok()).collect();
    let holders = |socket: u64| {
        let name = format!("socket:[{socket}]");
        links.iter().filter(|link| link.as_os_str() == name.as_str()).count()
    };
    listening.map(|socket| (socket, holders(socket))).collect()
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
