use std::collections::BTreeMap;

use grit_pipeline::run::{Command, Effect, Ending, Event, Foreign, Refusal, Timer};
use grit_pipeline::schedule::Past;
use grit_pipeline::{Conclusion, StepAction};
use serde_json::json;

use crate::harness::{World, by_script, ended, job, plan, request, script, step};

#[test]
fn ready_jobs_start_in_the_order_that_their_past_says() {
    let past = |runs, failed, median_millis| Past { runs, failed, median_millis };
    let jobs: Vec<_> = ["new", "short", "long", "frail"]
        .map(|name| job(name, json!({"steps": [step("true", json!({}))]})))
        .into();
    let mut request = request(plan(&jobs));
    request.slots = 1;
    request.setting.past = BTreeMap::from([
        ("short".to_owned(), past(10, 0, 1_000)),
        ("long".to_owned(), past(10, 0, 60_000)),
        ("frail".to_owned(), past(10, 4, 10)),
    ]);
    let mut world = World::new(request);
    world.play();
    let started: Vec<String> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::JobStarted { job, .. } => Some(world.run.job(*job)?.cell.name.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(started, ["frail", "long", "short", "new"]);
}

#[test]
fn a_failure_skips_what_needs_it_and_what_needs_that() {
    let mut world = World::of(&[
        job("a", json!({"steps": [step("exit 1", json!({}))]})),
        job("b", json!({"needs": ["a"]})),
        job("c", json!({"needs": ["b"]})),
        job(
            "d",
            json!({"needs": ["a", "b"], "if": "always()",
            "steps": [step("a=${{ needs.a.result }} b=${{ needs.b.result }}", json!({}))]}),
        ),
    ]);
    world.play();
    assert_eq!(world.endings(), "a=failure b=skipped c=skipped d=success");
    assert_eq!(world.scripts(), ["exit 1", "a=failure b=skipped"]);
    assert_eq!(world.ending(), Ending::Failure);
}

#[test]
fn success_looks_at_everything_above() {
    let mut world = World::of(&[
        job("fail", json!({"steps": [step("exit 1", json!({}))]})),
        job("mend", json!({"needs": ["fail"], "if": "success() || failure()"})),
        job("next", json!({"needs": ["mend"]})),
        job("report", json!({"needs": ["mend"], "if": "failure()"})),
    ]);
    world.play();
    assert_eq!(world.endings(), "fail=failure mend=success next=skipped report=success");
}

#[test]
fn steps_after_a_failure_run_only_where_they_ask_for_it() {
    let mut world = World::of(&[job(
        "j",
        json!({"steps": [
            step("exit 3", json!({})),
            step("S", json!({"if": "success()"})),
            step("plain", json!({})),
            step("F", json!({"if": "failure()"})),
            step("A", json!({"if": "always()"})),
            step("C", json!({"if": "cancelled()"})),
            step("N", json!({"if": "!cancelled()"})),
            step("X", json!({"if": "failure() && false"})),
        ]}),
    )]);
    world.play();
    assert_eq!(world.scripts(), ["exit 3", "F", "A", "N"]);
    assert_eq!(world.ending(), Ending::Failure);
}

#[test]
fn outputs_env_and_path_travel() {
    let mut world = World::of(&[
        job(
            "p",
            json!({"outputs": [["v", "${{ steps.s.outputs.v }}"], ["none", "${{ steps.s.outputs.x }}"]],
            "env": [["K", "job"]],
            "steps": [
                step("output v=1.2.3", json!({"id": "s"})),
                step("env K=file", json!({})),
                step("path /first", json!({})),
                step("path /second", json!({})),
                step("k=${{ env.K }}", json!({"env": [["L", "${{ env.K }}!"]]})),
                step("own=${{ env.K }}", json!({"env": [["K", "step"]]})),
            ]}),
        ),
        job(
            "q",
            json!({"needs": ["p"],
            "steps": [step("${{ needs.p.outputs.v }}[${{ needs.p.outputs.none }}]", json!({}))]}),
        ),
    ]);
    world.play();
    let specs = world.specs();
    assert_eq!(script(specs[4]), "k=file");
    assert_eq!(specs[4].env["L"], "file!");
    assert_eq!(specs[4].path, ["/second", "/first"]);
    assert_eq!(specs[5].env["K"], "step");
    assert_eq!(script(specs[5]), "own=step");
    assert_eq!(script(specs[6]), "1.2.3[]");
}

#[test]
fn a_step_is_told_where_and_what_it_is() {
    let mut world = World::of(&[job(
        "j",
        json!({"env": [["BUILD", "${{ github.workspace }}/build"], ["CI", "mine"],
                       ["GITHUB_SHA", "forged"]],
               "steps": [step("x", json!({"id": "named"}))]}),
    )]);
    world.play();
    let env = &world.specs()[0].env;
    for (name, value) in [
        ("BUILD", "/work/w/build"),
        ("CI", "mine"),
        ("GITHUB_ACTION", "named"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_ACTOR", "alice"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_JOB", "j"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_REF_NAME", "main"),
        ("GITHUB_REF_TYPE", "branch"),
        ("GITHUB_REPOSITORY", "local/shop"),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("GITHUB_RUN_NUMBER", "7"),
        ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
        ("GITHUB_WORKFLOW", "CI"),
        ("GITHUB_WORKSPACE", "/work/w"),
        ("GRIT_SERVER", "http://127.0.0.1:7777"),
        ("RUNNER_ARCH", "X64"),
        ("RUNNER_OS", "Linux"),
        ("RUNNER_TEMP", "/work/t"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn defaults_give_shell_and_folder() {
    let mut document = plan(&[
        job("a", json!({})),
        job(
            "b",
            json!({"defaults": {"shell": "bash", "working_directory": "/etc"},
            "steps": [step("x", json!({})), step("y", json!({"working_directory": "/"}))]}),
        ),
    ]);
    document.defaults.working_directory = Some(grit_pipeline::expr::Template::literal("/usr"));
    let mut world = World::new(request(document));
    world.play();
    let seen: Vec<(String, String)> = world
        .specs()
        .into_iter()
        .map(|spec| match &spec.action {
            StepAction::Script { command, .. } => {
                (command.join(" "), spec.working_directory.clone().unwrap_or_default())
            }
            other => panic!("no script: {other:?}"),
        })
        .collect();
    let bash = "bash --noprofile --norc -eo pipefail {0}";
    let expected = [("bash -e {0}", "/usr"), (bash, "/etc"), (bash, "/")];
    let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(sorted(seen), sorted(expected.to_vec()));
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

#[test]
fn a_matrix_is_expanded_when_its_values_are_there() {
    let mut world = World::of(&[
        job(
            "list",
            json!({"outputs": [["m", "${{ steps.s.outputs.m }}"]],
                "steps": [step(r#"output m={"v":["a","b"],"n":[1,2]}"#, json!({"id": "s"}))]}),
        ),
        job(
            "each",
            json!({"needs": ["list"], "matrix": {"computed": "${{ fromJSON(needs.list.outputs.m) }}"},
                "steps": [step("${{ matrix.v }}${{ matrix.n }} ${{ strategy.job-index }}/${{ strategy.job-total }}", json!({}))]}),
        ),
    ]);
    world.play();
    assert_eq!(sorted(world.scripts()[1..].to_vec()), ["a1 0/4", "a2 1/4", "b1 2/4", "b2 3/4"]);
    let names: Vec<&str> = world.run.jobs[1..].iter().map(|job| job.cell.name.as_str()).collect();
    assert_eq!(names, ["each (a, 1)", "each (a, 2)", "each (b, 1)", "each (b, 2)"]);
}

fn four() -> serde_json::Value {
    json!({"given": {"vectors": [["n", [1, 2, 3, 4]]], "include": null, "exclude": null}})
}

#[test]
fn a_failed_combination_ends_its_siblings() {
    let steps =
        json!([step("exit ${{ matrix.n }}", json!({})), step("bye", json!({"if": "always()"}))]);
    let fast = json!({"matrix": four(), "steps": steps});
    let mut world = World::of(&[job("m", fast.clone()), job("after", json!({"needs": ["m"]}))]);
    world.play();
    assert_eq!(world.endings(), "m=failure after=skipped");
    let endings: Vec<&str> =
        world.run.views().iter().filter_map(|view| view.ending.map(Ending::as_str)).collect();
    // Two have slots; the first to fail cancels the other at its step, and the rest in the queue.
    assert_eq!(endings, ["failure", "cancelled", "cancelled", "cancelled", "skipped"]);

    let mut slow = fast;
    slow["fail_fast"] = json!("false");
    let mut world = World::of(&[job("m", slow)]);
    world.play();
    assert_eq!(world.scripts().iter().filter(|script| **script == "bye").count(), 4);
}

#[test]
fn a_job_that_may_fail_fails_nothing() {
    let failing = json!([step("exit 1", json!({}))]);
    let mut world = World::of(&[
        job("flaky", json!({"continue_on_error": "true", "steps": failing})),
        job("after", json!({"needs": ["flaky"]})),
        job(
            "steps",
            json!({"steps": [
                step("exit 1", json!({"id": "x", "continue_on_error": "${{ true }}"})),
                step("${{ steps.x.outcome }} ${{ steps.x.conclusion }} ${{ job.status }}", json!({})),
            ]}),
        ),
    ]);
    world.play();
    assert_eq!(world.endings(), "flaky=success after=success steps=success");
    assert!(world.scripts().contains(&"failure success success"));
    assert_eq!(world.run.views()[0].state, "failure");
}

#[test]
fn an_interrupted_job_is_begun_anew_three_times_at_most() {
    let steps = json!([step("one", json!({})), step("interrupt", json!({}))]);
    let mut world = World::of(&[job("a", json!({"steps": steps}))]);
    let mut left = 2;
    world.go(|spec| match script(spec) {
        "interrupt" if left > 0 => {
            left -= 1;
            ended(Conclusion::Interrupted)
        }
        _ => ended(Conclusion::Exited(0)),
    });
    assert_eq!(world.ending(), Ending::Success);
    assert_eq!(world.scripts(), ["one", "interrupt", "one", "interrupt", "one", "interrupt"]);
    let attempts: Vec<&str> =
        world.specs().iter().map(|spec| spec.env["GITHUB_RUN_ATTEMPT"].as_str()).collect();
    assert_eq!(attempts, ["1", "1", "2", "2", "3", "3"]);
    let mut jobs: Vec<_> = world.specs().iter().map(|spec| spec.job).collect();
    jobs.dedup();
    assert_eq!(jobs.len(), 3, "each attempt has a workspace of its own");

    let mut world = World::of(&[job("a", json!({"steps": steps}))]);
    world.play();
    assert_eq!((world.ending(), world.scripts().len()), (Ending::Failure, 6));
}

#[test]
fn cancelling_lets_jobs_tidy_up_and_forcing_does_not() {
    let jobs = [
        job(
            "a",
            json!({"steps": [step("long", json!({})), step("next", json!({})),
            step("tidy", json!({"if": "always()"})), step("c", json!({"if": "cancelled()"}))]}),
        ),
        job("b", json!({"needs": ["a"]})),
        job("c", json!({"needs": ["a"], "if": "always()"})),
    ];
    for (force, expected) in
        [(false, vec!["long", "tidy", "c", "true"]), (true, vec!["long", "true"])]
    {
        let mut world = World::of(&jobs);
        prepare(&mut world);
        let cancel = Command::Cancel { reason: "enough".to_owned(), force };
        world.submit(cancel.clone()).unwrap();
        assert!(world.owed.iter().any(|effect| matches!(effect, Effect::CancelJob { .. })));
        world.go(|spec| match script(spec) {
            "long" => ended(Conclusion::Cancelled),
            _ => by_script(spec),
        });
        assert_eq!(world.scripts(), expected);
        assert_eq!(world.endings(), "a=cancelled b=cancelled c=success");
        assert_eq!(world.ending(), Ending::Cancelled);
        assert_eq!(world.submit(cancel), Err(Refusal::Finished));
    }
}

/// Carries out the preparation of the first job.
fn prepare(world: &mut World) {
    let place = world.owed.iter().position(|e| matches!(e, Effect::PrepareJob(_))).unwrap();
    let effect = world.owed.remove(place).unwrap();
    let outcome = crate::harness::outcome(&effect, &mut by_script);
    world.submit(Command::Outcome(outcome)).unwrap();
}

#[test]
fn a_job_that_takes_too_long_is_ended() {
    let steps = json!([step("long", json!({})), step("tidy", json!({"if": "always()"}))]);
    let mut world = World::of(&[job("a", json!({"timeout_minutes": "1.5", "steps": steps}))]);
    let deadline = world.owed.iter().find_map(|effect| match effect {
        Effect::WakeAt { at, .. } => Some(at.since(world.now).as_secs()),
        _ => None,
    });
    assert_eq!(deadline, Some(90));
    prepare(&mut world);
    let id = world.run.jobs[0].id;
    world.wake(Timer::Timeout { job: id });
    world.wake(Timer::Timeout { job: id });
    let cancelled = world.events.iter().filter(|e| matches!(e, Event::JobCancelling { .. }));
    assert_eq!(cancelled.count(), 1);
    world.wake(Timer::Grace { job: id });
    world.go(|_| ended(Conclusion::Cancelled));
    assert_eq!(world.scripts(), ["long"]);
    assert_eq!(world.run.views()[0].why.as_deref(), Some("it took longer than its timeout"));
}

#[test]
fn built_in_actions() {
    let uses = |uses: &str, with: serde_json::Value| {
        step("", json!({"action": {"uses": {"uses": uses, "with": with}}}))
    };
    let mut world = World::of(&[job(
        "a",
        json!({"steps": [
            uses("actions/checkout@v4", json!([["fetch-depth", "${{ 2 }}"]])),
            uses("dtolnay/rust-toolchain@stable", json!([])),
            uses("actions/cache@v4", json!([["path", "target"], ["key", "k"]])),
            uses("docker://some/image", json!([["args", "'x"]])),
            step("never", json!({})),
        ]}),
    )]);
    world.play();
    assert_eq!(world.scripts(), ["checkout", "dtolnay/rust-toolchain", "k"]);
    let views = &world.run.views()[0];
    let states: Vec<&str> = views.steps.iter().map(|step| step.state.as_str()).collect();
    assert_eq!(states, ["success", "success", "success", "failure", "skipped", "skipped"]);
    assert!(views.steps[3].note.contains("`'x` has a quote"));
    assert_eq!(views.steps[5].title, "Post Run actions/cache@v4");
    assert!(matches!(
        world.specs()[0].action,
        StepAction::Checkout { fetch_depth: 2, reference: None, path: None, .. }
    ));
}

#[test]
fn what_cannot_run_says_so_when_it_would_have_run() {
    let service = json!([{"key": "services", "place": {"line": 9, "column": 5}, "stops": true}]);
    let mut world = World::of(&[
        job("a", json!({"unsupported": service})),
        job("b", json!({"unsupported": service, "if": "false"})),
        job(
            "c",
            json!({"matrix": {"given": {"vectors": [["x", []]], "include": null, "exclude": null}}}),
        ),
        job("d", json!({"timeout_minutes": "${{ 'soon' }}"})),
        job("e", json!({"outputs": [["x", "${{ fromJSON('{') }}"]]})),
    ]);
    world.play();
    assert_eq!(world.endings(), "a=failure b=skipped c=failure d=failure e=failure");
    let why: Vec<String> = world.run.views().into_iter().filter_map(|view| view.why).collect();
    assert_eq!(
        why[..4],
        [
            "`services` (.github/workflows/ci.yml:9:5) is not done by this version of Grit",
            "its condition does not hold",
            "`x` of the matrix is empty",
            "timeout-minutes must be a number above 0, and is `soon`",
        ]
    );
}

#[test]
fn jobs_for_other_systems() {
    let jobs =
        [job("a", json!({"runs_on": ["windows-latest"]})), job("b", json!({"needs": ["a"]}))];
    for (foreign, expected) in [
        (Foreign::Refuse, "a=failure b=skipped"),
        (Foreign::Skip, "a=skipped b=skipped"),
        (Foreign::Run, "a=success b=success"),
    ] {
        let mut world = World::new({
            let mut request = request(plan(&jobs));
            request.foreign = foreign;
            request
        });
        world.play();
        assert_eq!(world.endings(), expected);
    }
}

#[test]
fn a_selection_runs_what_it_needs_and_nothing_else() {
    let jobs = [
        job("a", json!({})),
        job(
            "b",
            json!({"needs": ["a"], "matrix": four(), "steps": [step("n${{ matrix.n }}", json!({}))]}),
        ),
        job("c", json!({})),
    ];
    let mut wanted = request(plan(&jobs));
    wanted.only.jobs = vec!["b".parse().unwrap()];
    wanted.only.matrix.insert("n".to_owned(), "3".to_owned());
    let mut world = World::new(wanted);
    world.play();
    assert_eq!(world.endings(), "a=success b=success");
    assert_eq!(world.scripts(), ["true", "n3"]);
}

#[test]
fn what_comes_late_changes_nothing() {
    let mut world =
        World::of(&[job("a", json!({"steps": [step("x", json!({})), step("y", json!({}))]}))]);
    let mut effects = Vec::new();
    while let Some(effect) = world.owed.pop_front() {
        effects.push(effect.clone());
        if matches!(effect, Effect::WakeAt { .. }) {
            continue;
        }
        for _ in 0..2 {
            let outcome = crate::harness::outcome(&effect, &mut by_script);
            world.submit(Command::Outcome(outcome)).unwrap();
        }
    }
    let events = world.events.len();
    for effect in &effects {
        let outcome = crate::harness::outcome(effect, &mut by_script);
        world.submit(Command::Outcome(outcome)).unwrap();
    }
    assert_eq!((world.ending(), world.events.len()), (Ending::Success, events));
    assert_eq!(world.scripts(), ["x", "y"]);
}

#[test]
fn a_plan_that_cannot_be_run_is_refused() {
    let refusal = |jobs: &[serde_json::Value]| {
        let context = grit_ledger::Context {
            now: crate::harness::NOW,
            actor: grit_types::Actor::grit("test"),
        };
        let command = Command::Plan(std::sync::Arc::new(request(plan(jobs))));
        use grit_ledger::Decider as _;
        grit_pipeline::run::Runs::decide(&Default::default(), &command, &context).unwrap_err()
    };
    assert_eq!(refusal(&[]), Refusal::NoJobs);
    let cyclic = [job("a", json!({"needs": ["b"]})), job("b", json!({"needs": ["a"]}))];
    assert_eq!(refusal(&cyclic).to_string(), "jobs need each other in a circle: a → b → a");
    let huge = job("a", json!({"steps": [step(&"x".repeat(4 << 20), json!({}))]}));
    assert!(matches!(refusal(&[huge]), Refusal::TooLarge { .. }));
    let unknown = refusal(&[job("a", json!({"needs": ["x"]}))]);
    assert_eq!(unknown.to_string(), "job `a` needs `x`, which is not there");
}

#[test]
fn inputs_are_read_as_their_kinds_want() {
    let script =
        "${{ inputs.flag && 'yes' || 'no' }} ${{ github.event.inputs.flag }} ${{ inputs.n == 4 }}";
    let mut document = plan(&[job("a", json!({"steps": [step(script, json!({}))]}))]);
    document.triggers = serde_json::from_value(json!([{
        "event": "workflow_dispatch", "place": {"line": 1, "column": 1},
        "filters": {"branches": null, "branches_ignore": null, "tags": null, "tags_ignore": null,
                    "paths": null, "paths_ignore": null, "types": null},
        "inputs": [
            ["flag", {"kind": "boolean", "description": null, "required": false, "default": null, "options": []}],
            ["n", {"kind": "number", "description": null, "required": true, "default": null, "options": []}],
        ],
        "schedule": [],
    }]))
    .unwrap();
    let started = |inputs: &[(&str, &str)]| {
        let mut request = request(document.clone());
        request.event = "workflow_dispatch".to_owned();
        request.inputs =
            inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut world = World {
            run: Default::default(),
            events: Vec::new(),
            owed: Default::default(),
            now: crate::harness::NOW,
        };
        world.submit(Command::Plan(std::sync::Arc::new(request))).map(|()| world)
    };
    let mut world = started(&[("flag", "true"), ("n", "4")]).ok().unwrap();
    world.play();
    assert_eq!(world.scripts(), ["yes true true"]);
    let refused = |inputs| started(inputs).err().unwrap().to_string();
    assert_eq!(refused(&[]), "input `n` is required");
    assert_eq!(refused(&[("x", "1")]), "the pipeline has no input `x`");
    assert_eq!(
        refused(&[("n", "1"), ("flag", "si")]),
        "input `flag` is `si`, and must be true or false"
    );
}

#[test]
fn a_step_fails_whose_variables_no_event_could_hold() {
    let large = |name: &str| step(name, json!({}));
    let last = step("last", json!({"if": "always()"}));
    let mut world =
        World::of(&[job("j", json!({"steps": [large("a"), large("b"), large("c"), last]}))]);
    world.go(|spec| {
        let StepAction::Script { script, .. } = &spec.action else { panic!("no script") };
        let mut outcome = ended(Conclusion::Exited(0));
        outcome.env.insert(script.clone(), "x".repeat(1 << 20));
        outcome
    });
    assert_eq!(world.ending(), Ending::Failure);
    let steps = &world.run.views()[0].steps;
    let endings: Vec<_> = steps.iter().map(|step| step.state.as_str()).collect();
    assert_eq!(endings, ["success", "success", "success", "failure"]);
    let note = &steps[3].note;
    assert!(note.contains("variables that it is given have 31"), "{note}");
}
