use std::time::Duration;

use grit_types::{CommitId, Digest, InstanceId, Revision, Timestamp};
use serde::{Deserialize, Serialize};

use super::{MeasureOf, Why};
use crate::{Check, Gate, InstanceSet, Route, SlotId};

/// What must be done; see the ports for how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Find out, and answer with [`super::Command::Gate`] on the slot, however long it takes.
    AskGate {
        number: u64,
        gate: usize,
        ask: Gate,
        commit: CommitId,
        artifact: Digest,
    },
    EnsureInstances {
        number: u64,
        set: Box<InstanceSet>,
    },
    RunCheck {
        number: u64,
        check: usize,
        run: Box<Check>,
    },
    SetWeights(Box<Route>),
    Drain {
        revision: Revision,
        slot: SlotId,
        instances: Vec<InstanceId>,
        #[serde(with = "crate::millis")]
        deadline: Duration,
    },
    StopInstances {
        revision: Revision,
        slot: SlotId,
        /// None named: all of the revision.
        instances: Vec<InstanceId>,
        #[serde(with = "crate::millis")]
        drain: Duration,
    },
    Measure {
        number: u64,
        of: MeasureOf,
        slot: SlotId,
        #[serde(with = "crate::millis")]
        window: Duration,
    },
    WakeAt {
        at: Timestamp,
        timer: Timer,
    },
    OpenIssue {
        number: u64,
        slot: SlotId,
        version: String,
        reason: Why,
        at: Timestamp,
    },
}

/// What a wake-up is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    Hold { number: u64, step: usize },
    Measure { number: u64, of: MeasureOf },
    Soak { number: u64 },
    Retire { revision: Revision },
}
