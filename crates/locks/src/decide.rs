use std::time::Duration;

use grit_types::{LeaseId, Principal, Timestamp};

use crate::lease::{FENCE_MAX, Lease, Owner, State};
use crate::standing::{Moment, Rules, Standing, standing};
use crate::{REASON_CHARS_MAX, Resource};

/// What somebody wants done to a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To have it, under a lease id that was never used before.
    Acquire { resource: Resource, lease: LeaseId, owner: Owner, ttl: Duration, reason: String },
    /// To go on having it. `left` is what is left of the lease by a clock that is never set, where
    /// its holder has counted; `ttl` is how long from now on, if not as before.
    Renew { lease: LeaseId, ttl: Option<Duration>, left: Option<Duration> },
    /// To have it no more.
    Release { lease: LeaseId },
    /// That whoever has it has it no more.
    Break { lease: LeaseId, by: Principal, reason: String },
    /// That a lease that is over is recorded as ended.
    Expire { by: Principal },
}

/// What to do about a wish that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Put this record behind the last one.
    Write(Lease),
    /// The last record says so already: an earlier attempt got through.
    Already(Lease),
}

/// Why a wish is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody has it.
    #[error("`{}` is held", lease.resource)]
    Held { lease: Box<Lease>, standing: Standing },
    /// There is no lease to do that to.
    #[error("it is not held")]
    NotHeld,
    /// It was this lease's and is no more; `tip` says what came after.
    #[error("the lease on `{}` was lost", tip.resource)]
    Lost { tip: Box<Lease> },
    /// Nobody has taken it, but its time has passed: others may count on that already.
    #[error("the lease on `{}` has run out", lease.resource)]
    RanOut { lease: Box<Lease> },
    /// Its time has not passed.
    #[error("the lease on `{}` is not over", lease.resource)]
    NotOver { lease: Box<Lease>, standing: Standing },
    /// Its fence, or the time of its records, cannot grow any more.
    #[error("`{}` has no number left", lease.resource)]
    Exhausted { lease: Box<Lease> },
}

/// What to put behind `tip`, the last record of a lock, or why nothing.
///
/// Of every record behind another: it is later; its fence is the same for the same lease and one
/// more for another; a lease follows another only when that one was ended or its time has passed by
/// the records' own times.
pub fn decide(
    tip: Option<&Lease>,
    wish: &Wish,
    moment: &Moment,
    rules: Rules,
) -> Result<Decision, Refusal> {
    let decision = match (wish, tip) {
        (Wish::Acquire { resource, lease, owner, ttl, reason }, tip) => {
            let next = Grant { resource, lease: *lease, owner, ttl: *ttl, reason };
            Decision::Write(next.behind(tip, moment, rules)?)
        }
        (_, None) => return Err(Refusal::NotHeld),
        (Wish::Renew { lease, ttl, left }, Some(tip)) => {
            Decision::Write(renew(tip, *lease, *ttl, *left, moment)?)
        }
        (Wish::Release { lease }, Some(tip)) if tip.id != *lease => return Err(lost(tip)),
        (Wish::Release { .. }, Some(tip)) => match tip.state {
            State::Held => Decision::Write(ended(tip, State::Released, moment)),
            State::Released => Decision::Already(tip.clone()),
            State::Broken | State::Expired => return Err(lost(tip)),
        },
        (Wish::Break { lease, by, reason }, Some(tip)) => {
            breaking(tip, *lease, by, reason, moment)?
        }
        (Wish::Expire { by }, Some(tip)) => match standing(tip, moment, rules) {
            Standing::Over => {
                let expired = ended(tip, State::Expired, moment);
                Decision::Write(Lease { ended_by: Some(by.clone()), ..expired })
            }
            Standing::Free => Decision::Already(tip.clone()),
            standing => return Err(Refusal::NotOver { lease: Box::new(tip.clone()), standing }),
        },
    };
    match &decision {
        Decision::Write(lease) if lease.check().is_err() => {
            let lease = tip.unwrap_or(lease).clone();
            Err(Refusal::Exhausted { lease: Box::new(lease) })
        }
        _ => Ok(decision),
    }
}

/// A lease that is wanted.
struct Grant<'a> {
    resource: &'a Resource,
    lease: LeaseId,
    owner: &'a Owner,
    ttl: Duration,
    reason: &'a str,
}

impl Grant<'_> {
    fn behind(&self, tip: Option<&Lease>, moment: &Moment, rules: Rules) -> Result<Lease, Refusal> {
        let (fence, at) = match tip {
            None => (FENCE_FIRST, moment.now),
            Some(tip) if tip.fence >= FENCE_MAX => {
                return Err(Refusal::Exhausted { lease: Box::new(tip.clone()) });
            }
            Some(tip) => match standing(tip, moment, rules) {
                Standing::Free => (tip.fence.next(), later(tip, moment.now)),
                // One that was watched to its end may be over before its own time says so.
                Standing::Over => (tip.fence.next(), later(tip, moment.now).max(tip.expires_at)),
                standing => {
                    return Err(Refusal::Held { lease: Box::new(tip.clone()), standing });
                }
            },
        };
        Ok(Lease {
            resource: self.resource.clone(),
            fence,
            id: self.lease,
            owner: self.owner.clone(),
            acquired_at: at,
            at,
            clock: moment.now,
            ttl: self.ttl,
            expires_at: at.after(self.ttl),
            state: State::Held,
            reason: shortened(self.reason),
            ended_by: None,
        })
    }
}

const FENCE_FIRST: grit_types::Fence = grit_types::Fence(1);

fn renew(
    tip: &Lease,
    lease: LeaseId,
    ttl: Option<Duration>,
    left: Option<Duration>,
    moment: &Moment,
) -> Result<Lease, Refusal> {
    if tip.id != lease || tip.state != State::Held {
        return Err(lost(tip));
    }
    let has_run_out = left.map_or(moment.now >= tip.expires_at, |left| left.is_zero());
    if has_run_out {
        return Err(Refusal::RanOut { lease: Box::new(tip.clone()) });
    }
    // A clock that was set back must not make the new time end before the holder thinks it does.
    let counted = tip.at.after(tip.ttl.saturating_sub(left.unwrap_or(tip.ttl)));
    let at = later(tip, moment.now).max(counted);
    let ttl = ttl.unwrap_or(tip.ttl);
    Ok(Lease { at, clock: moment.now, ttl, expires_at: at.after(ttl), ..tip.clone() })
}

fn breaking(
    tip: &Lease,
    lease: LeaseId,
    by: &Principal,
    reason: &str,
    moment: &Moment,
) -> Result<Decision, Refusal> {
    if tip.id != lease {
        return Err(lost(tip));
    }
    Ok(match tip.state {
        State::Held => Decision::Write(Lease {
            ended_by: Some(by.clone()),
            reason: shortened(reason),
            ..ended(tip, State::Broken, moment)
        }),
        State::Released | State::Broken | State::Expired => Decision::Already(tip.clone()),
    })
}

fn ended(tip: &Lease, state: State, moment: &Moment) -> Lease {
    Lease { state, at: later(tip, moment.now), clock: moment.now, ..tip.clone() }
}

/// Now, or just behind the last record where that is later.
fn later(tip: &Lease, now: Timestamp) -> Timestamp {
    now.max(tip.at.after(Duration::from_millis(1)))
}

fn lost(tip: &Lease) -> Refusal {
    Refusal::Lost { tip: Box::new(tip.clone()) }
}

fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
