//! A reactor in small: effects are carried out by a closure, outcomes are the next commands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use grit_ledger::{Context, Decider, join, split};
use grit_pipeline::plan::Plan;
use grit_pipeline::run::{
    Command, Effect, Ending, Event, Outcome, Refusal, Request, Run, Runs, Timer,
};
use grit_pipeline::{Conclusion, Prepared, StepAction, StepOutcome, StepSpec};
use grit_types::{Actor, Timestamp};
use serde_json::{Value, json};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A job as the plan's JSON has it, `over` replacing what is not said otherwise.
pub fn job(key: &str, over: Value) -> Value {
    let mut job = json!({
        "key": key, "name": null, "place": {"line": 1, "column": 1}, "needs": [], "if": "",
        "matrix": null, "fail_fast": null, "max_parallel": null, "env": [],
        "defaults": {"shell": null, "working_directory": null}, "runs_on": ["ubuntu-latest"],
        "outputs": [], "timeout_minutes": null, "continue_on_error": null,
        "steps": [step("true", json!({}))], "unsupported": [],
    });
    merge(&mut job, over);
    job
}

/// A step that runs a script.
pub fn step(script: &str, over: Value) -> Value {
    let mut step = json!({
        "id": null, "name": null, "place": {"line": 1, "column": 1}, "if": "",
        "action": {"run": {"script": script, "shell": null}}, "env": [],
        "working_directory": null, "timeout_minutes": null, "continue_on_error": null,
    });
    merge(&mut step, over);
    step
}

fn merge(base: &mut Value, over: Value) {
    if let (Some(base), Value::Object(over)) = (base.as_object_mut(), over) {
        base.extend(over);
    }
}

pub fn plan(jobs: &[Value]) -> Plan {
    let document = json!({
        "dialect": "github", "file": ".github/workflows/ci.yml", "name": "CI", "triggers": [],
        "env": [], "defaults": {"shell": null, "working_directory": null}, "jobs": jobs,
    });
    serde_json::from_value(document).expect("a plan")
}

pub fn request(plan: Plan) -> Request {
    Request {
        run: "run_01HZY3V6Z3X5Q8W9T2R4M7N6KB".parse().expect("a run id"),
        tenant: grit_types::Tenant::local(),
        repo: "shop".parse().expect("a repository"),
        number: 7,
        plan,
        event: "push".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().expect("a commit"),
        ref_name: Some("refs/heads/main".parse().expect("a ref")),
        actor: "alice".parse().expect("a principal"),
        inputs: BTreeMap::new(),
        payload: Default::default(),
        vars: BTreeMap::new(),
        env: BTreeMap::from([("GRIT_SERVER".to_owned(), "http://127.0.0.1:7777".to_owned())]),
        slots: 2,
        only: Default::default(),
        os: "Linux".to_owned(),
        foreign: Default::default(),
        serves: Vec::new(),
        runners: Vec::new(),
        secrets: Default::default(),
        seal: "w0rd".to_owned(),
        setting: Default::default(),
    }
}

pub struct World {
    pub run: Run,
    pub events: Vec<Event>,
    pub owed: VecDeque<Effect>,
    pub now: Timestamp,
}

impl World {
    /// A run that was just planned.
    pub fn new(request: Request) -> Self {
        let mut world =
            Self { run: Run::default(), events: Vec::new(), owed: VecDeque::new(), now: NOW };
        world.submit(Command::Plan(Arc::new(request))).expect("planned");
        world
    }

    pub fn of(jobs: &[Value]) -> Self {
        Self::new(request(plan(jobs)))
    }

    /// Decides, and takes every event through its stored form.
    pub fn submit(&mut self, command: Command) -> Result<(), Refusal> {
        let context = Context { now: self.now, actor: Actor::grit("test") };
        let events = Runs::decide(&self.run, &command, &context)?;
        assert_eq!(Ok(&events), Runs::decide(&self.run, &command, &context).as_ref());
        for event in events {
            let event = stored(&event);
            self.run = Runs::evolve(std::mem::take(&mut self.run), &event);
            self.owed.extend(Runs::effects(&self.run, &event));
            self.events.push(event);
        }
        Ok(())
    }

    /// Carries effects out, oldest first, until none is owed but wake-ups.
    pub fn go(&mut self, mut runner: impl FnMut(&StepSpec) -> StepOutcome) {
        let mut asleep = Vec::new();
        while let Some(effect) = self.owed.pop_front() {
            if matches!(effect, Effect::WakeAt { .. }) {
                asleep.push(effect);
                continue;
            }
            let outcome = outcome(&effect, &mut runner);
            self.submit(Command::Outcome(outcome)).expect("outcomes are never refused");
        }
        self.owed.extend(asleep);
    }

    /// The same, each step ending as its script says.
    pub fn play(&mut self) {
        self.go(by_script);
    }

    pub fn ending(&self) -> Ending {
        self.run.ending().unwrap_or_else(|| panic!("the run is not over: {:?}", self.run.phase))
    }

    /// What the jobs of the plan came to, one word after the other.
    pub fn endings(&self) -> String {
        let ending = |group: &Arc<grit_pipeline::run::Group>| {
            let ending = group.ending().map_or("-", Ending::as_str);
            format!("{}={ending}", group.key)
        };
        self.run.groups.iter().map(ending).collect::<Vec<_>>().join(" ")
    }

    /// Every step that was started.
    pub fn specs(&self) -> Vec<&StepSpec> {
        fn spec(event: &Event) -> Option<&StepSpec> {
            match event {
                Event::StepStarted { spec, .. } => Some(spec),
                _ => None,
            }
        }
        self.events.iter().filter_map(spec).collect()
    }

    /// Their scripts.
    pub fn scripts(&self) -> Vec<&str> {
        self.specs().into_iter().map(script).collect()
    }

    pub fn wake(&mut self, timer: Timer) {
        self.submit(Command::Outcome(Outcome::Woke(timer))).expect("never refused");
    }
}

/// An event as a journal gives it back.
pub fn stored(event: &Event) -> Event {
    let (kind, data) = split(event).expect("a tagged event");
    let text = grit_ledger::canonical(&data);
    let data = serde_json::from_str(&text).expect("canonical JSON");
    let back: Event = join(&kind, &data).expect("reads back");
    assert_eq!(back, *event);
    back
}

pub fn script(spec: &StepSpec) -> &str {
    match &spec.action {
        StepAction::Script { script, .. } => script,
        StepAction::Checkout { .. } => "checkout",
        StepAction::Tool { program } | StepAction::Node { program } => program,
        StepAction::Load { uses } => uses,
        StepAction::LookAhead { .. } => "look ahead",
        StepAction::Container { entrypoint, .. } => entrypoint.as_deref().unwrap_or_default(),
        StepAction::Restore { key, .. } | StepAction::Save { key, .. } => key,
        StepAction::Upload(spec) => &spec.name,
        StepAction::Download(spec) => &spec.name,
        StepAction::Merge(spec) => &spec.name,
        StepAction::RustRestore(spec) | StepAction::RustSave(spec) => &spec.key,
        StepAction::Known { name, .. } => name,
        StepAction::Refuse { why } => why,
        StepAction::Answer { .. } => "answer",
    }
}

pub fn prepared() -> Prepared {
    Prepared {
        workspace: "/work/w".to_owned(),
        temp: "/work/t".to_owned(),
        os: "Linux".to_owned(),
        arch: "X64".to_owned(),
        containers: Default::default(),
    }
}

pub fn ended(conclusion: Conclusion) -> StepOutcome {
    StepOutcome { duration: Duration::from_millis(5), ..StepOutcome::of(conclusion) }
}

/// `exit N`, `interrupt`, `output NAME=VALUE`, `env NAME=VALUE`, `path FOLDER`; anything else
/// succeeds.
pub fn by_script(spec: &StepSpec) -> StepOutcome {
    let script = script(spec);
    let (word, rest) = script.split_once(' ').unwrap_or((script, ""));
    let pair = || rest.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut outcome = ended(Conclusion::Exited(0));
    match word {
        "exit" => outcome.conclusion = Conclusion::Exited(rest.parse().unwrap_or(2)),
        "interrupt" => outcome.conclusion = Conclusion::Interrupted,
        "output" => outcome.outputs.extend(pair()),
        "env" => outcome.env.extend(pair()),
        "path" => outcome.path.push(rest.to_owned()),
        _ => {}
    }
    outcome
}

pub fn outcome(effect: &Effect, runner: &mut impl FnMut(&StepSpec) -> StepOutcome) -> Outcome {
    match effect {
        Effect::PrepareJob(spec) => Outcome::Prepared { job: spec.job, result: Ok(prepared()) },
        Effect::StartStep(spec) => {
            Outcome::StepDone { job: spec.job, index: spec.index, outcome: runner(spec) }
        }
        Effect::CleanJob { job } => Outcome::Cleaned { job: *job, result: Ok(()) },
        Effect::WakeAt { timer, .. } => Outcome::Woke(timer.clone()),
        Effect::CancelJob { .. }
        | Effect::Claim { .. }
        | Effect::Release { .. }
        | Effect::WantSlots(_)
        | Effect::LeaveQueue { .. }
        | Effect::Conclude(_) => Outcome::Done,
    }
}
