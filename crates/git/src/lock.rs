use std::sync::Arc;
use std::time::Duration;

use grit_locks::{Lease, Owner, Resource, Rules, Standing, State, Wish};
use grit_types::{Clock, Entropy, Fence, LeaseId, Principal, RefName, parse_duration};

use crate::{GitError, GitLedger, Repository};
use board::{Board, Entry};
use change::Changed;
use kept::{Kept, Shelf};
use place::{Place, Published};

mod acquire;
mod board;
mod change;
mod error;
mod heard;
mod kept;
mod place;
mod record;
mod sight;

pub use error::LockError;
pub use heard::{LockChanges, LockRecord, lock_changes};

/// How long one exchange with the remote may take, unless configured.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(20);

/// Named locks in refs: `refs/grit/lock/KEY`, one per resource, at the remote that the whole team
/// pushes to; where no remote is configured, in the repository itself.
///
/// A lock is a chain of commits, each a record (`grit_locks::Lease`) with the empty tree, and only
/// grows. Every change is a push that names the commit it was decided on, so of those who want to
/// change the same lock one does. A lock is had only once the remote has said so, or shows it, and
/// once a second look has shown nothing that excludes it. Nothing is granted without the remote.
pub struct Locks {
    repository: Repository,
    prefix: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    who: Who,
    settings: LockSettings,
    timeout: Duration,
}

/// Who acts, for the record.
#[derive(Clone, Debug)]
pub struct Who {
    pub actor: Principal,
    pub host: String,
    pub run_url: Option<String>,
}

/// What the repository's configuration says: `grit.remote`, `grit.prefix`, `grit.lock.grace`,
/// `grit.lock.trustClock`, `grit.lock.timeout`.
#[derive(Clone, Debug)]
pub struct LockSettings {
    pub rules: Rules,
    /// Whether this machine's wall clock may say that a lease is over, where nothing speaks
    /// against it; else only watching does.
    pub trust_clock: bool,
    pub timeout: Duration,
    pub remote: Option<String>,
    /// Below which Grit's refs are, `refs/grit` unless set.
    pub prefix: Option<RefName>,
}

/// A lock that is wanted.
#[derive(Clone, Debug)]
pub struct Ask {
    pub resource: Resource,
    pub ttl: Duration,
    pub reason: String,
    /// How long to wait for it, at most.
    pub wait: Duration,
}

/// A lock that was had.
#[derive(Clone, Debug)]
pub struct Grant {
    pub lease: Lease,
    pub scope: Scope,
    /// What is left of it, counted from before the request; none after a boot.
    pub left: Option<Duration>,
}

/// Among whom a lock is exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All clones that use this remote.
    Remote(String),
    /// The processes that use this repository: it has no remote.
    Local,
}

/// A lock as it stands.
#[derive(Clone, Debug)]
pub struct LockView {
    pub lease: Lease,
    pub standing: Standing,
    /// It was taken from this clone.
    pub here: bool,
}

impl LockSettings {
    /// Reads them; what cannot be used is an error and no default.
    pub fn read(repository: &Repository) -> Result<Self, LockError> {
        let text = |name: &'static str| repository.setting(name);
        let duration = |name: &'static str| -> Result<Option<Duration>, LockError> {
            let Some(value) = text(name)? else { return Ok(None) };
            let unusable = |_| LockError::Setting { name, value: value.clone() };
            parse_duration(&value).map(Some).map_err(unusable)
        };
        let trust = "grit.lock.trustClock";
        let trust_clock = match text(trust)?.as_deref() {
            None | Some("true" | "yes" | "on" | "1" | "") => true,
            Some("false" | "no" | "off" | "0") => false,
            Some(value) => {
                return Err(LockError::Setting { name: trust, value: value.to_owned() });
            }
        };
        let prefix =
            match text("grit.prefix")? {
                None => None,
                Some(value) => Some(value.parse().map_err(|_| LockError::Setting {
                    name: "grit.prefix",
                    value: value.clone(),
                })?),
            };
        Ok(Self {
            prefix,
            rules: Rules { grace: duration("grit.lock.grace")? },
            trust_clock,
            timeout: duration("grit.lock.timeout")?.unwrap_or(TIMEOUT_DEFAULT),
            remote: text("grit.remote")?,
        })
    }
}

impl Locks {
    /// The locks of a repository below `refs/grit`, as its configuration says.
    pub fn open(
        repository: Repository,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        who: Who,
    ) -> Result<Self, LockError> {
        let mut settings = LockSettings::read(&repository)?;
        if settings.rules.grace.is_none() {
            // The team's own, as far as this clone knows it.
            let agreed = GitLedger::new(repository.clone()).agreed().ok();
            let millis = agreed.and_then(|agreed| agreed.meta.lock_grace_millis);
            settings.rules.grace = millis.map(Duration::from_millis);
        }
        let prefix = settings.prefix.as_ref().map_or("refs/grit", RefName::as_str).to_owned();
        let timeout = settings.timeout;
        Ok(Self { repository, prefix, clock, entropy, who, settings, timeout })
    }

    /// Below another prefix, for remotes that take no refs of their own kind
    /// (`refs/heads/grit`).
    #[must_use]
    pub fn with_prefix(mut self, prefix: &RefName) -> Self {
        self.prefix = prefix.to_string();
        self
    }

    /// Renews this clone's lease: for `ttl` from now on, or as long as before.
    pub fn renew(&self, resource: &Resource, ttl: Option<Duration>) -> Result<Grant, LockError> {
        self.renew_with(resource, ttl, &[])
    }

    /// Pushes `refspecs` together with a renewal of this clone's lease: all of it lands, or, once
    /// the lock is anybody else's, none of it.
    pub fn push(&self, resource: &Resource, refspecs: &[String]) -> Result<Grant, LockError> {
        for refspec in refspecs {
            self.check_refspec(refspec)?;
        }
        if self.place()?.remote.is_none() {
            return Err(LockError::NoRemote);
        }
        self.renew_with(resource, None, refspecs)
    }

    /// Gives this clone's lease back.
    pub fn release(&self, resource: &Resource) -> Result<Lease, LockError> {
        let place = self.place()?;
        let mut own = None;
        let released = self.change(&place, resource, &[], |board, tip| {
            let lease = self.own(board, tip)?.lease;
            own = Some(lease);
            Ok(Wish::Release { lease })
        });
        let released = released.map(|changed| changed.lease);
        // A lease that is lost is not this clone's to keep either.
        if let (Some(lease), Ok(_) | Err(LockError::Lost { .. })) = (own, &released) {
            self.shelf().remove(resource, lease);
        }
        released
    }

    /// The lease under the number `fence`, if it is still the one that counts.
    pub fn check(&self, resource: &Resource, fence: Fence) -> Result<LockView, LockError> {
        let place = self.place()?;
        let mut board = Board::look(self, &place)?;
        let missing = || LockError::NotHeld { resource: resource.clone() };
        let entry = board.entry(&resource.key())?.cloned().ok_or_else(missing)?;
        let view = self.view(&board, &entry)?;
        if view.lease.fence != fence || view.lease.state != State::Held {
            return Err(LockError::Lost { resource: resource.clone(), tip: view.lease.into() });
        }
        let left = self.shelf().get(resource, view.lease.id)?.and_then(|kept| kept.left());
        let watched_out = entry.moment.watched >= view.lease.ttl;
        let ran_out = match (left, view.standing) {
            (Some(left), _) => left.is_zero(),
            (None, Standing::Held) => false,
            (None, Standing::Doubtful { .. }) => watched_out,
            (None, Standing::Grace { .. } | Standing::Over | Standing::Free) => true,
        };
        if ran_out {
            let (resource, lease) = (resource.clone(), view.lease.into());
            return Err(LockError::RanOut { resource, lease });
        }
        Ok(view)
    }

    /// All locks that were ever taken, or that of `resource`, as the remote shows them.
    pub fn status(&self, resource: Option<&Resource>) -> Result<Vec<LockView>, LockError> {
        let place = self.place()?;
        let mut board = Board::look(self, &place)?;
        if let Some(resource) = resource {
            let entry = board.entry(&resource.key())?.cloned();
            return entry.iter().map(|entry| self.view(&board, entry)).collect();
        }
        board.entries.values().map(|entry| self.view(&board, entry)).collect()
    }

    /// Ends the lease of that id, whoever holds it; the record says who did it and why.
    pub fn break_lease(&self, lease: LeaseId, reason: &str) -> Result<Lease, LockError> {
        let place = self.place()?;
        let board = Board::look(self, &place)?;
        let of_lease = |entry: &&Entry| entry.lease.id == lease;
        let missing = LockError::NoLease { lease };
        let entry = board.entries.values().find(of_lease).ok_or(missing)?;
        if entry.lease.state != State::Held {
            return Err(LockError::NoLease { lease });
        }
        let resource = entry.lease.resource.clone();
        self.change(&place, &resource, &[], |_, _| {
            let (by, reason) = (self.who.actor.clone(), reason.to_owned());
            Ok(Wish::Break { lease, by, reason })
        })
        .map(|changed| changed.lease)
    }

    /// Records the end of every lease that is over; answers them.
    pub fn collect(&self) -> Result<Vec<Lease>, LockError> {
        let place = self.place()?;
        let board = Board::look(self, &place)?;
        let mut ended = Vec::new();
        for entry in board.entries.values() {
            let Some((tombstone, lease)) = self.tombstone(&place, entry)? else { continue };
            match place.publish(&[tombstone], &[])? {
                Published::Accepted => ended.push(lease),
                // Somebody has taken or renewed it meanwhile.
                Published::Rejected { .. } | Published::PayloadRejected { .. } => {}
                Published::Unknown(error) => {
                    return Err(place::unreachable(place.name(), error));
                }
            }
        }
        Ok(ended)
    }

    /// Among whom the locks are exclusive.
    pub fn scope(&self) -> Result<Scope, LockError> {
        Ok(self.place()?.scope())
    }

    fn renew_with(
        &self,
        resource: &Resource,
        ttl: Option<Duration>,
        payload: &[String],
    ) -> Result<Grant, LockError> {
        let place = self.place()?;
        let mut kept = None;
        let Changed { lease, since } = self.change(&place, resource, payload, |board, tip| {
            let own = self.own(board, tip)?;
            let (lease, left) = (own.lease, own.left());
            kept = Some(own);
            Ok(Wish::Renew { lease, ttl, left })
        })?;
        let kept = kept.ok_or_else(|| LockError::NotHeld { resource: resource.clone() })?;
        let kept = kept.until(since.after(lease.ttl)).granted();
        self.shelf().put(&kept)?;
        Ok(Grant { lease, scope: place.scope(), left: kept.left() })
    }

    /// This clone's lease, which the last record of a lock must be of.
    fn own(&self, board: &Board, tip: &Entry) -> Result<Kept, LockError> {
        let lease = &tip.lease;
        let here = lease.owner.clone == self.clone_id()?;
        if let Some(kept) = self.shelf().get(&lease.resource, lease.id)?.filter(|_| here) {
            return Ok(kept);
        }
        let (resource, lease) = (lease.resource.clone(), Box::new(lease.clone()));
        if self.shelf().any(&resource) {
            return Err(LockError::Lost { resource, tip: lease });
        }
        match board.standing(tip) {
            Standing::Free => Err(LockError::NotHeld { resource }),
            standing => Err(LockError::Held { wanted: resource, lease, standing, here }),
        }
    }

    fn view(&self, board: &Board, entry: &Entry) -> Result<LockView, LockError> {
        let here = entry.lease.owner.clone == self.clone_id()?;
        Ok(LockView { lease: entry.lease.clone(), standing: board.standing(entry), here })
    }

    fn place(&self) -> Result<Place<'_>, LockError> {
        Ok(Place {
            repository: &self.repository,
            refs: format!("{}/lock", self.prefix),
            remote: self.remote()?,
            timeout: self.timeout,
        })
    }

    /// The configured remote; none where the repository has none at all.
    fn remote(&self) -> Result<Option<String>, LockError> {
        let names = self.repository.remotes()?;
        let wanted = self.settings.remote.as_deref().unwrap_or("origin");
        // The name becomes a part of refs.
        if names.iter().any(|name| name == wanted) && crate::ledger::is_lane_name(wanted) {
            return Ok(Some(wanted.to_owned()));
        }
        if names.is_empty() && self.settings.remote.is_none() {
            return Ok(None);
        }
        Err(LockError::WhichRemote { names })
    }

    fn check_refspec(&self, refspec: &str) -> Result<(), LockError> {
        let bad = refspec.is_empty()
            || refspec == ":"
            || refspec.len() > 1_000
            || refspec.starts_with('-')
            || refspec.chars().any(|c| c.is_control() || c == '*')
            || refspec.contains("refs/grit/")
            || refspec.contains(&format!("{}/", self.prefix));
        if bad { Err(LockError::Refspec { refspec: refspec.to_owned() }) } else { Ok(()) }
    }

    fn owner(&self) -> Result<Owner, GitError> {
        let Who { actor, host, run_url } = self.who.clone();
        Ok(Owner { actor, clone: self.clone_id()?, host, run_url })
    }

    fn clone_id(&self) -> Result<String, GitError> {
        self.repository.actor(&*self.entropy)
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.repository.common_dir())
    }
}

impl Place<'_> {
    fn scope(&self) -> Scope {
        self.remote.clone().map_or(Scope::Local, Scope::Remote)
    }
}
