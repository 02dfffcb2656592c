use grit_locks::{DecodeError, Lease, Resource, Standing};
use grit_types::LeaseId;

use crate::GitError;
use crate::error::Cause;

/// Why a lock could not be had, kept, given back or looked at.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// `lease` is in the way: of the wanted resource itself, or of one that conflicts with it.
    #[error("lock `{wanted}` cannot be had: `{}` is held", lease.resource)]
    Held {
        wanted: Resource,
        lease: Box<Lease>,
        standing: Standing,
        /// It was taken, or asked for, from this clone.
        here: bool,
    },
    /// Others wanted it, or what conflicts with it, again and again at the same moment.
    #[error("lock `{wanted}` cannot be had: others ask for it, or for what it excludes, right now")]
    Contended { wanted: Resource },
    #[error("`{resource}` is not held")]
    NotHeld { resource: Resource },
    #[error("no lock is held under {lease}")]
    NoLease { lease: LeaseId },
    /// This clone's lease is no more; `tip` is what came after it.
    #[error("the lease on `{resource}` is lost")]
    Lost { resource: Resource, tip: Box<Lease> },
    /// Nobody has taken it yet, but others may count on its end.
    #[error("the lease on `{resource}` has run out")]
    RanOut { resource: Resource, lease: Box<Lease> },
    #[error("the fence of `{resource}` cannot grow any more")]
    Exhausted { resource: Resource },
    /// Nothing was granted. A request may have got through all the same; `grit lock release` takes
    /// it back.
    #[error("remote `{remote}` cannot be asked")]
    Unreachable { remote: String, source: GitError },
    /// The remote takes no such refs, or nothing from here.
    #[error("remote `{remote}` does not take the record: {why}")]
    Rejected { remote: String, why: String },
    /// The lock is held as before; one of the other refs was not taken.
    #[error("remote `{remote}` did not take what was pushed: {why}")]
    PushRejected { remote: String, why: String },
    #[error("`{refspec}` is not pushed under a lock")]
    Refspec { refspec: String },
    #[error("there is no remote to push to")]
    NoRemote,
    #[error("which of the remotes {} holds the locks?", names.join(", "))]
    WhichRemote { names: Vec<String> },
    /// Whether it is in the way cannot be known, so nothing is granted.
    #[error("lock ref `{name}` holds no record that can be read")]
    Damaged { name: String, source: Cause },
    #[error("a setting cannot be used: `{name}` is `{value}`")]
    Setting { name: &'static str, value: String },
    /// Whoever asked does not want it any more.
    #[error("stopped before the lock was had")]
    Stopped,
    #[error(transparent)]
    Git(#[from] GitError),
}

/// What stands in a lock's ref and is no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("its bytes are not those that its id stands for")]
    Altered,
    #[error("it is no commit that git could have written")]
    Commit(#[source] gix::Error),
    #[error("it is a record of `{0}`, whose ref is another")]
    Misplaced(Resource),
    #[error("the remote has another history of it than this clone has seen")]
    Rewound,
}
