use std::time::Duration;

use grit_rollout::{InstanceSet, InstanceState, Target};

use crate::ground::slot;
use crate::world::{NO_PROCESS, World, ensure, patiently, stop, stop_within, try_get, until};

#[tokio::test]
async fn one_that_drains_is_given_its_time() {
    let world = World::new();
    let target = world.open().await;
    let script = "./server serve & trap 'echo drained; exit 0' TERM; wait";
    let one = InstanceSet { replicas: 1, ..world.set_of_shell(script) };
    let [instance] = ensure(&target, &one).await.try_into().unwrap();
    stop(&target, &[instance.id]).await.unwrap();
    let log = target.read_log(&slot(), instance.id, 0, 100).await.unwrap();
    assert_eq!(log.bytes, b"drained\n");
    assert!(try_get(&instance.address, "/health").await.is_err());
    assert_eq!(world.recorded(), Vec::<String>::new());
    let reported = world.recorder.reports();
    let stopping =
        |all: &[grit_rollout::Instance]| all.iter().any(|i| i.state == InstanceState::Stopping);
    assert!(reported.iter().any(|(_, all)| stopping(all)));
    assert_eq!(reported.last().unwrap().1, [], "the last report says that it is gone");
}

#[tokio::test]
async fn one_that_ignores_being_asked_is_killed() {
    let world = World::new();
    let target = world.open().await;
    let one =
        InstanceSet { replicas: 1, ..world.set_of_shell("trap '' TERM; exec ./server serve") };
    ensure(&target, &one).await;
    stop_within(&target, &[], Duration::from_millis(50)).await.unwrap();
    assert_eq!(world.processes(), NO_PROCESS);
    assert_eq!(world.recorded(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_being_stopped_goes_on_being_stopped() {
    let world = World::new();
    let target = world.open().await;
    let go = world.data().join("go");
    let script = format!(
        "./server serve & trap 'until [ -e {} ]; do sleep 0.01; done; exit' TERM; wait",
        go.display()
    );
    let one = InstanceSet { replicas: 1, ..world.set_of_shell(&script) };
    let [instance] = ensure(&target, &one).await.try_into().unwrap();
    let stopping = tokio::time::timeout(Duration::from_millis(50), stop(&target, &[])).await;
    assert!(stopping.is_err(), "it drains until it may go");
    until("recorded", || {
        let record = world.folder(instance.id).join("record.json");
        std::fs::read_to_string(record).unwrap().contains(r#""state":"stopping""#)
    })
    .await;
    target.close().await;

    let target = world.open().await;
    assert_eq!(target.adoption().stopping, [instance.id]);
    let seen = target.observe(&slot()).await.unwrap();
    assert_eq!(seen[0].state, InstanceState::Stopping);
    std::fs::write(&go, "").unwrap();
    stop(&target, &[]).await.unwrap();
    assert_eq!(world.recorded(), Vec::<String>::new());
}

#[tokio::test]
async fn many_stops_and_ensures_at_once_end_in_order() {
    let world = World::new();
    let target = world.open().await;
    ensure(&target, &world.set()).await;
    let drain = crate::world::DRAIN;
    let (effect, slot) = (crate::ground::effect(2), slot());
    let stop = || target.stop(&effect, &slot, grit_types::Revision(1), &[], drain);
    let (a, b, c) = patiently("gone", async { tokio::join!(stop(), stop(), stop()) }).await;
    for stopped in [a, b, c] {
        stopped.unwrap();
    }
    let set = world.set();
    let ensure = || target.ensure(&effect, &set);
    let (a, b) = patiently("ready", async { tokio::join!(ensure(), ensure()) }).await;
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(world.recorded().len(), 2);
}
