//! Who leaves a route gets nothing new, and is waited for.

use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use grit_rollout::Drained;
use grit_types::Revision;

use crate::client::head;
use crate::upstream::{Upstream, reply};
use crate::world::{With, World, eventually, instance, route};

/// An upstream that answers when told to.
fn held() -> (Upstream, mpsc::Sender<()>) {
    let (answer, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        while head(&mut stream).is_ok() {
            wait.lock().unwrap().recv().unwrap();
            stream.get_mut().write_all(&reply(200, "late")).unwrap();
        }
    });
    (upstream, answer)
}

#[test]
fn a_drain_waits_for_what_is_in_flight() {
    let (old, answer) = held();
    let new = Upstream::named("new");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[old.address]));
    let leaving = [instance(1, old.address)];
    assert_eq!(world.drained(&leaving, Duration::ZERO), Drained::Empty);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| world.client().get("/").text().to_owned());
        eventually("it is in flight", || world.stats().revisions[&Revision(1)].in_flight == 1);
        // It has left the route, and is still waited for.
        world.apply(&route(1, 2).stable(2, 100, &[new.address]));
        assert_eq!(world.client().get("/").text(), "new");
        let cut = world.drained(&leaving, Duration::from_millis(50));
        assert_eq!(cut, Drained::Cut { in_flight: 1 });
        let drained = scope.spawn(|| world.drained(&leaving, Duration::from_secs(60)));
        answer.send(()).unwrap();
        assert_eq!(drained.join().unwrap(), Drained::Empty);
        assert_eq!(late.join().unwrap(), "late");
    });
}

#[test]
fn unused_connections_to_who_left_are_closed() {
    let closed = Arc::new(AtomicBool::new(false));
    let noticed = Arc::clone(&closed);
    let old = Upstream::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        while head(&mut stream).is_ok() {
            stream.get_mut().write_all(&reply(200, "old")).unwrap();
        }
        noticed.store(true, SeqCst);
    });
    let new = Upstream::named("new");
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[old.address]));
    assert_eq!(world.client().get("/").text(), "old");
    assert!(!closed.load(SeqCst));
    world.apply(&route(1, 2).stable(2, 100, &[new.address]));
    eventually("the connection is closed", || closed.load(SeqCst));
}

#[test]
fn replacing_every_instance_under_load_loses_nothing() {
    let world = World::new();
    let mut serving = Upstream::named("one");
    world.apply(&route(1, 1).stable(1, 100, &[serving.address]));
    let over = AtomicBool::new(false);
    let (served, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (world, over, served, lost) = (&world, &over, &served, &lost);
            scope.spawn(move || {
                let mut client = world.client();
                while !over.load(SeqCst) {
                    let reply = client.request("POST", "/", b"body");
                    let fine = reply.is_ok_and(|reply| reply.status == 200);
                    [lost, served][usize::from(fine)].fetch_add(1, SeqCst);
                }
            });
        }
        for sequence in 2..=50 {
            let next = Upstream::named("one");
            world.apply(&route(1, sequence).stable(1, 100, &[next.address]));
            let leaving = [instance(1, serving.address)];
            assert_eq!(world.drained(&leaving, Duration::from_secs(60)), Drained::Empty);
            // Drained means that it may die.
            serving.die();
            serving = next;
        }
        over.store(true, SeqCst);
    });
    assert_eq!(lost.load(SeqCst), 0, "of {}", served.load(SeqCst));
}
