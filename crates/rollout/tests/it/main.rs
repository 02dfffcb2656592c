//! Slots and `grit.yaml` from outside, and the fakes.

mod config;
mod config_schema;
mod contract;
mod ground;
mod requests;
