//! What each key may use (docs.github.com, "Context availability").

use grit_pipeline::expr::Scope;

const STATUS: &[&str] = &["success", "failure", "always", "cancelled"];
const FILES: &[&str] = &["hashFiles"];
const STATUS_AND_FILES: &[&str] = &["success", "failure", "always", "cancelled", "hashFiles"];

const fn contexts(contexts: &'static [&'static str]) -> Scope<'static> {
    Scope { contexts, functions: &[] }
}

pub(super) const WORKFLOW: Scope<'_> = contexts(&["github", "inputs", "vars"]);
pub(super) const WORKFLOW_ENV: Scope<'_> = contexts(&["github", "secrets", "inputs", "vars"]);
pub(super) const CALL_OUTPUT: Scope<'_> = contexts(&["github", "jobs", "vars", "inputs"]);
pub(super) const STRATEGY: Scope<'_> = contexts(&["github", "needs", "vars", "inputs"]);
/// `name`, `runs-on`, `timeout-minutes`, `container`, `services`, `environment`, `concurrency`.
pub(super) const JOB: Scope<'_> =
    contexts(&["github", "needs", "strategy", "matrix", "vars", "inputs"]);
pub(super) const JOB_ENV: Scope<'_> =
    contexts(&["github", "needs", "strategy", "matrix", "vars", "secrets", "inputs"]);
pub(super) const JOB_DEFAULTS: Scope<'_> =
    contexts(&["github", "needs", "strategy", "matrix", "env", "vars", "inputs"]);
pub(super) const JOB_IF: Scope<'_> =
    Scope { contexts: &["github", "needs", "vars", "inputs"], functions: STATUS };
pub(super) const OUTPUTS: Scope<'_> = contexts(&[
    "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "steps",
    "inputs",
]);
pub(super) const ENVIRONMENT_URL: Scope<'_> = contexts(&[
    "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "steps", "inputs",
]);
pub(super) const CREDENTIALS: Scope<'_> =
    contexts(&["github", "needs", "strategy", "matrix", "env", "vars", "secrets", "inputs"]);
pub(super) const CONTAINER_ENV: Scope<'_> = contexts(&[
    "github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "inputs",
]);
/// In an action of the repository: what its user has is no business of it, but for `env`.
pub(super) const ACTION_STEP: Scope<'_> = Scope {
    contexts: &["github", "inputs", "job", "runner", "env", "steps", "strategy", "matrix", "needs"],
    functions: FILES,
};
pub(super) const ACTION_IF: Scope<'_> =
    Scope { contexts: ACTION_STEP.contexts, functions: STATUS_AND_FILES };
pub(super) const ACTION_INPUT: Scope<'_> = Scope {
    contexts: &["github", "job", "runner", "env", "strategy", "matrix", "needs"],
    functions: FILES,
};
pub(super) const STEP: Scope<'_> = Scope { contexts: OUTPUTS.contexts, functions: FILES };
pub(super) const STEP_IF: Scope<'_> =
    Scope { contexts: ENVIRONMENT_URL.contexts, functions: STATUS_AND_FILES };
