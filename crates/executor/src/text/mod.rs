//! What steps say, and what must not be said: no files, no processes.

pub(crate) mod command;
#[cfg(test)]
mod encodings;
pub(crate) mod escape;
pub(crate) mod files;
pub(crate) mod glob;
pub(crate) mod mask;
pub(crate) mod matcher;
