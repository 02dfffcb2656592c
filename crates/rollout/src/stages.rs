use grit_types::Weight;

use crate::slot::Stage;
use crate::{Analysis, Canary, Guard, Rolling, Step, Strategy};

impl Strategy {
    /// The guard, where there is one.
    pub fn guard(&self) -> Option<&Guard> {
        match self {
            Self::Rolling(rolling) => rolling.guard.as_ref(),
            Self::Canary(canary) => canary.guard.as_ref(),
        }
    }

    /// The analysis of the whole rollout.
    pub fn analysis(&self) -> Option<&Analysis> {
        match self {
            Self::Rolling(_) => None,
            Self::Canary(canary) => canary.analysis.as_ref(),
        }
    }

    /// How long full weight is watched before it counts as success.
    pub fn soak(&self) -> std::time::Duration {
        match self {
            Self::Rolling(rolling) => rolling.soak,
            Self::Canary(canary) => canary.soak,
        }
    }

    /// The name that people use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rolling(_) => "rolling",
            Self::Canary(_) => "canary",
        }
    }

    /// The strategy applied: `replicas` of the new revision take over from `old` of the stable.
    ///
    /// Without a stable revision there is nothing to weigh against, and no step runs. The last
    /// stage always gives full weight to the new revision.
    pub fn stages(&self, replicas: u32, old: Option<u32>) -> Vec<Stage> {
        let Some(old) = old else {
            return at_once(replicas, 0);
        };
        match self {
            Self::Rolling(rolling) => rolling_stages(rolling, replicas, old),
            Self::Canary(canary) => canary_stages(canary, replicas, old),
        }
    }
}

/// All of the new beside all of the old: how a first deployment and a rollback go.
pub(crate) fn at_once(replicas: u32, old: u32) -> Vec<Stage> {
    vec![Stage::Move { canary: replicas, weight: Weight::FULL, stable: old }]
}

/// The last of the old instances stay until the end, so that there is always a way back.
fn rolling_stages(rolling: &Rolling, replicas: u32, old: u32) -> Vec<Stage> {
    if replicas == 0 {
        return at_once(replicas, old);
    }
    let batch = rolling.batch.max(1);
    let mut stages = Vec::new();
    let (mut new, mut stable) = (0, old);
    while new < replicas {
        new = (new + batch).min(replicas);
        if new < replicas {
            stable = old.saturating_sub(new).max(1);
        }
        stages.push(Stage::Move { canary: new, weight: Weight::ratio(new, replicas), stable });
    }
    stages
}

/// The stable revision keeps its full size, as Argo Rollouts does with traffic routing; the canary
/// has the instances that its weight needs, at least one.
fn canary_stages(canary: &Canary, replicas: u32, old: u32) -> Vec<Stage> {
    let mut stages: Vec<Stage> =
        canary.steps.iter().map(|step| stage(step, replicas, old)).collect();
    let ends_full =
        |stage: &Stage| matches!(stage, Stage::Move { weight, .. } if *weight == Weight::FULL);
    if !stages.last().is_some_and(ends_full) {
        stages.extend(at_once(replicas, old));
    }
    stages
}

fn stage(step: &Step, replicas: u32, old: u32) -> Stage {
    match step {
        Step::SetWeight(weight) => {
            Stage::Move { canary: needed(*weight, replicas), weight: *weight, stable: old }
        }
        Step::Pause(duration) => Stage::Hold { duration: *duration },
        Step::Analysis(analysis) => Stage::Measure(analysis.clone()),
    }
}

fn needed(weight: Weight, replicas: u32) -> u32 {
    let points = u64::from(weight.basis_points()) * u64::from(replicas);
    let full = u64::from(Weight::FULL.basis_points());
    u32::try_from(points.div_ceil(full)).unwrap_or(replicas).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Strategy;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use std::time::Duration;

    fn rolling(batch: u32) -> Strategy {
        Strategy::Rolling(Rolling { batch, guard: None, soak: Duration::ZERO })
    }

    #[test]
    fn a_rolling_update_replaces_one_after_the_other() {
        let percent = |p| Weight::from_percent(p).unwrap();
        assert_eq!(
            rolling(1).stages(4, Some(4)),
            [(1, 25, 3), (2, 50, 2), (3, 75, 1), (4, 100, 1)]
                .map(|(canary, p, stable)| Stage::Move { canary, weight: percent(p), stable })
        );
    }

    proptest! {
        #[test]
        fn weight_and_size_only_grow_and_end_full(
            batch in 0u32..5, replicas in 0u32..12, old in proptest::option::of(1u32..12),
        ) {
            let mut last = (0, Weight::ZERO);
            let stages = rolling(batch).stages(replicas, old);
            for stage in stages {
                let Stage::Move { canary, weight, stable } = stage else { unreachable!() };
                prop_assert!((canary, weight) > last, "{stage:?} after {last:?}");
                prop_assert!(old.is_none() || stable > 0);
                last = (canary, weight);
            }
            prop_assert_eq!(last, (replicas, Weight::FULL));
        }

        #[test]
        fn a_canary_always_has_an_instance_and_ends_full(
            weights in proptest::collection::vec(0u8..=100, 0..6), replicas in 1u32..12,
        ) {
            let steps = weights.iter().map(|p| Step::SetWeight(Weight::from_percent(*p).unwrap()));
            let canary = Canary { steps: steps.collect(), analysis: None, guard: None, soak: Duration::ZERO };
            let stages = Strategy::Canary(canary).stages(replicas, Some(2));
            for stage in &stages {
                let Stage::Move { canary, .. } = stage else { unreachable!() };
                prop_assert!((1..=replicas).contains(canary));
            }
            prop_assert_eq!(
                stages.last(),
                Some(&Stage::Move { canary: replicas, weight: Weight::FULL, stable: 2 })
            );
        }
    }
}
