//! The concurrency groups of workflows that jobs call.

use grit_ledger::Decider as _;
use grit_pipeline::concurrency::Word;
use grit_pipeline::run::{Command, Effect, Ending, Refusal, Run, Runs};
use serde_json::{Value, json};

use crate::harness::{World, job, plan, request};

fn group(name: &str) -> Value {
    json!({"group": name, "cancel_in_progress": null, "place": {"line": 1, "column": 1}})
}

/// A job that calls a workflow of two jobs, both in groups.
fn grouped(of_workflow: &str) -> World {
    let mut called =
        serde_json::to_value(plan(&[job("one", json!({})), job("two", json!({"needs": ["one"]}))]))
            .unwrap();
    called["concurrency"] = group(of_workflow);
    called["triggers"] = json!([{"event": "workflow_call", "place": {"line": 1, "column": 1},
        "filters": {"branches": null, "branches_ignore": null, "tags": null, "tags_ignore": null,
            "paths": null, "paths_ignore": null, "types": null},
        "inputs": [["where", {"kind": "string", "description": null, "required": true,
            "default": null, "options": []}]], "schedule": []}]);
    let uses = "./.github/workflows/b.yml";
    let call = json!({"uses": uses, "place": {"line": 1, "column": 1},
        "with": [["where", "live"]], "inherit": false, "secrets": []});
    let caller = job("caller", json!({"call": call, "steps": [], "concurrency": group("own")}));
    let mut document = serde_json::to_value(plan(&[caller])).unwrap();
    document["called"] = json!([[uses, called]]);
    let mut request = request(serde_json::from_value(document).unwrap());
    request.setting.grouped = true;
    World::new(request)
}

/// The groups that are asked, and those that are given back.
fn asked(world: &World) -> (Vec<String>, Vec<String>) {
    let (mut run, mut claimed, mut released) = (Run::default(), vec![], vec![]);
    for event in &world.events {
        run = Runs::evolve(run, event);
        for effect in Runs::effects(&run, event) {
            match effect {
                Effect::Claim { group, .. } => claimed.push(group.group),
                Effect::Release { group, .. } => released.push(group),
                _ => {}
            }
        }
    }
    (claimed, released)
}

fn tell(world: &mut World, call: u32, word: Word) -> Result<(), Refusal> {
    world.submit(Command::Group { job: None, call: Some(call), word })
}

#[test]
fn a_called_workflow_waits_for_its_turns_and_gives_them_back() {
    let mut world = grouped("deploy-${{ inputs.where }}");
    assert_eq!(asked(&world).0, ["own"], "one after the other");
    assert_eq!(
        world.run.views()[0].waiting.as_deref(),
        Some("for its turn in the concurrency group own")
    );
    tell(&mut world, 2, Word::Granted).unwrap();
    tell(&mut world, 2, Word::Granted).unwrap();
    assert_eq!(asked(&world).0, ["own", "deploy-live"], "its inputs are read");
    assert!(world.run.jobs.is_empty());
    tell(&mut world, 3, Word::Granted).unwrap();
    assert_eq!(world.run.jobs.len(), 1);
    world.play();
    assert_eq!(world.ending(), Ending::Success);
    assert_eq!(asked(&world).1, ["own", "deploy-live"], "once");
    assert!(tell(&mut world, 3, Word::Granted).is_err(), "too late");
}

#[test]
fn a_newer_one_ends_a_called_workflow_and_nothing_else() {
    let mut world = grouped("deploy");
    tell(&mut world, 2, Word::Replaced).unwrap();
    assert_eq!((world.ending(), asked(&world).1), (Ending::Cancelled, vec!["own".to_owned()]));
    let mut world = grouped("deploy");
    tell(&mut world, 2, Word::Granted).unwrap();
    tell(&mut world, 3, Word::Granted).unwrap();
    tell(&mut world, 3, Word::Superseded).unwrap();
    world.play();
    assert_eq!(world.ending(), Ending::Cancelled);
    assert_eq!(asked(&world).1, ["own", "deploy"]);
    let mut world = grouped("deploy");
    world.submit(Command::Cancel { reason: "enough".to_owned(), force: false }).unwrap();
    assert_eq!((world.ending(), asked(&world).1), (Ending::Cancelled, vec!["own".to_owned()]));
}

#[test]
fn who_would_wait_for_itself_fails() {
    let world = grouped("OWN");
    assert_eq!(world.ending(), Ending::Failure);
    let why = world.run.groups[0].why.clone().unwrap();
    assert_eq!(why, "its own run holds the concurrency group own");
}
