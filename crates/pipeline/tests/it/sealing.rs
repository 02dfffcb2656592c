//! What only the runner knows stands as marks.

use grit_pipeline::AnnotationLevel;
use grit_pipeline::seal::Sealed;
use serde_json::json;

use crate::harness::{World, by_script, job, script, step};

#[test]
fn what_holds_a_secret_goes_to_later_steps_and_to_no_other_job() {
    let mark = Sealed::Kept("0.0".to_owned()).mark("w0rd");
    let outputs = json!([
        ["hidden", "is ${{ steps.give.outputs.hidden }}"],
        ["plain", "${{ steps.give.outputs.plain }}"],
    ]);
    let steps = json!([
        step("give", json!({"id": "give"})),
        step("use ${{ steps.give.outputs.hidden }} ${{ env.E }}", json!({})),
    ]);
    let got = "got [${{ needs.a.outputs.hidden }}] ${{ needs.a.outputs.plain }}";
    let mut world = World::of(&[
        job("a", json!({"outputs": outputs, "steps": steps})),
        job("b", json!({"needs": ["a"], "steps": [step(got, json!({}))]})),
    ]);
    world.go(|spec| {
        let mut outcome = by_script(spec);
        if script(spec) == "give" {
            outcome.outputs.insert("hidden".to_owned(), mark.clone());
            outcome.outputs.insert("plain".to_owned(), "yes".to_owned());
            outcome.env.insert("E".to_owned(), mark.clone());
        }
        outcome
    });
    let used = format!("use {mark} {mark}");
    assert_eq!(world.scripts(), ["give", used.as_str(), "got [] yes"]);
    let views = world.run.views();
    let [said] = views[0].annotations.kept.as_slice() else { panic!("{:?}", views[0]) };
    assert_eq!(said.level, AnnotationLevel::Warning);
    assert_eq!(said.message, "The output `hidden` is left empty: it may hold a secret.");
    assert!(views[1].annotations.is_empty());
}
