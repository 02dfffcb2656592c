//! Blobs and artifacts on a real file system: kept, found, damaged, attacked.
#![forbid(unsafe_code)]

mod artifact;
mod attack;
mod determinism;
mod store;
mod support;
mod tree;
