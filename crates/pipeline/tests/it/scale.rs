use grit_pipeline::run::Ending;
use serde_json::json;

use crate::harness::{World, job, plan, request, step};

/// The figure itself is measured by a benchmark; here, that nothing grows with the square of it
/// so far that this test would not end.
#[test]
fn a_thousand_jobs_are_scheduled_to_the_end() {
    let jobs: Vec<_> = (0..1_000)
        .map(|number: usize| {
            let needs: Vec<String> =
                (number >= 10).then(|| format!("j{}", number - 10)).into_iter().collect();
            job(&format!("j{number}"), json!({"needs": needs, "steps": [step("true", json!({}))]}))
        })
        .collect();
    let mut request = request(plan(&jobs));
    request.slots = 8;
    let mut world = World::new(request);
    world.play();
    assert_eq!(world.ending(), Ending::Success);
    assert_eq!(world.specs().len(), 1_000);
}
