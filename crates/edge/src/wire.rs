//! What the admin interface says, in JSON, over HTTP/1.1 on its unix socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use grit_rollout::{Observed, Route, RouterError, SlotId, Trip};
use grit_types::{Fence, InstanceId, Revision, Sequence, Timestamp};
use serde::{Deserialize, Serialize};

/// All that an edge knows: `GET /state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub pid: u32,
    pub uptime_ms: u64,
    pub listen: SocketAddr,
    pub threads: usize,
    /// Open client connections.
    pub connections: usize,
    pub slots: Vec<SlotState>,
}

/// A slot in [`State`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotState {
    pub host: String,
    /// As it was applied; a trip is in `observed`.
    pub route: Route,
    pub observed: Observed,
    /// Every revision that was routed since this edge started, with what it served.
    pub totals: BTreeMap<Revision, Totals>,
}

/// What a revision served since the edge started, across all changes of its weight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub requests: u64,
    /// Answers of 500 to 599.
    pub errors: u64,
    pub timeouts: u64,
    /// Connections refused or broken.
    pub broken: u64,
    /// Those of `broken` that another endpoint answered: no client saw them fail.
    pub retried: u64,
    pub in_flight: u64,
    /// Kept for revisions that are not stable.
    pub first_failure: Option<Failure>,
    pub last_failure: Option<Failure>,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: Timestamp,
    /// `#123 GET /catalogue 500`: the number counts the slot's requests since the edge started.
    pub request: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct DrainRequest {
    pub slot: SlotId,
    pub instances: Vec<InstanceId>,
    pub deadline_ms: u64,
}

/// `GET /trips`: the trips that hold and have a number above the one asked after.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TripsAnswer {
    /// Tells edges apart: numbers begin anew in each.
    pub edge: u64,
    pub last: u64,
    pub trips: Vec<SlotTrip>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SlotTrip {
    pub slot: SlotId,
    pub trip: Trip,
}

/// A [`RouterError`] on its way.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Refusal {
    Stale {
        slot: SlotId,
        current: Fence,
        current_sequence: Sequence,
    },
    Invalid {
        slot: SlotId,
        problem: String,
    },
    Storage {
        slot: SlotId,
        problem: String,
    },
    /// A request that is not one of the interface's.
    Request {
        problem: String,
    },
}

impl Refusal {
    pub fn status(&self) -> u16 {
        match self {
            Self::Request { .. } => 400,
            Self::Stale { .. } => 409,
            Self::Invalid { .. } => 422,
            Self::Storage { .. } => 507,
        }
    }
}

impl From<RouterError> for Refusal {
    fn from(error: RouterError) -> Self {
        match error {
            RouterError::Stale { slot, current, current_sequence } => {
                Self::Stale { slot, current, current_sequence }
            }
            RouterError::Invalid { slot, problem } => Self::Invalid { slot, problem },
            RouterError::Storage { slot, source } => {
                Self::Storage { slot, problem: source.to_string() }
            }
            RouterError::Unreachable(source) => Self::Request { problem: source.to_string() },
        }
    }
}

impl From<Refusal> for RouterError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Stale { slot, current, current_sequence } => {
                Self::Stale { slot, current, current_sequence }
            }
            Refusal::Invalid { slot, problem } => Self::Invalid { slot, problem },
            Refusal::Storage { slot, problem } => Self::Storage { slot, source: problem.into() },
            Refusal::Request { problem } => Self::Unreachable(problem.into()),
        }
    }
}

/// `slot/T/R/E/S`, the stream's name, read back.
pub(crate) fn slot_of(stream: &str) -> Option<SlotId> {
    SlotId::of_stream(&stream.parse().ok()?)
}
