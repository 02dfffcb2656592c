//! The tracker seen from outside.

mod command;
mod exchange;
mod history;
mod merge;
mod query;
mod template;
mod wire;
mod world;
