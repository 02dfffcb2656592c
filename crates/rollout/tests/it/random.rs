//! Any order of commands, outcomes, reports and time: the laws hold after every event, and all ends.

use grit_rollout::slot::{
    Command, Effect, GateVerdict, Outcome, Phase, Request, Slot, Status, Trigger,
};
use grit_rollout::{
    Approval, CheckOutcome, Drained, Gate, Instance, Report, Rolling, Step, Strategy, fake::Turn,
};
use grit_types::{DeploymentId, Principal, Revision, Role};
use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_oneof, proptest};
use proptest::strategy::{Strategy as PropStrategy, ValueTree};

use crate::ground::{BEGIN, person, request, rolling, secs, slot};
use crate::rig::Rig;
use crate::strategies::{
    analysis, bad, canary, canary_with, careful, good, pause, rolling_by, weight,
};

#[derive(Clone, Debug)]
enum Op {
    Request(Wanted),
    /// Carried out, its outcome on the way.
    Carry(usize),
    /// Fails as such an effect can.
    Fail(usize),
    /// An outcome arrives.
    Deliver(usize),
    /// It arrived before.
    Again(usize),
    /// Everything that can happen now does, in order.
    Settle,
    Wait(u64),
    Promote(bool),
    Pause,
    Resume,
    Abort,
    Retry,
    Rollback(Option<u64>),
    Approve(u8),
    Reject,
    Report,
    Turn(usize, Turn),
    Trip,
    Serve(u64, bool),
    /// The controller ends and starts anew.
    Restart,
}

#[derive(Clone, Debug)]
struct Wanted {
    strategy: usize,
    replicas: u32,
    gates: usize,
    checks: usize,
    kind: &'static str,
    push: bool,
}

fn wanted() -> impl PropStrategy<Value = Op> {
    let kind = prop::sample::select(vec!["", "", "", "", "-failing", "-hung"]);
    (0..8usize, 1..4u32, 0..4usize, 0..3usize, kind, any::<bool>()).prop_map(
        |(strategy, replicas, gates, checks, kind, push)| {
            Op::Request(Wanted { strategy, replicas, gates, checks, kind, push })
        },
    )
}

fn turn() -> impl PropStrategy<Value = Turn> {
    prop::sample::select(vec![Turn::Ready, Turn::Sicken, Turn::Die, Turn::Die, Turn::Fail])
}

fn op() -> impl PropStrategy<Value = Op> {
    prop_oneof![
        3 => wanted(),
        12 => (0..8usize).prop_map(Op::Carry),
        1 => (0..8usize).prop_map(Op::Fail),
        12 => (0..4usize).prop_map(Op::Deliver),
        1 => any::<usize>().prop_map(Op::Again),
        6 => Just(Op::Settle),
        5 => (0..40u64).prop_map(Op::Wait),
        2 => any::<bool>().prop_map(Op::Promote),
        1 => Just(Op::Pause),
        1 => Just(Op::Resume),
        1 => Just(Op::Abort),
        1 => Just(Op::Retry),
        2 => prop::option::of(1..6u64).prop_map(Op::Rollback),
        2 => (0..3u8).prop_map(Op::Approve),
        1 => Just(Op::Reject),
        3 => Just(Op::Report),
        2 => (any::<usize>(), turn()).prop_map(|(index, turn)| Op::Turn(index, turn)),
        1 => Just(Op::Trip),
        2 => (1..6u64, any::<bool>()).prop_map(|(revision, well)| Op::Serve(revision, well)),
        1 => Just(Op::Restart),
    ]
}

/// A rig whose outcomes are on their way for a while.
#[derive(Default)]
struct Chaos {
    rig: Rig,
    on_the_way: Vec<Command>,
    arrived: Vec<Command>,
    asked: u64,
    /// Effects are begun in the order in which they were recorded, as they are but for a crash.
    in_order: bool,
}

impl Chaos {
    fn take(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Request(wanted) => self.request(wanted),
            Op::Carry(index) => self.carry(*index),
            Op::Fail(index) => self.fail(*index),
            Op::Deliver(index) => self.deliver(*index),
            Op::Again(index) => self.again(*index),
            Op::Settle => self.rig.try_settle(),
            Op::Wait(time) => {
                self.rig.now = self.rig.now.after(secs(*time));
                Ok(())
            }
            Op::Promote(full) => self.ask(Command::Promote { full: *full }),
            Op::Pause => self.ask(Command::Pause),
            Op::Resume => self.ask(Command::Resume),
            Op::Abort => self.ask(Command::Abort { reason: String::new() }),
            Op::Retry => {
                let id = self.id();
                self.ask(Command::Retry { id })
            }
            Op::Rollback(to) => {
                let id = self.id();
                self.ask(Command::Rollback { to: to.map(Revision), id })
            }
            Op::Approve(who) => self.approve(*who),
            Op::Reject => self.ask(Command::Reject { number: None, reason: "no".to_owned() }),
            Op::Report => self.rig.report(),
            Op::Turn(index, turn) => {
                let ids: Vec<_> =
                    self.rig.world.instances.processes().map(|p| p.instance.id).collect();
                if let Some(id) = ids.get(index % ids.len().max(1)) {
                    self.rig.world.turn(*id, *turn, self.rig.now);
                }
                Ok(())
            }
            Op::Trip => {
                let trip = self.rig.world.routes.trip(&slot(), self.rig.now);
                let report = |trip| Command::Report(Report::Tripped { slot: slot(), trip });
                self.on_the_way.extend(trip.map(report));
                Ok(())
            }
            Op::Serve(revision, well) => {
                let stats = if *well { good() } else { bad() };
                self.rig.world.routes.serve(&slot(), Revision(*revision), stats);
                Ok(())
            }
            Op::Restart => self.rig.read_back().map(|slot| self.rig.slot = slot),
        }
    }

    fn id(&mut self) -> DeploymentId {
        self.asked += 1;
        DeploymentId::derived(BEGIN, &self.asked.to_le_bytes())
    }

    /// A refusal is an answer.
    fn ask(&mut self, command: Command) -> Result<(), String> {
        self.rig.submit(&person("alice"), &command).map(drop)
    }

    fn approve(&mut self, who: u8) -> Result<(), String> {
        let who = person(["alice", "bob", "carol"][usize::from(who) % 3]);
        let approve = Command::Approve { number: None, roles: vec![Role::Admin] };
        self.rig.submit(&who, &approve).map(drop)
    }

    fn request(&mut self, wanted: &Wanted) -> Result<(), String> {
        let id = self.id();
        let version = format!("v{}{}", self.asked, wanted.kind);
        let checks = ["./smoke", "./smoke-failing"];
        let verify = checks[..wanted.checks].iter().map(|check| (*check).to_owned()).collect();
        let trigger = if wanted.push { Trigger::Push } else { Trigger::Manual };
        let request = Request {
            id,
            gates: gates(wanted.gates),
            verify,
            trigger,
            ..request(&version, strategy(wanted.strategy), wanted.replicas)
        };
        self.ask(Command::Request(Box::new(request)))
    }

    fn carry(&mut self, index: usize) -> Result<(), String> {
        if self.rig.owed.is_empty() {
            return Ok(());
        }
        let index = index % self.rig.owed.len();
        let id = self.rig.owed[index].id.clone();
        if self.in_order {
            self.begin_what_is_before(index)?;
        }
        if let Some(index) = self.rig.owed.iter().position(|owed| owed.id == id) {
            let command = self.rig.carry(index)?;
            self.on_the_way.extend(command);
        }
        Ok(())
    }

    /// Instances that were asked for are being started.
    fn begin_what_is_before(&mut self, index: usize) -> Result<(), String> {
        for earlier in (0..index).rev() {
            if matches!(self.rig.owed[earlier].effect, Effect::EnsureInstances { .. }) {
                let command = self.rig.carry(earlier)?;
                self.on_the_way.extend(command);
            }
        }
        Ok(())
    }

    fn fail(&mut self, index: usize) -> Result<(), String> {
        let Some(owed) = self.rig.owed.get(index).cloned() else { return Ok(()) };
        let outcome = match &owed.effect {
            Effect::EnsureInstances { .. } => {
                self.rig.world.give_up(&owed.id, self.rig.now);
                return self.carry(index);
            }
            Effect::RunCheck { number, check, .. } => {
                let result = CheckOutcome::Failed { exit: None, output: String::new() };
                Outcome::Checked { number: *number, check: *check, result }
            }
            Effect::Drain { revision, .. } => {
                Outcome::Drained { revision: *revision, result: Drained::Cut { in_flight: 1 } }
            }
            Effect::Measure { number, of, .. } => {
                let result = Err("no answer".to_owned());
                Outcome::Measured { number: *number, of: *of, result }
            }
            // A router refuses by itself what it must; the rest is tried until it is done.
            _ => return self.carry(index),
        };
        self.rig.owed.remove(index);
        self.on_the_way.push(Command::Outcome(outcome));
        Ok(())
    }

    fn deliver(&mut self, index: usize) -> Result<(), String> {
        if self.on_the_way.is_empty() {
            return Ok(());
        }
        let command = self.on_the_way.remove(index % self.on_the_way.len());
        self.rig.submit(&Principal::grit(), &command)?.map_err(|refusal| refusal.to_string())?;
        self.arrived.push(command);
        Ok(())
    }

    fn again(&mut self, index: usize) -> Result<(), String> {
        let Some(command) = self.arrived.get(index % self.arrived.len().max(1)) else {
            return Ok(());
        };
        let command = command.clone();
        self.rig.submit(&Principal::grit(), &command).map(drop)
    }

    /// Nothing fails any more, and whoever is asked says yes.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.rig.world.gates = Some(GateVerdict::Passed { note: "it holds".to_owned() });
        for _ in 0..1_000 {
            while !self.on_the_way.is_empty() {
                self.deliver(0)?;
            }
            for revision in self.rig.slot.revisions.keys().copied().collect::<Vec<_>>() {
                self.rig.world.routes.serve(&slot(), revision, good());
            }
            self.rig.try_settle()?;
            self.rig.report()?;
            self.rig.try_settle()?;
            if !self.unstick()? {
                let Some(due) = self.rig.next_due() else { return self.at_rest() };
                self.rig.now = self.rig.now.max(due);
            }
        }
        Err("it never comes to rest".to_owned())
    }

    /// A person does what is waited for.
    fn unstick(&mut self) -> Result<bool, String> {
        let tripped = self.rig.world.routes.get(&slot()).and_then(|routed| routed.trip.clone());
        if let Some(trip) = tripped.filter(|trip| self.rig.slot.active == Some(trip.fence.0)) {
            let report = Command::Report(Report::Tripped { slot: slot(), trip });
            self.rig.submit(&Principal::grit(), &report)?.map_err(|refusal| refusal.to_string())?;
        }
        let live = |slot: &Slot| slot.deployments.values().any(|d| !d.status().is_final());
        let Some(active) = self.rig.slot.active() else {
            if !live(&self.rig.slot) {
                return Ok(false);
            }
            self.approve(1)?;
            self.approve(2)?;
            return Ok(true);
        };
        let command = match &active.phase {
            _ if active.paused.is_some() => Command::Resume,
            Phase::Holding { until: None, .. } => Command::Promote { full: false },
            _ => return Ok(false),
        };
        self.ask(command).map(|()| true)
    }

    /// All is over, and what is left is what serves.
    fn at_rest(&self) -> Result<(), String> {
        let rig = &self.rig;
        rig.read_back()?;
        let open = rig.slot.deployments.values().find(|d| !d.status().is_final());
        if let Some(open) = open {
            return Err(format!("#{} is {} for ever", open.number, open.status()));
        }
        if !rig.owed.is_empty() {
            return Err(format!("still owed: {:?}", rig.owed[0].effect));
        }
        self.nothing_is_left_over()
    }

    fn nothing_is_left_over(&self) -> Result<(), String> {
        let rig = &self.rig;
        let routed = rig.world.routes.get(&slot());
        // Out of order, what was once good may be left until the next success.
        let warm = |revision| !self.in_order && rig.slot.revisions[&revision].succeeded;
        let serves = |instance: &Instance| {
            Some(instance.revision) == rig.slot.stable
                || warm(instance.revision)
                || routed.is_some_and(|routed| routed.reaches(instance.id))
        };
        let left = rig.world.instances.observe(&slot()).into_iter().find(|i| !serves(i));
        // What is degraded is a person's to look at.
        let degraded = rig.has_seen(Status::Degraded);
        match left.filter(|_| !degraded) {
            Some(left) => Err(format!("left over: {left:?}")),
            None => Ok(()),
        }
    }
}

fn strategy(index: usize) -> Strategy {
    let measured = Step::Analysis(analysis(Some(2)));
    match index {
        0 => rolling(),
        1 => rolling_by(2),
        2 => careful(),
        3 => canary(vec![weight(30), pause(Some(5)), weight(70)]),
        4 => canary(vec![weight(10), measured, weight(50)]),
        5 => canary_with(vec![weight(10), pause(Some(60)), weight(50)], Some(analysis(None))),
        6 => canary(vec![]),
        _ => Strategy::Rolling(Rolling { batch: 3, guard: None, soak: secs(20) }),
    }
}

fn gates(index: usize) -> Vec<Gate> {
    let approval = |min| Gate::Approval(Approval { min, roles: vec![Role::Admin], distinct: true });
    match index {
        0 | 1 => vec![],
        2 => vec![approval(1)],
        _ => vec![Gate::Checks(vec!["test".to_owned()]), approval(2)],
    }
}

/// From a slot that serves to the end of all that was begun.
fn play(in_order: bool, ops: &[Op]) -> (Result<(), String>, Rig) {
    let mut chaos = Chaos { in_order, ..Chaos::default() };
    let first = Wanted { strategy: 0, replicas: 2, gates: 0, checks: 0, kind: "", push: true };
    let setup = [Op::Request(first), Op::Settle];
    let ended = setup.iter().chain(ops).try_for_each(|op| chaos.take(op));
    (ended.and_then(|()| chaos.come_to_rest()), chaos.rig)
}

fn history() -> impl PropStrategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_laws_hold_and_all_ends(in_order: bool, ops in history()) {
        let (ended, mut rig) = play(in_order, &ops);
        prop_assert!(ended.is_ok(), "{}\n{}", ended.unwrap_err(), rig.story());
    }
}

/// Histories that never get anywhere would prove nothing.
#[test]
fn histories_reach_every_status() {
    const HISTORIES_MAX: usize = 2_000;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut missing = Status::ALL.to_vec();
    for _ in 0..HISTORIES_MAX {
        let (_, rig) = play(true, &history().new_tree(&mut runner).unwrap().current());
        missing.retain(|status| !rig.has_seen(*status));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never {missing:?}");
}
