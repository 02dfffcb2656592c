use grit_rollout::{InstanceSet, InstanceState, Target};

use crate::ground::{effect, slot};
use crate::world::{NO_PROCESS, World, ensure, get, kill, patiently, pid, states, try_get, until};

fn one(world: &World) -> InstanceSet {
    InstanceSet { replicas: 1, ..world.set() }
}

#[tokio::test]
async fn a_death_is_reported_and_the_instance_started_again() {
    let world = World::new();
    let target = world.open().await;
    let [before] = ensure(&target, &one(&world)).await.try_into().unwrap();
    let old = pid(&before).await;
    let _ = try_get(&before.address, "/exit/7").await;
    let now = world.last_report("again", |all| all[0].restarts == 1).await;
    assert_eq!(now[0].id, before.id);
    let now = world
        .last_report("ready again", |all| {
            all[0].state == InstanceState::Ready && all[0].restarts == 1
        })
        .await;
    assert_eq!(now[0].address, before.address, "its port served it well");
    assert_ne!(pid(&now[0]).await, old);
    let died = world.recorder.reports().into_iter().any(|(_, all)| {
        all[0].state == InstanceState::Starting
            && all[0].reason.as_deref() == Some("ended with exit code 7")
    });
    assert!(died, "{:?}", world.recorder.reports());
}

#[tokio::test]
async fn what_a_dead_instance_leaves_behind_is_ended() {
    let world = World::new();
    let target = world.open().await;
    let script = "sleep 600 & exec ./server serve";
    let set = InstanceSet { replicas: 1, ..world.set_of_shell(script) };
    let [instance] = ensure(&target, &set).await.try_into().unwrap();
    kill(pid(&instance).await);
    world
        .last_report("ready again", |all| {
            all[0].state == InstanceState::Ready && all[0].restarts == 1
        })
        .await;
    assert_eq!(world.processes().len(), 2, "one shell's, not two's");
}

#[tokio::test]
async fn dying_again_and_again_ends_in_failed_and_is_replaced_when_asked() {
    let world = World::new();
    let target = world.open().await;
    // Well only as long as the file is there.
    let well = world.data().join("well");
    std::fs::write(&well, "").unwrap();
    let script = format!("[ -e {} ] && exec ./server serve; exit 5", well.display());
    let set = InstanceSet { replicas: 1, ..world.set_of_shell(&script) };
    let [instance] = ensure(&target, &set).await.try_into().unwrap();
    std::fs::remove_file(&well).unwrap();
    kill(pid(&instance).await);
    let failed = world.last_report("failed", |all| states(all) == [InstanceState::Failed]).await;
    assert_eq!(failed[0].id, instance.id);
    assert!(failed[0].reason.as_ref().unwrap().contains("exit code 5"), "{failed:?}");
    assert_eq!(target.observe(&slot()).await.unwrap(), failed, "it is not gone");
    assert_eq!(world.processes(), NO_PROCESS);

    std::fs::write(&well, "").unwrap();
    let [new] =
        patiently("ready", target.ensure(&effect(3), &set)).await.unwrap().try_into().unwrap();
    assert_ne!(new.id, instance.id);
    until("the failed one gone", || world.recorded() == [new.id.to_string()]).await;
}

#[tokio::test]
async fn health_goes_and_comes_back() {
    let world = World::new();
    let target = world.open().await;
    let [instance] = ensure(&target, &one(&world)).await.try_into().unwrap();
    get(&instance.address, "/health/503").await;
    let sick = world.last_report("sick", |all| states(all) == [InstanceState::Unhealthy]).await;
    assert_eq!(sick[0].reason.as_deref(), Some("GET /health: answered 503"));
    get(&instance.address, "/health/204").await;
    let well = world.last_report("well", |all| states(all) == [InstanceState::Ready]).await;
    assert_eq!((well[0].restarts, well[0].reason.clone()), (0, None));
}

#[tokio::test]
async fn a_port_that_somebody_took_meanwhile_is_given_up() {
    let world = World::new();
    let target = world.open().await;
    // The first start finds its port in use, as if somebody had been faster.
    let seen = world.data().join("seen");
    let script = format!("if mkdir {}; then exit 98; else exec ./server serve; fi", seen.display());
    let set = InstanceSet { replicas: 1, ..world.set_of_shell(&script) };
    let [instance] = ensure(&target, &set).await.try_into().unwrap();
    assert_eq!(instance.restarts, 1);
    assert_eq!(instance.state, InstanceState::Ready);
}
