//! The control plane: commands come in, are decided, become events; events oblige to effects;
//! what came of an effect is the next command.
//!
//! - [`Control`] is what people and programs ask.
//! - [`reactor`] is the one place where things happen in order; its core is pure.
//! - [`carry`](PortCarrier) carries effects out through the [`Ports`].
//! - [`repo`] decides what is built from a push and where it goes.
//! - [`schedule`], [`trigger`] and [`listen`] start pipelines by the clock, by what others came to, and
//!   by what happens to issues and locks.
//! - [`relay`] carries the journal's events on, into the ledger of the repository concerned.
//! - [`view`] is what pages and the command line show; its rows are part of every append.
//!
//! It knows no HTTP, no git, no process and no SQL: those come in through ports.
#![forbid(unsafe_code)]

pub mod aggregate;
mod ask;
mod carry;
mod control;
mod follow;
pub mod listen;
mod measured;
pub mod pipelines;
pub mod ports;
pub mod project;
pub mod reactor;
pub mod relay;
pub mod repo;
mod request;
pub mod schedule;
pub mod trigger;
pub mod view;

pub use ask::{Dispatch, Review};
pub use carry::plan::run_stream;
pub use carry::{PortCarrier, Ports, RunCarrier};
pub use carry::{group_stream, queue_stream};
pub use control::{Control, ControlError, Deploy, Steer};
pub use grit_rollout::slot;
pub use request::ServiceUrl;
