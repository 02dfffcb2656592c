use std::fs;
use std::process::{Command, Stdio};

use grit_rollout::{Instance, InstanceSet, InstanceState, Target};
use grit_target::process::{OpenError, ProcessTarget};

use crate::ground::{effect, slot};
use crate::world::{
    NO_PROCESS, World, ensure, fixture, get, kill, patiently, pid, states, stop, until,
};

/// Has two instances started by a process that is then killed.
async fn owned_by_one_that_died(world: &World) {
    let mut owner =
        Command::new(fixture()).arg("own").arg(world.data()).stdin(Stdio::null()).spawn().unwrap();
    let owned = world.data().join("owned");
    until("owned", || fs::read_to_string(&owned).is_ok_and(|text| text.starts_with("Ok"))).await;
    owner.kill().unwrap();
    owner.wait().unwrap();
}

fn sorted(mut instances: Vec<Instance>) -> Vec<Instance> {
    instances.sort_by_key(|instance| instance.id);
    instances
}

#[tokio::test]
async fn instances_outlive_their_owner() {
    let world = World::new();
    owned_by_one_that_died(&world).await;
    let before = world.processes();
    assert_eq!(before.len(), 2);

    let target = world.open().await;
    assert_eq!(target.adoption().adopted.len(), 2);
    assert_eq!(target.adoption().restarted, []);
    let first = &world.last_report("adopted", |_| true).await;
    assert_eq!(states(first), [InstanceState::Ready; 2], "what was ready is, until it fails");
    let now = sorted(patiently("ready", target.ensure(&effect(1), &world.set())).await.unwrap());
    assert_eq!(&now, first);
    let mut pids = [pid(&now[0]).await, pid(&now[1]).await];
    pids.sort_unstable();
    assert_eq!(pids, before[..], "the same processes");
    assert!(now.iter().all(|instance| instance.restarts == 0));

    // Health and death are watched as before.
    get(&now[0].address, "/health/500").await;
    world.last_report("sick", |all| all[0].state == InstanceState::Unhealthy).await;
    kill(pid(&now[1]).await);
    let again = world
        .last_report("again", |all| all[1].restarts == 1 && all[1].state == InstanceState::Ready)
        .await;
    assert_eq!(again[1].address, now[1].address);
    stop(&target, &[]).await.unwrap();
    assert_eq!(world.processes(), NO_PROCESS);
}

#[tokio::test]
async fn what_died_meanwhile_is_started_again_and_reported() {
    let world = World::new();
    owned_by_one_that_died(&world).await;
    let [dead, alive] = world.processes().try_into().unwrap();
    kill(dead);
    until("dead", || world.processes() == [alive]).await;

    let target = world.open().await;
    let adoption = target.adoption();
    assert_eq!((adoption.adopted.len(), adoption.restarted.len()), (1, 1));
    until("reported", || !world.recorder.reports().is_empty()).await;
    let (_, first) = world.recorder.reports()[0].clone();
    let lost = first.iter().find(|instance| instance.id == adoption.restarted[0]).unwrap();
    assert_eq!((lost.state, lost.restarts), (InstanceState::Starting, 1));
    assert_eq!(lost.reason.as_deref(), Some("ended while nobody supervised it"));
    world.last_report("ready", |all| states(all) == [InstanceState::Ready; 2]).await;
}

#[tokio::test]
async fn a_process_without_a_record_is_ended() {
    let world = World::new();
    owned_by_one_that_died(&world).await;
    let lost = world.recorded()[0].clone();
    fs::remove_dir_all(world.root().join(&lost)).unwrap();

    let target = world.open().await;
    let [orphan] = target.adoption().orphans.as_slice() else {
        panic!("{:?}", target.adoption());
    };
    assert_eq!((&orphan.instance, orphan.pids.len()), (&lost, 1));
    assert_eq!(world.processes().len(), 1);
    assert!(!world.processes().contains(&orphan.pids[0]));
}

#[tokio::test]
async fn processes_of_another_data_folder_are_none_of_ours() {
    let (world, other) = (World::new(), World::new());
    let target = world.open().await;
    ensure(&target, &world.set()).await;
    let opened = other.open().await;
    assert_eq!(opened.adoption(), &grit_target::process::Adoption::default());
    assert_eq!(world.processes().len(), 2);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_set_aside_with_its_process() {
    let world = World::new();
    owned_by_one_that_died(&world).await;
    let [bad, good] = world.recorded().try_into().unwrap();
    fs::write(world.root().join(&bad).join("record.json"), r#"{"v":1,"slot""#).unwrap();

    let target = world.open().await;
    let adoption = target.adoption();
    assert_eq!(adoption.quarantined, [world.root().join(".quarantine").join(&bad)]);
    assert_eq!(adoption.orphans[0].instance, bad);
    assert_eq!(world.recorded(), [good]);
    assert_eq!(world.processes().len(), 1);
    assert_eq!(ensure(&target, &world.set()).await.len(), 2, "the other is replaced");
}

#[tokio::test]
async fn a_record_of_a_later_version_stops_the_opening_and_nothing_else() {
    let world = World::new();
    owned_by_one_that_died(&world).await;
    let before = world.processes();
    let record = world.root().join(&world.recorded()[0]).join("record.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replacen(r#""v":1"#, r#""v":2"#, 1)).unwrap();
    let refused = ProcessTarget::open(world.config()).await.err();
    assert!(matches!(refused, Some(OpenError::Newer { found: 2, .. })), "{refused:?}");
    assert_eq!(world.processes(), before);
}

#[tokio::test]
async fn a_folder_has_one_owner() {
    let world = World::new();
    let target = world.open().await;
    ensure(&target, &world.set()).await;
    let refused = ProcessTarget::open(world.config()).await.err();
    assert!(matches!(refused, Some(OpenError::InUse { .. })), "{refused:?}");
    target.close().await;
    let closed = target.observe(&slot()).await;
    assert!(closed.is_err());
    drop(target);
    let next = world.open().await;
    assert_eq!(next.adoption().adopted.len(), 2);
}

#[tokio::test]
async fn one_that_was_recorded_and_never_started_is_started() {
    let world = World::new();
    let target = world.open().await;
    let one = InstanceSet { replicas: 1, ..world.set() };
    let [instance] = ensure(&target, &one).await.try_into().unwrap();
    target.close().await;
    drop(target);
    // As if the owner had died between the two.
    kill(world.processes()[0]);
    fs::remove_file(world.folder(instance.id).join("process.json")).unwrap();
    fs::remove_dir_all(world.folder(instance.id).join("root")).unwrap();
    fs::create_dir(world.folder(instance.id).join("root.tmp")).unwrap();
    fs::create_dir(world.root().join("ins_00000000000000000000000000")).unwrap();

    let target = world.open().await;
    assert_eq!(target.adoption().started, [instance.id]);
    let [again] = ensure(&target, &one).await.try_into().unwrap();
    assert_eq!(again.id, instance.id);
    assert_eq!(world.recorded(), [instance.id.to_string()]);
}
