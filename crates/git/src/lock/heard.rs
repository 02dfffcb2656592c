//! What was put behind the records of locks since somebody looked.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_locks::Lease;
use grit_types::CommitId;

use super::{LockError, place::Place, record};
use crate::Repository;

/// Of one lock no more records are told.
const RECORDS_MAX: usize = 1_000;

/// A record, and the one that it stands behind.
#[derive(Clone, Debug)]
pub struct LockRecord {
    pub at: CommitId,
    pub lease: Lease,
    pub before: Option<Lease>,
}

/// What became of the locks of a repository.
#[derive(Clone, Debug, Default)]
pub struct LockChanges {
    /// Lock by lock, each in its order.
    pub records: Vec<LockRecord>,
    /// Where each lock ends now, by its key.
    pub tips: BTreeMap<String, CommitId>,
}

/// The records behind `known`, of the locks that are kept in this very repository. A lock that does
/// not go on from what was known tells its last record alone; one that cannot be read tells nothing.
pub fn lock_changes(
    repository: &Repository,
    known: &BTreeMap<String, CommitId>,
) -> Result<LockChanges, LockError> {
    let refs = "refs/grit/lock".to_owned();
    let place = Place { repository, refs, remote: None, timeout: Duration::ZERO };
    let tips = place.fetch()?.tips;
    let mut records = Vec::new();
    for (key, tip) in tips.iter().filter(|(key, tip)| known.get(*key) != Some(*tip)) {
        match behind(repository, known.get(key), tip) {
            Ok(news) => records.extend(news),
            Err(error) => tracing::warn!(key, %error, "a lock tells nothing"),
        }
    }
    Ok(LockChanges { records, tips })
}

fn behind(
    repository: &Repository,
    known: Option<&CommitId>,
    tip: &CommitId,
) -> Result<Vec<LockRecord>, super::error::RecordError> {
    let repository = repository.local();
    let mut records: Vec<LockRecord> = Vec::new();
    let mut at = Some(tip.clone());
    while let Some(id) = at {
        let (lease, parent) = record::read_entry(&repository, &id)?;
        if let Some(last) = records.last_mut() {
            last.before = Some(lease.clone());
        }
        if Some(&id) == known {
            records.reverse();
            return Ok(records);
        }
        if records.len() == RECORDS_MAX {
            break;
        }
        records.push(LockRecord { at: id, lease, before: None });
        at = parent;
    }
    // From its first record, or as far as it is told.
    if known.is_some() {
        records.truncate(1);
    }
    records.reverse();
    Ok(records)
}
