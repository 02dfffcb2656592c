//! Which of the jobs that wait for a slot get one now.

use std::collections::HashMap;

use crate::run::{JobPhase, Run, is_free};

/// Indexes of the jobs to start, in order: those that came first, as long as there are slots and
/// their matrix may run that many at once.
pub fn startable(run: &Run) -> Vec<usize> {
    let slots = run.request.as_ref().map_or(1, |request| request.slots.max(1));
    let mut busy: HashMap<usize, u32> = HashMap::new();
    let mut free = slots as usize;
    for job in run.jobs.iter().filter(|job| job.phase.is_busy()) {
        *busy.entry(job.group).or_default() += 1;
        free = free.saturating_sub(1);
    }
    let mut chosen = Vec::new();
    for (index, job) in run.jobs.iter().enumerate() {
        if chosen.len() == free {
            break;
        }
        if job.phase != JobPhase::Queued || !is_free(run, job) {
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
