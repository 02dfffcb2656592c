use std::time::Duration;

use grit_locks::{
    Decision, Doubt, Refusal, Resource, Rules, Standing, State, Wish, decide, standing,
};
use grit_types::Fence;

use crate::{acquire, at, doubtful, lease_id, owner, seconds, written};

const RULES: Rules = Rules { grace: None };

#[test]
fn the_first_grant_is_number_one_and_holds_against_the_second() {
    let tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    assert_eq!((tip.fence, tip.state), (Fence(1), State::Held));
    let refused = decide(Some(&tip), &acquire(2, seconds(60)), &at(30_000), RULES);
    let Err(Refusal::Held { lease, standing: Standing::Held }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*lease, tip);
    let again = decide(Some(&tip), &acquire(1, seconds(60)), &at(0), RULES);
    assert!(matches!(again, Err(Refusal::Held { .. })), "the lease owns, not who asks: {again:?}");
}

#[test]
fn an_expired_lease_is_taken_only_after_its_grace() {
    let tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    let taken = |millis| decide(Some(&tip), &acquire(2, seconds(60)), &at(millis), RULES);
    assert!(matches!(taken(60_000), Err(Refusal::Held { standing: Standing::Grace { .. }, .. })));
    assert!(taken(74_999).is_err());
    assert_eq!(written(taken(75_000)).fence, Fence(2));
    let long = written(decide(None, &acquire(1, seconds(600)), &at(0), RULES));
    let of_long = |millis| standing(&long, &at(millis), RULES);
    assert!(!of_long(659_999).is_open(), "a tenth of the time is longer than 15 s");
    assert!(of_long(660_000).is_open());
    let short = Rules { grace: Some(Duration::from_millis(200)) };
    assert_eq!(standing(&tip, &at(60_200), short), Standing::Over);
}

#[test]
fn a_clock_in_doubt_takes_nothing_before_it_has_watched() {
    let tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    let at_watched = |watched| standing(&tip, &doubtful(7_200_000, watched), RULES);
    assert_eq!(
        at_watched(seconds(10)),
        Standing::Doubtful { doubt: Doubt::Set, left: seconds(65) }
    );
    assert_eq!(at_watched(seconds(75)), Standing::Over);
    let mut behind = at(-120_000);
    assert!(matches!(
        standing(&tip, &behind, RULES),
        Standing::Doubtful { doubt: Doubt::Ahead, .. }
    ));
    behind.watched = seconds(75);
    let next = written(decide(Some(&tip), &acquire(2, seconds(60)), &behind, RULES));
    assert!(next.at >= tip.expires_at, "the records' own times stay in order");
}

/// One is two hours ahead, has the lock and gives it back; what another has then looks older to it than it is.
#[test]
fn what_follows_a_clock_that_is_ahead_is_watched_by_everybody() {
    let ahead = 7_200_000;
    let first = written(decide(None, &acquire(1, seconds(60)), &at(ahead), RULES));
    let release = Wish::Release { lease: lease_id(1) };
    let free = written(decide(Some(&first), &release, &at(ahead + 1_000), RULES));
    let held = written(decide(Some(&free), &acquire(2, seconds(60)), &at(601_000), RULES));
    let renew = Wish::Renew { lease: lease_id(2), ttl: None, left: Some(seconds(20)) };
    let renewed = written(decide(Some(&held), &renew, &at(641_000), RULES));
    for tip in [held, renewed] {
        for now in [at(ahead + 642_000), at(ahead + 30_000), at(642_000)] {
            let stands = standing(&tip, &now, RULES);
            assert!(matches!(stands, Standing::Doubtful { .. }), "{stands:?} at {now:?}");
        }
        assert_eq!(standing(&tip, &doubtful(0, seconds(75)), RULES), Standing::Over);
    }
}

#[test]
fn releasing_keeps_the_number_and_is_for_the_owner_only() {
    let tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    let release = |number| Wish::Release { lease: lease_id(number) };
    assert!(matches!(decide(Some(&tip), &release(2), &at(1), RULES), Err(Refusal::Lost { .. })));
    let free = written(decide(Some(&tip), &release(1), &at(1), RULES));
    assert_eq!((free.state, free.fence), (State::Released, Fence(1)));
    let again = decide(Some(&free), &release(1), &at(2), RULES);
    assert_eq!(again, Ok(Decision::Already(free.clone())));
    let next = written(decide(Some(&free), &acquire(2, seconds(60)), &at(3), RULES));
    assert_eq!(next.fence, Fence(2));
    assert!(matches!(decide(None, &release(1), &at(0), RULES), Err(Refusal::NotHeld)));
}

#[test]
fn a_lease_that_has_run_out_is_not_renewed() {
    let tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    let renew = |left| Wish::Renew { lease: lease_id(1), ttl: None, left };
    let renewed = written(decide(Some(&tip), &renew(None), &at(30_000), RULES));
    assert_eq!(renewed.expires_at.since(tip.expires_at), seconds(30));
    assert_eq!((renewed.fence, renewed.acquired_at), (tip.fence, tip.acquired_at));
    let late = decide(Some(&tip), &renew(None), &at(60_000), RULES);
    assert!(matches!(late, Err(Refusal::RanOut { .. })), "{late:?}");
    let counted = decide(Some(&tip), &renew(Some(Duration::ZERO)), &at(1), RULES);
    assert!(matches!(counted, Err(Refusal::RanOut { .. })), "{counted:?}");
    let jumped = decide(Some(&tip), &renew(Some(seconds(40))), &at(7_200_000), RULES);
    assert!(jumped.is_ok(), "its own count is better than a clock that was set: {jumped:?}");
    let back = written(decide(Some(&tip), &renew(Some(seconds(40))), &at(-7_200_000), RULES));
    assert_eq!(back.at.since(tip.at), seconds(20), "20 of 60 seconds have passed");
}

#[test]
fn breaking_names_the_lease_and_says_who_and_why() {
    let tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    let wish = |number| Wish::Break {
        lease: lease_id(number),
        by: "bob".parse().unwrap(),
        reason: "runner died".to_owned(),
    };
    assert!(matches!(decide(Some(&tip), &wish(2), &at(1), RULES), Err(Refusal::Lost { .. })));
    let broken = written(decide(Some(&tip), &wish(1), &at(1), RULES));
    assert_eq!((broken.state, broken.reason.as_str()), (State::Broken, "runner died"));
    assert_eq!(broken.ended_by.as_ref().map(|by| by.as_str()), Some("bob"));
    let renew = Wish::Renew { lease: lease_id(1), ttl: None, left: Some(seconds(50)) };
    assert!(matches!(decide(Some(&broken), &renew, &at(2), RULES), Err(Refusal::Lost { .. })));
}

#[test]
fn only_what_is_over_becomes_a_tombstone() {
    let tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    let wish = Wish::Expire { by: "bob".parse().unwrap() };
    let early = decide(Some(&tip), &wish, &at(74_000), RULES);
    assert!(matches!(early, Err(Refusal::NotOver { .. })), "{early:?}");
    let expired = written(decide(Some(&tip), &wish, &at(75_000), RULES));
    assert_eq!((expired.state, expired.fence), (State::Expired, Fence(1)));
    let next = written(decide(Some(&expired), &acquire(2, seconds(60)), &at(75_001), RULES));
    assert_eq!(next.fence, Fence(2));
}

#[test]
fn a_number_that_cannot_grow_is_told() {
    let mut tip = written(decide(None, &acquire(1, seconds(60)), &at(0), RULES));
    tip.fence = grit_locks::FENCE_MAX;
    tip.state = State::Released;
    let refused = decide(Some(&tip), &acquire(2, seconds(60)), &at(1), RULES);
    assert!(matches!(refused, Err(Refusal::Exhausted { .. })), "{refused:?}");
}

#[test]
fn a_wish_beyond_the_limits_is_never_written() {
    let resource: Resource = "deploy:x".parse().unwrap();
    let (lease, owner) = (lease_id(1), owner("c1"));
    let reason = "y".repeat(5_000);
    let wish = Wish::Acquire { resource, lease, owner, ttl: seconds(60), reason };
    assert_eq!(written(decide(None, &wish, &at(0), RULES)).reason.len(), 1_000);
    let refused = decide(None, &acquire(1, Duration::from_millis(1)), &at(0), RULES);
    assert!(matches!(refused, Err(Refusal::Exhausted { .. })), "{refused:?}");
}
