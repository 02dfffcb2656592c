//! Slots and `grit.yaml` from outside, and the fakes.

mod config;
mod config_schema;
mod contract;
mod ground;
mod laws;
mod random;
mod requests;
mod rig;
mod scenario;
mod strategies;
mod words;
mod world;
