use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use grit_rollout::{InstanceSet, InstanceState, Target, TargetError};
use grit_types::Digest;

use crate::ground::{effect, slot};
use crate::world::{NO_PROCESS, World, ensure, env_of, get, kill, never_ready, patiently, pid};

#[tokio::test]
async fn an_instance_gets_exactly_its_environment() {
    let world = World::new();
    let target = world.open().await;
    let [first, second] = ensure(&target, &world.set()).await.try_into().unwrap();
    assert_ne!(first.address, second.address);
    let mut env = env_of(&first).await;
    let home = env.remove("HOME").unwrap();
    assert_eq!(home, world.folder(first.id).join("root").to_string_lossy());
    assert!(env.remove("PATH").is_some());
    // Set by the shell that the server is behind.
    assert_eq!(env.remove("PWD"), Some(home));
    assert!(env.remove("GRIT_UNIT").unwrap().ends_with(&format!("/{}", first.id)));
    assert_eq!(first.address, format!("127.0.0.1:{}", env.remove("PORT").unwrap()));
    let expected = [
        ("API_URL", "http://api.production.localhost"),
        ("GREETING", "hello"),
        ("GRIT_ENVIRONMENT", "production"),
        ("GRIT_INSTANCE", &first.id.to_string()),
        ("GRIT_SERVICE", "api"),
        ("GRIT_VERSION", "v1.0.0"),
        ("LANG", "C.UTF-8"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(env, expected.into());
}

#[tokio::test]
async fn what_it_says_is_in_its_log_and_stays_there() {
    let world = World::new();
    let target = world.open().await;
    let one = InstanceSet { replicas: 1, ..world.set() };
    let [instance] = ensure(&target, &one).await.try_into().unwrap();
    get(&instance.address, "/say/hello").await;
    get(&instance.address, "/say/again").await;
    crate::world::stop(&target, &[]).await.unwrap();
    let log = target.read_log(&slot(), instance.id, 6, 100).await.unwrap();
    assert_eq!((log.bytes.as_slice(), log.next, log.end), (&b"again\n"[..], 12, 12));
    let logs = target.logs_of(&slot()).await.unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!((logs[0].instance, logs[0].end), (instance.id, 12));
}

#[tokio::test]
async fn crash_at_start_names_status_and_last_lines() {
    let world = World::new();
    let target = world.open().await;
    let refused = target.ensure(&effect(1), &world.set_with(&[("EXIT_AT_START", "3")]));
    let reason = never_ready(patiently("refused", refused).await.unwrap_err());
    let expected = "died 3 times without becoming ready, the last time it ended with exit code 3; \
                    its last lines:\ncannot read its configuration\n";
    assert!(reason.starts_with(expected), "{reason}");
    assert_eq!(world.recorded(), Vec::<String>::new());
    assert_eq!(world.processes(), NO_PROCESS);
}

#[tokio::test]
async fn what_never_answers_is_too_late() {
    let world = World::new();
    let target = world.open().await;
    let mut set = world.set_with(&[("NEVER_LISTEN", "1")]);
    set.run.health.deadline = Duration::from_millis(300);
    let refused = patiently("refused", target.ensure(&effect(1), &set)).await;
    let reason = never_ready(refused.unwrap_err());
    assert!(reason.starts_with("not ready within 300ms: GET /health: "), "{reason}");
    assert_eq!(world.processes(), NO_PROCESS);
}

#[tokio::test]
async fn what_answers_badly_is_never_ready() {
    let world = World::new();
    let target = world.open().await;
    let mut set = world.set_with(&[("HEALTH", "500")]);
    set.run.health.deadline = Duration::from_millis(300);
    let refused = patiently("refused", target.ensure(&effect(1), &set)).await;
    let reason = never_ready(refused.unwrap_err());
    assert_eq!(reason, "not ready within 300ms: GET /health: answered 500");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_not_tried_twice() {
    let world = World::new();
    let target = world.open().await;
    let mut set = world.set();
    set.run.command = vec!["./nothing".into()];
    let refused = patiently("refused", target.ensure(&effect(1), &set)).await;
    let reason = never_ready(refused.unwrap_err());
    assert!(reason.starts_with("command `./nothing` not found"), "{reason}");
    let restarts = world.recorder.reports();
    assert!(restarts.iter().flat_map(|(_, all)| all).all(|instance| instance.restarts == 0));
    set.run.command.clear();
    let refused = patiently("refused", target.ensure(&effect(1), &set)).await;
    assert_eq!(never_ready(refused.unwrap_err()), "its command is empty");
}

#[tokio::test]
async fn one_bad_replica_of_two_takes_the_other_with_it() {
    let world = World::new();
    let target = world.open().await;
    // Whoever makes the folder first gets well.
    let luck = world.data().join("luck");
    let script = format!("mkdir {} && exec ./server serve; exit 4", luck.display());
    let refused =
        patiently("refused", target.ensure(&effect(1), &world.set_of_shell(&script))).await;
    assert!(never_ready(refused.unwrap_err()).contains("exit code 4"));
    assert_eq!(target.observe(&slot()).await.unwrap(), []);
    assert_eq!(world.processes(), NO_PROCESS);
}

#[tokio::test]
async fn an_artifact_that_is_missing_may_come() {
    let world = World::new();
    let target = world.open().await;
    let set = InstanceSet { artifact: Digest::of(b"missing"), ..world.set() };
    let refused = patiently("refused", target.ensure(&effect(1), &set)).await;
    let Err(TargetError::Unable { action, source }) = refused else { panic!("{refused:?}") };
    assert_eq!(action, "start revision 1 of api in production");
    assert!(source.to_string().ends_with("is not there"), "{source}");
    assert_eq!(world.recorded(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_record_nothing_is_started() {
    let world = World::new();
    let target = world.open().await;
    // Root writes anywhere, but not into a file.
    let is_root = rustix::process::geteuid().is_root();
    let root = world.root();
    if is_root {
        fs::rename(&root, world.data().join("aside")).unwrap();
        fs::write(&root, "").unwrap();
    } else {
        fs::set_permissions(&root, fs::Permissions::from_mode(0o500)).unwrap();
    }
    let refused = patiently("refused", target.ensure(&effect(1), &world.set())).await;
    assert!(matches!(refused, Err(TargetError::Unable { .. })), "{refused:?}");
    assert_eq!(target.observe(&slot()).await.unwrap(), []);
    assert_eq!(world.processes(), NO_PROCESS);
    if is_root {
        fs::remove_file(&root).unwrap();
        fs::rename(world.data().join("aside"), &root).unwrap();
    } else {
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    }
    assert_eq!(ensure(&target, &world.set()).await.len(), 2, "works again");
}

#[tokio::test]
async fn what_is_unhealthy_is_replaced_and_left_alone() {
    let world = World::new();
    let target = world.open().await;
    let [first, second] = ensure(&target, &world.set()).await.try_into().unwrap();
    let sick = pid(&first).await;
    get(&first.address, "/health/500").await;
    world
        .last_report("unhealthy", |all| {
            all.iter().any(|instance| instance.state == InstanceState::Unhealthy)
        })
        .await;
    let now = ensure(&target, &world.set()).await;
    assert_eq!(now.len(), 2);
    assert!(now.contains(&second) && now.iter().all(|instance| instance.id != first.id));
    assert_eq!(pid(&first).await, sick, "it still runs");
    kill(sick);
}
