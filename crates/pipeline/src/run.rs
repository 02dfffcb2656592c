//! The run of a plan: a decider over `run/ID`.
//!
//! A plan's job waits for its needs, is then skipped, refused or expanded (a matrix makes several
//! jobs of it), and each job takes a slot, is prepared, and does its steps one after the other.
//! Expressions are evaluated here, at the moment their values are there; what a step is to do is
//! recorded in `run.step_started` with everything filled in. What is only known late is expanded
//! late: a job that calls a workflow brings that workflow's jobs with it, in a scope of their own; a
//! step that uses an action goes through the action's steps, in a frame of their own. A run is over when nothing of its
//! jobs is left on the machine.

mod action;
mod advance;
mod ahead;
mod allow;
mod call;
mod command;
mod containers;
mod context;
mod decide;
mod effect;
mod event;
mod evolve;
mod expand;
mod frame;
mod hold;
mod inputs;
mod matrix;
mod outputs;
mod scope;
mod slots;
mod state;
mod step;
mod turn;
mod view;

pub use ahead::Ahead;
pub use allow::{TOKEN, is_from_outside, of_environment};
pub use command::{
    Command, Foreign, Outcome, REQUEST_BYTES_MAX, Refusal, Request, Selection, Setting,
};
pub use effect::{Concluded, Effect, JobEnding, Timer};
pub use event::{CallCell, CancelCause, Cell, Event};
pub use frame::{Frame, Post};
pub use hold::Hold;
pub(crate) use hold::is_free;
pub use inputs::values as inputs_of;
pub use matrix::MatrixError;
pub use slots::Slots;
pub use state::{Ending, Group, GroupPhase, JobPhase, JobRun, Phase, Run, Scope, StepRun};
pub use step::timeout_of;
pub use turn::Turn;
pub use view::{JobView, StepView};

use grit_ledger::{Context, Decider};

/// A job that was interrupted is begun anew until it had this many attempts.
pub const ATTEMPTS_MAX: u32 = 3;

/// What steps made and one event must hold, as JSON: events are bounded, and hold more beside it.
const MADE_BYTES_MAX: usize = 3 << 20;

/// Refuses what an event would have no room for, in words for people.
fn bounded(made: &impl serde::Serialize, what: &str) -> Result<(), String> {
    let bytes = serde_json::to_vec(made).map_or(0, |text| text.len());
    if bytes <= MADE_BYTES_MAX {
        return Ok(());
    }
    Err(format!("{what} have {bytes} bytes together, more than {MADE_BYTES_MAX}"))
}

/// No timeout is longer than this, in minutes.
const TIMEOUT_MINUTES_MAX: u32 = 43_200;

/// The decider of runs.
pub struct Runs;

impl Decider for Runs {
    type State = Run;
    type Command = Command;
    type Event = Event;
    type Effect = Effect;
    type Refusal = Refusal;

    fn decide(state: &Run, command: &Command, context: &Context) -> Result<Vec<Event>, Refusal> {
        decide::decide(state, command, context)
    }

    fn evolve(state: Run, event: &Event) -> Run {
        evolve::evolve(state, event)
    }

    fn effects(state: &Run, event: &Event) -> Vec<Effect> {
        effect::effects(state, event)
    }
}
