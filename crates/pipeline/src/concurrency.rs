//! Concurrency groups: a decider over `group/TENANT/REPO/HASH`.
//!
//! Of a group at most one runs. Whoever comes while one runs waits, in place of whoever waited
//! before, and may ask that what runs is ended; or, where it is patient, behind all that wait, as long
//! as they are not too many. The turn comes to whoever waits when
//! what runs has told that it is over, never before.

use std::collections::VecDeque;

use grit_ledger::{Context, Decider};
use grit_types::{JobId, RunId};
use serde::{Deserialize, Serialize};

/// A run, or a job of one, that is in a group or wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    pub run: RunId,
    /// By its first attempt's id; `None`: the run as a whole.
    pub job: Option<JobId>,
    /// A workflow that a job of the run calls, by a number of the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u32>,
}

/// So many wait at most, as on the service.
const PENDING_MAX: usize = 100;

/// A group, folded from its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub running: Option<Holder>,
    /// Who waits, the first first.
    pub pending: VecDeque<Holder>,
}

/// What can be asked of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// It wants to run. `patient`: behind all that wait.
    Claim { holder: Holder, cancel_in_progress: bool, patient: bool },
    /// It is over, or does not want to any more.
    Release { holder: Holder },
    /// What only had to be done.
    Done,
}

/// What happened in a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    #[serde(rename = "group.granted")]
    Granted { holder: Holder },
    #[serde(rename = "group.queued")]
    Queued { holder: Holder },
    /// It waited, and another took its place.
    #[serde(rename = "group.replaced")]
    Replaced { holder: Holder, by: Holder },
    /// It runs, and is to end for another.
    #[serde(rename = "group.superseded")]
    Superseded { holder: Holder, by: Holder },
    /// Too many wait.
    #[serde(rename = "group.refused")]
    Refused { holder: Holder },
    #[serde(rename = "group.released")]
    Released { holder: Holder },
}

/// What must be done for a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Tell it. Where it is over already, answer a turn with [`Command::Release`].
    Tell { holder: Holder, word: Word },
}

/// What a group says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It is its turn.
    Granted,
    /// It waited, and a newer one took its place.
    Replaced,
    /// A newer one wants it to end.
    Superseded,
    /// Too many wait.
    Full,
}

/// A group refuses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {}

/// The decider of groups.
pub struct Groups;

impl Decider for Groups {
    type State = Group;
    type Command = Command;
    type Event = Event;
    type Effect = Effect;
    type Refusal = Refusal;

    fn decide(state: &Group, command: &Command, _: &Context) -> Result<Vec<Event>, Refusal> {
        Ok(match command {
            Command::Claim { holder, cancel_in_progress, patient } => {
                claim(state, *holder, *cancel_in_progress, *patient)
            }
            Command::Release { holder } => release(state, *holder),
            Command::Done => Vec::new(),
        })
    }

    fn evolve(mut state: Group, event: &Event) -> Group {
        match event {
            Event::Granted { holder } => {
                state.running = Some(*holder);
                state.pending.retain(|pending| pending != holder);
            }
            Event::Queued { holder } => state.pending.push_back(*holder),
            Event::Replaced { holder, .. } => state.pending.retain(|pending| pending != holder),
            Event::Superseded { .. } | Event::Refused { .. } => {}
            Event::Released { holder } => {
                state.running.take_if(|running| running == holder);
                state.pending.retain(|pending| pending != holder);
            }
        }
        state
    }

    fn effects(_: &Group, event: &Event) -> Vec<Effect> {
        match event {
            Event::Granted { holder } => {
                vec![Effect::Tell { holder: *holder, word: Word::Granted }]
            }
            Event::Replaced { holder, .. } => {
                vec![Effect::Tell { holder: *holder, word: Word::Replaced }]
            }
            Event::Superseded { holder, .. } => {
                vec![Effect::Tell { holder: *holder, word: Word::Superseded }]
            }
            Event::Refused { holder } => vec![Effect::Tell { holder: *holder, word: Word::Full }],
            Event::Queued { .. } | Event::Released { .. } => Vec::new(),
        }
    }
}

fn claim(state: &Group, holder: Holder, cancel_in_progress: bool, patient: bool) -> Vec<Event> {
    if state.running == Some(holder) || state.pending.contains(&holder) {
        return Vec::new();
    }
    let Some(running) = state.running else { return vec![Event::Granted { holder }] };
    if patient && state.pending.len() >= PENDING_MAX {
        return vec![Event::Refused { holder }];
    }
    let pending = state.pending.iter().filter(|_| !patient);
    let replaced = pending.map(|pending| Event::Replaced { holder: *pending, by: holder });
    let mut events: Vec<Event> = replaced.collect();
    events.push(Event::Queued { holder });
    if cancel_in_progress {
        events.push(Event::Superseded { holder: running, by: holder });
    }
    events
}

fn release(state: &Group, holder: Holder) -> Vec<Event> {
    if state.pending.contains(&holder) {
        return vec![Event::Released { holder }];
    }
    if state.running != Some(holder) {
        return Vec::new();
    }
    let next = state.pending.front().map(|pending| Event::Granted { holder: *pending });
    [Event::Released { holder }].into_iter().chain(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_types::{Actor, Timestamp};
    use proptest::prelude::*;

    fn holder(n: u8) -> Holder {
        Holder { run: RunId::derived(Timestamp::from_millis(0), &[n]), job: None, call: None }
    }

    fn told(state: &mut Group, command: &Command) -> Vec<(Holder, Word)> {
        let context = Context { now: Timestamp::from_millis(0), actor: Actor::grit("test") };
        let Ok(events) = Groups::decide(state, command, &context);
        let mut words = Vec::new();
        for event in events {
            *state = Groups::evolve(state.clone(), &event);
            let Effect::Tell { holder, word } = match Groups::effects(state, &event).pop() {
                Some(effect) => effect,
                None => continue,
            };
            words.push((holder, word));
        }
        words
    }

    fn claim(n: u8, cancel_in_progress: bool) -> Command {
        Command::Claim { holder: holder(n), cancel_in_progress, patient: false }
    }

    #[test]
    fn one_runs_one_waits_and_the_newest_waits_instead() {
        let mut group = Group::default();
        assert_eq!(told(&mut group, &claim(1, false)), [(holder(1), Word::Granted)]);
        assert_eq!(told(&mut group, &claim(2, false)), []);
        assert_eq!(told(&mut group, &claim(3, false)), [(holder(2), Word::Replaced)]);
        assert_eq!(told(&mut group, &claim(3, false)), [], "asked twice");
        let over = Command::Release { holder: holder(1) };
        assert_eq!(told(&mut group, &over), [(holder(3), Word::Granted)]);
        assert_eq!(told(&mut group, &over), []);
    }

    #[test]
    fn what_runs_ends_before_the_next_begins() {
        let mut group = Group::default();
        told(&mut group, &claim(1, true));
        assert_eq!(told(&mut group, &claim(2, true)), [(holder(1), Word::Superseded)]);
        assert_eq!(group.running, Some(holder(1)), "it has been asked, and is not over");
        let over = Command::Release { holder: holder(1) };
        assert_eq!(told(&mut group, &over), [(holder(2), Word::Granted)]);
    }

    #[test]
    fn who_is_patient_waits_behind_all_others_as_long_as_there_is_room() {
        let patient =
            |n: u8| Command::Claim { holder: holder(n), cancel_in_progress: false, patient: true };
        let mut group = Group::default();
        told(&mut group, &patient(0));
        for n in 1..=100 {
            assert_eq!(told(&mut group, &patient(n)), []);
        }
        assert_eq!(told(&mut group, &patient(101)), [(holder(101), Word::Full)]);
        let over = Command::Release { holder: holder(0) };
        assert_eq!(told(&mut group, &over), [(holder(1), Word::Granted)]);
        assert_eq!(told(&mut group, &patient(101)), [], "there is room again");
        let words = told(&mut group, &claim(102, false));
        assert_eq!(words.len(), 100, "who is not patient takes the place of all");
        assert_eq!(group.pending, [holder(102)]);
    }

    proptest! {
        /// Nobody's turn comes while another has not told that it is over.
        #[test]
        fn never_two_at_once(steps in proptest::collection::vec((0_u8..5, 0_u8..4), 1..60)) {
            let mut group = Group::default();
            let mut running: Option<Holder> = None;
            for (who, what) in steps {
                let command = match what {
                    0 => claim(who, false),
                    1 => claim(who, true),
                    3 => {
                        let (holder, cancel_in_progress) = (holder(who), false);
                        Command::Claim { holder, cancel_in_progress, patient: true }
                    }
                    _ => Command::Release { holder: holder(who) },
                };
                if what == 2 {
                    running.take_if(|running| *running == holder(who));
                }
                for (told, word) in told(&mut group, &command) {
                    if word == Word::Granted {
                        prop_assert_eq!(running, None);
                        running = Some(told);
                    }
                }
                prop_assert_eq!(running, group.running);
                prop_assert!(group.running.is_some() || group.pending.is_empty());
            }
        }
    }
}
