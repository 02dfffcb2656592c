//! Reading what lanes hold.

use std::collections::BTreeMap;

use grit_ledger::{Changes, Cut, Entry, Head, Quarantined};
use grit_types::{CommitId, chain};

use super::GitLedger;
use super::chain::Chain;
use crate::GitError;

impl GitLedger {
    pub(super) fn changes(&self, known: &Cut) -> Result<Changes, GitError> {
        let tips = self.tips(&self.prefix)?;
        let repository = self.repository.local();
        let mut changes = Changes { heads: heads(&tips), ..Changes::default() };
        for (lane, tip) in &tips {
            read_lane(&repository, lane, tip, known.get(lane).map(String::as_str), &mut changes);
        }
        Ok(changes)
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
