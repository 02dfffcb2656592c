//! What is found when a target is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use grit_host::{InvalidMarker, Marker, Session, find_marked, sweep};
use grit_rollout::{InstanceState, SlotId};
use grit_types::{Digest, InstanceId, Timestamp};

use super::folder::{Folder, remove_tree};
use super::record::{self, Reading, Record};
use super::supervisor::chain;
use super::{OpenError, Shared, blocking};

/// `GRIT_UNIT=FOLDER/INSTANCE`: by it a process is known as ours, and as this data folder's.
const MARKER_KEY: &str = "GRIT_UNIT";
/// How long a process without a record may take to end.
const ORPHAN_GRACE: Duration = Duration::from_secs(2);

/// What an open target had found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    /// Alive, and left alone.
    pub adopted: Vec<InstanceId>,
    /// Dead, and started again.
    pub restarted: Vec<InstanceId>,
    /// Recorded, and never started: started now.
    pub started: Vec<InstanceId>,
    /// Being stopped: that goes on.
    pub stopping: Vec<InstanceId>,
    /// Failed for good before.
    pub failed: Vec<InstanceId>,
    /// Ours without a record: ended.
    pub orphans: Vec<Orphan>,
    /// Folders with a record that cannot be read, and where they are now.
    pub quarantined: Vec<PathBuf>,
}

/// A process of ours without a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// What it said it was.
    pub instance: String,
    pub pids: Vec<u32>,
}

/// An instance to be supervised again; with the session if it is alive.
pub(super) struct Found {
    pub(super) record: Record,
    pub(super) session: Option<Session>,
}

pub(super) fn marker(unit: &str, instance: &str) -> Result<Marker, InvalidMarker> {
    Marker::new(MARKER_KEY, format!("{unit}/{instance}"))
}

/// What tells the processes of this folder from those of another on the same machine.
pub(super) fn unit(root: &Path) -> io::Result<String> {
    let path = fs::canonicalize(root)?;
    Ok(Digest::of(path.as_os_str().as_bytes()).hex()[..16].to_owned())
}

type BySlot = BTreeMap<SlotId, Vec<Found>>;

pub(super) async fn adopt(shared: &Arc<Shared>) -> Result<(Adoption, BySlot), OpenError> {
    let for_scan = shared.clone();
    let (mut adoption, found) = blocking(move || scan(&for_scan)).await?;
    let known = found.iter().map(|found| found.record.instance.id.to_string()).collect();
    let for_orphans = shared.clone();
    adoption.orphans = blocking(move || orphans(&for_orphans, &known)).await?;
    for orphan in &adoption.orphans {
        end_orphan(&shared.unit, orphan).await;
    }
    let mut by_slot = BySlot::new();
    for found in found {
        by_slot.entry(found.record.slot.clone()).or_default().push(found);
    }
    Ok((adoption, by_slot))
}

fn scan(shared: &Shared) -> Result<(Adoption, Vec<Found>), OpenError> {
    let root = &shared.config.root;
    let now = shared.config.clock.now();
    let (mut adoption, mut all) = (Adoption::default(), Vec::new());
    for id in instance_folders(root)? {
        let folder = Folder::new(root, id);
        let problem = match read(&folder)? {
            Reading::Record(record) if record.instance.id == id => {
                all.push(found(&mut adoption, &folder, *record, now)?);
                continue;
            }
            Reading::Record(record) => format!("it is that of {}", record.instance.id),
            Reading::Malformed(problem) => problem,
            Reading::Missing => {
                // Neither begun nor, but for its folder, still there.
                remove_tree(folder.path()).map_err(io_error("remove", folder.path()))?;
                continue;
            }
            Reading::Newer(found) => {
                return Err(OpenError::Newer { path: folder.record(), found });
            }
        };
        adoption.quarantined.push(quarantine(root, &folder, &problem)?);
    }
    Ok((adoption, all))
}

fn instance_folders(root: &Path) -> Result<Vec<InstanceId>, OpenError> {
    let unreadable = io_error("read", root);
    let mut ids = Vec::new();
    for entry in fs::read_dir(root).map_err(&unreadable)? {
        let name = entry.map_err(&unreadable)?.file_name();
        match name.to_str().map(str::parse) {
            Some(Ok(id)) => ids.push(id),
            Some(Err(_)) if name.as_bytes().starts_with(b".") => {}
            Some(Err(_)) | None => tracing::warn!(?name, "not an instance, left alone"),
        }
    }
    ids.sort();
    Ok(ids)
}

fn read(folder: &Folder) -> Result<Reading, OpenError> {
    let path = folder.record();
    record::read(&path).map_err(io_error("read", &path))
}

fn found(
    adoption: &mut Adoption,
    folder: &Folder,
    mut record: Record,
    now: Timestamp,
) -> Result<Found, OpenError> {
    let id = record.instance.id;
    let session = session(folder);
    let unknown = io_error("look for the process of", folder.path());
    let alive = session.as_ref().map_or(Ok(false), Session::is_alive).map_err(&unknown)?;
    if record.stopping_ms.is_some() {
        adoption.stopping.push(id);
        record.instance.state = InstanceState::Stopping;
        return Ok(Found { record, session: session.filter(|_| alive) });
    }
    if alive {
        adoption.adopted.push(id);
        return Ok(Found { record, session });
    }
    match (record.instance.state, session) {
        (InstanceState::Failed, _) => adoption.failed.push(id),
        (_, None) => {
            adoption.started.push(id);
            record.instance.state = InstanceState::Starting;
        }
        (_, Some(_)) => {
            adoption.restarted.push(id);
            record.instance.state = InstanceState::Starting;
            record.instance.restarts = record.instance.restarts.saturating_add(1);
            record.instance.since = now;
            record.instance.reason = Some("ended while nobody supervised it".to_owned());
        }
    }
    Ok(Found { record, session: None })
}

/// One that cannot be read counts as none: whatever it named is ended by its marker before the
/// instance is started again.
fn session(folder: &Folder) -> Option<Session> {
    match grit_host::record::read(&folder.process()) {
        Ok(session) => session,
        Err(error) => {
            tracing::warn!(error = chain(&error), "process of an instance is unknown");
            None
        }
    }
}

fn quarantine(root: &Path, folder: &Folder, problem: &str) -> Result<PathBuf, OpenError> {
    let aside = root.join(".quarantine");
    let name = folder.path().file_name().unwrap_or_default();
    let place = aside.join(name);
    let moved = fs::create_dir_all(&aside)
        .and_then(|()| remove_tree(&place))
        .and_then(|()| fs::rename(folder.path(), &place));
    moved.map_err(io_error("set aside", folder.path()))?;
    tracing::error!(path = %place.display(), problem, "record of an instance cannot be used: set aside");
    Ok(place)
}

fn orphans(shared: &Shared, known: &BTreeSet<String>) -> Result<Vec<Orphan>, OpenError> {
    let prefix = format!("{}/", shared.unit);
    let marked = find_marked(MARKER_KEY, &prefix);
    let marked = marked.map_err(io_error("look for processes of", &shared.config.root))?;
    let mut by_instance: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for marked in marked {
        let instance = marked.value[prefix.len()..].to_owned();
        by_instance.entry(instance).or_default().push(marked.process.pid);
    }
    by_instance.retain(|instance, _| !known.contains(instance));
    Ok(by_instance.into_iter().map(|(instance, pids)| Orphan { instance, pids }).collect())
}

async fn end_orphan(unit: &str, orphan: &Orphan) {
    let Orphan { instance, pids } = orphan;
    tracing::warn!(instance, ?pids, "process without a record: ending it");
    let Ok(marker) = marker(unit, instance) else { return };
    if let Err(error) = sweep(&marker, ORPHAN_GRACE).await {
        tracing::error!(instance, error = chain(&error), "process without a record does not end");
    }
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path: path.clone(), source }
}
