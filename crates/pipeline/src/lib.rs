//! Pipelines: the plan that every dialect is lowered to, the expressions in it, and the run of a
//! plan as a decider.
//!
//! - [`plan`]: [`Plan`](plan::Plan), jobs, steps, matrices, triggers; one JSON document.
//! - [`expr`]: GitHub's expression language.
//! - [`trigger`]: whether a push starts a pipeline.
//! - [`run`]: what happens to a run: which jobs are ready, what each step does, how it all ends.
//! - [`concurrency`]: of which group only one is worked on at a time.
//! - [`queue`]: how all runs share the slots of a machine.
//! - [`schedule`]: which of the ready jobs start now.
//! - [`builtin`]: what `uses:` means without fetching anybody's code.
//! - [`keep`]: what steps keep for later ones: caches and artifacts.
//! - [`runners`]: which label of `runs-on` is served by what.
//! - [`seal`]: what a step is given that its planner does not know.
//! - [`Annotation`]: what steps say about places in files.
//! - [`Measured`]: what the reports say that a step read.
//! - [`Runner`]: what executes steps, from whoever has processes.
//!
//! Nothing here reads files, clocks or the environment, and no step is executed here. Text
//! becomes a plan in `grit-dialect`.
//!
//! ```
//! use grit_pipeline::expr::{Object, Scope, Template};
//! let template = Template::parse("v${{ inputs.major }}.0", Scope::ANY).unwrap();
//! let contexts = Object::new().with("inputs", Object::new().with("major", 3.0));
//! assert_eq!(template.text(&contexts).unwrap(), "v3.0");
//! ```
#![forbid(unsafe_code)]

mod annotation;
pub mod builtin;
pub mod concurrency;
mod container;
pub mod expr;
pub mod keep;
mod measured;
pub mod plan;
mod port;
pub mod queue;
pub mod run;
pub mod runners;
pub mod schedule;
pub mod seal;
pub mod shell;
#[cfg(test)]
mod testing;
pub mod trigger;

pub use annotation::{Annotation, AnnotationLevel, Annotations, JOB_MAX, STEP_LEVEL_MAX};
pub use container::{ActionImage, ContainerSpec, Containers, PreparedContainers, PreparedService};
pub use measured::{Covered, Measured, TESTS_MAX, TestCounts, TestOutcome, TestResult, Tests};
pub use port::*;
