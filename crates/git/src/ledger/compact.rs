//! Folding lanes that nobody appends to any more into the checkpoint.
//!
//! First the checkpoint that covers them is published, expecting at the remote the one it goes on
//! from; only then do their refs go, each only while it is what the published checkpoint covers. A
//! process that dies between the two leaves refs that the next run takes away, and whoever appends
//! to a lane meanwhile keeps its ref.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grit_ledger::LedgerError;
use grit_types::{CommitId, Timestamp};

use super::base::Base;
use super::chain::{Relation, relation};
use super::push::Verdict;
use super::sync::{Exchange, Tips, pause, tracking};
use super::{GitLedger, entry, storage};
use crate::error::Reading;
use crate::refs::{self, RefWriter};

/// How often it starts again because another was faster.
const ROUNDS_MAX: usize = 8;

/// Hosts have answered pushes of a hundred refs and more with an error.
const REFS_PER_PUSH: usize = 50;

/// What is folded.
#[derive(Clone, Copy, Debug)]
pub struct Compact {
    /// Lanes whose last event is as old.
    pub idle: Duration,
    pub now: Timestamp,
    /// Say what would be done, and do nothing.
    pub only_look: bool,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// None: the repository itself, because it has no remote.
    pub remote: Option<String>,
    /// Lanes that the checkpoint covers from now on.
    pub folded: Vec<String>,
    /// Lanes that have no ref any more.
    pub removed: Vec<String>,
    /// Lanes that keep their refs though they are covered, and the remote's reason.
    pub kept: BTreeMap<String, String>,
    /// How many lanes have refs of their own.
    pub left: usize,
}

impl GitLedger {
    /// Folds idle lanes at the remote, or, where none is configured, in this repository.
    ///
    /// Nothing is lost or read differently: events, their order, and the names of lanes stay what
    /// they are. Servers' summaries are not folded, because only those fetch them who ask.
    pub fn compact(&self, compact: &Compact) -> Result<Compacted, LedgerError> {
        let remote = match self.remote_name() {
            Ok(remote) => remote,
            Err(LedgerError::NoRemote) if self.remote.is_none() => {
                return self.compact_here(compact).map_err(|error| storage("fold lanes", error));
            }
            Err(error) => return Err(error),
        };
        for round in 1..=ROUNDS_MAX {
            self.exchange(&Exchange { send: false, audit: false })?;
            if let Some(compacted) = self.compact_there(&remote, compact)? {
                return Ok(compacted);
            }
            std::thread::sleep(pause(round));
        }
        let reason = format!("others moved its checkpoint {ROUNDS_MAX} times in a row");
        Err(LedgerError::Refused { remote, reason, waiting: 0 })
    }

    /// None: another's checkpoint was faster.
    fn compact_there(
        &self,
        remote: &str,
        compact: &Compact,
    ) -> Result<Option<Compacted>, LedgerError> {
        let failed = |error| storage("fold lanes", error);
        let lanes = self.theirs(remote).map_err(failed)?.refs;
        let before = self.their_base(remote).map_err(failed)?;
        let idle = self.idle(&lanes, &before, compact);
        let mut compacted = Compacted { remote: Some(remote.to_owned()), ..Compacted::default() };
        compacted.folded = idle.keys().map(|lane| (*lane).clone()).collect();
        compacted.left = lanes.len();
        if compact.only_look {
            return Ok(Some(compacted));
        }
        let base = match idle.is_empty() {
            true => before,
            false => {
                let previous = before.tip().cloned();
                let tip = self.writing(|| self.write_base(previous, &idle, compact.now));
                let Some(tip) = tip.map_err(failed)? else { return Ok(None) };
                if !self.publish_base(remote, &before, &tip)? {
                    return Ok(None);
                }
                Arc::new(Base::read(&self.repository, Some(tip)))
            }
        };
        self.remove_covered(remote, &lanes, &base, &mut compacted)?;
        let ours = self.base().map_err(failed)?;
        if let Some(tip) = base.tip().filter(|tip| !ours.records.contains(tip)) {
            self.move_base(ours.tip(), tip).map_err(failed)?;
        }
        Ok(Some(compacted))
    }

    /// Whether the remote has the new checkpoint now.
    fn publish_base(
        &self,
        remote: &str,
        before: &Base,
        tip: &CommitId,
    ) -> Result<bool, LedgerError> {
        let verdict = self.move_refs(remote, &[("base", before.tip(), Some(tip))])?.pop();
        match verdict {
            Some(Verdict::Accepted) => self
                .note_base(remote, tip)
                .map(|()| true)
                .map_err(|error| storage("note the remote's checkpoint", error)),
            Some(Verdict::Refused(reason)) => {
                Err(LedgerError::Refused { remote: remote.to_owned(), reason, waiting: 0 })
            }
            Some(Verdict::Raced) | None => Ok(false),
        }
    }

    fn note_base(&self, remote: &str, tip: &CommitId) -> Result<(), crate::GitError> {
        let name = format!("{}/base", tracking(remote));
        let name = name.parse().reading(|| format!("the name `{name}`"))?;
        let writer = RefWriter::acquire(self.repository.common_dir())?;
        let before = refs::read(self.repository.common_dir(), &name)?;
        writer.set(&name, before.as_ref(), tip)
    }

    /// Takes those refs away at the remote that end where its checkpoint covers them.
    fn remove_covered(
        &self,
        remote: &str,
        lanes: &Tips,
        base: &Base,
        compacted: &mut Compacted,
    ) -> Result<(), LedgerError> {
        let covered: Vec<(&String, &CommitId)> =
            lanes.iter().filter(|(lane, tip)| base.cut.get(*lane) == Some(*tip)).collect();
        for batch in covered.chunks(REFS_PER_PUSH) {
            let moves: Vec<_> =
                batch.iter().map(|(lane, tip)| (lane.as_str(), Some(*tip), None)).collect();
            for ((lane, _), verdict) in batch.iter().zip(self.move_refs(remote, &moves)?) {
                match verdict {
                    Verdict::Accepted => compacted.removed.push((*lane).clone()),
                    // Its writer went on, or another compacted.
                    Verdict::Raced => {}
                    Verdict::Refused(reason) => {
                        compacted.kept.insert((*lane).clone(), reason);
                    }
                }
            }
        }
        compacted.left = lanes.len() - compacted.removed.len();
        Ok(())
    }

    fn compact_here(&self, compact: &Compact) -> Result<Compacted, crate::GitError> {
        let (lanes, before) = (self.tips(&self.prefix)?, self.base()?);
        let idle = self.idle(&lanes, &before, compact);
        let mut compacted = Compacted { left: lanes.len(), ..Compacted::default() };
        compacted.folded = idle.keys().map(|lane| (*lane).clone()).collect();
        if compact.only_look {
            return Ok(compacted);
        }
        let previous = before.tip().cloned();
        let tip = self.writing(|| self.write_base(previous, &idle, compact.now))?;
        compacted.removed = match tip.filter(|_| !idle.is_empty()) {
            Some(tip) => self.move_base(before.tip(), &tip)?,
            None => self.settle()?,
        };
        compacted.left = lanes.len() - compacted.removed.len();
        Ok(compacted)
    }

    /// Lanes whose last event is old, and that are not covered as they are.
    fn idle<'a>(
        &self,
        lanes: &'a Tips,
        base: &Base,
        compact: &Compact,
    ) -> BTreeMap<&'a String, &'a CommitId> {
        let repository = self.repository.local();
        let idle = i64::try_from(compact.idle.as_millis()).unwrap_or(i64::MAX);
        let latest = compact.now.millis().saturating_sub(idle);
        let is_idle = |tip: &CommitId| {
            let entry = entry::read(&repository, tip).ok();
            // What cannot be read, a newer Grit may still want to have a ref.
            entry.and_then(|entry| entry.event().ok()).is_some_and(|e| e.hlc.millis <= latest)
        };
        // Only forward: what is covered of a lane stays covered.
        let goes_on = |lane: &String, tip: &CommitId| match base.cut.get(lane) {
            Some(covered) => {
                let relation = relation(&repository, Some(tip), Some(covered));
                matches!(relation, Ok(Relation::Ahead(_)))
            }
            None => true,
        };
        lanes
            .iter()
            .filter(|(lane, _)| !lane.starts_with("audit/"))
            .filter(|(lane, tip)| is_idle(tip) && goes_on(lane, tip))
            .collect()
    }
}
