use std::fs;

use grit_pipeline::{Conclusion, StepAction, StepSpec};

use crate::ground::{job, step};
use crate::world::{World, log, run, succeed};

fn checkout(index: u32, reference: Option<&str>, path: Option<&str>) -> StepSpec {
    let mut step = step(index, "");
    let (reference, path) = (reference.map(str::to_owned), path.map(str::to_owned));
    step.action =
        StepAction::Checkout { reference, path, fetch_depth: 1, part: Default::default() };
    step
}

#[tokio::test]
async fn into_a_workspace_that_has_something() {
    let world = World::new();
    let runner = world.ready().await;
    succeed(&runner, &step(0, "mkdir src; echo kept > src/kept; echo old > main")).await;
    let log = succeed(&runner, &checkout(1, None, None)).await;
    let commit = job().commit;
    assert_eq!(log, format!("Checking out local/shop at {commit} (refs/heads/main)\n"));
    assert_eq!(world.read("src/kept"), "kept\n");
    assert_eq!(world.read("src/main.rs"), "fn main() {}\n");
    assert_eq!(world.read("main"), "1");
    assert_eq!(world.read(".git/HEAD"), commit.to_string());
    assert!(!world.folder().join("checkout-1").exists());
}

#[tokio::test]
async fn another_reference_replaces_the_first() {
    let world = World::new();
    let runner = world.ready().await;
    succeed(&runner, &checkout(0, None, None)).await;
    succeed(&runner, &checkout(1, Some("v1"), None)).await;
    assert_eq!(world.read("v1"), "1");
    assert!(!world.workspace().join("main").exists());
    succeed(&runner, &checkout(2, Some("v2"), Some("vendor/tools"))).await;
    assert_eq!(world.read("vendor/tools/v2"), "1");
    assert_eq!(world.read("v1"), "1");
}

#[tokio::test]
async fn fails_as_a_step_does_and_stays_inside() {
    let world = World::new();
    let runner = world.ready().await;
    succeed(&runner, &step(0, "ln -s / root")).await;
    let cases = [
        (checkout(1, Some("absent"), None), "The checkout failed: no such reference"),
        (checkout(2, None, Some("../up")), "within the workspace"),
        (checkout(3, None, Some("/tmp/x")), "within the workspace"),
        (checkout(4, None, Some("root/tmp")), "leads out of the workspace"),
    ];
    for (step, reason) in cases {
        assert_eq!(run(&runner, &step).await.conclusion, Conclusion::Exited(1));
        let log = log(&runner, &step).await;
        assert!(log.contains(reason), "{log}");
    }
    assert_eq!(fs::read_dir(world.workspace()).unwrap().count(), 1);
}
