//! Exchanging lanes with a remote.
//!
//! What the remote has is fetched into `refs/grit/remotes/REMOTE/`, compared, and then taken over
//! lane by lane; what is new here is pushed, expecting at the remote exactly what was fetched, so
//! that nobody's entries can be lost. A push never moves a lane anywhere but forward.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use grit_ledger::{LedgerError, SyncReport};
use grit_types::CommitId;

use super::chain::{Relation, relation};
use super::entry::Entry;
use super::{GitLedger, KINDS, is_lane_name, storage};
use crate::durable::sync_changed;
use crate::filelock::FileLock;
use crate::refs::{self, RefWriter};
use crate::{Git, GitError};

/// How often one `sync` starts again because others moved the same lanes at the same time.
const ROUNDS_MAX: usize = 5;

/// Hosts have answered pushes of a hundred refs and more with an error.
const REFS_PER_PUSH: usize = 20;

type Tips = BTreeMap<String, CommitId>;

/// A lane that has more here than at the remote.
struct Offer {
    lane: String,
    tip: CommitId,
    /// What the remote must still have.
    expected: Option<CommitId>,
}

/// What one `sync` has done so far.
#[derive(Default)]
struct Progress {
    received: BTreeSet<String>,
    sent: BTreeSet<String>,
    /// The first lane that could not be taken; the others are exchanged all the same.
    refused: Option<LedgerError>,
    /// Something moved at the same time: look again.
    again: bool,
}

impl GitLedger {
    pub(super) fn synchronise(&self) -> Result<SyncReport, LedgerError> {
        let remote = self.remote_name()?;
        let action = || format!("synchronise with `{remote}`");
        let common = self.repository.common_dir();
        let _one_at_a_time = FileLock::acquire(&common.join("grit/sync.lock"), self.timeout)
            .map_err(|error| storage(&action(), error))?;
        self.repository.clear_stale_locks().map_err(|error| storage(&action(), error))?;
        let mut progress = Progress::default();
        for _ in 0..ROUNDS_MAX {
            progress.again = false;
            progress.refused = None;
            self.fetch(&remote)?;
            let offers = self.take(&remote, &mut progress)?;
            for batch in offers.chunks(REFS_PER_PUSH) {
                self.give(&remote, batch, &mut progress)?;
            }
            if !progress.again {
                let (received, sent) = (progress.received.len(), progress.sent.len());
                return progress.refused.map_or(Ok(SyncReport { received, sent }), Err);
            }
        }
        let error = std::io::Error::other("lanes kept moving at the remote, or it refuses them");
        Err(LedgerError::Storage { action: action(), source: error.into() })
    }

    /// The remote to use, which must be configured.
    fn remote_name(&self) -> Result<String, LedgerError> {
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

    fn fetch(&self, remote: &str) -> Result<(), LedgerError> {
        let started = SystemTime::now();
        let mut fetch = Git::new("fetch")
            .repository(self.repository.git_dir())
            .setting("core.fsync=all")
            .setting("core.fsyncMethod=fsync")
            .setting("fetch.fsckObjects=true")
            .flag("--quiet")
            .flag("--prune")
            .flag("--no-tags")
            .flag("--no-write-fetch-head")
            .flag("--no-auto-maintenance")
            .flag("--refmap=")
            .timeout(self.timeout)
            .operand(remote);
        for kind in KINDS {
            let (theirs, here) = (&self.prefix, tracking(remote));
            fetch = fetch.operand(format!("+{theirs}/{kind}/*:{here}/{kind}/*"));
        }
        fetch.run().map_err(|error| unreachable(remote, error))?;
        sync_changed(&self.repository.objects(), started)
            .map_err(|error| storage("keep what was fetched", error))
    }

    /// Moves local lanes to what the remote has more, and answers what it has less.
    fn take(&self, remote: &str, progress: &mut Progress) -> Result<Vec<Offer>, LedgerError> {
        let read =
            |prefix: &str| self.tips(prefix).map_err(|error| storage("read the lanes", error));
        let (theirs, ours): (Tips, Tips) = (read(&tracking(remote))?, read(&self.prefix)?);
        let lanes: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        let mut offers = Vec::new();
        for lane in lanes {
            let (our_tip, their_tip) = (ours.get(lane), theirs.get(lane));
            match self.take_lane(lane, our_tip, their_tip) {
                Ok(Taken::Nothing) => {}
                Ok(Taken::Forward) => drop(progress.received.insert(lane.clone())),
                Ok(Taken::Moved) => progress.again = true,
                Ok(Taken::Offer(tip)) => {
                    let expected = their_tip.cloned();
                    offers.push(Offer { lane: lane.clone(), tip, expected });
                }
                Ok(Taken::Joined(tip)) => {
                    progress.received.insert(lane.clone());
                    let expected = their_tip.cloned();
                    offers.push(Offer { lane: lane.clone(), tip, expected });
                }
                Err(error) => {
                    tracing::warn!(lane, %error, "a lane of the remote is not taken");
                    progress.refused.get_or_insert(error);
                }
            }
        }
        Ok(offers)
    }

    fn take_lane(
        &self,
        lane: &str,
        ours: Option<&CommitId>,
        theirs: Option<&CommitId>,
    ) -> Result<Taken, LedgerError> {
        let repository = self.repository.local();
        let moved = match (relation(&repository, lane, ours, theirs)?, theirs) {
            (Relation::Same, _) => return Ok(Taken::Nothing),
            (Relation::Behind, Some(theirs)) => self.forward(lane, ours, theirs),
            (Relation::Forked { ours: mine, theirs: known }, Some(theirs)) => {
                self.join(lane, ours, theirs, &mine, &known)
            }
            (_, _) => return Ok(ours.cloned().map_or(Taken::Nothing, Taken::Offer)),
        };
        match moved {
            Err(GitError::Moved { .. }) => Ok(Taken::Moved),
            moved => moved.map_err(|error| storage(&format!("move lane {lane} forward"), error)),
        }
    }

    fn forward(
        &self,
        lane: &str,
        ours: Option<&CommitId>,
        theirs: &CommitId,
    ) -> Result<Taken, GitError> {
        let name = self.ref_name(lane)?;
        self.writing(|| {
            RefWriter::acquire(self.repository.common_dir())?.set(&name, ours, theirs)
        })?;
        Ok(Taken::Forward)
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
        let known: BTreeSet<_> = known.iter().map(|entry| entry.event.id()).collect();
        let missing = mine.iter().rev().filter(|entry| !known.contains(&entry.event.id()));
        self.writing(|| {
            let writer = RefWriter::acquire(self.repository.common_dir())?;
            if refs::read(self.repository.common_dir(), &name)?.as_ref() != ours {
                return Err(GitError::Moved { name: name.to_string() });
            }
            let mut tip = theirs.clone();
            for entry in missing {
                let bytes = entry.event.encode();
                tip = self.write_entry(&entry.event, &bytes, Some(&tip))?;
            }
            writer.set(&name, ours, &tip)?;
            tracing::warn!(lane, "two writers continued one lane; their entries were joined");
            Ok(if tip == *theirs { Taken::Forward } else { Taken::Joined(tip) })
        })
    }

    fn give(
        &self,
        remote: &str,
        batch: &[Offer],
        progress: &mut Progress,
    ) -> Result<(), LedgerError> {
        let mut push = Git::new("push")
            .repository(self.repository.git_dir())
            .flag("--porcelain")
            .flag("--no-verify")
            .flag("--no-follow-tags")
            .flag("--recurse-submodules=no")
            .timeout(self.timeout)
            .operand(remote);
        let mut lanes = BTreeMap::new();
        for Offer { lane, tip, expected } in batch {
            let name = self.ref_name(lane).map_err(|error| storage("push", error))?;
            // Nothing expected means that the ref must not exist. What is expected was found to be
            // an ancestor, so the lease forces nothing.
            let expected = expected.as_ref().map_or("", CommitId::as_str);
            push = push
                .option("--force-with-lease=", format!("{name}:{expected}"))
                .operand(format!("{tip}:{name}"));
            lanes.insert(name.to_string(), lane);
        }
        let output = push.output().map_err(|error| unreachable(remote, error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut told = 0;
        for (name, accepted) in text.lines().filter_map(pushed) {
            let Some(lane) = lanes.get(name) else { continue };
            told += 1;
            match accepted {
                true => drop(progress.sent.insert((*lane).clone())),
                false => progress.again = true,
            }
        }
        if output.code == Some(0) || told == batch.len() {
            return Ok(());
        }
        Err(unreachable(remote, output.into_failure("push")))
    }
}

/// What became of one lane.
enum Taken {
    Nothing,
    /// It moved forward to what the remote has.
    Forward,
    /// Another process appended meanwhile.
    Moved,
    /// It has more here.
    Offer(CommitId),
    /// It moved forward and has more here.
    Joined(CommitId),
}

/// Where what a remote has is kept, apart from the lanes themselves.
fn tracking(remote: &str) -> String {
    format!("refs/grit/remotes/{remote}")
}

/// The ref of a line of `git push --porcelain`, `FLAG TAB FROM:TO TAB SUMMARY`, and whether it has
/// the pushed value now.
fn pushed(line: &str) -> Option<(&str, bool)> {
    let mut parts = line.split('\t');
    let (flag, refs) = (parts.next()?, parts.next()?);
    let (_, to) = refs.split_once(':')?;
    Some((to, flag != "!"))
}

fn unreachable(remote: &str, error: GitError) -> LedgerError {
    match error {
        missing @ GitError::Missing(_) => storage("synchronise", missing),
        error => LedgerError::Unreachable { remote: remote.to_owned(), source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn porcelain_lines() {
        assert_eq!(pushed("*\tabc:refs/grit/a/x\t[new reference]"), Some(("refs/grit/a/x", true)));
        assert_eq!(
            pushed("!\tabc:refs/grit/a/x\t[rejected] (stale info)"),
            Some(("refs/grit/a/x", false))
        );
        assert_eq!(pushed("To /tmp/x.git"), None);
        assert_eq!(pushed("Done"), None);
    }
}
