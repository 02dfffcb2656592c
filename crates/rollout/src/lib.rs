#![forbid(unsafe_code)]
mod port;
mod spec;
pub use port::*;
pub use spec::*;
