//! All locks of a place, as one look showed them.

use std::collections::BTreeMap;

use grit_locks::{Lease, Moment, Resource, Rules, Standing, standing};
use grit_types::{CommitId, RefName};

use super::place::{Found, Place, Tips};
use super::sight::{Counted, Look, Sight};
use super::{LockError, Locks, record};
use crate::GitError;
use crate::error::Cause;

/// The last record of a lock.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tip: CommitId,
    pub(super) lease: Lease,
    pub(super) moment: Moment,
}

/// What a look showed.
pub(super) struct Board {
    pub(super) entries: BTreeMap<String, Entry>,
    damaged: Damaged,
    refused: BTreeMap<String, Refused>,
    rules: Rules,
    unseen: Moment,
}

/// A lock that git did not take over. Nobody has it by that record, as no Grit writes such a one; who
/// had it before may believe to have it still.
struct Refused {
    name: RefName,
    /// Its ref, there.
    tip: CommitId,
    /// What was locked, where an earlier record has told this clone.
    resource: Option<Resource>,
    source: GitError,
}

/// A lease that is in the way of another.
pub(super) struct InTheWay {
    pub(super) lease: Lease,
    pub(super) standing: Standing,
}

impl Board {
    /// Looks: takes over what is new, and remembers what that says about clocks.
    pub(super) fn look(locks: &Locks, place: &Place<'_>) -> Result<Self, LockError> {
        // Two looks at once would stand in each other's way at the refs, and forget each other.
        let _one_at_a_time = place.alone()?;
        let look = Look { counted: Counted::now(), wall: locks.clock.now() };
        let mut found = place.fetch()?;
        let refused = refused(place, &mut found)?;
        let (leases, damaged) = read(place, found.tips, &found.rewound)?;
        let path = locks.shelf().folder().join("sight.json");
        let before = Sight::read(&path, place.name());
        let (now, wall) = (Counted::now(), locks.clock.now());
        let seen = leases.iter().map(|(key, (tip, lease))| (key, tip, lease));
        let sight = Sight::next(before.as_ref(), place.name(), look, &now, seen);
        sight.write(&path)?;
        let trusted = locks.settings.trust_clock;
        let entries = leases.into_iter().map(|(key, (tip, lease))| {
            let moment = sight.moment(&key, wall, &now, trusted);
            (key, Entry { tip, lease, moment })
        });
        Ok(Self {
            entries: entries.collect(),
            damaged,
            refused,
            rules: locks.settings.rules,
            unseen: sight.moment("", wall, &now, trusted),
        })
    }

    /// The last record of a lock; an error where there is something else.
    pub(super) fn entry(&mut self, key: &str) -> Result<Option<&Entry>, LockError> {
        if let Some((name, source)) = self.damaged.remove(key) {
            return Err(LockError::Damaged { name: name.to_string(), source });
        }
        match self.refused.remove(key) {
            Some(refused) => Err(refused.into()),
            None => Ok(self.entries.get(key)),
        }
    }

    /// What is known about time for a lock.
    pub(super) fn moment(&self, key: &str) -> Moment {
        self.entries.get(key).map_or(self.unseen, |entry| entry.moment)
    }

    pub(super) fn standing(&self, entry: &Entry) -> Standing {
        standing(&entry.lease, &entry.moment, self.rules)
    }

    /// The leases of other resources that conflict with `resource` for this clone: one that holds
    /// against it, and those that are over.
    ///
    /// What cannot be read may be in the way, so it is an error. So is what git refuses, where it
    /// was known to be in the way, or anything would be.
    pub(super) fn conflicts(
        &mut self,
        resource: &Resource,
        clone: &str,
    ) -> Result<(Option<InTheWay>, Vec<Entry>), LockError> {
        if let Some((_, (name, source))) = self.damaged.pop_first() {
            return Err(LockError::Damaged { name: name.to_string(), source });
        }
        let is_in_the_way = |_: &String, refused: &mut Refused| match &refused.resource {
            Some(other) => resource.conflicts_with(other, false),
            None => resource.excludes_all(),
        };
        let refused = self.refused.extract_if(.., is_in_the_way).next();
        if let Some((_, refused)) = refused {
            return Err(refused.into());
        }
        let mut over = Vec::new();
        for entry in self.entries.values().filter(|entry| entry.lease.resource != *resource) {
            let same_clone = entry.lease.owner.clone == clone;
            if !resource.conflicts_with(&entry.lease.resource, same_clone) {
                continue;
            }
            match self.standing(entry) {
                Standing::Free => {}
                Standing::Over => over.push(entry.clone()),
                standing => {
                    let lease = entry.lease.clone();
                    return Ok((Some(InTheWay { lease, standing }), over));
                }
            }
        }
        Ok((None, over))
    }

    /// Whether `tips` are those of this board, the lock of `key` aside.
    pub(super) fn is_like(&self, tips: &Tips, key: &str) -> bool {
        let others = |tips: &mut dyn Iterator<Item = (&String, &CommitId)>| -> Tips {
            let others = tips.filter(|(other, _)| *other != key);
            others.map(|(key, tip)| (key.clone(), tip.clone())).collect()
        };
        let refused = self.refused.iter().map(|(key, refused)| (key, &refused.tip));
        let mut ours = self.entries.iter().map(|(key, entry)| (key, &entry.tip)).chain(refused);
        self.damaged.is_empty() && others(&mut ours) == others(&mut tips.iter())
    }
}

impl From<Refused> for LockError {
    fn from(refused: Refused) -> Self {
        Self::Damaged { name: refused.name.to_string(), source: refused.source.into() }
    }
}

type Leases = BTreeMap<String, (CommitId, Lease)>;
type Damaged = BTreeMap<String, (RefName, Cause)>;

fn read(place: &Place<'_>, tips: Tips, rewound: &[String]) -> Result<(Leases, Damaged), GitError> {
    let repository = place.repository.local();
    let (mut leases, mut damaged) = (Leases::new(), Damaged::new());
    for (key, tip) in tips {
        match record::read(&repository, &tip, &key) {
            Ok(lease) => drop(leases.insert(key, (tip, lease))),
            Err(error) => drop(damaged.insert(key.clone(), (place.ref_name(&key)?, error.into()))),
        }
    }
    for key in rewound {
        leases.remove(key);
        let error = super::error::RecordError::Rewound;
        damaged.insert(key.clone(), (place.ref_name(key)?, error.into()));
    }
    Ok((leases, damaged))
}

/// Takes those that git refused out of what was found.
fn refused(place: &Place<'_>, found: &mut Found) -> Result<BTreeMap<String, Refused>, GitError> {
    let repository = place.repository.local();
    let mut refused = BTreeMap::new();
    for (key, (tip, source)) in std::mem::take(&mut found.refused) {
        let seen = found.tips.remove(&key);
        let lease = seen.and_then(|seen| record::read(&repository, &seen, &key).ok());
        let (name, resource) = (place.ref_name(&key)?, lease.map(|lease| lease.resource));
        refused.insert(key, Refused { name, tip, resource, source });
    }
    Ok(refused)
}
