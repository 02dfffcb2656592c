use std::collections::{BTreeMap, BTreeSet};

use grit_ledger::{Context, Decider as _};
use grit_pipeline::queue::{self, Queue, Queues, Wish};
use grit_pipeline::run::{Command, Effect, Event, GroupPhase, JobPhase, Outcome, Run, Runs};
use grit_pipeline::{Conclusion, StepOutcome};
use grit_types::{Actor, JobId, RunId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{NOW, World, ended, job, outcome, plan, request, step};

const JOB_CONDITIONS: &[&str] =
    &["", "", "", "always()", "failure()", "!cancelled()", "false", "success() || failure()"];
const STEP_CONDITIONS: &[&str] = &["", "", "always()", "failure()", "cancelled()", "false"];

fn any_step() -> impl Strategy<Value = Value> {
    (0..STEP_CONDITIONS.len(), any::<bool>()).prop_map(|(condition, may_fail)| {
        let may_fail = if may_fail { "true" } else { "false" };
        step("x", json!({"if": STEP_CONDITIONS[condition], "continue_on_error": may_fail}))
    })
}

fn any_job(number: usize) -> impl Strategy<Value = Value> {
    let steps = proptest::collection::vec(any_step(), 1..4);
    let needs = proptest::collection::vec(any::<bool>(), number);
    let shape = (0..JOB_CONDITIONS.len(), 0usize..5, any::<bool>(), any::<bool>(), 0u32..3);
    (steps, needs, shape).prop_map(move |(steps, needs, shape)| {
        let (condition, cells, fail_fast, may_fail, at_once) = shape;
        let needs: Vec<String> = needs
            .iter()
            .enumerate()
            .filter(|(_, needed)| **needed)
            .map(|(other, _)| format!("j{other}"))
            .collect();
        let matrix = (cells > 0).then(|| {
            let values: Vec<usize> = (0..cells).collect();
            json!({"given": {"vectors": [["n", values]], "include": null, "exclude": null}})
        });
        let max_parallel = (at_once > 0).then(|| at_once.to_string());
        job(
            &format!("j{number}"),
            json!({"steps": steps, "needs": needs, "if": JOB_CONDITIONS[condition],
                "matrix": matrix, "max_parallel": max_parallel,
                "fail_fast": fail_fast.to_string(), "continue_on_error": may_fail.to_string()}),
        )
    })
}

fn any_jobs() -> impl Strategy<Value = Vec<Value>> {
    (1usize..7).prop_flat_map(|count| (0..count).map(any_job).collect::<Vec<_>>())
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn step(&mut self) -> StepOutcome {
        ended(match self.roll(12) {
            0 | 1 => Conclusion::Exited(1),
            2 => Conclusion::TimedOut,
            3 => Conclusion::Cancelled,
            4 => Conclusion::Interrupted,
            5 => Conclusion::Unable("no shell".to_owned()),
            _ => Conclusion::Exited(0),
        })
    }
}

#[derive(Default)]
struct Watch {
    /// The step that each job is at.
    running: BTreeMap<JobId, u32>,
    started: BTreeSet<(JobId, u32)>,
}

impl Watch {
    fn see(&mut self, before: &Run, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::StepStarted { job, spec, .. } => {
                prop_assert_eq!(self.running.insert(*job, spec.index), None, "two at once");
                prop_assert!(self.started.insert((*job, spec.index)), "started twice");
            }
            Event::StepFinished { job, index, .. } => {
                prop_assert_eq!(self.running.remove(job), Some(*index));
            }
            Event::JobInterrupted { job, .. } => {
                self.running.remove(job);
            }
            Event::JobFinished { job, .. } => {
                prop_assert!(!self.running.contains_key(job), "ended under its step");
            }
            Event::JobExpanded { key, .. } => {
                let group = before.groups.iter().find(|group| group.key == *key);
                let Some(group) = group else { return Err(TestCaseError::fail("unknown job")) };
                let needs: Vec<_> = group.needs.iter().map(|need| &before.groups[*need]).collect();
                prop_assert!(needs.iter().all(|need| need.ending().is_some()), "before its needs");
                let planned = before.planned(group).map(|job| job.condition.source());
                if planned == Some("") {
                    prop_assert!(needs.iter().all(|need| need.all_good), "not skipped");
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn within_limits(run: &Run) -> Result<(), TestCaseError> {
    let busy = |job: &&std::sync::Arc<grit_pipeline::run::JobRun>| job.phase.is_busy();
    let slots = match run.request.as_ref() {
        Some(request) if request.setting.queued => (run.slots.given - run.slots.returned) as usize,
        Some(request) => request.slots as usize,
        None => 0,
    };
    prop_assert!(run.jobs.iter().filter(busy).count() <= slots);
    for group in &run.groups {
        let at_once = group.jobs.iter().filter(|job| run.jobs[**job].phase.is_busy()).count();
        prop_assert!(at_once <= group.max_parallel.map_or(usize::MAX, |limit| limit as usize));
        if group.phase == GroupPhase::Waiting {
            prop_assert!(group.jobs.is_empty());
        }
    }
    let between = run.jobs.iter().filter(|job| job.phase == JobPhase::Ready).count();
    prop_assert_eq!(between, 0, "a job that waits for nothing");
    Ok(())
}

/// The queue of the machine, which others are in as well.
struct Machine {
    queue: Queue,
    /// What runs are yet to be told.
    gives: Vec<(RunId, u64)>,
}

impl Machine {
    fn new(slots: u32) -> Self {
        Self { queue: Queue { slots, lines: Vec::new() }, gives: Vec::new() }
    }

    fn ask(&mut self, command: &queue::Command) {
        let context = Context { now: NOW, actor: Actor::grit("test") };
        let Ok(events) = Queues::decide(&self.queue, command, &context);
        for event in events {
            self.queue = Queues::evolve(std::mem::take(&mut self.queue), &event);
            for queue::Effect::Give { run, total } in Queues::effects(&self.queue, &event) {
                self.gives.push((run, total));
            }
        }
        assert!(self.queue.busy() <= u64::from(self.queue.slots));
    }

    /// Another run takes a slot, or gives one back.
    fn others(&mut self, dice: &mut Dice) {
        let run = RunId::derived(NOW, &[dice.roll(3) as u8]);
        let line = self.queue.line(run).copied();
        let (number, given) = line.map_or((0, 0), |line| (line.wish.number, line.given));
        let wish = Wish { run, number: number + 1, wanted: given + dice.roll(3), returned: given };
        self.ask(&queue::Command::Ask(wish));
    }

    /// Tells one run what it was given; one that is over leaves.
    fn tell(&mut self, world: &mut World, dice: &mut Dice) {
        let place = dice.roll(self.gives.len() as u64) as usize;
        let (run, total) = self.gives.remove(place);
        if world.run.request.as_ref().is_none_or(|request| request.run != run) {
            return self.ask(&queue::Command::Leave { run });
        }
        let times = if dice.roll(5) == 0 { 2 } else { 1 };
        for _ in 0..times {
            if world.submit(Command::Slots { total }).is_err() {
                self.ask(&queue::Command::Leave { run });
            }
        }
    }
}

/// Carries effects out in any order, some of them twice, until none is owed.
fn chaos(world: &mut World, machine: &mut Machine, dice: &mut Dice) -> Result<(), TestCaseError> {
    let mut watch = Watch::default();
    let mut seen = 0;
    let mut before = Run::default();
    for turn in 0.. {
        prop_assert!(turn < 5_000, "it does not end");
        while seen < world.events.len() {
            let event = &world.events[seen];
            watch.see(&before, event)?;
            before = Runs::evolve(before, event);
            seen += 1;
        }
        prop_assert_eq!(&before, &world.run, "a replay is another run");
        within_limits(&world.run)?;
        if dice.roll(60) == 0 {
            let force = dice.roll(2) == 0;
            let _ = world.submit(Command::Cancel { reason: "dice".to_owned(), force });
        }
        if dice.roll(10) == 0 && world.run.ending().is_none() {
            machine.others(dice);
        }
        if !machine.gives.is_empty() && (world.owed.is_empty() || dice.roll(3) == 0) {
            machine.tell(world, dice);
            continue;
        }
        if world.owed.is_empty() {
            break;
        }
        let place = dice.roll(world.owed.len() as u64) as usize;
        let Some(effect) = world.owed.remove(place) else { break };
        carry_out(world, machine, dice, &effect);
    }
    Ok(())
}

fn carry_out(world: &mut World, machine: &mut Machine, dice: &mut Dice, effect: &Effect) {
    // Carried out again after a crash, it is told twice.
    for _ in 0..=u8::from(dice.roll(5) == 0) {
        match effect {
            Effect::WantSlots(wish) => machine.ask(&queue::Command::Ask(*wish)),
            Effect::LeaveQueue { run } => machine.ask(&queue::Command::Leave { run: *run }),
            _ => {}
        }
    }
    let mut result = outcome(effect, &mut |_| dice.step());
    if let (Outcome::Prepared { result, .. }, 0) = (&mut result, dice.roll(20)) {
        *result = Err("no room".to_owned());
    }
    let times = if dice.roll(5) == 0 { 2 } else { 1 };
    for _ in 0..times {
        world.submit(Command::Outcome(result.clone())).expect("outcomes are never refused");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_in_order(jobs in any_jobs(), seed: u64, slots in 1u32..4, queued: bool) {
        let mut request = request(plan(&jobs));
        request.slots = slots;
        request.setting.queued = queued;
        let mut world = World::new(request);
        let mut machine = Machine::new(slots);
        chaos(&mut world, &mut machine, &mut Dice(seed))?;
        if queued {
            let own = machine.queue.line(world.run.request.as_ref().unwrap().run);
            prop_assert!(own.is_none_or(|line| line.busy() == 0), "it keeps a slot");
        }
        prop_assert!(world.run.ending().is_some(), "nothing is owed and it is not over");
        prop_assert!(world.run.left_over.is_empty());
        let concluded = world.events.iter().filter(|e| matches!(e, Event::Finished { .. })).count();
        prop_assert_eq!(concluded, 1);
        let cleaned: BTreeSet<JobId> = world.events.iter().filter_map(|event| match event {
            Event::JobCleaned { job, .. } => Some(*job),
            _ => None,
        }).collect();
        let prepared: BTreeSet<JobId> = world.events.iter().filter_map(|event| match event {
            Event::JobStarted { job, .. } => Some(*job),
            _ => None,
        }).collect();
        prop_assert_eq!(cleaned, prepared, "every workspace is removed, and no other");
    }
}
