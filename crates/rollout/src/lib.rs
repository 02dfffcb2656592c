//! Rollouts: how a new revision of a service takes over, step by step, and how it goes back.
//!
//! A *slot* is one service in one environment. Its [`Slot`] folds from its stream, and
//! [`Rollouts`] decides on it: requests, gates, steps, measurements, the way back. Everything is
//! pure: instances are run by a [`Target`], traffic is moved by a [`TrafficRouter`], and what they
//! did comes back as the next [`slot::Command`].
//!
//! Always: weight, read back, drain, then scale. Never is anything scaled down that is routed.
//!
//! Both ports have one contract test ([`contract`]) that all their implementations run, and
//! in-memory ones here ([`fake`]) that a simulation moves step by step.
//!
//! This room knows no HTTP, no process, no clock and no store.
#![forbid(unsafe_code)]

mod analysis;
pub mod config;
pub mod contract;
mod decide;
mod effects;
mod evolve;
pub mod fake;
mod keyed;
mod millis;
mod port;
pub mod slot;
mod spec;
mod stages;

pub use analysis::judge;
pub use port::*;
pub use slot::Slot;
pub use spec::*;

/// The decider of slots.
pub struct Rollouts;

impl grit_ledger::Decider for Rollouts {
    type State = Slot;
    type Command = slot::Command;
    type Event = slot::Event;
    type Effect = slot::Effect;
    type Refusal = slot::Refusal;

    fn decide(
        state: &Slot,
        command: &slot::Command,
        context: &grit_ledger::Context,
    ) -> Result<Vec<slot::Event>, slot::Refusal> {
        decide::decide(state, command, context)
    }

    fn evolve(state: Slot, event: &slot::Event) -> Slot {
        evolve::evolve(state, event)
    }

    fn effects(state: &Slot, event: &slot::Event) -> Vec<slot::Effect> {
        effects::effects(state, event)
    }
}
