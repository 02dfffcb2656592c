#![forbid(unsafe_code)]
mod port;
pub use port::*;
