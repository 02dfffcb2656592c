//! What is counted, and what is measured.

use std::time::Duration;

use grit_rollout::TrafficRouter;
use grit_types::Revision;

use crate::upstream::{Answer, Upstream, ok};
use crate::world::{With, World, route, slot};

#[test]
fn percentiles_are_those_of_the_answers() {
    let slow = Duration::from_millis(300);
    let upstream = Upstream::start(move |request| {
        if request.path() == "/slow" {
            std::thread::sleep(slow);
        }
        ok("one")
    });
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    let mut client = world.client();
    (0..50).for_each(|_| assert_eq!(client.get("/").status, 200));
    (0..4).for_each(|_| assert_eq!(client.get("/slow").status, 200));
    let stats = world.stats();
    let revision = &stats.revisions[&Revision(1)];
    assert_eq!((revision.requests, revision.failed(), revision.in_flight), (54, 0, 0));
    // A bucket's middle is off by a thirty-second at most.
    assert!(revision.p95 >= slow * 31 / 32 && revision.p99 >= revision.p95, "{revision:?}");
    assert!(revision.p50 <= revision.p95, "{revision:?}");
}

#[test]
fn answers_are_counted_by_revision_and_kind() {
    let stable = Upstream::named("stable");
    let canary = Upstream::start(|request| match request.path() {
        "/500" => Answer::Reply(500, String::new()),
        "/503" => Answer::Reply(503, String::new()),
        "/cut" => Answer::Close(Vec::new()),
        _ => Answer::Reply(404, String::new()),
    });
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 0, &[stable.address]).canary(2, 100, &[canary.address]));
    let mut client = world.client();
    for path in ["/500", "/503", "/404", "/404", "/cut"] {
        client.post(path, b"body");
    }
    let stats = world.stats();
    let canary = &stats.revisions[&Revision(2)];
    assert_eq!((canary.requests, canary.errors, canary.broken, canary.timeouts), (5, 2, 1, 0));
    assert_eq!(stats.revisions[&Revision(1)].requests, 0);
    let totals = &world.state().slots[0].totals[&Revision(2)];
    assert_eq!(totals.first_failure.as_ref().unwrap().request, "#1 POST /500 500");
    assert_eq!(totals.last_failure.as_ref().unwrap().request, "#5 POST /cut broken");
}

#[test]
fn totals_outlive_changes_of_weight_and_of_instances() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let world = World::new();
    for sequence in 1..=20 {
        let upstream = if sequence % 2 == 0 { &one } else { &two };
        let route = route(1, sequence).stable(1, 100, &[upstream.address]);
        world.apply(&route);
        assert_eq!(world.client().get("/").status, 200);
    }
    assert_eq!(world.state().slots[0].totals[&Revision(1)].requests, 20);
    assert_eq!(world.stats().revisions[&Revision(1)].requests, 20);
}

#[test]
fn a_window_says_how_much_it_covers() {
    let world = World::new();
    let asked = Duration::from_secs(100);
    let stats = world.runtime.block_on(world.router().stats(&slot(), asked)).unwrap();
    assert!(stats.window < asked, "{:?}", stats.window);
    assert!(stats.revisions.is_empty());
}
