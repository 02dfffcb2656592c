use std::time::Duration;

use grit_types::{Fence, InstanceId, Revision, Sequence, Timestamp, Weight};

use super::Turn;
use crate::{
    Drained, Endpoint, Group, Guard, Observed, Route, RouterError, SlotId, TrafficRouter, Trip,
};

const STABLE: Revision = Revision(1);
const CANARY: Revision = Revision(2);
/// Nobody listens there, and no request is sent.
const NOBODY: [&str; 2] = ["127.0.0.1:4001", "127.0.0.1:4002"];
const LONG: Duration = Duration::from_secs(10);

/// Runs the contract on a router that has never heard of `slot`.
pub async fn router(router: &dyn TrafficRouter, slot: &SlotId) {
    knows_nothing_at_first(router, slot).await;
    follows_newer_acts_only(router, slot).await;
    refuses_what_cannot_be_served(router, slot).await;
    takes_a_group_that_only_waits(router, slot).await;
    counts_and_drains(router, slot).await;
}

/// Runs the guard's part of the contract, on a router that has never heard of `slot`.
///
/// At `addresses` the stable revision answers and the other one fails; `fail` sends requests, of
/// which the other one gets some. It is asked again until the guard has tripped.
pub async fn guard(
    router: &dyn TrafficRouter,
    slot: &SlotId,
    addresses: [&str; 2],
    fail: Turn<'_>,
) {
    let route = |fence, sequence, percent| split(slot, (fence, sequence), percent, addresses);
    apply(router, &route(7, 3, 50)).await;
    let trip = tripped(router, slot, fail).await;
    assert_eq!((trip.fence, trip.revision), (Fence(7), CANARY));
    assert!(trip.failed > 0 && trip.failed <= trip.requests, "{trip:?}");
    let after = observed(router, slot).await;
    assert_eq!(shares(&after), [Weight::FULL, Weight::ZERO], "all traffic is on stable");
    assert_eq!((after.fence, after.sequence), (Fence(7), Sequence(3)), "the route is the same");

    let refused = router.apply(&route(7, 4, 1)).await;
    assert!(matches!(refused, Err(RouterError::Invalid { .. })), "given back: {refused:?}");
    assert_eq!(observed(router, slot).await, after);
    let stable_only = apply(router, &route(7, 5, 0)).await;
    assert_eq!(stable_only.trip.as_ref(), Some(&trip), "it holds as long as the fence");
    let again = apply(router, &route(8, 1, 50)).await;
    assert_eq!((shares(&again), &again.trip), ([percent(50); 2], &None), "a new one may try");
}

async fn tripped(router: &dyn TrafficRouter, slot: &SlotId, fail: Turn<'_>) -> Trip {
    loop {
        fail().await;
        if let Some(trip) = observed(router, slot).await.trip {
            return trip;
        }
    }
}

async fn knows_nothing_at_first(router: &dyn TrafficRouter, slot: &SlotId) {
    assert_eq!(router.observed(slot).await.expect("observed"), None);
    let stats = router.stats(slot, LONG).await.expect("stats");
    assert!(stats.revisions.values().all(|revision| revision.requests == 0));
}

async fn follows_newer_acts_only(router: &dyn TrafficRouter, slot: &SlotId) {
    let route = |fence, sequence, percent| split(slot, (fence, sequence), percent, NOBODY);
    let first = apply(router, &route(2, 1, 5)).await;
    assert_eq!((first.fence, first.sequence, &first.trip), (Fence(2), Sequence(1), &None));
    assert_eq!(shares(&first), [percent(95), percent(5)]);
    assert_eq!(observed(router, slot).await, first);
    let again = apply(router, &route(2, 1, 5)).await;
    assert_eq!(again, first, "the same act again changes nothing");

    let newer = apply(router, &route(2, 2, 20)).await;
    for stale in [route(2, 1, 5), route(2, 2, 50), route(1, 9, 50)] {
        match router.apply(&stale).await {
            Err(RouterError::Stale { slot: of, current, current_sequence }) => {
                assert_eq!((&of, current, current_sequence), (slot, Fence(2), Sequence(2)));
            }
            other => panic!("an older act was taken: {other:?}"),
        }
    }
    assert_eq!(observed(router, slot).await, newer);
    let next = apply(router, &route(3, 1, 50)).await;
    assert_eq!((next.fence, next.sequence), (Fence(3), Sequence(1)), "a fence begins anew");
}

async fn refuses_what_cannot_be_served(router: &dyn TrafficRouter, slot: &SlotId) {
    let before = observed(router, slot).await;
    let unusable: [fn(&mut Route); 8] = [
        |route| route.groups[0].weight = Weight::FULL,
        |route| route.groups[0].weight = Weight::ZERO,
        |route| route.groups[1].endpoints.clear(),
        |route| route.groups[1].endpoints[0].address = "nowhere".to_owned(),
        |route| route.groups[1].stable = true,
        |route| route.groups[1].revision = STABLE,
        |route| route.groups[1].endpoints = route.groups[0].endpoints.clone(),
        |route| route.groups.clear(),
    ];
    for change in unusable {
        let mut route = split(slot, (4, 1), 50, NOBODY);
        change(&mut route);
        let refused = router.apply(&route).await;
        assert!(matches!(refused, Err(RouterError::Invalid { .. })), "{route:?}: {refused:?}");
    }
    assert_eq!(observed(router, slot).await, before);
}

/// Without weight a group needs no endpoint: the stable one at the end of a rollout.
async fn takes_a_group_that_only_waits(router: &dyn TrafficRouter, slot: &SlotId) {
    let mut route = split(slot, (4, 1), 100, NOBODY);
    route.groups[0].endpoints.clear();
    assert_eq!(shares(&apply(router, &route).await), [Weight::ZERO, Weight::FULL]);
    apply(router, &split(slot, (4, 2), 50, NOBODY)).await;
}

async fn counts_and_drains(router: &dyn TrafficRouter, slot: &SlotId) {
    let stats = router.stats(slot, LONG).await.expect("stats");
    assert_eq!(stats.revisions[&CANARY].requests, 0, "what is routed is counted, from zero");
    for instances in [vec![], vec![instance(CANARY)], vec![instance(Revision(99))]] {
        let drained = router.drained(slot, &instances, LONG).await.expect("drained");
        assert_eq!(drained, Drained::Empty);
    }
}

async fn apply(router: &dyn TrafficRouter, route: &Route) -> Observed {
    router.apply(route).await.expect("a route that can be served")
}

async fn observed(router: &dyn TrafficRouter, slot: &SlotId) -> Observed {
    router.observed(slot).await.expect("observed").expect("the slot is routed")
}

fn shares(observed: &Observed) -> [Weight; 2] {
    [STABLE, CANARY].map(|revision| observed.weights[&revision])
}

fn percent(percent: u8) -> Weight {
    Weight::from_percent(percent).expect("at most 100")
}

fn split(
    slot: &SlotId,
    (fence, sequence): (u64, u64),
    canary: u8,
    [at_stable, at_canary]: [&str; 2],
) -> Route {
    let canary = percent(canary);
    let group = |revision: Revision, weight, address: &str| Group {
        revision,
        version: format!("v{revision}"),
        weight,
        stable: revision == STABLE,
        endpoints: vec![Endpoint { instance: instance(revision), address: address.to_owned() }],
    };
    Route {
        slot: slot.clone(),
        fence: Fence(fence),
        sequence: Sequence(sequence),
        groups: vec![
            group(STABLE, canary.complement(), at_stable),
            group(CANARY, canary, at_canary),
        ],
        guard: Some(Guard { error_rate: percent(5), window: LONG, min_requests: 2 }),
        request_timeout: Duration::from_secs(30),
    }
}

fn instance(of: Revision) -> InstanceId {
    InstanceId::derived(Timestamp::from_millis(1), &of.0.to_le_bytes())
}
