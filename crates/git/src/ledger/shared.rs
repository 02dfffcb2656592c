//! Lanes that short-lived clones share.
//!
//! A CI job that files one issue and is gone must not leave a ref behind: fetching ten thousand of
//! them takes seconds. What it appended to its own lane is put behind the tip of a shared one and
//! pushed, expecting that tip; when another was faster, behind the new tip. An event does not
//! depend on where it stands, so nothing conflicts.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use grit_ledger::{Lane, LedgerError};
use grit_types::{CommitId, EventId, RefName};

use super::chain::Chain;
use super::entry::Entry;
use super::push::Verdict;
use super::sync::{Offer, Progress};
use super::{GitLedger, storage};
use crate::error::Reading;
use crate::refs::{self, RefWriter};

/// How often an append to shared lanes is tried. Sixteen at once have needed up to eight.
pub(super) const TRIES_MAX: usize = 40;

/// So many are refused on one lane before another is tried.
const REFUSALS_PER_LANE: usize = 2;

/// So far back a lane is searched for entries whose push succeeded and whose answer was lost.
/// Those further back stand there twice, which counts once.
const SEARCHED: usize = 200;

/// Which lane it is to be; another whenever this one is busy.
pub(super) struct Shared {
    lane: u8,
    refusals: usize,
}

impl Default for Shared {
    /// Any lane: jobs of one run start at the same time, so its number would bring them together.
    fn default() -> Self {
        Self { lane: any_lane(), refusals: 0 }
    }
}

impl Shared {
    fn refused(&mut self) {
        self.refusals += 1;
        if self.refusals.is_multiple_of(REFUSALS_PER_LANE) {
            self.lane = any_lane();
        }
    }
}

fn any_lane() -> u8 {
    let random = RandomState::new().hash_one("lane") % u64::from(Lane::SHARED);
    u8::try_from(random).unwrap_or_default()
}

impl GitLedger {
    /// What this clone appended and no shared lane has yet, newest first.
    pub(super) fn unsent(&self, own: &str, tip: &CommitId) -> Result<Vec<Entry>, LedgerError> {
        let failed = |error| storage("read what was sent", error);
        let name = sent_name(own).map_err(failed)?;
        let sent = refs::read(self.repository.common_dir(), &name).map_err(failed)?;
        let repository = self.repository.local();
        let chain = Chain::new(&repository, Some(tip.clone()));
        let mut unsent = Vec::new();
        for entry in chain {
            let entry = entry.map_err(|error| LedgerError::Storage {
                action: format!("read lane {own}"),
                source: error.into(),
            })?;
            if Some(&entry.id) == sent.as_ref() {
                break;
            }
            unsent.push(entry);
        }
        Ok(unsent)
    }

    /// Appends to a shared lane at the remote, once.
    pub(super) fn give_shared(
        &self,
        remote: &str,
        own: &Offer,
        unsent: &[Entry],
        shared: &mut Shared,
        progress: &mut Progress,
    ) -> Result<(), LedgerError> {
        let failed = |error| storage("append to a shared lane", error);
        let lane = Lane::Shared(shared.lane).path();
        let mut there = self.theirs(remote).map_err(failed)?;
        let (expected, theirs) = (there.refs.remove(&lane), there.ends.remove(&lane));
        let there = self.newest(theirs.as_ref());
        let missing: Vec<&Entry> =
            unsent.iter().rev().filter(|entry| !there.contains(&entry.key())).collect();
        let entries = missing.len();
        let tip = self.writing(|| self.move_behind(missing, theirs.clone())).map_err(failed)?;
        let Some(tip) = tip else { return Ok(()) };
        if Some(&tip) != theirs.as_ref() {
            let (lane, tip) = (lane.clone(), tip.clone());
            let offer = Offer { lane, tip, expected, entries, is_new: theirs.is_none() };
            match self.push(remote, std::slice::from_ref(&offer))?.pop() {
                Some(Verdict::Accepted) => self.note(remote, &offer),
                Some(Verdict::Refused(reason)) => {
                    progress.refuse(reason, entries);
                    return Ok(());
                }
                Some(Verdict::Raced) | None => {
                    shared.refused();
                    progress.again = true;
                    return Ok(());
                }
            }
            *progress.sent.entry(offer.lane.clone()).or_default() += entries;
            // Another process of this clone may have fetched it by now.
            let _ = self.forward(&offer.lane, offer.expected.as_ref(), &offer.tip);
        }
        self.mark_sent(&own.lane, &own.tip).map_err(failed)
    }

    /// The newest entries of a fetched lane. What cannot be read is not among them, and no harm
    /// comes of that.
    fn newest(&self, tip: Option<&CommitId>) -> BTreeSet<EventId> {
        let repository = self.repository.local();
        let chain = Chain::new(&repository, tip.cloned());
        chain.take(SEARCHED).filter_map(Result::ok).map(|entry| entry.key()).collect()
    }

    /// Remembers how far the own lane stands in shared ones.
    fn mark_sent(&self, own: &str, tip: &CommitId) -> Result<(), crate::GitError> {
        let (name, common) = (sent_name(own)?, self.repository.common_dir());
        self.writing(|| {
            let writer = RefWriter::acquire(common)?;
            let before = refs::read(common, &name)?;
            writer.set(&name, before.as_ref(), tip)
        })
    }
}

fn sent_name(own: &str) -> Result<RefName, crate::GitError> {
    format!("refs/grit/sent/{own}").parse().reading(|| format!("the name of lane `{own}`"))
}
