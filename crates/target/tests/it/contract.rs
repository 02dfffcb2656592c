//! The process target keeps what every target promises: see `grit_rollout::contract`.

use std::time::Duration;

use grit_rollout::InstanceSet;
use grit_rollout::contract::{self, Revisions};
use grit_types::{BoxFuture, Revision};

use crate::world::{NO_PROCESS, World, patiently};

#[tokio::test]
async fn process_target_keeps_the_contract() {
    let world = World::new();
    let target = world.open().await;
    let failing = world.set_with(&[("EXIT_AT_START", "3")]);
    let hanging = world.set_with(&[("HEALTH", "503")]);
    let revisions = Revisions {
        good: world.set_with(&[]),
        failing: InstanceSet { revision: Revision(9), ..failing },
        hanging: InstanceSet { revision: Revision(7), ..hanging },
    };
    let pause = || -> BoxFuture<'_, ()> { Box::pin(tokio::time::sleep(Duration::from_millis(2))) };
    patiently("the contract", contract::target(&*target, &revisions, &pause)).await;
    assert_eq!(world.recorded(), Vec::<String>::new());
    assert_eq!(world.processes(), NO_PROCESS);
}
