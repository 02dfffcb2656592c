use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use grit_host::{Ending, ProcessId, find_marked, record};

use crate::world::{MARKER_KEY, World, patiently, until};

const LONG: Duration = Duration::from_secs(30);

/// Launches `script` from a process of its own, which is then killed.
async fn launched_by_a_controller_that_died(world: &World, script: &str) {
    let mut controller = controller(world, script);
    until("ready", || world.path("ready").exists()).await;
    controller.kill().unwrap();
    controller.wait().unwrap();
}

fn controller(world: &World, script: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_grit-host-controller"))
        .arg(env!("CARGO_BIN_EXE_grit-host-shim"))
        .args([world.record(), world.path("log")])
        .arg(world.marker().value())
        .args(["/bin/sh", "-c", &format!("cd '{}'; {script}", world.path("").display())])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn instance_outlives_its_controller_and_is_adopted() {
    let world = World::new();
    let script = "trap 'echo bye; exit 0' TERM; touch ready; for i in $(seq 6000); do echo x; sleep 0.01; done";
    launched_by_a_controller_that_died(&world, script).await;

    let adopted = world.recorded().unwrap();
    assert!(adopted.is_alive().unwrap());
    assert_eq!(adopted.marker(), world.marker());
    let written = || fs::metadata(world.path("log")).unwrap().len();
    let before = written();
    until("still writing", || written() > before).await;

    let gone = tokio::spawn({
        let adopted = adopted.clone();
        async move { adopted.wait_gone().await }
    });
    assert_eq!(adopted.terminate(LONG).await.unwrap(), Ending::Graceful);
    patiently("gone", gone).await.unwrap().unwrap();
    assert!(world.read("log").ends_with("bye\n"));
    assert!(!adopted.is_alive().unwrap());
}

#[tokio::test]
async fn end_of_an_adopted_instance_is_noticed() {
    let world = World::new();
    let script = "touch ready; until [ -e go ]; do sleep 0.01; done";
    launched_by_a_controller_that_died(&world, script).await;
    let adopted = world.recorded().unwrap();
    let gone = adopted.wait_gone();
    tokio::pin!(gone);
    let early = tokio::time::timeout(Duration::from_millis(20), &mut gone).await;
    assert!(early.is_err(), "{early:?}");
    assert!(adopted.is_alive().unwrap());

    fs::write(world.path("go"), "").unwrap();
    patiently("gone", gone).await.unwrap();
    assert!(!adopted.is_alive().unwrap());
    assert_eq!(adopted.terminate(LONG).await.unwrap(), Ending::AlreadyGone);
}

#[tokio::test]
async fn orphan_is_a_marked_process_without_a_record() {
    let world = World::new();
    let launched = world.run("exec sleep 600").await;
    record::remove(&world.record()).unwrap();
    assert_eq!(world.recorded(), None);

    let marked = find_marked(MARKER_KEY, world.marker().value()).unwrap();
    let [orphan] = marked.as_slice() else {
        panic!("{marked:?}");
    };
    assert_eq!(&orphan.process, launched.session().leader());
    assert_eq!(orphan.session, orphan.process.pid);
    assert_eq!(orphan.value, world.marker().value());
    assert_eq!(find_marked("GRIT_TES", world.marker().value()).unwrap(), []);
}

#[tokio::test]
async fn zombie_is_not_alive() {
    let mut child = Command::new("/bin/true").spawn().unwrap();
    let pid = child.id();
    until("zombie", || crate::world::state(pid) == Some('Z')).await;
    assert_eq!(ProcessId::of(pid).unwrap(), None);
    child.wait().unwrap();
}
