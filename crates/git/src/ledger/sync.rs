//! Exchanging lanes with a remote.
//!
//! What the remote has is fetched into `refs/grit/remotes/REMOTE/`, compared, and then taken over
//! lane by lane; what is new here is pushed, expecting at the remote exactly what was fetched, so
//! that nobody's entries can be lost. A push never moves a lane anywhere but forward.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use grit_ledger::LedgerError;
use grit_types::{CommitId, RefName};

use super::base::Base;
use super::chain::{Relation, relation};
use super::entry::Entry;
use super::push::Verdict;
use super::shared::{Shared, TRIES_MAX};
use super::{GitLedger, KINDS, is_lane, is_lane_name, storage};
use crate::durable::sync_changed;
use crate::error::Reading;
use crate::filelock::FileLock;
use crate::refs::{self, RefWriter};
use crate::{GitError, remote};

/// How often one exchange starts again because others moved the same lanes at the same time.
const ROUNDS_MAX: usize = 5;

/// Hosts have answered pushes of a hundred refs and more with an error.
const REFS_PER_PUSH: usize = 20;

/// Lanes that only those read who ask for them.
pub(super) const AUDIT: &str = "audit";

pub(super) type Tips = BTreeMap<String, CommitId>;

/// What is exchanged. What the remote has is always taken: sending safely needs it anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Give the remote what is new here.
    pub send: bool,
    /// With the servers' summaries of runs and deployments.
    pub audit: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { send: true, audit: false }
    }
}

/// What an exchange moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchanged {
    pub remote: String,
    /// How many entries came, by lane.
    pub received: BTreeMap<String, usize>,
    /// How many entries went, by lane.
    pub sent: BTreeMap<String, usize>,
    /// How many entries the remote still lacks, because nothing was to be sent.
    pub waiting: usize,
    /// How often the remote was asked; more than once when others moved the same lanes.
    pub rounds: usize,
    /// The remote took no refs of Grit's own, and has the lanes as branches from now on.
    pub now_branches: bool,
}

/// A lane that has more here than at the remote.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) lane: String,
    pub(super) tip: CommitId,
    /// What the remote must still have.
    pub(super) expected: Option<CommitId>,
    /// How many entries it lacks.
    pub(super) entries: usize,
    /// The remote has nothing of it, with or without a ref.
    pub(super) is_new: bool,
}

/// What one exchange has done so far.
#[derive(Default)]
pub(super) struct Progress {
    received: BTreeMap<String, usize>,
    pub(super) sent: BTreeMap<String, usize>,
    /// The first lane that could not be taken; the others are exchanged all the same.
    broken: Option<LedgerError>,
    /// The remote's first reason not to take something, and how many entries it does not take.
    pub(super) refused: Option<(String, usize)>,
    /// Something moved at the same time: look again.
    pub(super) again: bool,
}

impl Progress {
    pub(super) fn refuse(&mut self, reason: String, entries: usize) {
        self.refused.get_or_insert((reason, 0)).1 += entries;
    }

    fn receive(&mut self, lane: &str, entries: usize) {
        *self.received.entry(lane.to_owned()).or_default() += entries;
    }
}

impl GitLedger {
    /// Exchanges lanes with the remote; [`grit_ledger::Ledger::sync`] exchanges all of them.
    ///
    /// Answers when both have the same, or why they have not. It may be stopped at any moment and
    /// run again, by any number of processes and clones at once. At a remote that takes no refs but
    /// branches and tags, lanes become branches.
    pub fn exchange(&self, exchange: &Exchange) -> Result<Exchanged, LedgerError> {
        let refused = match self.exchange_there(exchange) {
            Err(LedgerError::Refused { reason, remote, waiting }) => {
                if !self.may_be_branches(&reason) {
                    return Err(LedgerError::Refused { reason, remote, waiting });
                }
                LedgerError::Refused { reason, remote, waiting }
            }
            answered => return answered,
        };
        self.be_branches(true);
        if let Ok(exchanged) = self.exchange_there(exchange) {
            self.remember_branches()?;
            return Ok(Exchanged { now_branches: true, ..exchanged });
        }
        self.be_branches(false);
        Err(refused)
    }

    fn exchange_there(&self, exchange: &Exchange) -> Result<Exchanged, LedgerError> {
        let remote = self.remote_name()?;
        let failed = |error| storage(&format!("synchronise with `{remote}`"), error);
        let common = self.repository.common_dir();
        let _one_at_a_time =
            FileLock::acquire(&common.join("grit/sync.lock"), self.timeout).map_err(failed)?;
        self.repository.clear_stale_locks().map_err(failed)?;
        let (mut progress, mut shared) = (Progress::default(), Shared::default());
        let rounds_max = if self.short_lived.is_some() { TRIES_MAX } else { ROUNDS_MAX };
        for round in 1..=rounds_max {
            (progress.again, progress.broken, progress.refused) = (false, None, None);
            let waiting = self.round(&remote, exchange, &mut progress, &mut shared)?;
            if !progress.again {
                return progress.finish(remote, waiting, round);
            }
            std::thread::sleep(pause(round));
        }
        let reason = format!(
            "{rounds_max} times in a row others moved the same lanes, or had them locked there"
        );
        Err(LedgerError::Refused { remote, reason, waiting: 0 })
    }

    /// One look at the remote; answers how many entries were not to be sent.
    fn round(
        &self,
        remote: &str,
        exchange: &Exchange,
        progress: &mut Progress,
        shared: &mut Shared,
    ) -> Result<usize, LedgerError> {
        progress.broken = self.fetch(remote, exchange.audit)?;
        let theirs = self.theirs(remote).map_err(|error| storage("read the lanes", error))?;
        if theirs.ends.is_empty() && self.finds_branches(remote)? {
            self.be_branches(true);
            self.remember_branches()?;
            progress.broken = self.fetch(remote, exchange.audit)?;
        }
        let agreed = self.take_meta(remote).unwrap_or_else(|error| {
            progress.broken.get_or_insert(error);
            None
        });
        let mut offers = self.take(remote, exchange.audit, progress)?;
        let own = self.short_lived.as_ref().map(|own| format!("a/{own}"));
        let is_own = |offer: &Offer| Some(&offer.lane) == own.as_ref() && offer.is_new;
        let kept = offers.iter().position(is_own).map(|at| offers.remove(at));
        let unsent = match &kept {
            Some(offer) => self.unsent(&offer.lane, &offer.tip)?,
            None => Vec::new(),
        };
        if !exchange.send {
            return Ok(offers.iter().map(|offer| offer.entries).sum::<usize>() + unsent.len());
        }
        if let Some((expected, ours)) = agreed {
            self.give_meta(remote, expected.as_ref(), &ours, progress)?;
        }
        for batch in offers.chunks(REFS_PER_PUSH) {
            self.give(remote, batch, progress)?;
        }
        if let (Some(offer), false) = (kept, unsent.is_empty()) {
            self.give_shared(remote, &offer, &unsent, shared, progress)?;
        }
        Ok(0)
    }

    /// The remote to use, which must be configured.
    pub(super) fn remote_name(&self) -> Result<String, LedgerError> {
        let setting = |name: &str| {
            self.repository.setting(name).map_err(|error| storage("read the configuration", error))
        };
        let name = match &self.remote {
            Some(name) => name.clone(),
            None => setting("grit.remote")?.unwrap_or_else(|| "origin".to_owned()),
        };
        // The name becomes a part of refs and of a setting's name.
        if !is_lane_name(&name) || setting(&format!("remote.{name}.url"))?.is_none() {
            return Err(LedgerError::NoRemote);
        }
        Ok(name)
    }

    /// Takes a look at what the remote has. Where git refuses an object of one lane, all lanes are
    /// fetched each by itself, and answered is the first that is bad.
    fn fetch(&self, remote: &str, audit: bool) -> Result<Option<LedgerError>, LedgerError> {
        let started = SystemTime::now();
        let fetch = remote::fetch(self.repository.git_dir(), remote, self.timeout);
        let mut fetch = fetch.flag("--prune");
        let (theirs, here) = (self.there(), tracking(remote));
        for kind in KINDS.into_iter().filter(|kind| audit || *kind != AUDIT) {
            fetch = fetch.operand(format!("+{theirs}/{kind}/*:{here}/{kind}/*"));
        }
        // As a pattern, because git refuses a plain name that the remote does not have.
        for name in ["base", "meta"] {
            fetch = fetch.operand(format!("+{theirs}/{name}*:{here}/{name}*"));
        }
        let mut fetched = fetch.clone().run();
        if fetched.as_ref().is_err_and(is_locked) {
            remote::unlock(&self.repository);
            fetched = fetch.run();
        }
        let bad = match fetched {
            Ok(_) => None,
            Err(GitError::Failed { stderr, .. }) if remote::is_bad_object(&stderr) => {
                self.fetch_apart(remote, audit)?
            }
            Err(error) => return Err(unreachable(remote, error)),
        };
        sync_changed(&self.repository.objects(), started)
            .map_err(|error| storage("keep what was fetched", error))?;
        Ok(bad)
    }

    /// Moves local lanes to what the remote has more, and answers what it has less.
    fn take(
        &self,
        remote: &str,
        audit: bool,
        progress: &mut Progress,
    ) -> Result<Vec<Offer>, LedgerError> {
        let failed = |error| storage("read the lanes", error);
        if let Err(error) = self.take_base(remote, progress) {
            tracing::warn!(%error, "the remote's checkpoint is not taken");
            progress.broken.get_or_insert(error);
        }
        let Theirs { refs: theirs, ends: their_ends } = self.theirs(remote).map_err(failed)?;
        let ours = self.tips(&self.prefix).map_err(failed)?;
        let our_ends = self.ends().map_err(failed)?;
        let lanes: BTreeSet<&String> = their_ends.keys().chain(our_ends.keys()).collect();
        let mut offers = Vec::new();
        for lane in lanes {
            if !is_lane(lane) || (!audit && lane.starts_with(AUDIT)) {
                continue;
            }
            let (our_end, their_end) = (our_ends.get(lane), their_ends.get(lane));
            match self.take_lane(lane, ours.get(lane), our_end, their_end) {
                Ok(Taken::Nothing) => {}
                Ok(Taken::Moved) => progress.again = true,
                Ok(Taken::Forward(entries)) => progress.receive(lane, entries),
                Ok(Taken::Offer { tip, entries, received }) => {
                    if received > 0 {
                        progress.receive(lane, received);
                    }
                    let (expected, is_new) = (theirs.get(lane).cloned(), their_end.is_none());
                    offers.push(Offer { lane: lane.clone(), tip, expected, entries, is_new });
                }
                Err(error) => {
                    tracing::warn!(lane, %error, "a lane of the remote is not taken");
                    progress.broken.get_or_insert(error);
                }
            }
        }
        Ok(offers)
    }

    fn take_lane(
        &self,
        lane: &str,
        our_ref: Option<&CommitId>,
        ours: Option<&CommitId>,
        theirs: Option<&CommitId>,
    ) -> Result<Taken, LedgerError> {
        if ours == theirs {
            return Ok(Taken::Nothing);
        }
        let repository = self.repository.local();
        let action = || format!("compare lane {lane}");
        let relation = relation(&repository, ours, theirs)
            .map_err(|error| LedgerError::Storage { action: action(), source: error.into() })?;
        let moved = match (relation, ours, theirs) {
            (Relation::Behind(entries), _, Some(theirs)) => {
                self.forward(lane, our_ref, theirs).map(|()| Taken::Forward(entries))
            }
            (Relation::Forked { ours: mine, theirs: known }, _, Some(theirs)) => {
                self.join(lane, our_ref, theirs, &mine, &known)
            }
            (Relation::Ahead(entries), Some(ours), _) => {
                return Ok(Taken::Offer { tip: ours.clone(), entries, received: 0 });
            }
            (_, _, _) => return Ok(Taken::Nothing),
        };
        match moved {
            Err(GitError::Moved { .. }) => Ok(Taken::Moved),
            moved => moved.map_err(|error| storage(&format!("move lane {lane} forward"), error)),
        }
    }

    /// Moves a local lane to what continues it.
    pub(super) fn forward(
        &self,
        lane: &str,
        ours: Option<&CommitId>,
        theirs: &CommitId,
    ) -> Result<(), GitError> {
        let name = self.ref_name(lane)?;
        self.writing(|| RefWriter::acquire(self.repository.common_dir())?.set(&name, ours, theirs))
    }

    /// Puts the entries that only this clone has behind what the remote has.
    fn join(
        &self,
        lane: &str,
        ours: Option<&CommitId>,
        theirs: &CommitId,
        mine: &[Entry],
        known: &[Entry],
    ) -> Result<Taken, GitError> {
        let name = self.ref_name(lane)?;
        self.writing(|| {
            let writer = RefWriter::acquire(self.repository.common_dir())?;
            if refs::read(self.repository.common_dir(), &name)?.as_ref() != ours {
                return Err(GitError::Moved { name: name.to_string() });
            }
            let tip = self.joined(mine, known, theirs)?;
            writer.set(&name, ours, &tip)?;
            tracing::warn!(lane, "two writers continued one lane; their entries were joined");
            Ok(match tip == *theirs {
                true => Taken::Forward(known.len()),
                false => Taken::Offer { tip, entries: mine.len(), received: known.len() },
            })
        })
    }

    /// Of entries behind a common one, newest first: those that are not known put behind `theirs`,
    /// where the known ones end.
    pub(super) fn joined(
        &self,
        mine: &[Entry],
        known: &[Entry],
        theirs: &CommitId,
    ) -> Result<CommitId, GitError> {
        let keys: BTreeSet<_> = known.iter().map(Entry::key).collect();
        let missing = mine.iter().rev().filter(|entry| !keys.contains(&entry.key()));
        let tip = self.move_behind(missing, Some(theirs.clone()))?;
        Ok(tip.unwrap_or_else(|| theirs.clone()))
    }

    /// Takes the remote's checkpoint over, where it is news.
    fn take_base(&self, remote: &str, progress: &mut Progress) -> Result<(), LedgerError> {
        let failed = |error| storage("take the remote's checkpoint", error);
        let theirs = self.their_base(remote).map_err(failed)?;
        let ours = self.base().map_err(failed)?;
        let Some(tip) = theirs.tip().filter(|tip| !ours.records.contains(tip)) else {
            return self.settle().map(drop).map_err(failed);
        };
        if let Some((at, reason)) = &theirs.broken {
            let error = std::io::Error::other(format!("record {at}: {reason}"));
            return Err(failed(Err::<(), _>(error).reading(|| "it".to_owned()).unwrap_err()));
        }
        let ends = self.ends().map_err(failed)?;
        let repository = self.repository.local();
        for (lane, tip) in &theirs.cut {
            match relation(&repository, ends.get(lane), Some(tip)) {
                Ok(Relation::Behind(entries)) => progress.receive(lane, entries),
                Ok(Relation::Forked { theirs, .. }) => progress.receive(lane, theirs.len()),
                Ok(Relation::Same | Relation::Ahead(_)) | Err(_) => {}
            }
        }
        if ours.tip().is_some_and(|ours| !theirs.records.contains(ours)) {
            self.uncover(&ours.cut, &theirs.cut).map_err(failed)?;
        }
        self.move_base(ours.tip(), tip).map(drop).map_err(failed)
    }

    /// Gives lanes their refs again that a checkpoint covers which another is about to replace.
    fn uncover(&self, ours: &Tips, theirs: &Tips) -> Result<(), GitError> {
        for (lane, tip) in ours.iter().filter(|(lane, tip)| theirs.get(*lane) != Some(*tip)) {
            match self.forward(lane, None, tip) {
                // It has one, behind what was covered.
                Ok(()) | Err(GitError::Moved { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The remote's checkpoint when it was last asked.
    pub(super) fn their_base(&self, remote: &str) -> Result<Arc<Base>, GitError> {
        let name = format!("{}/base", tracking(remote));
        let name: RefName = name.parse().reading(|| format!("the name `{name}`"))?;
        let tip = refs::read(self.repository.common_dir(), &name)?;
        let ours = self.base()?;
        if ours.tip() == tip.as_ref() {
            return Ok(ours);
        }
        Ok(Arc::new(Base::read(&self.repository, tip)))
    }

    /// Where the remote's lanes ended when it was last asked.
    pub(super) fn theirs(&self, remote: &str) -> Result<Theirs, GitError> {
        let refs = self.tips(&tracking(remote))?;
        let mut ends = self.their_base(remote)?.cut.clone();
        ends.extend(refs.clone());
        Ok(Theirs { refs, ends })
    }

    /// What was agreed on before there was this remote.
    fn give_meta(
        &self,
        remote: &str,
        expected: Option<&CommitId>,
        ours: &CommitId,
        progress: &mut Progress,
    ) -> Result<(), LedgerError> {
        match self.move_refs(remote, &[("meta", expected, Some(ours))])?.pop() {
            Some(Verdict::Refused(reason)) => progress.refuse(reason, 0),
            Some(Verdict::Raced) => progress.again = true,
            Some(Verdict::Accepted) | None => {}
        }
        Ok(())
    }

    fn give(
        &self,
        remote: &str,
        batch: &[Offer],
        progress: &mut Progress,
    ) -> Result<(), LedgerError> {
        for (offer, verdict) in batch.iter().zip(self.push(remote, batch)?) {
            match verdict {
                Verdict::Accepted => {
                    self.note(remote, offer);
                    *progress.sent.entry(offer.lane.clone()).or_default() += offer.entries;
                }
                Verdict::Raced => progress.again = true,
                Verdict::Refused(reason) => progress.refuse(reason, offer.entries),
            }
        }
        Ok(())
    }

    /// Remembers what the remote has now, so that nothing seems to wait. The next fetch tells anyhow.
    pub(super) fn note(&self, remote: &str, offer: &Offer) {
        let Offer { lane, tip, expected, .. } = offer;
        let noted = format!("{}/{lane}", tracking(remote))
            .parse()
            .reading(|| format!("the name of lane `{lane}`"))
            .and_then(|name| {
                let writer = RefWriter::acquire(self.repository.common_dir())?;
                writer.set(&name, expected.as_ref(), tip)
            });
        if let Err(error) = noted {
            tracing::debug!(lane, %error, "what was sent is not noted");
        }
    }
}

impl Progress {
    fn finish(
        self,
        remote: String,
        waiting: usize,
        rounds: usize,
    ) -> Result<Exchanged, LedgerError> {
        let Self { received, sent, broken, refused, .. } = self;
        if let Some((reason, waiting)) = refused {
            return Err(LedgerError::Refused { remote, reason, waiting });
        }
        match broken {
            Some(error) => Err(error),
            None => Ok(Exchanged { remote, received, sent, waiting, rounds, now_branches: false }),
        }
    }
}

/// Where a remote's lanes end.
pub(super) struct Theirs {
    /// Those that have a ref there.
    pub(super) refs: Tips,
    /// All, those that its checkpoint covers among them.
    pub(super) ends: Tips,
}

/// What became of one lane.
enum Taken {
    Nothing,
    /// It moved forward to what the remote has, by so many entries.
    Forward(usize),
    /// Another process appended meanwhile.
    Moved,
    /// It has more here, and may have moved forward before that.
    Offer {
        tip: CommitId,
        entries: usize,
        received: usize,
    },
}

/// Where what a remote has is kept, apart from the lanes themselves.
pub(super) fn tracking(remote: &str) -> String {
    format!("refs/grit/remotes/{remote}")
}

/// Longer each time, and never twice the same for two that met: 25 to 75 ms at first, at most a
/// second and a half.
pub(super) fn pause(round: usize) -> Duration {
    let longest = 75u64 << round.saturating_sub(1).min(4);
    let random = RandomState::new().hash_one(round) % longest.max(1);
    Duration::from_millis((longest / 3 + random * 2 / 3).min(1_500))
}

fn is_locked(error: &GitError) -> bool {
    matches!(error, GitError::Failed { stderr, .. } if remote::is_locked(stderr))
}

pub(super) fn unreachable(remote: &str, error: GitError) -> LedgerError {
    match error {
        missing @ GitError::Missing(_) => storage("synchronise", missing),
        error => LedgerError::Unreachable { remote: remote.to_owned(), source: error.into() },
    }
}
