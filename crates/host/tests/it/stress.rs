use grit_host::{Exit, launch};
use tokio::task::JoinSet;

use crate::world::{World, patiently, shim, state, until};

const LAUNCHES: u32 = 200;

/// A third each: waited for, dropped at once, and terminated.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_launches_leave_no_process_and_no_zombie() {
    let world = World::new();
    let mut launches = JoinSet::new();
    for number in 0..LAUNCHES {
        let script = if number % 3 == 2 { "sleep 600 & wait" } else { "(sleep 0.05 &) ; exit 5" };
        let spec = grit_host::Spec::new("/bin/sh", world.marker_of(&number.to_string()))
            .args(["-c", script])
            .env("PATH", "/usr/bin:/bin");
        let record = world.path(&format!("{number}.json"));
        launches.spawn(async move {
            let launched = launch(spec, &record, &shim()).await.unwrap();
            let pid = launched.session().leader().pid;
            match number % 3 {
                0 => assert_eq!(launched.wait().await.unwrap(), Exit::Code(5)),
                1 => drop(launched),
                _ => {
                    let patience = std::time::Duration::from_secs(30);
                    let (_, exit) = launched.terminate(patience).await.unwrap();
                    assert_eq!(exit, Exit::Signal(15));
                }
            }
            pid
        });
    }
    let pids = patiently("launches", launches.join_all()).await;
    assert_eq!(pids.len(), LAUNCHES as usize);
    until("all reaped", || pids.iter().all(|&pid| state(pid).is_none())).await;
    until("all gone", || world.marked().is_empty()).await;
}
