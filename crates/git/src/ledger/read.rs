//! Reading what lanes hold, and how they stand.

use std::collections::BTreeMap;

use grit_ledger::{Changes, Cut, Entry, Head, LedgerError, Policy, Quarantined, Signed};
use grit_types::{CommitId, chain};

use super::chain::{Chain, Relation, relation};
use super::meta::{self, Agreed};
use super::sync::Tips;
use super::{GitLedger, entry, storage};
use crate::error::Cause;
use crate::{Git, GitError};

/// The head that says which keys count.
const META: &str = "meta";

/// As many as surely fit on a command line.
const TIPS_PER_RUN: usize = 500;

/// How this clone's lanes stood to the remote's when it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many entries the remote lacks, by lane.
    pub ahead: BTreeMap<String, usize>,
    /// How many entries this clone lacks, though they were fetched, by lane.
    pub behind: BTreeMap<String, usize>,
}

impl GitLedger {
    /// What the lanes hold behind `known`, with signatures checked as this policy wants.
    ///
    /// With [`Policy::Warn`] every signature is looked at and nothing is left out for it.
    pub fn checked_since(&self, known: &Cut, policy: Policy) -> Result<Changes, LedgerError> {
        let failed = |error| storage("read the lanes", error);
        let (tips, agreed) = (self.ends().map_err(failed)?, self.agreed()?);
        let heads = self.heads_of(&tips, policy)?;
        // Keys, and whether they are asked for, say what counts of every lane.
        let meta = |head: &&Head| head.lane == META;
        let restart =
            heads.iter().find(meta).map(|head| &head.tip) != known.get(META) && !known.is_empty();
        let mut changes = Changes { heads, ..Changes::default() };
        let nothing = Cut::new();
        let behind = if restart { &nothing } else { known };
        let reader = Reader { repository: self.repository.local(), agreed: &agreed, policy };
        for (lane, tip) in &tips {
            reader.read_lane(lane, tip, behind.get(lane).map(String::as_str), &mut changes);
        }
        if restart {
            changes.restarted =
                known.keys().filter(|lane| tips.contains_key(*lane)).cloned().collect();
        }
        if let Some((at, reason)) = &self.base().map_err(failed)?.broken {
            let reason = format!("{reason}; what it and those before it cover is missing");
            let (lane, at) = ("base".to_owned(), at.to_string());
            changes.quarantined.push(Quarantined { lane, at, reason });
        }
        Ok(changes)
    }

    /// What the signature of the entry at `at` comes to by the keys that this clone knows;
    /// unchecked where nobody asks for signatures.
    pub fn signature(&self, at: &str) -> Result<Signed, LedgerError> {
        if self.policy()? == Policy::Off {
            return Ok(Signed::Unchecked);
        }
        let failed = |source: Cause| {
            let action = format!("check the signature of {at}");
            LedgerError::Storage { action, source }
        };
        let id: CommitId = at.parse().map_err(|error| failed(Cause::from(error)))?;
        let entry =
            entry::read(&self.repository.local(), &id).map_err(|error| failed(error.into()))?;
        let event = entry.event().map_err(|error| failed(error.into()))?;
        Ok(meta::signed(&self.agreed()?.meta, &entry, &event))
    }

    pub(super) fn heads_of(&self, tips: &Tips, policy: Policy) -> Result<Vec<Head>, LedgerError> {
        let head =
            |(lane, tip): (&String, &CommitId)| Head { lane: lane.clone(), tip: tip.to_string() };
        let mut heads: Vec<Head> = tips.iter().map(head).collect();
        if policy == Policy::Require {
            let tip = self.agreed()?.tip.as_ref().map(CommitId::to_string).unwrap_or_default();
            heads.push(Head { lane: META.to_owned(), tip });
        }
        Ok(heads)
    }

    /// How the lanes stand to what was last fetched from the remote; nothing is asked now.
    pub fn standing(&self) -> Result<Standing, LedgerError> {
        let failed = |error| storage("read the lanes", error);
        let theirs = self.theirs(&self.remote_name()?).map_err(failed)?.ends;
        let ours = self.ends().map_err(failed)?;
        let own = self.short_lived.as_ref().map(|own| format!("a/{own}"));
        let repository = self.repository.local();
        let mut standing = Standing::default();
        for lane in theirs.keys().chain(ours.keys()) {
            let (ours, theirs) = (ours.get(lane), theirs.get(lane));
            if ours == theirs {
                continue;
            }
            if let (Some(tip), None, true) = (ours, theirs, Some(lane) == own.as_ref()) {
                let unsent = self.unsent(lane, tip)?.len();
                standing.ahead.extend((unsent > 0).then(|| (lane.clone(), unsent)));
                continue;
            }
            // What cannot be followed is told by whoever reads it.
            match relation(&repository, ours, theirs) {
                Ok(Relation::Ahead(entries)) => {
                    standing.ahead.insert(lane.clone(), entries);
                }
                Ok(Relation::Behind(entries)) => {
                    standing.behind.insert(lane.clone(), entries);
                }
                Ok(Relation::Forked { ours, theirs }) => {
                    standing.ahead.insert(lane.clone(), ours.len());
                    standing.behind.insert(lane.clone(), theirs.len());
                }
                Ok(Relation::Same) | Err(_) => {}
            }
        }
        Ok(standing)
    }

    /// Has git follow everything that the lanes hold; answers its complaints, in its words.
    pub fn fsck(&self) -> Result<Vec<String>, LedgerError> {
        let failed = |error| storage("check the objects", error);
        let mut tips: Vec<CommitId> =
            self.tips(&self.prefix).map_err(failed)?.into_values().collect();
        tips.extend(self.base().map_err(failed)?.tip().cloned());
        let mut lines = Vec::new();
        for tips in tips.chunks(TIPS_PER_RUN) {
            lines.extend(self.fsck_from(tips).map_err(failed)?);
        }
        Ok(lines)
    }

    fn fsck_from(&self, tips: &[CommitId]) -> Result<Vec<String>, GitError> {
        let mut fsck = Git::new("fsck")
            .repository(self.repository.git_dir())
            .flag("--connectivity-only")
            .flag("--no-dangling")
            .flag("--no-progress")
            .timeout(self.timeout);
        for tip in tips {
            fsck = fsck.operand(tip.as_str());
        }
        let output = fsck.output()?;
        if output.code == Some(0) {
            return Ok(Vec::new());
        }
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = stdout.lines().chain(output.stderr.lines()).map(str::trim);
        let mut lines: Vec<String> =
            said.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if lines.is_empty() {
            lines.push("git fsck failed and did not say why".to_owned());
        }
        Ok(lines)
    }
}

/// Reads lanes as a policy wants.
struct Reader<'a> {
    repository: gix::Repository,
    agreed: &'a Agreed,
    policy: Policy,
}

impl Reader<'_> {
    /// An event that counts, or why it does not.
    fn event(&self, lane: &str, entry: &entry::Entry) -> Result<Entry, String> {
        let event = entry.event().map_err(|error| chain(&error))?;
        let signed = match self.policy {
            Policy::Off => Signed::Unchecked,
            Policy::Warn | Policy::Require => meta::signed(&self.agreed.meta, entry, &event),
        };
        if let (Policy::Require, Signed::Bad(problem)) = (self.policy, &signed) {
            return Err(format!("event {}: {problem}", entry.key()));
        }
        let (lane, at) = (lane.to_owned(), entry.id.to_string());
        Ok(Entry { lane, at, id: entry.key(), event, signed })
    }

    fn read_lane(&self, lane: &str, tip: &CommitId, known: Option<&str>, changes: &mut Changes) {
        if known == Some(tip.as_str()) {
            return;
        }
        let first = changes.entries.len();
        let mut found = Found::Start;
        for entry in Chain::new(&self.repository, Some(tip.clone())) {
            let (at, reason) = match entry {
                Ok(entry) if known == Some(entry.id.as_str()) => {
                    found = Found::Known;
                    break;
                }
                Ok(entry) => match self.event(lane, &entry) {
                    Ok(event) => {
                        changes.entries.push(event);
                        continue;
                    }
                    Err(reason) => (entry.id, reason),
                },
                Err(broken) => {
                    found = Found::Break;
                    (broken.at, format!("{}; what is before it is missing", chain(&broken.source)))
                }
            };
            let (lane, at) = (lane.to_owned(), at.to_string());
            changes.quarantined.push(Quarantined { lane, at, reason });
        }
        changes.entries[first..].reverse();
        // Behind a break the known entry may well be.
        if known.is_some() && matches!(found, Found::Start) {
            changes.restarted.push(lane.to_owned());
        }
    }
}

/// How far back a lane was read.
enum Found {
    Known,
    Start,
    Break,
}
