//! The edge: a router in memory, and whether anybody reaches it.

use grit_rollout::fake::Routes;
use grit_rollout::slot::RouteFailure;
use grit_rollout::{Observed, Route};

#[derive(Default)]
pub struct Edge {
    pub routes: Routes,
    /// Does not answer, and serves nobody.
    pub down: bool,
}

impl Edge {
    /// Applies a route, and judges a refusal as the controller's adapter does.
    pub fn apply(&mut self, route: &Route) -> Result<Observed, RouteFailure> {
        self.routes.apply(route).map_err(|error| {
            let now = self.routes.get(&route.slot).map(grit_rollout::fake::Routed::observed);
            let failure = RouteFailure::judge(route, error, now);
            failure.expect("a router in memory is reached and has nothing to store")
        })
    }
}
