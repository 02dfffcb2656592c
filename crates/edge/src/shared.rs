//! What the control side and the worker threads both hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::clock::Epoch;
use crate::config::Limits;
use crate::table::Table;

pub(crate) struct Shared {
    pub epoch: Epoch,
    pub limits: Limits,
    /// Open client connections.
    pub connections: AtomicUsize,
    table: ArcSwap<Table>,
    /// Of `table`: what a request looks at to know whether its thread is up to date.
    version: AtomicU64,
    /// By thread: no request that starts there from now on follows an older version.
    seen: Box<[AtomicU64]>,
    changed: watch::Sender<u64>,
}

impl Shared {
    pub fn new(epoch: Epoch, limits: Limits, threads: usize) -> Self {
        Self {
            epoch,
            limits,
            connections: AtomicUsize::new(0),
            table: ArcSwap::default(),
            version: AtomicU64::new(0),
            seen: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            changed: watch::Sender::new(0),
        }
    }

    pub fn threads(&self) -> usize {
        self.seen.len()
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// From the return on, every new request follows `table`.
    pub fn swap(&self, table: Table) {
        let version = table.version;
        self.table.store(Arc::new(table));
        self.version.store(version, Ordering::SeqCst);
        // Idle threads wake up to let go of what is not routed any more.
        self.changed.send_replace(version);
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// `thread` follows `version`; requests that it sent elsewhere before are already counted as
    /// in flight.
    pub fn saw(&self, thread: usize, version: u64) {
        self.seen[thread].store(version, Ordering::Release);
    }

    /// Whether all threads follow the current table.
    pub fn is_settled(&self) -> bool {
        let version = self.version();
        self.seen.iter().all(|seen| seen.load(Ordering::Acquire) >= version)
    }
}
