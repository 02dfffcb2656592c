//! Plans for tests.

use indexmap::IndexMap;

use crate::expr::{Condition, Scope, Template};
use crate::plan::{Action, Defaults, Dialect, Filters, Job, Place, Plan, Step, Trigger};

pub(crate) fn text(source: &str) -> Template {
    Template::parse(source, Scope::ANY).unwrap()
}

pub(crate) fn step(script: &str) -> Step {
    Step {
        id: None,
        name: None,
        place: Place::default(),
        condition: Condition::success(),
        action: Action::Run { script: text(script), shell: None },
        env: IndexMap::new(),
        working_directory: None,
        timeout_minutes: None,
        continue_on_error: None,
    }
}

pub(crate) fn job(key: &str, needs: &[&str]) -> Job {
    Job {
        key: key.parse().unwrap(),
        name: None,
        place: Place::default(),
        needs: needs.iter().map(|need| need.parse().unwrap()).collect(),
        condition: Condition::success(),
        matrix: None,
        fail_fast: None,
        max_parallel: None,
        env: IndexMap::new(),
        defaults: Defaults::default(),
        runs_on: vec![text("ubuntu-latest")],
        outputs: IndexMap::new(),
        timeout_minutes: None,
        continue_on_error: None,
        steps: vec![step("true")],
        unsupported: Vec::new(),
        call: None,
        permissions: None,
        environment: None,
        concurrency: None,
        container: None,
        services: None,
    }
}

pub(crate) fn plan(jobs: impl IntoIterator<Item = Job>) -> Plan {
    let push = Trigger {
        event: "push".to_owned(),
        place: Place::default(),
        filters: Filters::default(),
        inputs: IndexMap::new(),
        schedule: Vec::new(),
        secrets: IndexMap::new(),
        outputs: IndexMap::new(),
    };
    Plan {
        dialect: Dialect::Github,
        file: ".github/workflows/ci.yml".to_owned(),
        name: "CI".to_owned(),
        triggers: vec![push],
        env: IndexMap::new(),
        defaults: Defaults::default(),
        jobs: jobs.into_iter().map(|job| (job.key.clone(), job)).collect(),
        permissions: None,
        concurrency: None,
        called: IndexMap::new(),
    }
}
