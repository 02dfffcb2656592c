//! The turns of workflows that jobs of a run call: as a whole they are in concurrency groups too, in
//! that of the job that calls, then in that of the workflow.

use super::decide::Draft;
use super::state::{Ending, GroupPhase, Run, Scope};
use super::{CancelCause, Event, Refusal};
use crate::concurrency::{Holder, Word};
use crate::plan::Concurrency;

/// No call is in more groups.
const TURNS: u32 = 2;

/// A turn of a call in a concurrency group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub group: Concurrency,
    /// It asked.
    pub claimed: bool,
    /// And it is its turn.
    pub granted: bool,
}

impl Turn {
    pub(super) fn new(group: &Concurrency) -> Self {
        Self { group: group.clone(), claimed: false, granted: false }
    }
}

/// The number by which a group knows a turn of the run.
fn number(scope: usize, place: usize) -> u32 {
    u32::try_from(scope).unwrap_or(u32::MAX).saturating_mul(TURNS).saturating_add(place as u32)
}

/// What keeps the jobs of a called workflow from being begun.
pub(super) enum Held {
    /// Nothing.
    No,
    /// Another comes first.
    Waits,
    /// They never are.
    Dropped(String),
}

pub(super) fn held(run: &Run, scope: usize) -> Held {
    for scope in with_above(run, scope).filter_map(|scope| run.scopes.get(scope)) {
        if let Some(cause) = scope.dropped {
            return Held::Dropped(cause.text().to_owned());
        }
        if next(run, scope).is_some() {
            return match run.is_cancelling() {
                true => Held::Dropped(run.why.clone().unwrap_or_default()),
                false => Held::Waits,
            };
        }
    }
    Held::No
}

/// For what the jobs of a called workflow wait, for people.
pub(super) fn waits_for(run: &Run, scope: usize) -> Option<String> {
    let mut scopes = with_above(run, scope).filter_map(|scope| run.scopes.get(scope));
    let turn = scopes.find_map(|scope| next(run, scope))?;
    Some(format!("for its turn in the concurrency group {}", turn.group.group))
}

/// The first turn of it that has not come.
fn next<'a>(run: &Run, scope: &'a Scope) -> Option<&'a Turn> {
    scope.turns.iter().find(|turn| run.is_grouped() && !turn.granted)
}

/// The scope, that of the job that calls it, and so on.
fn with_above(run: &Run, scope: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(scope).filter(|scope| *scope > 0), |scope| above(run, *scope))
}

fn above(run: &Run, scope: usize) -> Option<usize> {
    let caller = run.groups.iter().find(|group| group.calls.contains(&scope))?;
    Some(caller.scope).filter(|scope| *scope > 0)
}

/// The groups that the run, or a call that the scope is in, holds or will.
pub(super) fn taken(run: &Run, scope: usize) -> Vec<&Concurrency> {
    let scopes = with_above(run, scope).filter_map(|scope| run.scopes.get(scope));
    let turns = scopes.flat_map(|scope| &scope.turns).map(|turn| &turn.group);
    run.claim.iter().chain(turns).collect()
}

/// Calls ask for their next turn.
pub(super) fn claim(draft: &mut Draft<'_>) -> bool {
    if !draft.run.is_grouped() || draft.run.is_cancelling() {
        return false;
    }
    let wants = |(index, scope): (usize, &std::sync::Arc<Scope>)| {
        let place = scope.turns.iter().position(|turn| !turn.granted)?;
        let turn = &scope.turns[place];
        let open = !turn.claimed && scope.dropped.is_none();
        open.then(|| (number(index, place), turn.group.clone()))
    };
    let wanted: Vec<_> = draft.run.scopes.iter().enumerate().filter_map(wants).collect();
    let any = !wanted.is_empty();
    for (call, group) in wanted {
        draft.emit(Event::CallClaimed { call, group });
    }
    any
}

/// What the group says to a call.
pub(super) fn told(draft: &mut Draft<'_>, call: u32, word: Word) -> Result<(), Refusal> {
    let index = (call / TURNS) as usize;
    let refused = Refusal::CallNotClaimed(call);
    let scope = draft.run.scopes.get(index).cloned().ok_or(refused.clone())?;
    let turn = scope.turns.get((call % TURNS) as usize).filter(|turn| turn.claimed);
    let turn = turn.ok_or(refused.clone())?;
    if scope.dropped.is_some() || is_over(&draft.run, index) {
        return Err(refused);
    }
    match (word, turn.granted) {
        (Word::Granted, false) => draft.emit(Event::CallGranted { call }),
        (Word::Granted | Word::Replaced | Word::Full, true) => {}
        (Word::Replaced, false) => drop_call(draft, index, CancelCause::Replaced),
        (Word::Full, false) => drop_call(draft, index, CancelCause::Full),
        (Word::Superseded, _) => drop_call(draft, index, CancelCause::Superseded),
    }
    super::advance::advance(draft);
    Ok(())
}

fn drop_call(draft: &mut Draft<'_>, scope: usize, cause: CancelCause) {
    draft.emit(Event::CallDropped { scope: u32::try_from(scope).unwrap_or(u32::MAX), cause });
    let inside = |index: &usize| {
        let of = draft.run.groups[draft.run.jobs[*index].group].scope;
        with_above(&draft.run, of).any(|above| above == scope)
    };
    let jobs: Vec<usize> = (0..draft.run.jobs.len()).filter(inside).collect();
    for index in jobs {
        draft.cancel_job(index, cause, false);
    }
}

pub(super) fn apply(run: &mut Run, event: &Event) {
    match event {
        Event::CallClaimed { call, .. } | Event::CallGranted { call } => {
            let Some(scope) = run.scopes.get_mut((call / TURNS) as usize) else { return };
            let scope = std::sync::Arc::make_mut(scope);
            let Some(turn) = scope.turns.get_mut((call % TURNS) as usize) else { return };
            turn.claimed = true;
            turn.granted |= matches!(event, Event::CallGranted { .. });
        }
        Event::CallDropped { scope, cause } => {
            let Some(scope) = run.scopes.get_mut(*scope as usize) else { return };
            std::sync::Arc::make_mut(scope).dropped = Some(*cause);
        }
        _ => {}
    }
}

/// All its jobs, and those of what they call, are over.
fn is_over(run: &Run, scope: usize) -> bool {
    let groups = run.scopes.get(scope).and_then(|scope| run.groups.get(scope.groups.clone()));
    groups.is_none_or(|groups| groups.iter().all(|group| group.ending().is_some()))
}

/// And nothing of them is left on the machine.
fn is_gone(run: &Run, scope: usize) -> bool {
    let inside = |job: &std::sync::Arc<super::JobRun>| {
        with_above(run, run.groups[job.group].scope).any(|above| above == scope)
    };
    let mut left = run.jobs.iter().filter(|job| run.left_over.contains(&job.id));
    is_over(run, scope) && !left.any(inside)
}

/// The turns that calls give back with this event.
pub(super) fn released(run: &Run, event: &Event) -> Vec<(Concurrency, Holder)> {
    let Some(request) = &run.request else { return Vec::new() };
    let scope = match event {
        Event::JobFinished { job, .. } | Event::JobCleaned { job, .. } => {
            run.job(*job).map(|job| run.groups[job.group].scope)
        }
        Event::JobSkipped { scope, .. } | Event::CallFinished { scope, .. } => {
            Some(*scope as usize)
        }
        _ => None,
    };
    let gone = with_above(run, scope.unwrap_or_default()).filter(|scope| is_gone(run, *scope));
    let turns = gone.flat_map(|index| {
        let turns = run.scopes[index].turns.iter().enumerate();
        turns.filter(|(_, turn)| turn.claimed).map(move |(place, turn)| {
            let call = Some(number(index, place));
            (turn.group.clone(), Holder { run: request.run, job: None, call })
        })
    });
    turns.collect()
}

/// Jobs of a called workflow that never begin.
pub(super) fn give_up(draft: &mut Draft<'_>, group: usize, why: &str) -> bool {
    let group = &draft.run.groups[group];
    if group.phase != GroupPhase::Waiting {
        return false;
    }
    let (key, scope) = (group.key.clone(), u32::try_from(group.scope).unwrap_or(u32::MAX));
    let (ending, why) = (Ending::Cancelled, why.to_owned());
    draft.emit(Event::JobSkipped { key, scope, ending, why });
    true
}
