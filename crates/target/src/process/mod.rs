//! Instances as processes of this machine.
//!
//! On disk, below [`Config::root`]: `ID/record.json` (what it is and what is wanted of it),
//! `ID/process.json` (who it is: written by the shim before the command starts), `ID/root/` (the
//! unpacked artifact). Its log is `TENANT/REPO/ENVIRONMENT/SERVICE/ID.log` below [`Config::logs`],
//! so that it can be read when the instance is gone.
//!
//! In memory: one *keeper* per slot owns the list of its instances, one *supervisor* per instance
//! owns its process. Both are tasks that are told things and tell what changed; nothing is shared.

mod adopt;
mod deaths;
mod folder;
mod health;
mod keeper;
mod log;
mod port;
mod record;
mod supervisor;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grit_blob::Layout;
use grit_host::{Shim, durable};
use grit_rollout::{Instance, InstanceSet, Observer, SlotId, Target, TargetError};
use grit_types::{BoxFuture, Clock, EffectId, Entropy, InstanceId, Revision};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use adopt::{Adoption, Orphan};
pub use deaths::RestartPolicy;
pub use log::{LOG_KEPT_MAX_BYTES, LogChunk, LogFile};

use keeper::{Handle, Keeper, Request};
use port::Ports;

/// Instances of one slot, gone ones left out; more are refused.
pub const INSTANCES_PER_SLOT_MAX: usize = 256;

/// Over the time that instances themselves are given, for what is done around it.
const MARGIN: Duration = Duration::from_secs(30);

/// How requests wait at a keeper that writes a record.
const INBOX_LEN: usize = 64;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Variables that the instances of a slot get besides their own: `API_URL`.
pub type ExtraEnv = Arc<dyn Fn(&SlotId) -> BTreeMap<String, String> + Send + Sync>;

/// What a [`ProcessTarget`] stands on.
#[derive(Clone)]
pub struct Config {
    /// `DATA/instances`; made if it is missing, owned by one target at a time.
    pub root: PathBuf,
    /// `DATA/logs/instances`; made if it is missing.
    pub logs: PathBuf,
    /// Where the artifacts of [`InstanceSet`]s are found.
    pub artifacts: Layout,
    /// The binary that becomes the instance's command.
    pub shim: Shim,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<dyn Observer>,
    /// Asked at every start.
    pub extra_env: ExtraEnv,
    pub restart: RestartPolicy,
}

/// Why a target cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("instances of {} are run by another process", root.display())]
    InUse { root: PathBuf },
    #[error("{action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Written by a later Grit, which knows what to do with it.
    #[error("record {} is of version {found}, newer than this program", path.display())]
    Newer { path: PathBuf, found: u64 },
}

/// Runs instances as processes; see the module.
///
/// Dropping it, or [`ProcessTarget::close`], leaves the instances running for the next one.
pub struct ProcessTarget {
    shared: Arc<Shared>,
    slots: Mutex<HashMap<SlotId, Handle>>,
    adoption: Adoption,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// What all keepers and supervisors use, and none changes.
struct Shared {
    config: Config,
    /// Tells our processes from those of another data folder.
    unit: String,
    ports: Ports,
    /// Held as long as anyone may act on the folder.
    lock: Mutex<Option<Lock>>,
}

impl ProcessTarget {
    /// Adopts what is found: live instances stay as they are and are supervised again, dead ones
    /// are started again, those being stopped go on stopping, processes that are ours without a
    /// record are ended. Every slot found is reported to the observer.
    pub fn open(config: Config) -> BoxFuture<'static, Result<Arc<Self>, OpenError>> {
        Box::pin(async move {
            let shared = blocking(move || prepare(config)).await?;
            let (adoption, slots) = adopt::adopt(&shared).await?;
            let target = Self {
                shared,
                slots: Mutex::default(),
                adoption,
                tasks: TaskTracker::new(),
                closing: CancellationToken::new(),
            };
            for (slot, found) in slots {
                target.keep(&mut target.handles(), slot, found);
            }
            Ok(Arc::new(target))
        })
    }

    /// What was found when it was opened.
    pub fn adoption(&self) -> &Adoption {
        &self.adoption
    }

    /// Stops supervising; returns when the folder is free for another target.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// At most `limit` bytes of an instance's log from `offset` on; of one that is gone, too.
    pub fn read_log(
        &self,
        slot: &SlotId,
        instance: InstanceId,
        offset: u64,
        limit: usize,
    ) -> BoxFuture<'static, io::Result<LogChunk>> {
        let path = log::path(&self.shared.config.logs, slot, instance);
        Box::pin(async move { blocking(move || log::read(&path, offset, limit)).await })
    }

    /// The logs of a slot's instances, oldest first, gone ones included.
    pub fn logs_of(&self, slot: &SlotId) -> BoxFuture<'static, io::Result<Vec<LogFile>>> {
        let folder = log::folder(&self.shared.config.logs, slot);
        Box::pin(async move { blocking(move || log::list(&folder)).await })
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, HashMap<SlotId, Handle>> {
        // Nothing is done under this lock that could leave it half done.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, slot: &SlotId) -> Handle {
        let mut handles = self.handles();
        match handles.get(slot) {
            Some(handle) => handle.clone(),
            None => self.keep(&mut handles, slot.clone(), Vec::new()),
        }
    }

    fn keep(
        &self,
        handles: &mut HashMap<SlotId, Handle>,
        slot: SlotId,
        found: Vec<adopt::Found>,
    ) -> Handle {
        let (handle, inbox) = mpsc::channel(INBOX_LEN);
        let keeper = Keeper::new(self.shared.clone(), slot.clone(), inbox);
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            closing.run_until_cancelled(keeper.run(found)).await;
        });
        handles.insert(slot, handle.clone());
        handle
    }

    async fn ask<T>(
        &self,
        slot: &SlotId,
        action: impl Fn() -> String,
        wait: Duration,
        request: impl FnOnce(oneshot::Sender<Result<T, TargetError>>) -> Request,
    ) -> Result<T, TargetError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let sent = self.handle(slot).send(request(reply)).await;
            sent.map_err(|_| unable(action(), "this target is closed"))?;
            answer.await.map_err(|_| unable(action(), "this target is closed"))?
        };
        match tokio::time::timeout(wait, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(unable(action(), format!("not done within {wait:?}"))),
        }
    }
}

impl Drop for ProcessTarget {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl Target for ProcessTarget {
    fn ensure(
        &self,
        effect: &EffectId,
        set: &InstanceSet,
    ) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>> {
        let (effect, set) = (effect.clone(), set.clone());
        Box::pin(async move {
            let slot = set.slot.clone();
            let action = format!("start revision {} of {slot}", set.revision);
            let wait = set.run.health.deadline * 2 + set.run.drain + MARGIN;
            let request = |reply| Request::Ensure { effect, set: Box::new(set), reply };
            self.ask(&slot, || action.clone(), wait, request).await
        })
    }

    fn stop(
        &self,
        _effect: &EffectId,
        slot: &SlotId,
        revision: Revision,
        instances: &[InstanceId],
        drain: Duration,
    ) -> BoxFuture<'_, Result<(), TargetError>> {
        let (slot, instances) = (slot.clone(), instances.to_vec());
        Box::pin(async move {
            let action = || format!("stop revision {revision} of {slot}");
            let wait = drain + grit_host::KILL_WAIT_MAX + MARGIN;
            let request = |reply| Request::Stop { revision, instances, drain, reply };
            self.ask(&slot, action, wait, request).await
        })
    }

    fn observe(&self, slot: &SlotId) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>> {
        let slot = slot.clone();
        Box::pin(async move {
            let action = || format!("observe {slot}");
            self.ask(&slot, action, MARGIN, |reply| Request::Observe { reply }).await
        })
    }
}

fn prepare(config: Config) -> Result<Arc<Shared>, OpenError> {
    for folder in [&config.root, &config.logs] {
        let made = durable::create_dir_all(folder);
        made.map_err(|source| OpenError::Io {
            action: "create folder",
            path: folder.clone(),
            source,
        })?;
    }
    let lock = lock(&config.root)?;
    let unit = adopt::unit(&config.root);
    let unit = unit.map_err(|source| OpenError::Io {
        action: "resolve",
        path: config.root.clone(),
        source,
    })?;
    Ok(Arc::new(Shared { config, unit, ports: Ports::default(), lock: Mutex::new(Some(lock)) }))
}

/// The right to act on a folder of instances.
struct Lock(File);

impl Drop for Lock {
    /// Closing the file would do, but for a child that another thread has forked and that has not
    /// become its command yet: it has the file open as well.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the folder of instances is not free yet");
        }
    }
}

fn lock(root: &std::path::Path) -> Result<Lock, OpenError> {
    let path = root.join(".lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|source| OpenError::Io { action: "open", path, source })?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { root: root.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => {
            Err(OpenError::Io { action: "lock", path: root.to_owned(), source })
        }
    }
}

fn unable(action: String, source: impl Into<BoxError>) -> TargetError {
    TargetError::Unable { action, source: source.into() }
}

/// Runs what waits for a disk where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels it, and that polls nobody again.
            Err(_) => std::future::pending().await,
        },
    }
}
