//! Putting the rooms together: the one place that knows more than one adapter.

mod actions;
mod clock;
mod data;
mod edge;
mod modules;
mod observe;
mod pins;
mod runner;
mod serve;
mod source;
mod verify;

pub use actions::{Places as ActionPlaces, lock_text};
pub use clock::{OsEntropy, SystemClock};
pub use data::{DataFolder, ServeFile};
pub use edge::EdgeProcess;
pub use pins::{Pin, Pins};
pub use runner::{job_env, open_local};
pub use serve::{Options, Server, slots, start};
pub use source::{GitSource, LOCAL_REPO_DEFAULT};
