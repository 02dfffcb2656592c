//! The tracker seen from outside.

mod command;
mod history;
mod merge;
mod query;
mod template;
mod wire;
mod world;
