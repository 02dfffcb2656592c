use std::pin::pin;
use std::task::Poll;

use grit_types::{EffectId, EventId, InstanceId, Revision};

use super::Turn;
use crate::{Instance, InstanceSet, InstanceState, Target, TargetError};

/// Revisions of one slot to try a target with, two replicas each, by what becomes of them.
pub struct Revisions {
    pub good: InstanceSet,
    /// Fails for good.
    pub failing: InstanceSet,
    /// Starts, and comes no further while the test takes.
    pub hanging: InstanceSet,
}

/// Runs the contract on a target without instances. `pause` is asked for between two looks at
/// what is there; the slot is empty again when it ends.
pub async fn target(target: &dyn Target, revisions: &Revisions, pause: Turn<'_>) {
    let Revisions { good, failing, hanging } = revisions;
    nothing_is_no_error(target, good).await;
    ensure_is_level_triggered(target, good).await;
    stop_ends_what_it_names_and_nothing_else(target, revisions).await;
    what_never_gets_ready_is_gone_again(target, good, failing).await;
    stop_ends_an_ensure_that_waits(target, hanging, pause).await;
    assert_eq!(observe(target, good).await, []);
}

async fn nothing_is_no_error(target: &dyn Target, good: &InstanceSet) {
    assert_eq!(observe(target, good).await, []);
    stop(target, good, &[]).await;
    let none = InstanceSet { replicas: 0, ..good.clone() };
    assert_eq!(ensure(target, "none", &none).await, []);
}

async fn ensure_is_level_triggered(target: &dyn Target, good: &InstanceSet) {
    let first = ensure(target, "a", good).await;
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|i| i.state == InstanceState::Ready && i.revision == good.revision));
    assert!(first.iter().all(|i| !i.address.is_empty() && i.restarts == 0));
    for name in ["a", "b"] {
        assert_eq!(ensure(target, name, good).await, first, "what is there stays");
    }
    let more = InstanceSet { replicas: 3, ..good.clone() };
    let grown = ensure(target, "c", &more).await;
    assert_eq!(grown.len(), 3);
    assert!(first.iter().all(|instance| grown.contains(instance)));
    let fewer = ensure(target, "d", good).await;
    assert_eq!(fewer, grown, "an ensure ends nothing");
    assert_eq!(observe(target, good).await, grown);
    stop(target, good, &[]).await;
}

async fn stop_ends_what_it_names_and_nothing_else(target: &dyn Target, revisions: &Revisions) {
    let Revisions { good, failing, hanging } = revisions;
    let newest = good.revision.max(failing.revision).max(hanging.revision);
    let other = InstanceSet { revision: Revision(newest.0 + 1), ..good.clone() };
    let ours = ensure(target, "a", good).await;
    let others = ensure(target, "b", &other).await;
    let mut left = vec![ours[1].id, others[0].id, others[1].id];
    left.sort();
    for _ in 0..2 {
        stop(target, good, &[ours[0].id, others[0].id]).await;
        let mut seen: Vec<_> = observe(target, good).await.iter().map(|i| i.id).collect();
        seen.sort();
        assert_eq!(seen, left, "stopped once or twice: those named, of that revision");
    }
    stop(target, good, &[]).await;
    let seen = observe(target, good).await;
    assert!(seen.iter().all(|instance| instance.revision == other.revision));
    assert_eq!(seen.len(), 2);
    stop(target, &other, &[]).await;
    assert_eq!(observe(target, good).await, []);
}

async fn what_never_gets_ready_is_gone_again(
    target: &dyn Target,
    good: &InstanceSet,
    failing: &InstanceSet,
) {
    let stable = ensure(target, "a", good).await;
    for name in ["b", "b", "c"] {
        let refused = target.ensure(&effect(name), failing).await;
        let Err(TargetError::NeverReady { slot, revision, reason }) = refused else {
            panic!("what fails for good was waited for: {refused:?}");
        };
        assert_eq!((&slot, revision), (&failing.slot, failing.revision));
        assert!(!reason.is_empty());
        assert_eq!(observe(target, good).await, stable);
    }
    stop(target, good, &[]).await;
}

async fn stop_ends_an_ensure_that_waits(
    target: &dyn Target,
    hanging: &InstanceSet,
    pause: Turn<'_>,
) {
    let waiting = effect("a");
    let stops = async {
        loop {
            let seen = observe(target, hanging).await;
            if seen.len() == 2 {
                assert!(seen.iter().all(|instance| instance.state == InstanceState::Starting));
                break;
            }
            pause().await;
        }
        stop(target, hanging, &[]).await;
    };
    let (ended, ()) = both(target.ensure(&waiting, hanging), stops).await;
    assert!(matches!(ended, Err(TargetError::NeverReady { .. })), "{ended:?}");
    assert_eq!(observe(target, hanging).await, []);
}

fn effect(name: &str) -> EffectId {
    EffectId { event: EventId::of(name.as_bytes()), index: 0 }
}

async fn ensure(target: &dyn Target, name: &str, set: &InstanceSet) -> Vec<Instance> {
    target.ensure(&effect(name), set).await.expect("it becomes ready")
}

async fn observe(target: &dyn Target, set: &InstanceSet) -> Vec<Instance> {
    target.observe(&set.slot).await.expect("observe")
}

async fn stop(target: &dyn Target, set: &InstanceSet, named: &[InstanceId]) {
    let stop = target.stop(&effect("stop"), &set.slot, set.revision, named, set.run.drain);
    stop.await.expect("gone");
}

async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut left, mut right) = (None, None);
    std::future::poll_fn(move |context| {
        if left.is_none() {
            left = ready(a.as_mut().poll(context));
        }
        if right.is_none() {
            right = ready(b.as_mut().poll(context));
        }
        match (left.take(), right.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            unfinished => {
                (left, right) = unfinished;
                Poll::Pending
            }
        }
    })
    .await
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
