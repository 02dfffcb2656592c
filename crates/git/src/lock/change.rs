//! Changing a lock that somebody has: renewing it, giving it back, breaking it.

use std::thread;
use std::time::Duration;

use grit_locks::{Decision, Lease, Refusal, Resource, Wish, decide};
use grit_types::{CommitId, LeaseId};

use super::board::{Board, Entry};
use super::place::{Move, Place, Published};
use super::sight::Counted;
use super::{LockError, Locks, record};

const ATTEMPTS_MAX: u32 = 6;
/// Records that others may have put behind ours before an answer came.
const CHAIN_MAX: usize = 64;

/// What stands at the end of a lock now.
pub(super) struct Changed {
    pub(super) lease: Lease,
    /// When its record was written, at the latest: what the lease's time counts from.
    pub(super) since: Counted,
}

impl Locks {
    /// Ends a lease of this clone's.
    pub(super) fn end(
        &self,
        place: &Place<'_>,
        resource: &Resource,
        lease: LeaseId,
    ) -> Result<Lease, LockError> {
        let released = self.change(place, resource, &[], |_, _| Ok(Wish::Release { lease }));
        released.map(|changed| changed.lease)
    }

    /// Puts what `wish` comes to behind the last record of a lock, together with `payload`; again
    /// as long as others are faster. A lost answer is looked up.
    pub(super) fn change(
        &self,
        place: &Place<'_>,
        resource: &Resource,
        payload: &[String],
        mut wish: impl FnMut(&Board, &Entry) -> Result<Wish, LockError>,
    ) -> Result<Changed, LockError> {
        let key = resource.key();
        let mut sent: Vec<Sent> = Vec::new();
        let mut trouble = None;
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                thread::sleep(self.jittered(Duration::from_millis(50) * attempt));
            }
            let mut board = Board::look(self, place)?;
            let entry = board.entry(&key)?.cloned();
            let missing = || LockError::NotHeld { resource: resource.clone() };
            let entry = entry.ok_or_else(missing)?;
            if let Some(changed) = arrived(place, &sent, &entry.tip) {
                return Ok(changed);
            }
            let since = Counted::now();
            let wish = wish(&board, &entry)?;
            let decided = decide(Some(&entry.lease), &wish, &entry.moment, self.settings.rules);
            let next = match decided.map_err(|refusal| refused(resource, refusal))? {
                Decision::Already(lease) => return Ok(Changed { lease, since }),
                Decision::Write(next) => next,
            };
            let new = record::write(&place.repository.objects(), &next, Some(&entry.tip))?;
            sent.push(Sent { id: new.clone(), lease: next.clone(), since: since.clone() });
            let name = place.ref_name(&key)?;
            let moves = [Move { name, expected: Some(entry.tip), new }];
            trouble = Some(match place.publish(&moves, payload)? {
                Published::Accepted => return Ok(Changed { lease: next, since }),
                Published::Rejected { why } => {
                    LockError::Rejected { remote: place.name().to_owned(), why }
                }
                Published::PayloadRejected { why } => {
                    return Err(LockError::PushRejected { remote: place.name().to_owned(), why });
                }
                Published::Unknown(error) => super::place::unreachable(place.name(), error),
            });
        }
        Err(trouble.unwrap_or_else(|| LockError::Contended { wanted: resource.clone() }))
    }
}

/// A record whose answer may have been lost.
struct Sent {
    id: CommitId,
    lease: Lease,
    since: Counted,
}

/// The last of our records that got through all the same.
fn arrived(place: &Place<'_>, sent: &[Sent], tip: &CommitId) -> Option<Changed> {
    let repository = place.repository.local();
    let is_there = |sent: &&Sent| record::is_in_chain(&repository, tip, &sent.id, CHAIN_MAX);
    let Sent { lease, since, .. } = sent.iter().rev().find(is_there)?;
    Some(Changed { lease: lease.clone(), since: since.clone() })
}

fn refused(resource: &Resource, refusal: Refusal) -> LockError {
    let resource = resource.clone();
    match refusal {
        Refusal::Lost { tip } => LockError::Lost { resource, tip },
        Refusal::RanOut { lease } => LockError::RanOut { resource, lease },
        Refusal::Held { lease, standing } | Refusal::NotOver { lease, standing } => {
            LockError::Held { wanted: resource, lease, standing, here: false }
        }
        Refusal::NotHeld => LockError::NotHeld { resource },
        Refusal::Exhausted { .. } => LockError::Exhausted { resource },
    }
}
