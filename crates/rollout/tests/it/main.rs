//! Slots and `grit.yaml` from outside.

mod config;
mod config_schema;
