//! The contracts of the in-memory stores, and the golden bytes of every envelope version.
#![forbid(unsafe_code)]

mod golden;
mod stores;
