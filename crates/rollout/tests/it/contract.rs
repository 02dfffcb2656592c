//! The fakes keep the contract of the ports.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use grit_rollout::contract::{self, Revisions};
use grit_rollout::fake::{FakeRouter, FakeTarget, Turn};
use grit_rollout::{Drained, InstanceState, Observer, Report, Target, TargetError, TrafficRouter};
use grit_types::{Clock, EffectId, EventId, InstanceId};

use crate::ground::{self, HandClock, fate, secs, set, slot};

/// Polls a future, and moves time on whenever it waits.
fn drive<T>(future: impl Future<Output = T>, mut move_on: impl FnMut()) -> T {
    const POLLS_MAX: usize = 10_000;
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        move_on();
    }
    panic!("it waits for nothing that comes with time");
}

fn router() -> (Arc<HandClock>, FakeRouter) {
    let clock = Arc::new(HandClock::default());
    (Arc::clone(&clock), FakeRouter::new(clock))
}

fn target() -> (Arc<HandClock>, FakeTarget) {
    let clock = Arc::new(HandClock::default());
    (Arc::clone(&clock), FakeTarget::new(clock, fate))
}

/// To when something is due next, else a second on.
fn move_on(clock: &HandClock, target: &FakeTarget) {
    clock.set(target.next_due().unwrap_or(clock.now().after(secs(1))));
    target.tick();
}

#[test]
fn the_fake_router_keeps_the_contract() {
    drive(contract::router(&router().1, &slot()), || panic!("it waits"));
}

#[test]
fn the_fake_routers_guard_keeps_the_contract() {
    let (_, router) = router();
    let addresses = ["127.0.0.1:1", "127.0.0.1:2"];
    let router = &router;
    let fail = || -> grit_types::BoxFuture<'_, ()> {
        Box::pin(async move {
            router.trip(&slot());
        })
    };
    drive(contract::guard(router, &slot(), addresses, &fail), || panic!("it waits"));
}

#[test]
fn a_drain_ends_with_the_last_request_or_at_its_deadline() {
    let (clock, router) = router();
    let busy = InstanceId::derived(clock.now(), b"busy");
    for (answered_after, expected) in [(3, Drained::Empty), (99, Drained::Cut { in_flight: 2 })] {
        router.with(|routes| routes.hold(busy, 2));
        let mut waited = 0;
        let drained = drive(router.drained(&slot(), &[busy], secs(10)), || {
            waited += 1;
            clock.set(clock.now().after(secs(1)));
            if waited == answered_after {
                router.with(|routes| routes.hold(busy, 0));
            }
            router.tick();
        });
        assert_eq!((drained.unwrap(), waited), (expected, answered_after.min(10)));
    }
}

#[test]
fn the_fake_target_keeps_the_contract() {
    let (clock, target) = target();
    let revisions =
        Revisions { good: set(1, "good"), failing: set(9, "failing"), hanging: set(7, "hung") };
    let pause = || -> grit_types::BoxFuture<'_, ()> {
        let mut paused = false;
        Box::pin(std::future::poll_fn(move |_| {
            if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
        }))
    };
    // Nothing is due for what hangs, so that the deadline is far away in looks.
    drive(contract::target(&target, &revisions, &pause), || move_on(&clock, &target));
}

#[test]
fn what_hangs_is_given_up_at_its_deadline() {
    let (clock, target) = target();
    let effect = EffectId { event: EventId::of(b"x"), index: 0 };
    let hung = set(7, "hung");
    let result = drive(target.ensure(&effect, &hung), || move_on(&clock, &target));
    assert!(matches!(result, Err(TargetError::NeverReady { .. })), "{result:?}");
    let waited = clock.now().since(ground::BEGIN);
    assert!(waited >= hung.run.health.deadline, "{waited:?}");
}

#[derive(Default)]
struct Reports(Mutex<Vec<Vec<InstanceState>>>);

impl Observer for Reports {
    fn report(&self, report: Report) {
        let Report::Instances { instances, .. } = report else { return };
        let states = instances.iter().map(|instance| instance.state).collect();
        self.0.lock().unwrap().push(states);
    }
}

#[test]
fn every_change_is_reported() {
    use InstanceState::{Ready, Starting, Stopping};
    let (clock, target) = target();
    let reports = Arc::new(Reports::default());
    let target = target.reporting(reports.clone());
    let (effect, good) = (EffectId { event: EventId::of(b"x"), index: 0 }, set(1, "good"));
    let ready = drive(target.ensure(&effect, &good), || move_on(&clock, &target)).unwrap();
    target.turn(ready[0].id, Turn::Die);
    move_on(&clock, &target);
    let all = target.stop(&effect, &good.slot, good.revision, &[], secs(1));
    drive(all, || move_on(&clock, &target)).unwrap();
    let expected = [
        vec![Starting, Starting],
        vec![Ready, Ready],
        vec![Starting, Ready],
        vec![Ready, Ready],
        vec![Stopping, Stopping],
        vec![],
    ];
    let mut seen = reports.0.lock().unwrap().clone();
    seen.iter_mut().for_each(|states| states.sort());
    assert_eq!(seen, expected);
}
