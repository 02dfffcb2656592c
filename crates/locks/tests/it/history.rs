//! Any clones, any clocks, any order.

use std::time::Duration;

use grit_locks::{Decision, Doubt, Lease, Moment, Rules, SLACK, State, Wish, decide};
use grit_types::{LeaseId, Timestamp};
use proptest::prelude::*;

use crate::{NOW, lease_id, owner};

const CLONES: usize = 4;

#[derive(Clone, Debug)]
enum Act {
    Acquire {
        ttl: u64,
    },
    Renew,
    Release,
    /// Of a lease that is not one's own.
    ReleaseOther,
    BreakTip,
    Expire,
    /// A look without a wish: it starts to watch.
    Look,
}

#[derive(Clone, Debug)]
struct Step {
    clone: usize,
    act: Act,
    /// Milliseconds that pass before.
    pause: u64,
    /// It decides by the record that it saw at its last step, and somebody may have been faster.
    stale: bool,
}

/// What one clone knows.
#[derive(Clone, Default)]
struct Clone_ {
    /// Milliseconds that its clock is wrong by.
    offset: i64,
    own: Option<LeaseId>,
    seen: Option<Lease>,
    /// Since when, in true milliseconds.
    since: u64,
}

/// The one lock, as a compare-and-swap store keeps it, and what really was.
#[derive(Default)]
struct World {
    history: Vec<Lease>,
    now: u64,
    leases: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        4 => (1u64..20).prop_map(|ttl| Act::Acquire { ttl }),
        2 => Just(Act::Renew),
        2 => Just(Act::Release),
        1 => Just(Act::ReleaseOther),
        1 => Just(Act::BreakTip),
        1 => Just(Act::Expire),
        2 => Just(Act::Look),
    ];
    let pause = prop_oneof![0u64..50, 0u64..40_000];
    (0..CLONES, act, pause, any::<bool>()).prop_map(|(clone, act, pause, stale)| Step {
        clone,
        act,
        pause,
        stale,
    })
}

fn offsets() -> impl Strategy<Value = Vec<i64>> {
    let offset = prop_oneof![Just(0), -7_200_000i64..7_200_000, -500i64..500];
    prop::collection::vec(offset, CLONES)
}

fn clones(offsets: &[i64]) -> Vec<Clone_> {
    offsets.iter().map(|offset| Clone_ { offset: *offset, ..Clone_::default() }).collect()
}

impl World {
    fn tip(&self) -> Option<&Lease> {
        self.history.last()
    }

    fn wish(&mut self, clone: &Clone_, act: &Act) -> Option<Wish> {
        let tip = clone.seen.as_ref().map(|tip| tip.id);
        Some(match act {
            Act::Acquire { ttl } => {
                self.leases += 1;
                Wish::Acquire {
                    resource: "deploy:production".parse().unwrap(),
                    lease: lease_id(self.leases),
                    owner: owner("c"),
                    ttl: Duration::from_secs(*ttl),
                    reason: String::new(),
                }
            }
            Act::Renew => Wish::Renew { lease: clone.own?, ttl: None, left: None },
            Act::Release => Wish::Release { lease: clone.own? },
            Act::ReleaseOther => Wish::Release {
                lease: tip.filter(|id| clone.own != Some(*id)).map(|_| lease_id(0))?,
            },
            Act::BreakTip => {
                Wish::Break { lease: tip?, by: "bob".parse().unwrap(), reason: "r".to_owned() }
            }
            Act::Expire => Wish::Expire { by: "bob".parse().unwrap() },
            Act::Look => return None,
        })
    }

    fn run(&mut self, clone: &mut Clone_, step: &Step, trusted: bool, rules: Rules) {
        self.now += step.pause;
        if !step.stale && clone.seen.as_ref() != self.tip() {
            clone.seen = self.tip().cloned();
            clone.since = self.now;
        }
        let Some(wish) = self.wish(clone, &step.act) else { return };
        let moment = Moment {
            now: Timestamp::from_millis(NOW + i64::try_from(self.now).unwrap() + clone.offset),
            watched: Duration::from_millis(self.now - clone.since),
            doubt: (!trusted).then_some(Doubt::Untrusted),
        };
        let seen = clone.seen.clone();
        let Ok(Decision::Write(next)) = decide(seen.as_ref(), &wish, &moment, rules) else {
            return;
        };
        if seen.as_ref() == self.tip() {
            if let Wish::Acquire { lease, .. } = wish {
                clone.own = Some(lease);
            }
            self.history.push(next.clone());
            clone.seen = Some(next);
            clone.since = self.now;
        }
    }
}

fn check_link(before: &Lease, after: &Lease) -> Result<(), TestCaseError> {
    prop_assert!(after.at > before.at, "a record is not later than the one before it");
    prop_assert_eq!(&after.resource, &before.resource);
    prop_assert!(Lease::decode(&after.encode()).is_ok_and(|read| read == *after));
    if after.id == before.id {
        prop_assert_eq!(after.fence, before.fence);
        prop_assert_eq!(before.state, State::Held, "an ended lease lives on");
    } else {
        prop_assert_eq!(after.fence, before.fence.next());
        prop_assert_eq!(after.state, State::Held);
        let over = before.state != State::Held || after.at >= before.expires_at;
        prop_assert!(over, "two leases at one time: {before:?} {after:?}");
    }
    Ok(())
}

/// No lease that is meant is taken before its holder stops counting on it, in real time.
fn check_takeovers(
    offsets: &[i64],
    steps: &[Step],
    trusted: bool,
    is_meant: impl Fn(&Lease) -> bool,
) -> Result<(), TestCaseError> {
    let rules = Rules { grace: Some(Duration::from_millis(200)) };
    let mut world = World::default();
    let mut clones = clones(offsets);
    let mut runs_out = 0;
    for step in steps {
        let before = world.history.len();
        let previous = world.tip().cloned();
        world.run(&mut clones[step.clone], step, trusted, rules);
        let Some(next) = world.history.get(before) else { continue };
        if let Some(previous) = previous
            && previous.state == State::Held
            && previous.id != next.id
            && is_meant(&previous)
        {
            prop_assert!(world.now >= runs_out, "taken {} ms early", runs_out - world.now);
        }
        if next.state == State::Held {
            runs_out = world.now + u64::try_from(next.ttl.as_millis()).unwrap();
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn fences_grow_and_leases_never_overlap(
        offsets in offsets(),
        steps in prop::collection::vec(step(), 1..80),
        trusted: bool,
        grace in prop::option::of(0u64..2_000),
    ) {
        let rules = Rules { grace: grace.map(Duration::from_millis) };
        let mut world = World::default();
        let mut clones = clones(&offsets);
        for step in &steps {
            world.run(&mut clones[step.clone], step, trusted, rules);
        }
        for pair in world.history.windows(2) {
            check_link(&pair[0], &pair[1])?;
        }
    }

    /// Whoever trusts its clock takes nothing early that says itself that clocks disagree.
    #[test]
    fn what_follows_a_clock_that_is_ahead_is_really_over(
        offsets in offsets(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let disagrees = |lease: &Lease| lease.at.since(lease.clock) > SLACK;
        check_takeovers(&offsets, &steps, true, disagrees)?;
    }

    /// Whoever trusts no clock takes nothing that its holder still counts on, in real time,
    /// however wrong all the clocks are.
    #[test]
    fn what_is_watched_is_really_over(
        offsets in offsets(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        check_takeovers(&offsets, &steps, false, |_| true)?;
    }
}
