//! What the record says about how a team delivers: DORA's keys, and the history of deployments.
//!
//! Everything is computed from events that any clone holds, so it needs no server and comes out the
//! same wherever it is asked. Nothing here reads a clock or a file: the window and the events come
//! in as arguments, and nothing is kept between two questions.
//!
//! Main types: [`dora::keys`] computes [`dora::Keys`] from a [`dora::Input`] and a [`dora::Window`];
//! [`from_ledger`] builds the input, and [`deployments`] the history, from the events of a ledger.
//!
//! ```
//! use grit_insight::dora::{Window, keys};
//! use grit_types::Timestamp;
//! let day = Window::new(Timestamp::from_millis(0), Timestamp::from_millis(86_400_000)).unwrap();
//! let keys = keys(&grit_insight::from_ledger(&[]), day);
//! assert_eq!(keys.deployment_total, 0);
//! assert_eq!(keys.change_failure_rate, None);
//! ```
#![forbid(unsafe_code)]

pub mod bench;
pub mod coverage;
pub mod dora;
pub mod flaky;
mod history;
mod ledger;
pub mod pipelines;
pub mod suite;
mod xml;

pub use history::{Change, Status, Summary, Trigger, deployments};
pub use ledger::from_ledger;
