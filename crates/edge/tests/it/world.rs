//! An edge with its folder, and routes to give it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use grit_edge::{
    Edge, EdgeClient, EdgeConfig, EdgeError, Handle, SnapshotFile, SnapshotStore, State,
};
use grit_rollout::{
    Drained, Endpoint, Group, Guard, Observed, Route, RouterError, SlotId, Stats, TrafficRouter,
};
use grit_types::{Fence, InstanceId, Revision, Sequence, Timestamp, Weight};
use tokio::runtime::Runtime;

use crate::client::Client;

pub struct World {
    pub config: EdgeConfig,
    pub runtime: Runtime,
    /// While set, nothing can be saved.
    pub full: Arc<AtomicBool>,
    edge: Option<Handle>,
    folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// An edge whose configuration is changed first.
    pub fn with(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (socket, snapshot) = (folder.path().join("admin.sock"), folder.path().join("snapshot"));
        let mut config = EdgeConfig::new("127.0.0.1:0".parse().unwrap(), socket, snapshot);
        config.limits.shutdown_linger = Duration::from_millis(20);
        config.limits.shutdown_deadline = Duration::from_millis(500);
        change(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut world = Self { config, runtime, full: Arc::default(), edge: None, folder };
        world.start().unwrap();
        world
    }

    pub fn start(&mut self) -> Result<(), EdgeError> {
        self.edge = Some(self.bind()?.spawn()?);
        Ok(())
    }

    /// Another edge on the same files.
    pub fn bind(&self) -> Result<Edge, EdgeError> {
        let store = Disk(SnapshotFile(self.config.snapshot.clone()), Arc::clone(&self.full));
        Edge::bind_with(self.config.clone(), Box::new(store))
    }

    pub fn stop(&mut self) {
        self.edge.take().unwrap().stop().unwrap();
    }

    /// Goes on with an edge that was started elsewhere.
    pub fn adopt(&mut self, edge: Handle) {
        self.edge = Some(edge);
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start().unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        self.edge.as_ref().unwrap().address()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    pub fn router(&self) -> EdgeClient {
        EdgeClient::new(self.config.admin_socket.clone())
    }

    pub fn apply(&self, route: &Route) -> Observed {
        self.try_apply(route).unwrap()
    }

    pub fn try_apply(&self, route: &Route) -> Result<Observed, RouterError> {
        self.runtime.block_on(self.router().apply(route))
    }

    pub fn observed(&self) -> Observed {
        self.runtime.block_on(self.router().observed(&slot())).unwrap().unwrap()
    }

    pub fn stats(&self) -> Stats {
        self.runtime.block_on(self.router().stats(&slot(), Duration::from_secs(60))).unwrap()
    }

    pub fn state(&self) -> State {
        self.runtime.block_on(self.router().state()).unwrap()
    }

    pub fn drained(&self, instances: &[InstanceId], deadline: Duration) -> Drained {
        self.runtime.block_on(self.router().drained(&slot(), instances, deadline)).unwrap()
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// A disk that can be full.
struct Disk(SnapshotFile, Arc<AtomicBool>);

impl SnapshotStore for Disk {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.load()
    }

    fn save(&self, bytes: &[u8]) -> io::Result<()> {
        if self.1.load(SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.save(bytes)
    }
}

pub fn slot() -> SlotId {
    SlotId {
        tenant: "local".parse().unwrap(),
        repo: "shop".parse().unwrap(),
        environment: "production".parse().unwrap(),
        service: "api".parse().unwrap(),
    }
}

/// The route of `api` in production, without groups.
pub fn route(fence: u64, sequence: u64) -> Route {
    Route {
        slot: slot(),
        fence: Fence(fence),
        sequence: Sequence(sequence),
        groups: Vec::new(),
        guard: None,
        request_timeout: Duration::from_secs(30),
    }
}

/// Routes are put together group by group.
pub trait With: Sized {
    fn stable(self, revision: u64, percent: u8, at: &[SocketAddr]) -> Self;
    fn canary(self, revision: u64, percent: u8, at: &[SocketAddr]) -> Self;
    fn guarded(self, percent: u8, min_requests: u64) -> Self;
    fn timeout(self, timeout: Duration) -> Self;
}

impl With for Route {
    fn stable(mut self, revision: u64, percent: u8, at: &[SocketAddr]) -> Self {
        self.groups.push(group(revision, percent, at, true));
        self
    }

    fn canary(mut self, revision: u64, percent: u8, at: &[SocketAddr]) -> Self {
        self.groups.push(group(revision, percent, at, false));
        self
    }

    fn guarded(mut self, percent: u8, min_requests: u64) -> Self {
        let error_rate = Weight::from_percent(percent).unwrap();
        self.guard = Some(Guard { error_rate, window: Duration::from_secs(60), min_requests });
        self
    }

    fn timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }
}

fn group(revision: u64, percent: u8, at: &[SocketAddr], stable: bool) -> Group {
    let endpoint = |address: &SocketAddr| Endpoint {
        instance: instance(revision, *address),
        address: address.to_string(),
    };
    Group {
        revision: Revision(revision),
        version: format!("v{revision}"),
        weight: Weight::from_percent(percent).unwrap(),
        stable,
        endpoints: at.iter().map(endpoint).collect(),
    }
}

/// The instance of a revision at an address.
pub fn instance(revision: u64, address: SocketAddr) -> InstanceId {
    let seed = format!("{revision} {address}");
    InstanceId::derived(Timestamp::from_millis(1), seed.as_bytes())
}

/// Waits until the condition holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
