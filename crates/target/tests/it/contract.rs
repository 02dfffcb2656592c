//! What every target keeps, whatever it runs instances on: see `grit_rollout::Target`.
//!
//! Each check gets a target without instances and two sets: one that becomes ready, one that never
//! does.

use std::time::Duration;

use grit_rollout::{InstanceSet, InstanceState, Target, TargetError};
use grit_types::{EffectId, EventId, Revision};

use crate::world::{DRAIN, NO_PROCESS, World, patiently};

fn effect(name: &str) -> EffectId {
    EffectId { event: EventId::of(name.as_bytes()), index: 0 }
}

async fn stop_all(target: &dyn Target, set: &InstanceSet) {
    let stop = target.stop(&effect("stop"), &set.slot, set.revision, &[], DRAIN);
    patiently("all gone", stop).await.unwrap();
}

pub async fn ensure_is_level_triggered(target: &dyn Target, good: &InstanceSet) {
    let first = patiently("ready", target.ensure(&effect("a"), good)).await.unwrap();
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|i| i.state == InstanceState::Ready && i.revision == good.revision));
    assert!(first.iter().all(|i| !i.address.is_empty() && i.restarts == 0));
    for name in ["a", "b"] {
        let again = patiently("ready", target.ensure(&effect(name), good)).await.unwrap();
        assert_eq!(again, first, "what is there stays");
    }
    let more = InstanceSet { replicas: 3, ..good.clone() };
    let grown = patiently("ready", target.ensure(&effect("c"), &more)).await.unwrap();
    assert_eq!(grown.len(), 3);
    assert!(first.iter().all(|instance| grown.contains(instance)));
    let fewer = patiently("ready", target.ensure(&effect("d"), good)).await.unwrap();
    assert_eq!(fewer, grown, "an ensure ends nothing");
    assert_eq!(target.observe(&good.slot).await.unwrap(), grown);
    stop_all(target, good).await;
}

pub async fn stop_ends_what_it_names_and_nothing_else(target: &dyn Target, good: &InstanceSet) {
    let other = InstanceSet { revision: Revision(good.revision.0 + 1), ..good.clone() };
    let ours = patiently("ready", target.ensure(&effect("a"), good)).await.unwrap();
    let others = patiently("ready", target.ensure(&effect("b"), &other)).await.unwrap();
    let named = [ours[0].id, others[0].id];
    for _ in 0..2 {
        let stop = target.stop(&effect("c"), &good.slot, good.revision, &named, DRAIN);
        patiently("gone", stop).await.unwrap();
        let left = target.observe(&good.slot).await.unwrap();
        let mut left: Vec<_> = left.into_iter().map(|instance| instance.id).collect();
        left.sort();
        let mut expected = vec![ours[1].id, others[0].id, others[1].id];
        expected.sort();
        assert_eq!(left, expected, "stopped once or twice: those named, of that revision");
    }
    stop_all(target, good).await;
    let left = target.observe(&good.slot).await.unwrap();
    assert!(left.iter().all(|instance| instance.revision == other.revision));
    assert_eq!(left.len(), 2);
    stop_all(target, &other).await;
    assert_eq!(target.observe(&good.slot).await.unwrap(), []);
}

pub async fn what_never_gets_ready_is_gone_again(
    target: &dyn Target,
    good: &InstanceSet,
    bad: &InstanceSet,
) {
    let stable = patiently("ready", target.ensure(&effect("a"), good)).await.unwrap();
    for name in ["b", "b", "c"] {
        let refused = patiently("refused", target.ensure(&effect(name), bad)).await;
        let Err(TargetError::NeverReady { slot, revision, reason }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((slot, revision), (bad.slot.clone(), bad.revision));
        assert!(!reason.is_empty());
        assert_eq!(target.observe(&good.slot).await.unwrap(), stable);
    }
    stop_all(target, good).await;
}

pub async fn stop_ends_an_ensure_that_waits(target: &dyn Target, slow: &InstanceSet) {
    let waiting = effect("a");
    let ensure = target.ensure(&waiting, slow);
    let stop = async {
        loop {
            let seen = target.observe(&slow.slot).await.unwrap();
            if seen.len() == 2 {
                assert!(seen.iter().all(|instance| instance.state == InstanceState::Starting));
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        target.stop(&effect("b"), &slow.slot, slow.revision, &[], DRAIN).await
    };
    let (ended, stopped) = patiently("both", async { tokio::join!(ensure, stop) }).await;
    assert!(matches!(ended, Err(TargetError::Unable { .. })), "{ended:?}");
    stopped.unwrap();
    assert_eq!(target.observe(&slow.slot).await.unwrap(), []);
}

pub async fn nothing_is_no_error(target: &dyn Target, good: &InstanceSet) {
    assert_eq!(target.observe(&good.slot).await.unwrap(), []);
    stop_all(target, good).await;
    let none = InstanceSet { replicas: 0, ..good.clone() };
    assert_eq!(target.ensure(&effect("a"), &none).await.unwrap(), []);
}

#[tokio::test]
async fn process_target_keeps_the_contract() {
    let world = World::new();
    let target = world.open().await;
    let good = world.set_with(&[]);
    let bad = InstanceSet { revision: Revision(9), ..world.set_with(&[("EXIT_AT_START", "3")]) };
    let slow = InstanceSet { revision: Revision(7), ..world.set_with(&[("HEALTH", "503")]) };
    nothing_is_no_error(&*target, &good).await;
    ensure_is_level_triggered(&*target, &good).await;
    stop_ends_what_it_names_and_nothing_else(&*target, &good).await;
    what_never_gets_ready_is_gone_again(&*target, &good, &bad).await;
    stop_ends_an_ensure_that_waits(&*target, &slow).await;
    assert_eq!(world.recorded(), Vec::<String>::new());
    assert_eq!(world.processes(), NO_PROCESS);
}
