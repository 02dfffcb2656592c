use std::collections::BTreeMap;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use grit_ledger::{
    Addition, BytesError, Changes, Cut, Head, Lane, Ledger, LedgerError, SyncReport,
};
use grit_types::{CommitId, Digest, EventId, RefName};

use crate::error::Reading;
use crate::repository::commit_id;
use crate::{GitError, Repository, object};

mod apart;
mod base;
mod bulk;
mod chain;
mod compact;
mod entry;
mod fallback;
mod files;
mod meta;
mod push;
mod read;
mod shared;
mod sign;
mod sync;

use base::Base;
pub use compact::{Compact, Compacted};
pub use meta::{Agreed, MetaError};
pub use read::Standing;
pub use sync::{Exchange, Exchanged};

/// How often an append starts again because something other than Grit moved its lane.
const ATTEMPTS_MAX: usize = 5;

/// How long one exchange with the remote may take.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(300);

/// Where lanes live below the prefix: one ref per writer, the shared ones by number, and one per
/// server.
const KINDS: [&str; 3] = ["a", "ci", "audit"];

/// The ledger in refs: a lane is `refs/grit/a/ACTOR` or `refs/grit/audit/SERVER`, an event is one
/// commit with the event's canonical JSON as its message, a tree of the files that came with it
/// (mostly empty), and the lane's previous event as its parent.
///
/// `git log refs/grit/a/ACTOR` reads it, `git fetch` by hand is noticed at the next read. An append
/// costs one loose object (and the empty tree once), and is synced to disk when it answers. Lanes
/// only move forward: `sync` takes from the remote what continues a lane and gives it what
/// continues its own. Of a lane that two writers continued, which takes a copied clone, the events
/// that the remote lacks are put behind those that it has; none is lost.
#[derive(Debug)]
pub struct GitLedger {
    repository: Repository,
    prefix: String,
    /// Where the lanes are at the remote, when that is elsewhere.
    remote_prefix: RwLock<Option<String>>,
    remote: Option<String>,
    timeout: Duration,
    /// The own lane of a clone that will not live long.
    short_lived: Option<String>,
    /// The checkpoint as it was last read.
    base: Mutex<Arc<Base>>,
    /// What was agreed on, as it was last read.
    agreed: Mutex<Arc<Agreed>>,
    signer: OnceLock<sign::Signer>,
    /// A sync to disk failed: what is on it is unknown, so nothing more is acknowledged.
    stopped: AtomicBool,
}

impl GitLedger {
    /// The ledger of a repository below `refs/grit`, with the remote that its setting
    /// `grit.remote` names, or `origin`, and there below what `grit.prefix` names.
    pub fn new(repository: Repository) -> Self {
        let configured = fallback::configured(&repository);
        Self {
            repository,
            prefix: "refs/grit".to_owned(),
            remote_prefix: RwLock::new(configured),
            remote: None,
            timeout: NETWORK_TIMEOUT,
            short_lived: None,
            base: Mutex::default(),
            agreed: Mutex::default(),
            signer: OnceLock::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// At the remote below another prefix, for those that take no refs but branches and tags
    /// (`refs/heads/grit`).
    #[must_use]
    pub fn with_prefix(mut self, prefix: &RefName) -> Self {
        self.remote_prefix = RwLock::new(Some(prefix.to_string()));
        self
    }

    /// With the remote of that name.
    #[must_use]
    pub fn with_remote(mut self, remote: impl Into<String>) -> Self {
        self.remote = Some(remote.into());
        self
    }

    /// With another limit for one exchange with the remote than five minutes.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Of a clone that will not live long, as of a CI job: what it appends to its own lane `NAME`
    /// goes to a lane at the remote that such clones share ([`Lane::Shared`]), so that ten thousand
    /// jobs leave no ten thousand refs. A lane that the remote has already goes on there.
    #[must_use]
    pub fn short_lived(mut self, own: impl Into<String>) -> Self {
        self.short_lived = Some(own.into());
        self
    }

    /// The repository that holds it.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn ref_name(&self, lane: &str) -> Result<RefName, GitError> {
        if !is_lane(lane) {
            let error = std::io::Error::other("not 1 to 100 of letters, digits, `.`, `_`, `-`");
            return Err(error).reading(|| format!("the name of lane `{lane}`"));
        }
        let name = format!("{}/{lane}", self.prefix);
        name.parse().reading(|| format!("the name of lane `{lane}`"))
    }

    /// Where the lanes below `prefix` end; refs that are no lanes are left out.
    fn tips(&self, prefix: &str) -> Result<BTreeMap<String, CommitId>, GitError> {
        let mut attempt = 1;
        loop {
            match self.tips_now(prefix) {
                // A ref that git packs while it is read is gone for a moment.
                Err(_) if attempt < ATTEMPTS_MAX => attempt += 1,
                result => return result,
            }
        }
    }

    fn tips_now(&self, prefix: &str) -> Result<BTreeMap<String, CommitId>, GitError> {
        let repository = self.repository.local();
        let mut tips = BTreeMap::new();
        for kind in KINDS {
            let folder = format!("{prefix}/{kind}/");
            let what = || format!("the lanes in `{folder}`");
            let platform = repository.references().reading(what)?;
            for found in platform.prefixed(folder.as_str()).reading(what)? {
                let found = found.reading(what)?;
                let full = found.name().as_bstr().to_string();
                let name = full.strip_prefix(&folder).unwrap_or_default();
                if let (true, Some(tip)) = (is_lane_name(name), found.try_id()) {
                    tips.insert(format!("{kind}/{name}"), commit_id(tip));
                }
            }
        }
        Ok(tips)
    }

    /// The same entries behind `parent`, oldest first; answers the last one's commit.
    fn move_behind<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a entry::Entry>,
        parent: Option<CommitId>,
    ) -> Result<Option<CommitId>, GitError> {
        let (repository, objects) = (self.repository.local(), self.repository.objects());
        let mut tip = parent;
        for entry in entries {
            let commit = entry::behind(&repository, &entry.id, tip.as_ref())
                .reading(|| format!("entry {}", entry.id))?;
            let id = object::write(&objects, gix::objs::Kind::Commit, &commit)?;
            tip = Some(commit_id(id));
        }
        Ok(tip)
    }

    /// Runs a write, unless one before it left the disk in doubt.
    fn writing<T>(&self, write: impl FnOnce() -> Result<T, GitError>) -> Result<T, GitError> {
        if self.stopped.load(Ordering::Acquire) {
            let source = std::io::Error::other("an earlier sync to disk failed");
            return Err(GitError::Unsynced { path: self.repository.objects(), source });
        }
        let result = write();
        if let Err(GitError::Unsynced { source, .. }) = &result
            && !is_full(source)
        {
            self.stopped.store(true, Ordering::Release);
        }
        result
    }
}

impl Ledger for GitLedger {
    fn append_all(
        &self,
        lane: &Lane,
        additions: &[Addition<'_>],
    ) -> Result<Vec<EventId>, LedgerError> {
        let lane = lane.path();
        let action = || format!("append to lane {lane}");
        let entries: Result<Vec<_>, _> = additions.iter().map(bulk::encoded).collect();
        let entries =
            entries.map_err(|source| LedgerError::Storage { action: action(), source })?;
        self.writing(|| self.append_many(&lane, &entries))
            .map_err(|error| storage(&action(), error))
    }

    fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, BytesError> {
        self.find_bytes(digest)
    }

    fn since(&self, known: &Cut) -> Result<Changes, LedgerError> {
        self.policy().and_then(|policy| self.checked_since(known, policy))
    }

    fn heads(&self) -> Result<Vec<Head>, LedgerError> {
        let policy = self.policy()?;
        let tips = self.ends().map_err(|error| storage("read the lanes", error))?;
        self.heads_of(&tips, policy)
    }

    fn sync(&self) -> Result<SyncReport, LedgerError> {
        let exchanged = self.exchange(&Exchange { audit: true, ..Exchange::default() })?;
        let (received, sent) = (exchanged.received.len(), exchanged.sent.len());
        Ok(SyncReport { received, sent })
    }
}

fn storage(action: &str, error: GitError) -> LedgerError {
    LedgerError::Storage { action: action.to_owned(), source: error.into() }
}

/// No room is no doubt about the disk: there may be some later.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// `KIND/NAME`, and nothing that a ref or a path could take for something else.
fn is_lane(lane: &str) -> bool {
    let (kind, name) = lane.split_once('/').unwrap_or_default();
    KINDS.contains(&kind) && is_lane_name(name)
}

/// One part of a ref that is also a safe file name.
pub(crate) fn is_lane_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=100).contains(&name.len())
        && name.bytes().all(allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && !name.contains("..")
        && !name.ends_with('.')
        && !name.ends_with(".lock")
}
