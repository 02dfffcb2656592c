//! Workflow files as people write them, and as they get them wrong.

mod errors;
mod hostile;
mod plan;
