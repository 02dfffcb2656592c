//! Reading what lanes hold, and how they stand.

use std::collections::BTreeMap;

use grit_ledger::{Changes, Cut, Entry, Head, LedgerError, Quarantined};
use grit_types::{CommitId, chain};

use super::chain::{Chain, Relation, relation};
use super::{GitLedger, storage};
use crate::{Git, GitError};

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
    pub(super) fn changes(&self, known: &Cut) -> Result<Changes, GitError> {
        let tips = self.ends()?;
        let repository = self.repository.local();
        let mut changes = Changes { heads: heads(&tips), ..Changes::default() };
        for (lane, tip) in &tips {
            read_lane(&repository, lane, tip, known.get(lane).map(String::as_str), &mut changes);
        }
        if let Some((at, reason)) = &self.base()?.broken {
            let reason = format!("{reason}; what it and those before it cover is missing");
            let (lane, at) = ("base".to_owned(), at.to_string());
            changes.quarantined.push(Quarantined { lane, at, reason });
        }
        Ok(changes)
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

pub(super) fn heads(tips: &BTreeMap<String, CommitId>) -> Vec<Head> {
    tips.iter().map(|(lane, tip)| Head { lane: lane.clone(), tip: tip.to_string() }).collect()
}

fn read_lane(
    repository: &gix::Repository,
    lane: &str,
    tip: &CommitId,
    known: Option<&str>,
    changes: &mut Changes,
) {
    if known == Some(tip.as_str()) {
        return;
    }
    let first = changes.entries.len();
    let mut found = Found::Start;
    for entry in Chain::new(repository, Some(tip.clone())) {
        let (at, reason) = match entry {
            Ok(entry) if known == Some(entry.id.as_str()) => {
                found = Found::Known;
                break;
            }
            Ok(entry) => match entry.event() {
                Ok(event) => {
                    let (lane, at) = (lane.to_owned(), entry.id.to_string());
                    changes.entries.push(Entry { lane, at, id: entry.key(), event });
                    continue;
                }
                Err(error) => (entry.id, chain(&error)),
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

/// How far back a lane was read.
enum Found {
    Known,
    Start,
    Break,
}
