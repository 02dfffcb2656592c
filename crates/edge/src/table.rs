//! What requests follow: immutable, swapped as a whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use grit_rollout::SlotId;
use grit_types::{Revision, Weight};

use crate::guard::{Evidence, Watch};
use crate::stats::Series;

/// Every route, by host.
#[derive(Default)]
pub(crate) struct Table {
    pub version: u64,
    pub hosts: HashMap<Box<str>, Arc<RouteEntry>>,
}

/// A slot's route, ready for requests.
pub(crate) struct RouteEntry {
    pub slot: SlotId,
    /// Indices into `groups`.
    pub turns: Box<[u8]>,
    pub groups: Vec<GroupEntry>,
    /// The stable group, where it can serve: what is taken when another cannot.
    pub fallback: Option<usize>,
    pub timeout_ms: u64,
    /// Requests of the slot that no series of `groups` counts.
    pub prior: u64,
}

impl RouteEntry {
    /// How many requests the slot has had.
    pub fn requests(&self) -> u64 {
        let series = self.groups.iter().flat_map(|group| &group.series);
        self.prior + series.map(|series| series.totals().requests).sum::<u64>()
    }
}

pub(crate) struct GroupEntry {
    pub revision: Revision,
    /// What it gets now: after a trip not what was applied.
    pub weight: Weight,
    pub addresses: Vec<SocketAddr>,
    /// Of the same endpoints, in the same order.
    pub series: Vec<Arc<Series>>,
    pub watch: Option<Arc<Watch>>,
    /// Where it is worth knowing which requests failed: not of stable.
    pub evidence: Option<Arc<Evidence>>,
}
