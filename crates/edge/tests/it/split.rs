//! Shares of traffic, and what a change of them costs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use grit_types::Revision;

use crate::upstream::Upstream;
use crate::world::{With, World, route};

/// How many of `requests` the canary gets, over several connections.
fn canary_share(percent: u8, requests: usize) -> f64 {
    let (stable, canary) = (Upstream::named("stable"), Upstream::named("canary"));
    let world = World::new();
    let shares = route(1, 1).stable(1, 100 - percent, &[stable.address]);
    world.apply(&shares.canary(2, percent, &[canary.address]));
    let clients = 4;
    let hits = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = world.client();
                for _ in 0..requests / clients {
                    hits.fetch_add(usize::from(client.get("/").text() == "canary"), SeqCst);
                }
            });
        }
    });
    let totals = world.state().slots.remove(0).totals;
    assert_eq!(totals[&Revision(2)].requests, hits.load(SeqCst) as u64);
    assert_eq!(canary.requests(), hits.load(SeqCst));
    hits.load(SeqCst) as f64 * 100.0 / requests as f64
}

#[test]
fn five_percent_are_five_percent() {
    let share = canary_share(5, 10_000);
    assert!((share - 5.0).abs() <= 0.5, "{share} %");
}

#[test]
fn ten_percent_are_ten_percent() {
    let share = canary_share(10, 10_000);
    assert!((share - 10.0).abs() <= 0.5, "{share} %");
}

#[test]
fn endpoints_of_a_group_share_its_requests() {
    let upstreams = [(); 3].map(|()| Upstream::named("one"));
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &upstreams.each_ref().map(|u| u.address)));
    let mut client = world.client();
    (0..300).for_each(|_| assert_eq!(client.get("/").status, 200));
    for upstream in &upstreams {
        assert_eq!(upstream.requests(), 100);
    }
}

#[test]
fn two_hundred_changes_of_weight_under_load_lose_nothing() {
    let (stable, canary) = (Upstream::named("stable"), Upstream::named("canary"));
    let world = World::new();
    let shares = |sequence: u64, percent: u8| {
        let route = route(1, sequence).stable(1, 100 - percent, &[stable.address]);
        route.canary(2, percent, &[canary.address])
    };
    world.apply(&shares(1, 50));
    let over = AtomicBool::new(false);
    let (served, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (world, over, served, lost) = (&world, &over, &served, &lost);
            scope.spawn(move || {
                let mut client = world.client();
                // Other threads want the processor too.
                let think = std::time::Duration::from_micros(500);
                let method = if number % 2 == 0 { "GET" } else { "POST" };
                while !over.load(SeqCst) {
                    let body: &[u8] = if number % 2 == 0 { b"" } else { b"body" };
                    let reply = client.request(method, "/", body);
                    let fine = reply.is_ok_and(|reply| reply.status == 200);
                    [lost, served][usize::from(fine)].fetch_add(1, SeqCst);
                    std::thread::sleep(think);
                }
            });
        }
        for sequence in 2..=201 {
            let percent = [0, 5, 20, 50, 100][sequence as usize % 5];
            let observed = world.apply(&shares(sequence, percent));
            assert_eq!(observed.weights[&Revision(2)].percent(), f64::from(percent));
        }
        over.store(true, SeqCst);
    });
    assert_eq!(lost.load(SeqCst), 0, "of {}", served.load(SeqCst));
    let totals = world.state().slots.remove(0).totals;
    let counted: u64 = totals.values().map(|totals| totals.requests).sum();
    assert_eq!(counted, served.load(SeqCst) as u64);
}

#[test]
fn a_change_holds_for_the_request_after_its_answer() {
    let (stable, canary) = (Upstream::named("stable"), Upstream::named("canary"));
    let world = World::new();
    let mut clients = [(); 8].map(|()| world.client());
    for sequence in 1..=40 {
        let percent = if sequence % 2 == 0 { 100 } else { 0 };
        let expected = if percent == 100 { "canary" } else { "stable" };
        let shares = route(1, sequence).stable(1, 100 - percent, &[stable.address]);
        world.apply(&shares.canary(2, percent, &[canary.address]));
        for client in &mut clients {
            assert_eq!(client.get("/").text(), expected);
        }
    }
}
