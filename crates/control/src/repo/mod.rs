//! The decider of a repository: what was pushed, what was built from it, where it goes.
//!
//! A commit is built once, whatever refs it is pushed under; the same digests walk through all
//! environments that any of those refs lead to.

mod data;
mod heard;
mod trigger;

pub use data::{
    Beside, Command, Commit, Effect, Event, Promoted, PushedRef, RefUpdate, Refusal, RunRecord,
    State,
};
pub use heard::{Heard, Hearing};
pub use trigger::Trigger;

use grit_ledger::{Context, Decider};
use grit_types::{CommitId, RefName, Timestamp};

/// Commits that a repository's state remembers; older ones live on in the journal's rows.
const COMMITS_MAX: usize = 1_000;
/// How many names of what was told are remembered.
const TOLD_MAX: usize = 4_096;

/// The decider of repositories.
pub struct Repos;

impl Decider for Repos {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Effect = Effect;
    type Refusal = Refusal;

    fn decide(state: &State, command: &Command, context: &Context) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Push { updates } => Ok(push(state, updates, context)),
            Command::Planned { commit, result } => Ok(match result {
                Ok(runs) => planned(state, commit, runs, context.now),
                Err(problems) => {
                    vec![Event::Rejected { commit: commit.clone(), problems: problems.clone() }]
                }
            }),
            Command::Publish { commit, image, artifact, run } => {
                if !state.commits.contains_key(commit) {
                    return Err(Refusal::UnknownCommit { commit: commit.clone() });
                }
                Ok(publish(state, commit, image, *artifact, *run))
            }
            Command::Concluded { commit, run, succeeded, jobs, replaces } => {
                let event = Event::Concluded {
                    commit: commit.clone(),
                    run: *run,
                    succeeded: *succeeded,
                    jobs: jobs.clone(),
                    replaces: *replaces,
                };
                Ok(concluded(state, commit, *run, event, context.now))
            }
            Command::Trigger(trigger) => {
                Ok(triggered(state, [(**trigger).clone()], context.now).collect())
            }
            Command::Triggers(triggers) => {
                Ok(triggered(state, triggers.clone(), context.now).collect())
            }
            // Somebody else has told of it.
            Command::Heard { hearing, .. } if hearing.after != state.heard.number => Ok(vec![]),
            Command::Heard { hearing, triggers } => {
                let heard = Event::Heard { hearing: hearing.clone(), at: context.now };
                let started = triggered(state, triggers.clone(), context.now);
                Ok([heard].into_iter().chain(started).collect())
            }
            Command::Promoted { commit, result } => {
                Ok(vec![Event::Promoted { commit: commit.clone(), result: result.clone() }])
            }
            Command::Done => Ok(vec![]),
        }
    }

    fn evolve(mut state: State, event: &Event) -> State {
        evolve(&mut state, event);
        state
    }

    fn effects(state: &State, event: &Event) -> Vec<Effect> {
        match event {
            Event::BuildRequested { commit, ref_name, number, at, before } => {
                let pushers = state.commits.get(commit).map(|known| known.pushers.clone());
                vec![Effect::Plan {
                    commit: commit.clone(),
                    ref_name: ref_name.clone(),
                    pusher: pushers.and_then(|mut pushers| pushers.pop_last()),
                    number: *number,
                    at: *at,
                    before: before.clone(),
                }]
            }
            Event::Triggered { trigger, number, at } => {
                vec![Effect::Start { trigger: trigger.clone(), number: *number, at: *at }]
            }
            Event::PromotionRequested { commit, refs, at } => {
                vec![Effect::Promote { commit: commit.clone(), refs: refs.clone(), at: *at }]
            }
            Event::Pushed { .. } | Event::Held { .. } | Event::Heard { .. } => vec![],
            Event::Planned { .. } | Event::Rejected { .. } => vec![],
            Event::Published { .. } | Event::Concluded { .. } | Event::Promoted { .. } => vec![],
        }
    }
}

fn push(state: &State, updates: &[RefUpdate], context: &Context) -> Vec<Event> {
    let pusher = context.actor.principal.clone();
    let refs: Vec<PushedRef> = updates
        .iter()
        .filter_map(|update| {
            let commit = update.new.clone()?;
            Some(PushedRef { name: update.name.clone(), commit, old: update.old.clone() })
        })
        .collect();
    let mut events =
        vec![Event::Pushed { pusher: pusher.clone(), refs: refs.clone(), at: context.now }];
    let mut commits: Vec<&CommitId> = refs.iter().map(|pushed| &pushed.commit).collect();
    commits.sort();
    commits.dedup();
    let mut number = state.builds;
    for commit in commits {
        let names: Vec<RefName> =
            refs.iter().filter(|pushed| pushed.commit == *commit).map(|p| p.name.clone()).collect();
        let known = state.commits.get(commit);
        let built_for = match known {
            Some(known) if known.build.is_some() => None,
            _ => preferred(&names),
        };
        let beside: Vec<Beside> = elsewhere(state, &refs, commit)
            .filter(|pushed| Some(&pushed.name) != built_for.as_ref())
            .map(|pushed| Beside { pushed: pushed.clone(), pusher: pusher.clone() })
            .collect();
        if known.is_some_and(|known| known.planned) {
            for beside in &beside {
                number += 1;
                let trigger = Box::new(of_ref(commit, beside, number));
                events.push(Event::Triggered { trigger, number, at: context.now });
            }
        } else if !beside.is_empty() {
            events.push(Event::Held { commit: commit.clone(), refs: beside });
        }
        match known {
            Some(known) if known.succeeded() => {
                events.push(Event::PromotionRequested {
                    commit: commit.clone(),
                    refs: names,
                    at: context.now,
                });
            }
            Some(known) if known.build.is_some() => {}
            _ => {
                number += 1;
                let ref_name = built_for;
                let named = |pushed: &&PushedRef| {
                    pushed.commit == *commit && Some(&pushed.name) == ref_name.as_ref()
                };
                let before = refs.iter().find(named).and_then(|pushed| pushed.old.clone());
                events.push(Event::BuildRequested {
                    commit: commit.clone(),
                    ref_name,
                    number,
                    at: context.now,
                    before,
                });
            }
        }
    }
    events
}

/// Refs of a commit that is built already: what they alone start is yet to be started.
fn elsewhere<'a>(
    state: &'a State,
    refs: &'a [PushedRef],
    commit: &'a CommitId,
) -> impl Iterator<Item = &'a PushedRef> {
    let known = state.commits.get(commit).map(|known| &known.refs);
    let new = move |pushed: &&PushedRef| known.is_none_or(|refs| !refs.contains(&pushed.name));
    refs.iter().filter(move |pushed| pushed.commit == *commit).filter(new)
}

/// The push of a ref to a commit that is built for another.
fn of_ref(commit: &CommitId, beside: &Beside, number: u64) -> Trigger {
    let Beside { pushed, pusher } = beside;
    Trigger {
        id: format!("push/{}/{commit}/{number}", pushed.name),
        event: "push".to_owned(),
        ref_name: Some(pushed.name.clone()),
        before: pushed.old.clone(),
        actor: pusher.clone(),
        ..Trigger::none(commit)
    }
}

/// Each that was not told before, under a number of its own.
fn triggered(
    state: &State,
    triggers: impl IntoIterator<Item = Trigger>,
    at: Timestamp,
) -> impl Iterator<Item = Event> {
    let told = |trigger: &Trigger| state.told.contains(&trigger.id);
    let news = triggers.into_iter().filter(move |trigger| !told(trigger));
    (state.builds + 1..).zip(news).map(move |(number, trigger)| Event::Triggered {
        trigger: Box::new(trigger),
        number,
        at,
    })
}

/// A tag says more than a branch: it names what is built.
fn preferred(names: &[RefName]) -> Option<RefName> {
    names.iter().find(|name| name.tag().is_some()).or(names.first()).cloned()
}

fn planned(state: &State, commit: &CommitId, runs: &[RunRecord], at: Timestamp) -> Vec<Event> {
    let known = state.commits.get(commit);
    if known.is_none_or(|known| known.planned) {
        return vec![];
    }
    let event = Event::Planned { commit: commit.clone(), runs: runs.to_vec() };
    let mut events = with_promotion(state, commit, event, at);
    let beside = known.into_iter().flat_map(|known| &known.beside);
    let pushes = (state.builds + 1..).zip(beside).map(|(n, beside)| of_ref(commit, beside, n));
    events.extend(triggered(state, pushes, at));
    events
}

/// The event, and the promotion that is due once all runs are over and none failed.
fn with_promotion(state: &State, commit: &CommitId, event: Event, at: Timestamp) -> Vec<Event> {
    let mut after = state.clone();
    evolve(&mut after, &event);
    let mut events = vec![event];
    if let Some(known) = after.commits.get(commit).filter(|known| known.succeeded()) {
        let refs = known.refs.iter().cloned().collect();
        events.push(Event::PromotionRequested { commit: commit.clone(), refs, at });
    }
    events
}

fn publish(
    state: &State,
    commit: &CommitId,
    image: &str,
    artifact: grit_types::Digest,
    run: Option<grit_types::RunId>,
) -> Vec<Event> {
    let known = state.commits.get(commit).and_then(|known| known.artifacts.get(image));
    if known == Some(&artifact) {
        return vec![];
    }
    let image = image.to_owned();
    vec![Event::Published { commit: commit.clone(), image, artifact, run }]
}

fn concluded(
    state: &State,
    commit: &CommitId,
    run: grit_types::RunId,
    event: Event,
    at: Timestamp,
) -> Vec<Event> {
    let Some(known) = state.commits.get(commit) else { return vec![] };
    let open = known.runs.get(&run).is_none_or(|record| record.succeeded.is_none());
    if open { with_promotion(state, commit, event, at) } else { vec![] }
}

fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::Pushed { pusher, refs, at } => {
            for pushed in refs {
                let commit = state.commits.entry(pushed.commit.clone()).or_default();
                commit.refs.insert(pushed.name.clone());
                commit.pushers.insert(pusher.clone());
                commit.pushed_at = commit.pushed_at.max(*at);
            }
            forget(state);
        }
        Event::BuildRequested { commit, number, .. } => {
            state.builds = *number;
            state.commits.entry(commit.clone()).or_default().build = Some(*number);
        }
        Event::Held { commit, refs } => {
            let commit = state.commits.entry(commit.clone()).or_default();
            commit.beside.extend(refs.iter().cloned());
        }
        Event::Planned { commit, runs } => {
            let commit = state.commits.entry(commit.clone()).or_default();
            commit.planned = true;
            commit.beside.clear();
            for record in runs {
                // A short run may be over before its planning is recorded.
                let known = commit.runs.entry(record.run).or_insert_with(|| record.clone());
                known.name.clone_from(&record.name);
            }
        }
        Event::Rejected { commit, problems } => {
            let commit = state.commits.entry(commit.clone()).or_default();
            commit.planned = true;
            commit.beside.clear();
            commit.problems.clone_from(problems);
        }
        Event::Published { commit, image, artifact, .. } => {
            let commit = state.commits.entry(commit.clone()).or_default();
            commit.artifacts.insert(image.clone(), *artifact);
        }
        Event::Triggered { trigger, number, .. } => {
            state.builds = *number;
            state.told.push_back(trigger.id.clone());
            let over = state.told.len().saturating_sub(TOLD_MAX);
            state.told.drain(..over);
        }
        Event::Concluded { commit, run, succeeded, jobs, replaces } => {
            let commit = state.commits.entry(commit.clone()).or_default();
            let old = replaces.and_then(|replaces| commit.runs.remove(&replaces));
            if let Some(old) = old {
                commit
                    .runs
                    .entry(*run)
                    .or_insert_with(|| RunRecord { name: old.name, ..RunRecord::unnamed(*run) });
            }
            let record = commit.runs.entry(*run).or_insert_with(|| RunRecord::unnamed(*run));
            record.succeeded = Some(*succeeded);
            record.jobs.clone_from(jobs);
        }
        Event::Heard { hearing, at } => state.heard.take(hearing, *at),
        Event::PromotionRequested { .. } => {}
        Event::Promoted { commit, result } => {
            let commit = state.commits.entry(commit.clone()).or_default();
            if let Err(problem) = result {
                commit.problems.push(problem.clone());
            }
        }
    }
}

/// The oldest that are built or rejected go first; what is under way stays.
fn forget(state: &mut State) {
    while state.commits.len() > COMMITS_MAX {
        let over = state.commits.iter().filter(|(_, commit)| commit.is_over());
        let Some(oldest) =
            over.min_by_key(|(_, commit)| commit.pushed_at).map(|(id, _)| id.clone())
        else {
            return;
        };
        state.commits.remove(&oldest);
    }
}

#[cfg(test)]
mod tests;
