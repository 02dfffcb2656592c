//! Workflow files as people write them, and as they get them wrong.

mod calling;
mod errors;
mod hostile;
mod linting;
mod plan;
