//! The reactor: the one place where things happen in order.
//!
//! [`Core`] is pure: inputs in, actions out, no store and no clock of its own. It linearises per
//! stream by expected version, hands out the effects of what was appended, and takes their outcomes
//! back in as the next commands. [`drive`] does what the core says, on a real journal.

mod core;
mod drive;

pub use self::core::{Action, Core, Input, Receipt, SubmitError, Ticket};
pub use drive::{Carrier, Handle, Reactor, Submission, start};
