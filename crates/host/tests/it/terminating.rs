use std::fs;
use std::time::Duration;

use grit_host::{Ending, Exit, Launched, Session, record, session_members, sweep};

use crate::world::{World, ended, patiently, state, until};

/// Longer than any of these commands takes to go by itself.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

async fn end(launched: &Launched, grace: Duration) -> (Ending, Exit) {
    patiently("end", launched.terminate(grace)).await.unwrap()
}

#[tokio::test]
async fn command_may_clean_up_within_its_grace() {
    let world = World::new();
    // `sleep` is started after the signal, and must not get one.
    let script = "trap 'sleep 0.1 && touch cleaned; exit 7' TERM; touch ready
        for i in $(seq 6000); do sleep 0.01; done";
    let launched = world.run_until_ready(script).await;
    let (ending, exit) = end(&launched, LONG).await;
    assert_eq!((ending, exit), (Ending::Graceful, Exit::Code(7)));
    assert!(world.path("cleaned").exists());

    let again = end(&launched, LONG).await;
    assert_eq!(again, (Ending::AlreadyGone, Exit::Code(7)));
}

#[tokio::test]
async fn command_that_ignores_the_signal_is_killed() {
    let world = World::new();
    let script = "trap '' TERM; touch ready; for i in 1 2; do sleep 600; done";
    let launched = world.run_until_ready(script).await;
    let ended = end(&launched, SHORT).await;
    assert_eq!(ended, (Ending::Killed, Exit::Signal(9)));
    assert_eq!(world.marked(), []);
}

#[tokio::test]
async fn no_grace_kills_at_once() {
    let world = World::new();
    let script = "trap 'touch asked' TERM; touch ready; for i in $(seq 6000); do sleep 0.01; done";
    let launched = world.run_until_ready(script).await;
    let ended = end(&launched, Duration::ZERO).await;
    assert_eq!(ended, (Ending::Killed, Exit::Signal(9)));
    assert!(!world.path("asked").exists());
}

#[tokio::test]
async fn paused_command_stands_still_and_still_ends_gracefully() {
    let world = World::new();
    // Without children: a shell that waits for a stopped child to exec does not stop itself.
    let script = "ulimit -t 20; trap 'exit 0' TERM; touch ready; while :; do :; done";
    let launched = world.run_until_ready(script).await;
    let session = launched.session();
    let pid = session.leader().pid;
    session.pause().unwrap();
    until("stopped", || state(pid) == Some('T')).await;
    session.resume().unwrap();
    until("running", || state(pid) == Some('R')).await;

    session.pause().unwrap();
    until("stopped", || state(pid) == Some('T')).await;
    let ended = end(&launched, LONG).await;
    assert_eq!(ended, (Ending::Graceful, Exit::Code(0)));
}

/// Everything that a command can start and forget, within its session and out of it.
const FAMILY: &str = "
    sleep 601 &
    (sleep 602 &)
    (trap '' TERM; (sleep 603 &) )
    env -i /bin/sleep 604 &
    setsid sleep 605 &
    (setsid sh -c 'sleep 606 & sleep 607' &)
    set -m; sleep 608 &
    ";
const FAMILY_COUNT: usize = 9;

async fn grown(world: &World, session: &Session) -> Vec<u32> {
    until("family", || {
        let members = session.members().unwrap().into_iter();
        let is_sleep = |pid: u32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
            comm.is_ok_and(|comm| comm == "sleep\n")
        };
        members.filter(|member| is_sleep(member.pid)).count() == FAMILY_COUNT - 1
    })
    .await;
    let members = session.members().unwrap();
    assert!(members.len() >= world.marked().len());
    members.into_iter().map(|member| member.pid).collect()
}

fn assert_all_gone(pids: &[u32]) {
    for &pid in pids {
        let state = state(pid);
        assert!(matches!(state, None | Some('Z')), "{pid} is {state:?}");
    }
}

#[tokio::test]
async fn whole_family_is_ended() {
    let world = World::new();
    let launched = world.run(&format!("{FAMILY} wait")).await;
    let pids = grown(&world, launched.session()).await;
    let (ending, _) = end(&launched, SHORT).await;
    assert_eq!(ending, Ending::Killed);
    assert_all_gone(&pids);
    assert_eq!(world.marked(), []);
    assert_eq!(session_members(launched.session().leader().pid).unwrap(), []);
}

#[tokio::test]
async fn family_is_ended_after_its_head_is_gone() {
    let world = World::new();
    let launched = world.run(FAMILY).await;
    ended(&launched).await;
    let session = world.recorded().unwrap();
    assert!(!session.is_alive().unwrap());
    let pids = grown(&world, &session).await;
    assert_eq!(session.terminate(SHORT).await.unwrap(), Ending::Killed);
    assert_all_gone(&pids);
    assert_eq!(session.terminate(SHORT).await.unwrap(), Ending::AlreadyGone);
}

#[tokio::test]
async fn process_that_keeps_forking_and_ending_is_caught() {
    let world = World::new();
    // Ends by itself when the folder is gone, or after some seconds.
    let hop = "touch ready && sleep 0.002 && [ $LEFT -gt 0 ] || exit
        LEFT=$((LEFT - 1)) sh -c \"$HOP\" &";
    let spec = world.sh(hop).env("HOP", hop).env("LEFT", "2000");
    let launched = world.launch(spec).await.unwrap();
    ended(&launched).await;
    let session = launched.session();
    let sid = session.leader().pid;
    assert_eq!(session.terminate(Duration::ZERO).await.unwrap(), Ending::Killed);
    fs::remove_file(world.path("ready")).unwrap();
    // What hops on creates the file again at once.
    for _ in 0..20 {
        assert_eq!(session_members(sid).unwrap(), []);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!world.path("ready").exists());
}

/// The record of `victim` with a change: what a stale record says once its pid is another's.
fn forged(world: &World, victim: &Session, from: &str, to: &str) -> Session {
    let path = world.path("forged.json");
    let text = fs::read_to_string(world.record()).unwrap();
    let forged = text.replace(victim.marker().value(), "another").replacen(from, to, 1);
    assert_ne!(forged, text);
    fs::write(&path, forged).unwrap();
    record::read(&path).unwrap().unwrap()
}

#[tokio::test]
async fn stranger_with_the_same_pid_is_left_alone() {
    let world = World::new();
    let launched = world.run_until_ready("sleep 600 & touch ready; wait").await;
    let victim = launched.session();
    let leader = victim.leader();
    let start = format!("\"start_time\":{}", leader.start_time);
    let earlier = format!("\"start_time\":{}", leader.start_time - 1);
    let boot = format!("\"boot_id\":\"{}\"", leader.boot_id);
    for (from, to) in [(&start, &earlier), (&boot, &"\"boot_id\":\"x\"".to_owned())] {
        let stale = forged(&world, victim, from, to);
        assert!(!stale.is_alive().unwrap());
        assert_eq!(stale.members().unwrap(), []);
        stale.pause().unwrap();
        assert_eq!(stale.terminate(Duration::ZERO).await.unwrap(), Ending::AlreadyGone);
        patiently("wait for nothing", stale.wait_gone()).await.unwrap();
        assert!(victim.is_alive().unwrap());
        assert_eq!(victim.members().unwrap().len(), 2);
        assert_ne!(state(leader.pid), Some('T'));
    }
    // The other way round: the identity alone, without the marker, is enough.
    let unmarked = forged(&world, victim, "", "");
    assert_eq!(unmarked.terminate(Duration::ZERO).await.unwrap(), Ending::Killed);
    assert_eq!(ended(&launched).await, Exit::Signal(9));
}

#[tokio::test]
async fn record_of_an_earlier_boot_reaches_nobody_by_its_marker() {
    let world = World::new();
    let launched = world.run("exec sleep 600").await;
    let text = fs::read_to_string(world.record()).unwrap();
    let boot = launched.session().leader().boot_id.as_str();
    fs::write(world.path("old.json"), text.replace(boot, "earlier")).unwrap();
    let old = record::read(&world.path("old.json")).unwrap().unwrap();
    assert_eq!(old.terminate(Duration::ZERO).await.unwrap(), Ending::AlreadyGone);
    assert!(launched.session().is_alive().unwrap());
}

#[tokio::test]
async fn sweep_ends_exactly_what_is_marked() {
    let world = World::new();
    let start = async |name: &str| {
        let spec = grit_host::Spec::new("/bin/sh", world.marker_of(name))
            .args(["-c", "sleep 600 & wait"])
            .env("PATH", "/usr/bin:/bin");
        let record = world.path(name);
        let shim = crate::world::shim();
        grit_host::launch(spec, &record, &shim).await.unwrap()
    };
    let (one, other) = (start("one").await, start("other").await);
    until("both", || world.marked().len() == 4).await;
    let ending = sweep(one.session().marker(), LONG).await.unwrap();
    assert_eq!(ending, Ending::Graceful);
    assert_eq!(ended(&one).await, Exit::Signal(15));
    assert_eq!(other.session().members().unwrap().len(), 2);
    assert_eq!(sweep(one.session().marker(), LONG).await.unwrap(), Ending::AlreadyGone);
}
