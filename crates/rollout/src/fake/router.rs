use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use grit_types::{BoxFuture, Clock, InstanceId};

use super::{Routes, Waiting, lock};
use crate::{Drained, Observed, Route, RouterError, SlotId, Stats, TrafficRouter, Trip};

/// [`Routes`] as a port. Its drains end as requests do, or by the clock.
pub struct FakeRouter {
    clock: Arc<dyn Clock>,
    state: Mutex<(Routes, Waiting)>,
}

impl FakeRouter {
    /// Nothing is routed.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Looks at what is routed, or changes it; who waits looks again.
    pub fn with<T>(&self, act: impl FnOnce(&mut Routes) -> T) -> T {
        let mut state = lock(&self.state);
        let value = act(&mut state.0);
        state.1.wake();
        value
    }

    /// The guard takes out what it watches.
    pub fn trip(&self, slot: &SlotId) -> Option<Trip> {
        let now = self.clock.now();
        self.with(|routes| routes.trip(slot, now))
    }

    /// The clock was moved: who waits looks again.
    pub fn tick(&self) {
        self.with(|_| ());
    }
}

impl TrafficRouter for FakeRouter {
    fn apply(&self, route: &Route) -> BoxFuture<'_, Result<Observed, RouterError>> {
        let result = self.with(|routes| routes.apply(route));
        Box::pin(async { result })
    }

    fn observed(&self, slot: &SlotId) -> BoxFuture<'_, Result<Option<Observed>, RouterError>> {
        let observed = lock(&self.state).0.get(slot).map(super::Routed::observed);
        Box::pin(async { Ok(observed) })
    }

    fn stats(&self, slot: &SlotId, window: Duration) -> BoxFuture<'_, Result<Stats, RouterError>> {
        let stats = lock(&self.state).0.stats(slot, window);
        Box::pin(async { Ok(stats) })
    }

    fn drained(
        &self,
        _: &SlotId,
        instances: &[InstanceId],
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Drained, RouterError>> {
        let (instances, until) = (instances.to_vec(), self.clock.now().after(deadline));
        Box::pin(poll_fn(move |context| {
            let mut state = lock(&self.state);
            match state.0.drained(&instances, self.clock.now() >= until) {
                Some(drained) => Poll::Ready(Ok(drained)),
                None => {
                    state.1.join(context);
                    Poll::Pending
                }
            }
        }))
    }
}
