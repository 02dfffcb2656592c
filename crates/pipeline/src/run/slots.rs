//! The slots that a run has: its own, or those that the queue of the machine gives it.

use super::decide::Draft;
use super::{Event, Refusal, Run};
use crate::queue::Wish;
use crate::schedule;

/// What a run has of the machine's slots; totals since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    pub given: u64,
    pub returned: u64,
    /// The last wish that was told, by its number; 0: none.
    pub number: u64,
    pub wanted: u64,
    /// What that wish gave back.
    pub told: u64,
}

impl Run {
    /// How many more jobs may be started.
    pub(crate) fn free_slots(&self) -> usize {
        let Some(request) = &self.request else { return 0 };
        let has = match request.setting.queued {
            true => usize::try_from(self.slots.given.saturating_sub(self.slots.returned)),
            false => Ok(request.slots.max(1) as usize),
        };
        let busy = self.jobs.iter().filter(|job| job.phase.is_busy()).count();
        has.unwrap_or(usize::MAX).saturating_sub(busy)
    }

    pub(super) fn is_queued(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.setting.queued)
    }
}

/// A job is over: its slot goes back, also where the run has a use for it. Others may come first.
pub(super) fn give_back(run: &mut Run) {
    if run.is_queued() {
        run.slots.returned += 1;
    }
}

/// Tells the queue what is wanted now, and gives back what nothing needs.
pub(super) fn wish(draft: &mut Draft<'_>) {
    let (run, slots) = (&draft.run, draft.run.slots);
    let Some(request) = run.request.as_ref().filter(|request| request.setting.queued) else {
        return;
    };
    let (ready, free) = (schedule::ready(run) as u64, run.free_slots() as u64);
    let unused = if ready == 0 { free } else { 0 };
    let (wanted, returned) = (slots.given + ready, slots.returned + unused);
    if (wanted, returned) == (slots.wanted, slots.told) {
        return;
    }
    let wish = Wish { run: request.run, number: slots.number + 1, wanted, returned };
    draft.emit(Event::SlotsWanted { wish });
}

/// The queue gives slots; what is told late changes nothing.
pub(super) fn given(draft: &mut Draft<'_>, total: u64) -> Result<(), Refusal> {
    if total > draft.run.slots.given {
        draft.emit(Event::SlotsGiven { total });
        super::advance::advance(draft);
    }
    Ok(())
}

pub(super) fn apply(slots: &mut Slots, event: &Event) {
    match event {
        Event::SlotsWanted { wish } => {
            slots.number = wish.number;
            slots.wanted = wish.wanted;
            slots.returned = wish.returned;
            slots.told = wish.returned;
        }
        Event::SlotsGiven { total } => slots.given = *total,
        _ => {}
    }
}
