//! The guard moves traffic to stable by itself.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use grit_rollout::{Observer, Report, RouterError, Trip, TripCause};
use grit_types::{Revision, Weight};

use crate::client::Client;
use crate::upstream::{Answer, Upstream, nobody};
use crate::world::{With, World, eventually, route, slot};

/// A stable upstream, and one that answers 500.
fn pair() -> (Upstream, Upstream) {
    let failing = Upstream::start(|_| Answer::Reply(500, "no".to_owned()));
    (Upstream::named("stable"), failing)
}

fn send(client: &mut Client, count: usize) -> Vec<u16> {
    (0..count).map(|_| client.get("/catalogue").status).collect()
}

/// The trip, once it is noticed.
fn tripped(world: &World) -> Trip {
    eventually("the guard trips", || world.observed().trip.is_some());
    world.observed().trip.unwrap()
}

#[test]
fn the_guard_trips_on_errors_at_once() {
    let (stable, failing) = pair();
    let world = World::new();
    let split = route(7, 3).stable(1, 50, &[stable.address]).canary(2, 50, &[failing.address]);
    world.apply(&split.guarded(10, 20));
    let mut client = world.client();
    // The 20th request of the canary is its last: not one more gets there.
    let answers = send(&mut client, 200);
    assert_eq!(answers.iter().filter(|status| **status == 500).count(), 20);
    assert_eq!(failing.requests(), 20);
    let trip = tripped(&world);
    assert_eq!((trip.revision, trip.cause), (Revision(2), TripCause::Errors));
    assert_eq!((trip.requests, trip.failed, trip.fence.0), (20, 20, 7));
    let first = trip.first_failure.unwrap();
    assert!(first.starts_with('#') && first.ends_with(" GET /catalogue 500"), "{first}");
    let weights = world.observed().weights;
    assert_eq!(weights[&Revision(1)], Weight::FULL);
    assert_eq!(weights[&Revision(2)], Weight::ZERO);
}

#[test]
fn the_guard_trips_on_refused_connections_and_no_client_sees_one() {
    let stable = Upstream::named("stable");
    let world = World::new();
    let split = route(1, 1).stable(1, 80, &[stable.address]).canary(2, 20, &[nobody()]);
    world.apply(&split.guarded(10, 5));
    let answers = send(&mut world.client(), 60);
    assert!(answers.iter().all(|status| *status == 200));
    assert_eq!(tripped(&world).cause, TripCause::Connections);
}

#[test]
fn the_guard_trips_on_requests_that_hang() {
    let stable = Upstream::named("stable");
    let hung = Upstream::raw(|stream| {
        let mut stream = std::io::BufReader::new(stream);
        while crate::client::head(&mut stream).is_ok() {}
    });
    let world = World::new();
    let split = route(1, 1).stable(1, 0, &[stable.address]).canary(2, 100, &[hung.address]);
    world.apply(&split.guarded(10, 4).timeout(Duration::from_millis(200)));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(world.client().get("/").status, 504));
        }
    });
    let trip = tripped(&world);
    assert_eq!((trip.cause, trip.failed), (TripCause::Timeouts, 4));
    assert_eq!(world.client().get("/").text(), "stable");
}

#[test]
fn the_guard_trips_on_connections_that_break() {
    let stable = Upstream::named("stable");
    let breaking = Upstream::start(|_| Answer::Close(b"HTTP/1.1 200 OK\r\ncont".to_vec()));
    let world = World::new();
    let split = route(1, 1).stable(1, 50, &[stable.address]).canary(2, 50, &[breaking.address]);
    world.apply(&split.guarded(10, 5));
    let answers = send(&mut world.client(), 40);
    assert_eq!(answers.iter().filter(|status| **status == 502).count(), 5);
    let trip = tripped(&world);
    assert_eq!((trip.cause, trip.requests, trip.failed), (TripCause::Connections, 5, 5));
    assert!(trip.first_failure.unwrap().ends_with(" GET /catalogue broken"));
}

#[test]
fn evidence_names_the_path_and_keeps_the_query_to_itself() {
    let (stable, failing) = pair();
    let world = World::new();
    let split = route(1, 1).stable(1, 0, &[stable.address]).canary(2, 100, &[failing.address]);
    world.apply(&split.guarded(10, 2));
    let long = format!("/{}?token=s3cret", "x".repeat(2_000));
    let mut client = world.client();
    assert_eq!(client.get("/cart?token=s3cret").status, 500);
    assert_eq!(client.get(&long).status, 500);
    assert_eq!(tripped(&world).first_failure.as_deref(), Some("#1 GET /cart 500"));
    let totals = world.state().slots.remove(0).totals;
    let last = totals[&Revision(2)].last_failure.clone().unwrap();
    assert!(last.request.len() < 300 && !last.request.contains("s3cret"), "{last:?}");
}

#[test]
fn the_guard_waits_below_the_least_number_of_requests() {
    let (stable, failing) = pair();
    let world = World::new();
    let split = route(1, 1).stable(1, 50, &[stable.address]).canary(2, 50, &[failing.address]);
    world.apply(&split.guarded(10, 26));
    send(&mut world.client(), 50);
    assert_eq!(world.observed().trip, None);
    assert_eq!(failing.requests(), 25);
}

#[test]
fn failures_of_stable_trip_nothing() {
    let (fine, failing) = pair();
    let world = World::new();
    let split = route(1, 1).stable(1, 50, &[failing.address]).canary(2, 50, &[fine.address]);
    world.apply(&split.guarded(10, 5));
    send(&mut world.client(), 50);
    assert_eq!(world.observed().trip, None);
}

#[test]
fn without_stable_there_is_nowhere_to_go() {
    let (_, failing) = pair();
    let world = World::new();
    world.apply(&route(1, 1).canary(1, 100, &[failing.address]).guarded(10, 5));
    assert!(send(&mut world.client(), 50).iter().all(|status| *status == 500));
    assert_eq!(world.observed().trip, None);
}

#[test]
fn a_trip_survives_a_restart() {
    let (stable, failing) = pair();
    let mut world = World::new();
    let split = route(1, 1).stable(1, 50, &[stable.address]).canary(2, 50, &[failing.address]);
    world.apply(&split.guarded(10, 5));
    send(&mut world.client(), 50);
    let trip = tripped(&world);
    world.restart();
    assert_eq!(world.observed().trip, Some(trip));
    assert!(send(&mut world.client(), 50).iter().all(|status| *status == 200));
}

#[test]
fn a_trip_holds_under_its_fence_and_is_forgotten_under_the_next() {
    let (stable, failing) = pair();
    let world = World::new();
    let split = |fence, sequence, percent: u8| {
        let route = route(fence, sequence).stable(1, 100 - percent, &[stable.address]);
        route.canary(2, percent, &[failing.address]).guarded(10, 5)
    };
    world.apply(&split(1, 1, 50));
    send(&mut world.client(), 50);
    tripped(&world);
    // The same act again is answered with what holds.
    assert!(world.apply(&split(1, 1, 50)).trip.is_some());
    let more = world.try_apply(&split(1, 2, 50));
    assert!(matches!(more, Err(RouterError::Invalid { .. })), "{more:?}");
    let back = world.apply(&split(1, 2, 0));
    assert!(back.trip.is_some());
    let again = world.apply(&split(2, 1, 50));
    assert_eq!((again.trip, again.weights[&Revision(2)].percent()), (None, 50.0));
    // What failed under the old fence does not count under the new one.
    send(&mut world.client(), 8);
    assert_eq!(world.observed().trip, None);
    send(&mut world.client(), 8);
    assert!(tripped(&world).fence.0 == 2);
}

#[test]
fn a_trip_that_cannot_be_saved_is_followed_and_saved_later() {
    use std::sync::atomic::Ordering::SeqCst;
    let (stable, failing) = pair();
    let mut world = World::new();
    let split = route(1, 1).stable(1, 50, &[stable.address]).canary(2, 50, &[failing.address]);
    world.apply(&split.guarded(10, 5));
    world.full.store(true, SeqCst);
    send(&mut world.client(), 50);
    let trip = tripped(&world);
    assert_eq!(failing.requests(), 5);
    world.full.store(false, SeqCst);
    let saved = || {
        let bytes = std::fs::read(&world.config.snapshot).unwrap();
        String::from_utf8(bytes).unwrap().contains("first_failure")
    };
    eventually("the trip is saved", saved);
    world.restart();
    assert_eq!(world.observed().trip, Some(trip));
}

#[derive(Default)]
struct Reports(Mutex<Vec<Report>>);

impl Observer for Reports {
    fn report(&self, report: Report) {
        self.0.lock().unwrap().push(report);
    }
}

impl Reports {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[test]
fn trips_are_reported_as_they_happen_and_to_whoever_comes_later() {
    let (stable, failing) = pair();
    let mut world = World::new();
    let split = route(1, 1).stable(1, 50, &[stable.address]).canary(2, 50, &[failing.address]);
    world.apply(&split.guarded(10, 5));
    let early = Arc::new(Reports::default());
    let watching = world.runtime.spawn(world.router().watch(early.clone()));
    send(&mut world.client(), 50);
    eventually("it is reported", || early.count() == 1);
    let trip = tripped(&world);
    let expected = Report::Tripped { slot: slot(), trip };
    assert_eq!(early.0.lock().unwrap()[0], expected);
    let late = Arc::new(Reports::default());
    let joined = world.runtime.spawn(world.router().watch(late.clone()));
    eventually("it is reported again", || late.count() == 1);
    world.restart();
    eventually("and by the next edge", || early.count() == 2);
    assert_eq!(early.0.lock().unwrap()[1], expected);
    watching.abort();
    joined.abort();
}
