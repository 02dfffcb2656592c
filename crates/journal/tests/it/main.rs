//! The journal's contract in SQLite, and what it does when the disk, the file or the process fails.
#![forbid(unsafe_code)]

mod crash;
mod durable;
mod model;
mod refused;
mod support;
