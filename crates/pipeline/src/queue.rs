//! The queue of a machine: a decider over `queue/MACHINE`.
//!
//! A machine works on so many jobs at once, whatever runs they are of. A run says how many slots it
//! wants, and is given them one by one; which of its jobs takes one is its own affair. Runs take
//! turns: the next slot goes to the one that has waited longest since it was given one, and who was
//! just given one stands behind all others. So nobody who waits is passed by anybody twice.
//!
//! All figures are totals since the run began, so that what is told twice, or late, changes nothing.

use grit_ledger::{Context, Decider};
use grit_types::RunId;
use serde::{Deserialize, Serialize};

/// What a run wants of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub run: RunId,
    /// Counts the wishes of the run, from 1: of two the later one counts.
    pub number: u64,
    /// How many slots it wants to have been given, all in all.
    pub wanted: u64,
    /// How many of them it gave back.
    pub returned: u64,
}

/// A queue, folded from its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many jobs are worked on at once.
    pub slots: u32,
    /// Who has slots or wants them; the first that waits is next.
    pub lines: Vec<Line>,
}

/// A run that is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The last that it wanted.
    pub wish: Wish,
    /// How many slots it was given, all in all.
    pub given: u64,
}

impl Line {
    /// How many slots it has.
    pub fn busy(&self) -> u64 {
        self.given.saturating_sub(self.wish.returned)
    }

    /// How many more it wants.
    pub fn waiting(&self) -> u64 {
        self.wish.wanted.saturating_sub(self.given)
    }
}

impl Queue {
    /// How many slots are taken.
    pub fn busy(&self) -> u64 {
        self.lines.iter().map(Line::busy).sum()
    }

    /// Who has slots or wants them, of that name.
    pub fn line(&self, run: RunId) -> Option<&Line> {
        self.lines.iter().find(|line| line.wish.run == run)
    }

    /// Whose turn it is, if a slot is free.
    fn next(&self) -> Option<&Line> {
        let free = self.busy() < u64::from(self.slots);
        self.lines.iter().find(|line| line.waiting() > 0).filter(|_| free)
    }
}

/// What can be asked of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The machine has so many slots. What is taken beyond that is not taken away.
    Resize {
        slots: u32,
    },
    Ask(Wish),
    /// The run is over: it has no slot and wants none.
    Leave {
        run: RunId,
    },
    /// What only had to be done.
    Done,
}

/// What happened in a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    #[serde(rename = "queue.resized")]
    Resized { slots: u32 },
    #[serde(rename = "queue.asked")]
    Asked { wish: Wish },
    /// One slot more; `total` with it.
    #[serde(rename = "queue.given")]
    Given { run: RunId, total: u64 },
    #[serde(rename = "queue.left")]
    Left { run: RunId },
}

/// What must be done for a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Tell the run how many slots it was given. Where it is over already, answer with
    /// [`Command::Leave`].
    Give { run: RunId, total: u64 },
}

/// A queue refuses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {}

/// The decider of queues.
pub struct Queues;

impl Decider for Queues {
    type State = Queue;
    type Command = Command;
    type Event = Event;
    type Effect = Effect;
    type Refusal = Refusal;

    fn decide(state: &Queue, command: &Command, _: &Context) -> Result<Vec<Event>, Refusal> {
        let first = match command {
            Command::Resize { slots } => {
                (*slots != state.slots).then_some(Event::Resized { slots: *slots })
            }
            Command::Ask(wish) => asked(state, wish),
            Command::Leave { run } => state.line(*run).map(|_| Event::Left { run: *run }),
            Command::Done => None,
        };
        Ok(first.map(|first| given_after(state, first)).unwrap_or_default())
    }

    fn evolve(mut state: Queue, event: &Event) -> Queue {
        match event {
            Event::Resized { slots } => state.slots = *slots,
            Event::Asked { wish } => {
                let known = state.lines.iter_mut().find(|line| line.wish.run == wish.run);
                match known {
                    Some(line) => line.wish = *wish,
                    None => state.lines.push(Line { wish: *wish, given: 0 }),
                }
                for line in &mut state.lines {
                    // Nobody gives back what it was not given.
                    line.wish.returned = line.wish.returned.min(line.given);
                }
            }
            Event::Given { run, total } => {
                let place = state.lines.iter().position(|line| line.wish.run == *run);
                let Some(place) = place else { return state };
                let line = state.lines.remove(place);
                state.lines.push(Line { given: *total, ..line });
            }
            Event::Left { run } => state.lines.retain(|line| line.wish.run != *run),
        }
        state
    }

    fn effects(_: &Queue, event: &Event) -> Vec<Effect> {
        match event {
            Event::Given { run, total } => vec![Effect::Give { run: *run, total: *total }],
            Event::Resized { .. } | Event::Asked { .. } | Event::Left { .. } => Vec::new(),
        }
    }
}

/// A wish that is not late; of a run that nobody knows, one that wants something.
fn asked(state: &Queue, wish: &Wish) -> Option<Event> {
    let news = match state.line(wish.run) {
        Some(line) => wish.number > line.wish.number,
        None => wish.wanted > 0,
    };
    news.then_some(Event::Asked { wish: *wish })
}

/// The event, and the slots that are given then.
fn given_after(state: &Queue, first: Event) -> Vec<Event> {
    let mut after = Queues::evolve(state.clone(), &first);
    let mut events = vec![first];
    while let Some(line) = after.next() {
        let given = Event::Given { run: line.wish.run, total: line.given + 1 };
        after = Queues::evolve(after, &given);
        events.push(given);
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_types::{Actor, Timestamp};
    use proptest::prelude::*;

    fn run(n: u8) -> RunId {
        RunId::derived(Timestamp::from_millis(0), &[n])
    }

    fn wish(n: u8, number: u64, wanted: u64, returned: u64) -> Command {
        Command::Ask(Wish { run: run(n), number, wanted, returned })
    }

    /// Who is given a slot, in order.
    fn given(state: &mut Queue, command: &Command) -> Vec<(RunId, u64)> {
        let context = Context { now: Timestamp::from_millis(0), actor: Actor::grit("test") };
        let Ok(events) = Queues::decide(state, command, &context);
        let mut told = Vec::new();
        for event in events {
            *state = Queues::evolve(std::mem::take(state), &event);
            for Effect::Give { run, total } in Queues::effects(state, &event) {
                told.push((run, total));
            }
        }
        told
    }

    #[test]
    fn runs_take_turns_and_a_thousand_jobs_starve_nobody() {
        let mut queue = Queue::default();
        assert_eq!(given(&mut queue, &wish(1, 1, 1_000, 0)), [], "nobody said how many there are");
        let two = given(&mut queue, &Command::Resize { slots: 2 });
        assert_eq!(two, [(run(1), 1), (run(1), 2)]);
        assert_eq!(given(&mut queue, &wish(2, 1, 3, 0)), []);
        assert_eq!(given(&mut queue, &wish(3, 1, 1, 0)), []);
        assert_eq!(given(&mut queue, &wish(1, 2, 1_000, 1)), [(run(1), 3)], "it is the oldest");
        assert_eq!(given(&mut queue, &wish(1, 3, 1_000, 2)), [(run(2), 1)]);
        assert_eq!(given(&mut queue, &wish(2, 2, 3, 1)), [(run(3), 1)]);
        assert_eq!(given(&mut queue, &Command::Leave { run: run(3) }), [(run(1), 4)]);
        assert_eq!(given(&mut queue, &wish(1, 4, 1_000, 3)), [(run(2), 2)]);
    }

    #[test]
    fn what_is_late_or_told_twice_changes_nothing() {
        let mut queue = Queue { slots: 1, lines: Vec::new() };
        assert_eq!(given(&mut queue, &wish(1, 2, 2, 0)), [(run(1), 1)]);
        let before = queue.clone();
        for late in [wish(1, 2, 2, 0), wish(1, 1, 9, 1), wish(4, 1, 0, 0)] {
            assert_eq!(given(&mut queue, &late), []);
            assert_eq!(queue, before);
        }
    }

    #[test]
    fn a_smaller_machine_takes_nothing_away() {
        let mut queue = Queue { slots: 2, lines: Vec::new() };
        given(&mut queue, &wish(1, 1, 4, 0));
        assert_eq!(given(&mut queue, &Command::Resize { slots: 1 }), []);
        assert_eq!(queue.busy(), 2);
        assert_eq!(given(&mut queue, &wish(1, 2, 4, 1)), [], "still one");
        assert_eq!(given(&mut queue, &wish(1, 3, 4, 2)), [(run(1), 3)]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wants(u8, u64),
        Returns(u8),
        Leaves(u8),
        Resize(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..6, 1_u64..20).prop_map(|(run, more)| Step::Wants(run, more)),
            8 => (0_u8..6).prop_map(Step::Returns),
            1 => (0_u8..6).prop_map(Step::Leaves),
            1 => (1_u32..5).prop_map(Step::Resize),
        ];
        proptest::collection::vec(step, 1..120)
    }

    /// What a run would say next.
    fn command(queue: &Queue, step: &Step) -> Command {
        let of = |n: u8, more: u64, back: u64| {
            let line = queue.line(run(n)).copied();
            let line = line.unwrap_or(Line {
                wish: Wish { run: run(n), number: 0, wanted: 0, returned: 0 },
                given: 0,
            });
            let returned = (line.wish.returned + back).min(line.given);
            wish(n, line.wish.number + 1, line.wish.wanted.max(line.given) + more, returned)
        };
        match *step {
            Step::Wants(n, more) => of(n, more, 0),
            Step::Returns(n) => of(n, 0, 1),
            Step::Leaves(n) => Command::Leave { run: run(n) },
            Step::Resize(slots) => Command::Resize { slots },
        }
    }

    proptest! {
        /// Never more than there are, never one that is free while somebody waits, and between two
        /// slots of one who waits, everybody else is given one at most.
        #[test]
        fn nobody_who_waits_is_passed_by_twice(steps in steps()) {
            let mut queue = Queue { slots: 2, lines: Vec::new() };
            // Who was given a slot since the run that waits was.
            let mut passed: std::collections::BTreeMap<RunId, Vec<RunId>> = Default::default();
            for step in &steps {
                let command = command(&queue, step);
                let most = queue.busy().max(match command {
                    Command::Resize { slots } => u64::from(slots),
                    _ => u64::from(queue.slots),
                });
                if let Command::Leave { run } = command {
                    passed.remove(&run);
                }
                for (given, _) in given(&mut queue, &command) {
                    passed.remove(&given);
                    for by in passed.values_mut() {
                        prop_assert!(!by.contains(&given), "passed by twice");
                        by.push(given);
                    }
                }
                prop_assert!(queue.busy() <= most);
                let waits = |line: &&Line| line.waiting() > 0;
                let waiting: Vec<RunId> =
                    queue.lines.iter().filter(waits).map(|line| line.wish.run).collect();
                passed.retain(|run, _| waiting.contains(run));
                for run in &waiting {
                    passed.entry(*run).or_default();
                }
                prop_assert!(waiting.is_empty() || queue.busy() >= u64::from(queue.slots));
            }
        }
    }
}
