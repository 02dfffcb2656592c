//! What a job says of its containers, and what its steps see of them.

use grit_pipeline::run::{Effect, Ending, Outcome};
use grit_pipeline::runners::{RunnerKind, RunnerRule};
use grit_pipeline::{
    ActionImage, Conclusion, Containers, JobSpec, Prepared, PreparedContainers, PreparedService,
    StepAction, StepOutcome,
};
use serde_json::{Value, json};

use crate::harness::{World, by_script, ended, job, plan, prepared, request, script, step};

fn keys(image: &str, over: &[(&str, Value)]) -> Value {
    let mut keys = json!({
        "image": image, "credentials": [], "env": [], "ports": [], "volumes": [],
        "options": null, "entrypoint": null, "command": null,
    });
    for (name, value) in over {
        keys[name] = value.clone();
    }
    json!({ "keys": keys })
}

fn asked(world: &World) -> JobSpec {
    let spec = |effect: &Effect| match effect {
        Effect::PrepareJob(spec) => Some((**spec).clone()),
        _ => None,
    };
    world.owed.iter().find_map(spec).expect("a job that is to be prepared")
}

#[test]
fn containers_are_evaluated_when_the_job_is_prepared() {
    let service = keys(
        "postgres:${{ matrix.version }}",
        &[
            ("ports", json!(["5432:5432", "${{ fromJSON('[1, 2]') }}"])),
            ("credentials", json!([["username", "me"], ["password", "${{ secrets.PASS }}"]])),
        ],
    );
    let over = json!({
        "matrix": {"given": {"vectors": [["version", [15.0]]], "include": null, "exclude": null}},
        "env": [["TAG", "13"]],
        "container": keys("debian:${{ env.TAG }}", &[("env", json!([["WHO", "${{ github.actor }}"]]))]),
        "services": {"each": [["db", service], ["none", keys("${{ '' }}", &[])]]},
    });
    let mut request = request(plan(&[job("a", over)]));
    request.secrets.insert("PASS".to_owned());
    let world = World::new(request);
    let Containers { job, services, .. } = asked(&world).containers;
    let job = job.unwrap();
    assert_eq!(job.image, "debian:13");
    assert_eq!(job.env["WHO"], "alice");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["db"], "one without an image is none");
    let db = &services["db"];
    assert_eq!(db.image, "postgres:15");
    assert_eq!(db.ports, ["5432:5432", "1", "2"]);
    let (user, password) = db.credentials.clone().unwrap();
    assert_eq!(user, "me");
    assert!(grit_pipeline::seal::is_sealed(&password, "w0rd"), "no event holds a secret");
}

#[test]
fn an_expression_may_give_a_whole_container() {
    let whole =
        "${{ fromJSON('{\"image\": \"a:1\", \"env\": {\"A\": 1}, \"options\": \"--init\"}') }}";
    let spec = asked(&World::of(&[job("a", json!({ "container": { "whole": whole } }))]));
    let container = spec.containers.job.unwrap();
    assert_eq!((container.image.as_str(), container.options.as_str()), ("a:1", "--init"));
    assert_eq!(container.env["A"], "1");
    for (container, why) in
        [("${{ fromJSON('{\"imag\": 1}') }}", "`imag`"), ("${{ fromJSON('[') }}", "container")]
    {
        let world = World::of(&[job("a", json!({ "container": { "whole": container } }))]);
        let failed = world.run.jobs[0].why.clone().unwrap();
        assert!(failed.contains(why), "{failed}");
        assert_eq!(world.run.ending(), Some(Ending::Failure));
    }
    let world =
        World::of(&[job("a", json!({ "services": { "each": [["a b", keys("x", &[])]] } }))]);
    assert!(world.run.jobs[0].why.as_ref().unwrap().contains("`a b`"));
}

#[test]
fn labels_lead_to_the_container_that_serves_them() {
    let rule = |labels: &str, on| RunnerRule { labels: labels.to_owned(), on, trusted: false };
    let image = |image: &str| RunnerKind::Container(image.to_owned());
    let of = |runs_on: Value, over: Value| {
        let mut over = over;
        over["runs_on"] = runs_on;
        let mut request = request(plan(&[job("a", over)]));
        request.runners = vec![rule("windows-*", image("wine:1")), rule("big", image("big:1"))];
        asked(&World::new(request)).containers.job.map(|container| container.image)
    };
    assert_eq!(of(json!(["windows-2025"]), json!({})), Some("wine:1".to_owned()));
    assert_eq!(of(json!(["self-hosted", "big"]), json!({})), Some("big:1".to_owned()));
    let own = json!({ "container": { "whole": "own:1" } });
    assert_eq!(of(json!(["big"]), own), Some("own:1".to_owned()));
    assert_eq!(of(json!(["ubuntu-latest"]), json!({})), None);
}

#[test]
fn containers_are_trusted_where_the_runner_is_and_nobody_from_outside_proposes_them() {
    let of = |trusted, event: &str| {
        let container = json!({ "container": { "whole": "own:1" } });
        let mut request = request(plan(&[job("a", container)]));
        let (labels, on) = ("ubuntu-*".to_owned(), RunnerKind::Host);
        request.runners = vec![RunnerRule { labels, on, trusted }];
        request.event = event.to_owned();
        asked(&World::new(request)).containers.trusted
    };
    assert!(of(true, "push"));
    assert!(!of(false, "push") && !of(true, "pull_request"));
}

fn in_container() -> Prepared {
    let db = PreparedService {
        id: "c0ffee".to_owned(),
        ports: [("5432".to_owned(), "40001".to_owned())].into(),
    };
    let containers = PreparedContainers {
        network: "net1".to_owned(),
        job: Some("cafe".to_owned()),
        services: [("db".to_owned(), db)].into(),
    };
    Prepared { containers, ..prepared() }
}

#[test]
fn steps_see_the_containers_and_have_sh() {
    let says = "${{ job.services.db.ports['5432'] }} ${{ job.services.db.network }} \
                ${{ job.container.id }} ${{ job.status }}";
    let over = json!({ "container": { "whole": "x:1" }, "steps": [step(says, json!({}))] });
    let mut world = World::of(&[job("a", over)]);
    let spec = asked(&world);
    world.owed.clear();
    let result = Ok(in_container());
    let outcome = Outcome::Prepared { job: spec.job, result };
    world.submit(grit_pipeline::run::Command::Outcome(outcome)).unwrap();
    let Some(Effect::StartStep(spec)) = world.owed.pop_front() else { panic!("a step") };
    assert_eq!(script(&spec), "40001 net1 cafe success");
    let StepAction::Script { command, .. } = &spec.action else { panic!("a script") };
    assert_eq!(command, &["sh", "-e", "{0}"]);
}

#[test]
fn a_container_action_gets_its_arguments_and_tidies_up() {
    let action = json!({
        "name": "act", "path": "/w/act", "inputs": [["who", {"required": true, "default": null}]],
        "outputs": [], "runs": {"docker": {
            "image": "Dockerfile", "entrypoint": "/main", "pre_entrypoint": "/pre",
            "post_entrypoint": "/post", "post_if": "always()",
            "args": ["-w", "${{ inputs.who }}"], "env": [["MORE", "${{ inputs.who }}!"]],
        }},
    });
    let action: grit_pipeline::plan::ActionPlan = serde_json::from_value(action).unwrap();
    let mut used = step("", json!({}));
    used["action"] = json!({"uses": {"uses": "o/act@v1", "with": [["who", "bob"]]}});
    let mut world = World::of(&[job("a", json!({ "steps": [used, step("exit 1", json!({}))] }))]);
    let mut seen = Vec::new();
    world.go(|spec| match &spec.action {
        StepAction::LookAhead { uses } => {
            let found = [(uses[0].clone(), Some(Box::new(action.clone())))].into();
            StepOutcome { found, ..ended(Conclusion::Exited(0)) }
        }
        StepAction::Load { .. } => {
            let action = Some(Box::new(action.clone()));
            StepOutcome { action, ..ended(Conclusion::Exited(0)) }
        }
        StepAction::Container { image, entrypoint, args } => {
            let built = ActionImage::Built {
                folder: "/w/act".to_owned(),
                dockerfile: "Dockerfile".to_owned(),
            };
            assert_eq!(*image, built);
            assert_eq!((&*spec.env["INPUT_WHO"], &*spec.env["MORE"]), ("bob", "bob!"));
            let kept = spec.env.get("STATE_kept").cloned();
            seen.push((entrypoint.clone().unwrap_or_default(), args.join(" "), kept));
            let mut outcome = ended(Conclusion::Exited(0));
            outcome.state.insert("kept".to_owned(), entrypoint.clone().unwrap_or_default());
            outcome
        }
        _ => by_script(spec),
    });
    let of = |program: &str, args: &str, kept: Option<&str>| {
        (program.to_owned(), args.to_owned(), kept.map(str::to_owned))
    };
    let wanted =
        [of("/pre", "", None), of("/main", "-w bob", Some("/pre")), of("/post", "", Some("/main"))];
    assert_eq!(seen, wanted);
    assert_eq!(world.run.ending(), Some(Ending::Failure));
}

#[test]
fn an_image_is_an_action() {
    let mut used = step("", json!({}));
    let with = json!([["entrypoint", "/bin/sh"], ["args", "-c 'a b'"], ["my input", "x"]]);
    used["action"] = json!({"uses": {"uses": "docker://alpine:3", "with": with}});
    let mut world = World::of(&[job("a", json!({ "steps": [used] }))]);
    world.go(|spec| {
        let wanted = StepAction::Container {
            image: ActionImage::Named("alpine:3".to_owned()),
            entrypoint: Some("/bin/sh".to_owned()),
            args: vec!["-c".to_owned(), "a b".to_owned()],
        };
        assert_eq!(spec.action, wanted);
        assert_eq!(spec.env["INPUT_MY_INPUT"], "x");
        ended(Conclusion::Exited(0))
    });
    assert_eq!(world.run.ending(), Some(Ending::Success));
}
