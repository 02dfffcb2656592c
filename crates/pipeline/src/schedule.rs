//! Which of the jobs that wait for a slot get one now.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::run::{JobPhase, Run, is_free};

/// What a job came to in earlier runs of its pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Those that succeeded or failed.
    pub runs: u32,
    pub failed: u32,
    pub median_millis: u64,
}

/// Where a job stands among those that are ready; the smallest is first: what is likeliest to fail,
/// in tenths, so that a failure is known early; then what takes longest, so that it is not left for
/// the end; then the plan's order. Without a past the plan's order is all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    failures: Reverse<u64>,
    millis: Reverse<u64>,
    place: usize,
}

/// The rank of the job at that index of [`Run::jobs`].
pub fn rank(run: &Run, place: usize) -> Rank {
    let past = run.request.as_ref().map(|request| &request.setting.past);
    let name = run.jobs.get(place).map(|job| job.cell.name.as_str());
    let past = past.zip(name).and_then(|(past, name)| past.get(name)).copied().unwrap_or_default();
    Rank::of(past, place)
}

impl Rank {
    fn of(past: Past, place: usize) -> Self {
        let tenths = (u64::from(past.failed) * 10).checked_div(u64::from(past.runs)).unwrap_or(0);
        Self { failures: Reverse(tenths), millis: Reverse(past.median_millis), place }
    }
}

/// Indexes of the jobs to start, in the order of their [`Rank`], as long as there are slots and
/// their matrix may run that many at once.
pub fn startable(run: &Run) -> Vec<usize> {
    first(run, run.free_slots())
}

/// How many jobs would be started if there were a slot for each.
pub fn ready(run: &Run) -> usize {
    first(run, usize::MAX).len()
}

fn first(run: &Run, most: usize) -> Vec<usize> {
    let mut busy: HashMap<usize, u32> = HashMap::new();
    for job in run.jobs.iter().filter(|job| job.phase.is_busy()) {
        *busy.entry(job.group).or_default() += 1;
    }
    let mut waiting: Vec<usize> =
        (0..run.jobs.len()).filter(|index| run.jobs[*index].phase == JobPhase::Queued).collect();
    if run.request.as_ref().is_some_and(|request| !request.setting.past.is_empty()) {
        waiting.sort_by_cached_key(|index| rank(run, *index));
    }
    let mut chosen = Vec::new();
    for index in waiting {
        let job = &run.jobs[index];
        if chosen.len() == most {
            break;
        }
        if !is_free(run, job) {
            continue;
        }
        if let Some(limit) = run.groups[job.group].max_parallel {
            let at_once = busy.entry(job.group).or_default();
            if *at_once >= limit {
                continue;
            }
            *at_once += 1;
        }
        chosen.push(index);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_to_fail_is_first_then_the_longest_then_the_plans_order() {
        let rank = |runs: u32, failed: u32, median_millis: u64, place: usize| {
            Rank::of(Past { runs, failed, median_millis }, place)
        };
        let mut ranks = [
            rank(0, 0, 0, 1),
            rank(20, 1, 900, 2),
            rank(20, 0, 5_000, 3),
            rank(10, 5, 10, 4),
            rank(10, 9, 5, 5),
            rank(0, 0, 0, 0),
        ];
        ranks.sort_unstable();
        let order: Vec<usize> = ranks.iter().map(|rank| rank.place).collect();
        assert_eq!(order, [5, 4, 3, 2, 0, 1]);
    }
}
