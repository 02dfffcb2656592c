//! Ways for a revision to take over.

use std::time::Duration;

use grit_rollout::{Analysis, Canary, Guard, Metric, RevisionStats, Rolling, Step, Strategy};
use grit_types::Weight;

use crate::ground::secs;

pub fn percent(percent: u8) -> Weight {
    Weight::from_percent(percent).unwrap()
}

/// Without analysis, guarded.
pub fn canary(steps: Vec<Step>) -> Strategy {
    canary_with(steps, None)
}

pub fn canary_with(steps: Vec<Step>, analysis: Option<Analysis>) -> Strategy {
    let guard = Guard { error_rate: percent(20), window: secs(2), min_requests: 20 };
    Strategy::Canary(Canary { steps, analysis, guard: Some(guard), soak: Duration::ZERO })
}

pub fn weight(share: u8) -> Step {
    Step::SetWeight(percent(share))
}

/// So many seconds; none: until somebody promotes.
pub fn pause(duration: Option<u64>) -> Step {
    Step::Pause(duration.map(secs))
}

/// Every 10 s: success rate at least 99 %.
pub fn analysis(count: Option<u32>) -> Analysis {
    Analysis {
        metrics: vec![Metric::SuccessRate { min: percent(99) }],
        interval: secs(10),
        count,
        failure_limit: 0,
        inconclusive_limit: 1,
        min_requests: 10,
    }
}

pub fn rolling_by(batch: u32) -> Strategy {
    Strategy::Rolling(Rolling { batch, guard: None, soak: Duration::ZERO })
}

/// 5, 20, 50, 100 %, 10 s each, then a look by a person before all of it.
pub fn careful() -> Strategy {
    let steps = [weight(5), pause(Some(10)), weight(20), pause(Some(10)), weight(50), pause(None)];
    canary(steps.to_vec())
}

/// All is well.
pub fn good() -> RevisionStats {
    RevisionStats { requests: 1_000, ..RevisionStats::default() }
}

/// One in three fails.
pub fn bad() -> RevisionStats {
    RevisionStats { errors: 333, ..good() }
}
