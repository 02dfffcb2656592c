use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::clock::Epoch;
use crate::control::Control;
use crate::shared::Shared;
use crate::snapshot::{SnapshotFile, SnapshotStore};
use crate::{EdgeClient, EdgeConfig, EdgeError, data, listen};

/// How often a lock that is taken is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(5);
/// How often a trip that could not be saved is saved again.
const SAVE_RETRY: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, then finishes what is in flight. Blocks; the future runs on a runtime
/// of the edge's own, so do not call this from within another one.
pub fn run(config: EdgeConfig, shutdown: impl Future<Output = ()>) -> Result<(), EdgeError> {
    Edge::bind(config)?.run(shutdown)
}

/// An edge that listens, and does not serve yet.
pub struct Edge {
    config: EdgeConfig,
    address: SocketAddr,
    listeners: Vec<TcpListener>,
    admin: admin::Socket,
    lock: File,
    shared: Arc<Shared>,
    control: Control,
}

impl Edge {
    /// Opens the listeners and the admin socket, and reads the snapshot.
    pub fn bind(config: EdgeConfig) -> Result<Self, EdgeError> {
        let store = Box::new(SnapshotFile(config.snapshot.clone()));
        Self::bind_with(config, store)
    }

    /// As [`Edge::bind`], with the snapshot kept in `store`; the lock stays beside the path.
    pub fn bind_with(
        mut config: EdgeConfig,
        store: Box<dyn SnapshotStore>,
    ) -> Result<Self, EdgeError> {
        config.threads = config.threads.max(1);
        // Listening comes before the lock: whoever connects while a predecessor ends, waits.
        let listeners = listen::open(config.listen, config.threads, &config.admin_socket)
            .map_err(|source| EdgeError::Listen { address: config.listen, source })?;
        let address = listeners[0]
            .local_addr()
            .map_err(|source| EdgeError::Listen { address: config.listen, source })?;
        let lock = lock(&config.snapshot, config.takeover)?;
        let shared = Shared::new(Epoch::start(), config.limits.clone(), config.threads);
        let shared = Arc::new(shared);
        let control = Control::open(Arc::clone(&shared), store)?;
        let admin = admin::Socket::bind(&config.admin_socket)
            .map_err(|source| EdgeError::Admin { path: config.admin_socket.clone(), source })?;
        Ok(Self { config, address, listeners, admin, lock, shared, control })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then finishes what is in flight. Blocks, as [`run`].
    pub fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), EdgeError> {
        let stop = CancellationToken::new();
        // However this ends, the threads end too.
        let _stopped = stop.clone().drop_guard();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .map_err(EdgeError::Runtime)?;
        let mut threads = Vec::new();
        let to_hand_over = self.listeners.iter().map(TcpListener::try_clone);
        let to_hand_over = to_hand_over.collect::<Result<_, _>>().map_err(EdgeError::Runtime)?;
        for (thread, listeners) in deal(self.listeners, self.config.threads).into_iter().enumerate()
        {
            threads.push(spawn_worker(&self.shared, thread, listeners, &stop)?);
        }
        tracing::info!(address = %self.address, threads = threads.len(), "edge serves");
        let admin = Admin::new(self.control, Arc::clone(&self.shared), self.address, to_hand_over);
        let lock = self.lock;
        runtime.block_on(async move {
            let guard = tokio::task::spawn_local(keep_guard(Rc::clone(&admin.control)));
            tokio::select! {
                served = admin::serve(admin, self.admin) => served.map_err(|source| {
                    EdgeError::Admin { path: self.config.admin_socket.clone(), source }
                }),
                () = shutdown => Ok(()),
            }
            .inspect(|()| guard.abort())
        })?;
        tracing::info!("edge ends");
        // And with it what was held for a successor: nobody else accepts from it from here on.
        drop(runtime);
        stop.cancel();
        // A successor may take over while requests in flight are finished here.
        drop(lock);
        join(threads)
    }

    /// Serves on a thread of its own.
    pub fn spawn(self) -> Result<Handle, EdgeError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (address, admin_socket) = (self.address, self.config.admin_socket.clone());
        let thread = std::thread::Builder::new()
            .name("edge".to_owned())
            .spawn(move || {
                self.run(async {
                    // Dropped or told: both mean the end.
                    let _ = stopped.await;
                })
            })
            .map_err(EdgeError::Runtime)?;
        Ok(Handle { address, admin_socket, stop: Some(stop), thread: Some(thread) })
    }
}

/// An edge that serves on a thread of this process; dropped, it ends.
pub struct Handle {
    address: SocketAddr,
    admin_socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), EdgeError>>>,
}

impl Handle {
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of its admin interface.
    pub fn client(&self) -> EdgeClient {
        EdgeClient::new(self.admin_socket.clone())
    }

    /// Ends it, and waits until what was in flight is finished.
    pub fn stop(mut self) -> Result<(), EdgeError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), EdgeError> {
        self.stop = None;
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| EdgeError::Panicked)?,
            None => Ok(()),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "the edge ended badly");
        }
    }
}

type Thread = JoinHandle<io::Result<()>>;

/// To each thread at least one; a predecessor may have had more threads.
fn deal(listeners: Vec<TcpListener>, threads: usize) -> Vec<Vec<TcpListener>> {
    let mut hands: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
    for (at, listener) in listeners.into_iter().enumerate() {
        hands[at % threads].push(listener);
    }
    hands
}

fn spawn_worker(
    shared: &Arc<Shared>,
    thread: usize,
    listeners: Vec<TcpListener>,
    stop: &CancellationToken,
) -> Result<Thread, EdgeError> {
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    std::thread::Builder::new()
        .name(format!("edge-{thread}"))
        .spawn(move || data::work(shared, thread, listeners, stop))
        .map_err(EdgeError::Runtime)
}

fn join(threads: Vec<Thread>) -> Result<(), EdgeError> {
    for thread in threads {
        thread.join().map_err(|_| EdgeError::Panicked)?.map_err(EdgeError::Runtime)?;
    }
    Ok(())
}

/// Makes trips durable as they happen.
async fn keep_guard(control: Rc<RefCell<Control>>) {
    let alarm = control.borrow().alarm();
    loop {
        alarm.notified().await;
        control.borrow_mut().absorb_trips();
        while !control.borrow_mut().save_trips() {
            tokio::time::sleep(SAVE_RETRY).await;
        }
    }
}

/// Makes sure that no other edge serves from the snapshot: one that nobody tells about new routes
/// would go on sending its share of the connections along the old ones.
fn lock(snapshot: &Path, patience: Duration) -> Result<File, EdgeError> {
    let mut path = snapshot.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |source| EdgeError::Lock { path: path.clone(), source };
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&path).map_err(failed)?;
    let began = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < patience => {
                std::thread::sleep(LOCK_RETRY);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(EdgeError::Held { path }),
            Err(error) => return Err(failed(error.into())),
        }
    }
}
