//! What tests of several rooms need: temporary folders, git repositories that are the same every
//! time, waiting with a deadline, free ports, and processes that do not outlive their test.
//!
//! It fakes nothing and knows no other room than the words of `grit-types`. Everything in it
//! panics instead of answering an error, because its callers are tests.
//!
//! ```no_run
//! use grit_testkit::{eventually, repo};
//! use std::time::Duration;
//!
//! let shop = repo().file("api/main.rs", "fn main() {}").commit("first").tag("v1.0.0");
//! eventually(Duration::from_secs(5), || shop.path().join(".git").is_dir());
//! ```
#![forbid(unsafe_code)]

pub mod engine;
pub mod order;
mod port;
mod process;
mod repo;
mod tool;
mod wait;

pub use port::free_port;
pub use process::ProcessGuard;
pub use repo::{TestRepo, git, repo};
pub use tempfile::TempDir;
pub use tool::tool;
pub use wait::{eventually, eventually_some};

/// A folder that goes when it is dropped.
#[track_caller]
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new().prefix("grit-test-").tempdir().expect("make a temporary folder")
}
