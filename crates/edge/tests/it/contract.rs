//! What every [`TrafficRouter`] must keep, run here on the edge behind its client.

use std::time::Duration;

use grit_rollout::{Drained, Endpoint, Group, Guard, Route, RouterError, SlotId, TrafficRouter};
use grit_types::{Fence, InstanceId, Revision, Sequence, Timestamp, Weight};

use crate::world::World;

/// Checks the contract on a router that has never heard of `slot`.
///
/// The endpoints of the routes need not answer: no request is sent.
pub async fn router(router: &dyn TrafficRouter, slot: &SlotId) {
    never_routed(router, slot).await;
    follows_newer_acts_only(router, slot).await;
    refuses_what_cannot_be_served(router, slot).await;
    counts_and_drains(router, slot).await;
}

async fn never_routed(router: &dyn TrafficRouter, slot: &SlotId) {
    assert_eq!(router.observed(slot).await.unwrap(), None);
    let stats = router.stats(slot, Duration::from_secs(10)).await.unwrap();
    assert!(stats.revisions.values().all(|revision| revision.requests == 0));
}

async fn follows_newer_acts_only(router: &dyn TrafficRouter, slot: &SlotId) {
    let first = split(slot, 2, 1, 5);
    let observed = router.apply(&first).await.unwrap();
    assert_eq!((observed.fence, observed.sequence, &observed.trip), (Fence(2), Sequence(1), &None));
    assert_eq!(observed.weights[&Revision(1)].percent(), 95.0);
    assert_eq!(observed.weights[&Revision(2)].percent(), 5.0);
    assert_eq!(router.observed(slot).await.unwrap().as_ref(), Some(&observed));
    // The same act again changes nothing and is answered the same.
    assert_eq!(router.apply(&first).await.unwrap(), observed);

    let newer = router.apply(&split(slot, 2, 2, 20)).await.unwrap();
    for stale in [split(slot, 2, 1, 5), split(slot, 2, 2, 50), split(slot, 1, 9, 50)] {
        match router.apply(&stale).await {
            Err(RouterError::Stale { current, current_sequence, .. }) => {
                assert_eq!((current, current_sequence), (Fence(2), Sequence(2)));
            }
            other => panic!("an older act was taken: {other:?}"),
        }
    }
    assert_eq!(router.observed(slot).await.unwrap(), Some(newer));
    // A new fence begins its acts anew.
    let next = router.apply(&split(slot, 3, 1, 50)).await.unwrap();
    assert_eq!((next.fence, next.sequence), (Fence(3), Sequence(1)));
}

async fn refuses_what_cannot_be_served(router: &dyn TrafficRouter, slot: &SlotId) {
    let before = router.observed(slot).await.unwrap();
    let change = |change: fn(&mut Route)| {
        let mut route = split(slot, 4, 1, 50);
        change(&mut route);
        route
    };
    let unusable = [
        change(|route| route.groups[0].weight = Weight::FULL),
        change(|route| route.groups[1].endpoints.clear()),
        change(|route| route.groups[1].endpoints[0].address = "nowhere".to_owned()),
        change(|route| route.groups[1].stable = true),
        change(|route| route.groups[1].revision = Revision(1)),
        change(|route| route.groups.clear()),
    ];
    for route in unusable {
        let refused = router.apply(&route).await;
        assert!(matches!(refused, Err(RouterError::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(router.observed(slot).await.unwrap(), before);
}

async fn counts_and_drains(router: &dyn TrafficRouter, slot: &SlotId) {
    let stats = router.stats(slot, Duration::from_secs(10)).await.unwrap();
    assert_eq!(stats.revisions[&Revision(2)].requests, 0);
    let drained = router.drained(slot, &[instance(2)], Duration::from_secs(10)).await.unwrap();
    assert_eq!(drained, Drained::Empty);
    let unknown = router.drained(slot, &[instance(99)], Duration::from_secs(10)).await.unwrap();
    assert_eq!(unknown, Drained::Empty);
}

fn split(slot: &SlotId, fence: u64, sequence: u64, percent: u8) -> Route {
    let canary = Weight::from_percent(percent).unwrap();
    let group = |revision: u64, weight, stable| Group {
        revision: Revision(revision),
        version: format!("v{revision}"),
        weight,
        stable,
        endpoints: vec![Endpoint {
            instance: instance(revision),
            address: format!("127.0.0.1:{}", 4_000 + revision),
        }],
    };
    Route {
        slot: slot.clone(),
        fence: Fence(fence),
        sequence: Sequence(sequence),
        groups: vec![group(1, canary.complement(), true), group(2, canary, false)],
        guard: Some(Guard {
            error_rate: Weight::from_percent(5).unwrap(),
            window: Duration::from_secs(10),
            min_requests: 20,
        }),
        request_timeout: Duration::from_secs(30),
    }
}

fn instance(number: u64) -> InstanceId {
    InstanceId::derived(Timestamp::from_millis(1), &number.to_le_bytes())
}

#[test]
fn the_edge_keeps_it() {
    let world = World::new();
    let client = world.router();
    world.runtime.block_on(router(&client, &crate::world::slot()));
}
