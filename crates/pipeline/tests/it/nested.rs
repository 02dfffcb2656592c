//! Steps that use actions, and jobs that call workflows.

use grit_pipeline::plan::{ActionPlan, Plan};
use grit_pipeline::run::{Ending, Event};
use grit_pipeline::{Conclusion, StepAction, StepOutcome};
use serde_json::{Value, json};

use crate::harness::{World, by_script, ended, job, plan, request, script, step};

fn uses(action: &str, over: Value) -> Value {
    let mut step = step("", over);
    step["action"] = json!({"uses": {"uses": action, "with": [["who", "bob"]]}});
    step
}

fn action(runs: Value) -> ActionPlan {
    let document = json!({
        "name": "greet", "path": "/w/greet", "inputs": [["who", {"required": false, "default": "x"}]],
        "outputs": [["said", "${{ steps.say.outputs.word }}!"]], "runs": runs,
    });
    serde_json::from_value(document).expect("an action")
}

fn composite() -> ActionPlan {
    let say = step("say ${{ inputs.who }} at ${{ github.action_path }}", json!({"id": "say"}));
    action(
        json!({"composite": {"steps": [say, step("exit 1", json!({})), step("never", json!({}))]}}),
    )
}

fn node(path: &str) -> ActionPlan {
    let node =
        json!({"node": {"pre": null, "main": "m.js", "post": "p.js", "post_if": "always()"}});
    let mut action = action(node);
    action.path = path.to_owned();
    action
}

#[test]
fn a_composite_action_is_a_step_with_steps() {
    let after = step("echo ${{ steps.a.outputs.said }}", json!({"if": "always()"}));
    let used = uses("./greet", json!({"id": "a", "continue_on_error": "true"}));
    let mut world = World::of(&[job("j", json!({"steps": [used, after]}))]);
    world.go(|spec| match &spec.action {
        StepAction::Load { .. } => {
            let action = Some(Box::new(composite()));
            StepOutcome { action, ..ended(Conclusion::Exited(0)) }
        }
        _ if script(spec) == "say bob at /w/greet" => {
            let mut outcome = ended(Conclusion::Exited(0));
            outcome.outputs.insert("word".to_owned(), "hi bob".to_owned());
            outcome
        }
        _ => by_script(spec),
    });
    let steps: Vec<(u32, Option<Ending>, Option<Ending>)> =
        world.run.jobs[0].steps.iter().map(|s| (s.depth, s.ending, s.conclusion)).collect();
    let (good, bad, none) = (Some(Ending::Success), Some(Ending::Failure), Some(Ending::Skipped));
    assert_eq!(
        steps,
        [(0, bad, good), (1, good, good), (1, bad, bad), (1, none, none), (0, good, good)]
    );
    assert_eq!(world.scripts().last(), Some(&"echo hi bob!"));
    assert_eq!(world.run.ending(), Some(Ending::Success));
}

#[test]
fn what_tidies_up_comes_last_first_and_after_a_failure() {
    let steps = [uses("./one", json!({})), uses("./two", json!({})), step("exit 1", json!({}))];
    let mut world = World::of(&[job("j", json!({"steps": steps}))]);
    let mut programs = Vec::new();
    world.go(|spec| match &spec.action {
        StepAction::Load { uses } => {
            let action = Some(Box::new(node(&uses[2..])));
            StepOutcome { action, ..ended(Conclusion::Exited(0)) }
        }
        StepAction::Node { program } => {
            assert_eq!(spec.env["INPUT_WHO"], "bob");
            let state = spec.env.get("STATE_of").cloned().unwrap_or_default();
            programs.push(format!("{program} {state}"));
            let mut outcome = ended(Conclusion::Exited(0));
            outcome.state.insert("of".to_owned(), program.clone());
            outcome
        }
        _ => by_script(spec),
    });
    assert_eq!(programs, ["one/m.js ", "two/m.js ", "two/p.js two/m.js", "one/p.js one/m.js"]);
    assert_eq!(world.run.ending(), Some(Ending::Failure));
}

const CALLED: &str = "./.github/workflows/r.yml";

fn calling(inner: Value) -> Plan {
    let call = json!({"uses": CALLED, "place": {"line": 1, "column": 1}, "with": [["who", "amy"]],
        "inherit": false, "secrets": [["TOK", "${{ secrets.PARENT }}"]]});
    let after = json!({"needs": ["call"], "steps": [step("echo ${{ needs.call.outputs.res }}", json!({}))]});
    let mut outer = plan(&[job("call", json!({"call": call, "steps": []})), job("after", after)]);
    let mut called = serde_json::to_value(plan(&[inner])).expect("a plan");
    called["triggers"] = json!([{"event": "workflow_call", "place": {"line": 1, "column": 1},
        "filters": {"branches": null, "branches_ignore": null, "tags": null, "tags_ignore": null,
            "paths": null, "paths_ignore": null, "types": null},
        "inputs": [["who", {"kind": "string", "description": null, "required": true, "default": null,
            "options": []}]],
        "schedule": [], "secrets": [["TOK", true]], "outputs": [["res", "${{ jobs.w.outputs.r }}"]]}]);
    let called = serde_json::from_value(called).expect("a plan");
    outer.called.insert(CALLED.to_owned(), called);
    outer
}

#[test]
fn a_called_workflow_brings_its_jobs_and_gives_back() {
    let inner = json!({"outputs": [["r", "done-${{ inputs.who }}"]],
        "steps": [step("use", json!({"env": [["T", "${{ secrets.TOK }}"]]}))]});
    let mut request = request(calling(job("w", inner)));
    request.secrets.insert("PARENT".to_owned());
    let mark = grit_pipeline::seal::Sealed::Secret("PARENT".to_owned()).mark(&request.seal);
    let mut world = World::new(request);
    world.go(by_script);
    let names: Vec<&str> = world.run.jobs.iter().map(|job| job.cell.name.as_str()).collect();
    assert_eq!(names, ["call / w", "after"]);
    let started = world.specs();
    assert_eq!(started[0].env["T"], mark);
    assert_eq!(script(started[1]), "echo done-amy");
    assert_eq!(world.run.ending(), Some(Ending::Success));
}

#[test]
fn a_secret_that_must_be_given_and_is_not_there_fails_the_call() {
    let mut world =
        World::new(request(calling(job("w", json!({"steps": [step("exit 1", json!({}))]})))));
    world.go(by_script);
    let refused = world.events.iter().any(|event| matches!(event, Event::JobSkipped { .. }));
    assert!(refused);
    let endings: Vec<Option<Ending>> =
        world.run.groups.iter().map(|group| group.ending()).collect();
    assert_eq!(endings, [Some(Ending::Failure), Some(Ending::Skipped)]);
}

/// A program with something to do ahead, called after its action.
fn with_pre(name: &str, over: Value) -> ActionPlan {
    let mut runs = json!({"pre": "pre.js", "main": "main.js", "post": "post.js",
        "post_if": "always()"});
    runs.as_object_mut().expect("an object").extend(over.as_object().expect("an object").clone());
    let mut action = action(json!({ "node": runs }));
    action.path = name.to_owned();
    action
}

/// Goes on with these actions of others, and answers the programs, each with the state it knows.
fn programs(world: &mut World, actions: &[(&str, ActionPlan)]) -> Vec<String> {
    let mut programs = Vec::new();
    let get = |uses: &str| actions.iter().find(|(name, _)| *name == uses).map(|(_, it)| it.clone());
    world.go(|spec| match &spec.action {
        StepAction::LookAhead { uses } => {
            let all = actions.iter().filter(|(name, _)| !name.starts_with("./"));
            assert!(uses.iter().all(|uses| !uses.starts_with("./")), "{uses:?}");
            let found = all.map(|(name, it)| (name.to_string(), Some(Box::new(it.clone()))));
            StepOutcome { found: found.collect(), ..ended(Conclusion::Exited(0)) }
        }
        StepAction::Load { uses } => match get(uses) {
            Some(found) => {
                StepOutcome { action: Some(Box::new(found)), ..ended(Conclusion::Exited(0)) }
            }
            None => StepOutcome::unable("there is none".to_owned()),
        },
        StepAction::Node { program } => {
            let states = spec.env.keys().filter_map(|name| name.strip_prefix("STATE_"));
            let states: Vec<&str> = states.collect();
            programs.push(format!("{program} {}", states.join(",")).trim_end().to_owned());
            let code = i32::from(program.starts_with("bad") && program.ends_with("pre.js"));
            let mut outcome = ended(Conclusion::Exited(code));
            let name = program.rsplit_once('/').map_or("", |(_, name)| name);
            outcome.state.insert(name.to_owned(), "kept".to_owned());
            outcome
        }
        _ => {
            programs.push(script(spec).to_owned());
            by_script(spec)
        }
    });
    programs
}

#[test]
fn what_comes_ahead_comes_before_the_first_step_in_the_order_of_the_steps() {
    let never = uses("o/two@v1", json!({"if": "false"}));
    let steps = [step("first", json!({})), uses("o/one@v1", json!({})), never];
    let mut world = World::of(&[job("j", json!({"steps": steps}))]);
    let actions =
        [("o/one@v1", with_pre("one", json!({}))), ("o/two@v1", with_pre("two", json!({})))];
    let done = [
        "one/pre.js",
        "two/pre.js",
        "first",
        "one/main.js pre.js",
        "two/post.js pre.js",
        "one/post.js main.js,pre.js",
    ];
    assert_eq!(programs(&mut world, &actions), done);
    let titles: Vec<(u32, &str)> =
        world.run.jobs[0].steps.iter().map(|step| (step.depth, step.title.as_str())).collect();
    let shown = [
        (0, "Set up job"),
        (0, "Pre Run o/one@v1"),
        (0, "Pre Run o/two@v1"),
        (0, "Run first"),
        (0, "Run o/one@v1"),
        (1, "greet main.js"),
        (0, "Run o/two@v1"),
        (0, "Post greet"),
        (0, "Post greet"),
    ];
    assert_eq!(titles, shown);
    assert_eq!(world.run.ending(), Some(Ending::Success));
    assert!(world.specs().iter().all(|spec| match &spec.action {
        StepAction::Node { .. } => spec.env["INPUT_WHO"] == "bob",
        _ => true,
    }));
}

#[test]
fn pre_if_is_asked_and_a_failure_ahead_fails_the_job() {
    let steps = [
        uses("o/bad@v1", json!({"continue_on_error": "true"})),
        uses("o/bad@v2", json!({})),
        uses("o/ok@v1", json!({})),
        uses("o/no@v1", json!({"if": "always()"})),
        step("never", json!({})),
    ];
    let mut world = World::of(&[job("j", json!({"steps": steps}))]);
    let actions = [
        ("o/bad@v1", with_pre("bad1", json!({"post": null}))),
        ("o/bad@v2", with_pre("bad2", json!({"post": null}))),
        ("o/ok@v1", with_pre("ok", json!({"pre_if": "failure()", "post": null}))),
        ("o/no@v1", with_pre("no", json!({"pre_if": "success()"}))),
    ];
    let done = ["bad1/pre.js", "bad2/pre.js", "ok/pre.js", "no/main.js", "no/post.js main.js"];
    assert_eq!(programs(&mut world, &actions), done);
    assert_eq!(world.run.ending(), Some(Ending::Failure));
}

#[test]
fn what_composite_actions_use_comes_ahead_of_the_job_or_of_their_own_steps() {
    let inner = |used: &str| {
        let steps = json!([step("inner", json!({})), uses(used, json!({}))]);
        action(json!({"composite": { "steps": steps }}))
    };
    let steps =
        [step("first", json!({})), uses("o/outer@v1", json!({})), uses("./local", json!({}))];
    let mut world = World::of(&[job("j", json!({"steps": steps}))]);
    let actions = [
        ("o/outer@v1", inner("o/one@v1")),
        ("./local", inner("o/one@v1")),
        ("o/one@v1", with_pre("one", json!({}))),
    ];
    let done = [
        "one/pre.js",
        "first",
        "inner",
        "one/main.js pre.js",
        "one/pre.js",
        "inner",
        "one/main.js pre.js",
        "one/post.js main.js,pre.js",
        "one/post.js main.js,pre.js",
    ];
    assert_eq!(programs(&mut world, &actions), done);
    assert_eq!(world.run.ending(), Some(Ending::Success));
}

#[test]
fn of_an_action_in_the_workspace_nothing_comes_ahead() {
    let steps = [uses("./own", json!({}))];
    let mut world = World::of(&[job("j", json!({"steps": steps}))]);
    let done = programs(&mut world, &[("./own", with_pre("own", json!({})))]);
    assert_eq!(done, ["own/main.js", "own/post.js main.js"]);
}

/// As streams have it that were begun before anything came ahead.
#[test]
fn an_action_that_was_entered_before_still_runs_what_it_has_first() {
    let steps = [uses("o/one@v1", json!({}))];
    let mut world = World::of(&[job("j", json!({"steps": steps}))]);
    let mut programs = Vec::new();
    world.go(|spec| match &spec.action {
        // Nothing is found.
        StepAction::LookAhead { .. } => ended(Conclusion::Exited(0)),
        StepAction::Load { .. } => {
            let action = Some(Box::new(with_pre("one", json!({}))));
            StepOutcome { action, ..ended(Conclusion::Exited(0)) }
        }
        StepAction::Node { program } => {
            programs.push(program.clone());
            ended(Conclusion::Exited(0))
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(programs, ["one/pre.js", "one/main.js", "one/post.js"]);
}
