//! What becomes of instances, by the quality of their version.

use std::time::Duration;

use grit_rollout::fake::Turn;
use grit_rollout::{Instance, InstanceState};

use super::rng::Rng;
use super::scenario::{Quality, Scenario};

/// What becomes of an instance next, and after how long.
pub fn fate(
    scenario: &Scenario,
    rng: &mut Rng,
    version: &str,
    instance: &Instance,
) -> Option<(Duration, Turn)> {
    let quality = scenario.quality(version);
    let (low, high, turn) = match (instance.state, quality) {
        (InstanceState::Starting, Quality::Hung) => return None,
        (InstanceState::Starting, Quality::NeverReady) => (500, 5_000, Turn::Fail),
        (InstanceState::Starting, _) => (100, 3_000, Turn::Ready),
        (InstanceState::Ready, Quality::Crashing) => (1_000, 20_000, Turn::Die),
        (InstanceState::Ready, Quality::Sickly) => (3_000, 30_000, Turn::Sicken),
        (InstanceState::Unhealthy, _) => (500, 6_000, Turn::Ready),
        (InstanceState::Stopping, _) => (10, 2_000, Turn::Gone),
        (InstanceState::Ready | InstanceState::Failed, _) => return None,
    };
    Some((Duration::from_millis(rng.between(low, high)), turn))
}
