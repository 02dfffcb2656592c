use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use grit_control::aggregate::Command;
use grit_control::reactor::{Action, Core, Input, Receipt, SubmitError, Ticket};
use grit_ledger::{Append, PendingEffect, StreamId};
use grit_rollout::fake::{Instances, Routed};
use grit_rollout::slot::{Command as SlotCommand, Request};
use grit_rollout::{Report, Route, SlotId};
use grit_types::{Actor, EffectId, Fence, Tenant, Timestamp};

use super::Outcome;
use super::carry::Call;
use super::edge::Edge;
use super::oracle::Oracle;
use super::rng::Rng;
use super::runs::Runner;
use super::scenario::{Act, SPAN_MS, Scenario};
use super::store::Store;
use super::tally::{self, Fault, Tally};
use super::target::fate;

/// When every world begins.
const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// How long after the last planned act a world may take to come to rest.
const REST_MS_MAX: u64 = 1_800_000;
/// How much of an input a line of the trace shows.
const LINE_MAX: usize = 260;

/// What happens next, and to whom.
#[derive(Debug)]
pub(super) enum Item {
    /// Reaches the controller, if it is still the one of that life.
    Input(u64, Box<Input>),
    /// A controller asks its journal.
    Ask(u64, Query),
    /// A controller begins to carry out an effect.
    Start(u64, PendingEffect),
    /// A call goes on.
    Step(u64),
    /// A request reaches the edge, whether or not the one who sent it still lives.
    Arrive {
        life: u64,
        call: u64,
        route: Box<Route>,
    },
    /// Something is due among the instances.
    Instances,
    /// The edge's guard has seen enough.
    Watch(SlotId),
    /// The edge tells once more that its guard tripped, and so often again.
    Insist {
        slot: SlotId,
        fence: Fence,
        left: u32,
    },
    Act(Act),
    /// A time of trouble is over, once it troubled somebody.
    Over(Act, u32),
    Boot,
    /// Somebody who got no answer asks again for the same deployment.
    AskAgain(Box<Request>),
    /// Somebody looks whether anything waits for a person.
    Tidy,
}

impl Item {
    /// What a reader of the trace wants to know of it.
    fn describe(&self, line: &mut Short) -> std::fmt::Result {
        match self {
            Self::Ask(_, Query::Append(append)) => {
                write!(line, "append to {}:", append.stream)?;
                append.events.iter().try_for_each(|e| write!(line, " {} {}", e.kind, e.data))
            }
            _ => write!(line, "{self:?}"),
        }
    }
}

#[derive(Debug)]
pub(super) enum Query {
    Load(StreamId),
    Append(Box<Append>),
    Pending,
}

/// Who waits for an answer.
pub(super) enum Asker {
    /// Does without an answer.
    Person,
    /// Wants this deployed, and asks again until there is an answer.
    Deployer(Box<Request>),
    Call(u64),
}

/// When a crash comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// While a request is on its way to the edge.
    RequestSent,
    /// Between an append and its answer.
    Appended,
}

pub(super) struct World {
    pub seed: u64,
    pub rng: Rng,
    pub now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Item>,
    queued: u64,
    pub life: u64,
    pub core: Option<Core>,
    pub store: Store,
    pub edge: Edge,
    pub target: Instances,
    /// When it is looked at next.
    target_at: Option<Timestamp>,
    pub runner: Runner,
    pub scenario: Scenario,
    pub oracle: Oracle,
    pub tally: Tally,
    pub calls: BTreeMap<u64, Call>,
    calls_made: u64,
    tickets: u64,
    askers: BTreeMap<Ticket, Asker>,
    /// Effects that some controller began to carry out.
    pub begun: BTreeSet<EffectId>,
    /// What the controller dies in, as soon as it comes to that.
    pub armed: BTreeSet<Moment>,
    /// Faults that last, and whether they have hit anything yet.
    pub troubles: BTreeMap<&'static str, bool>,
    /// Reports arrive in the order they were made.
    last_report: Timestamp,
    pub broken: Option<String>,
    pub rested: bool,
    /// The last inputs, at most so many.
    trace: VecDeque<String>,
    trace_max: usize,
    digest: u64,
}

impl World {
    pub fn new(seed: u64, trace_max: usize) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::draw(&mut rng);
        let mut world = Self {
            seed,
            rng,
            now: BEGIN,
            queue: BTreeMap::new(),
            queued: 0,
            life: 0,
            core: None,
            store: Store::default(),
            edge: Edge::default(),
            target: Instances::default(),
            target_at: None,
            runner: Runner::default(),
            scenario,
            oracle: Oracle::default(),
            tally: Tally::default(),
            calls: BTreeMap::new(),
            calls_made: 0,
            tickets: 0,
            askers: BTreeMap::new(),
            begun: BTreeSet::new(),
            armed: BTreeSet::new(),
            troubles: BTreeMap::new(),
            last_report: BEGIN,
            broken: None,
            rested: false,
            trace: VecDeque::new(),
            trace_max,
            digest: 0xcbf2_9ce4_8422_2325,
        };
        for (after, act) in world.scenario.acts.clone() {
            world.queue(after, Item::Act(act));
        }
        world.queue(0, Item::Boot);
        world.queue(SPAN_MS, Item::Tidy);
        world
    }

    pub fn run(mut self) -> Outcome {
        while let Some(((at, _), item)) = self.queue.pop_first() {
            self.now = at;
            self.note(&item);
            self.take(item);
            if self.broken.is_some() || self.rested {
                break;
            }
            if at.since(BEGIN).as_millis() > u128::from(SPAN_MS + REST_MS_MAX) {
                let why = self.unrest();
                self.fail(format!("the world does not come to rest: {why}"));
                break;
            }
        }
        if self.broken.is_none() {
            self.inspect_rest();
        }
        self.tally.events = self.oracle.events();
        Outcome {
            digest: self.digest,
            tally: self.tally,
            violation: self.broken,
            trace: self.trace.into(),
        }
    }

    /// A promise is broken; the first one counts.
    pub fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    pub fn queue(&mut self, after_ms: u64, item: Item) {
        self.queued += 1;
        let at = self.now.after(std::time::Duration::from_millis(after_ms));
        self.queue.insert((at, self.queued), item);
    }

    /// Whether anything is on its way to the controller or its journal.
    pub fn is_busy(&self) -> bool {
        let busy = |item: &Item| matches!(item, Item::Input(..) | Item::Ask(..) | Item::Start(..));
        self.core.is_none() || self.queue.values().any(busy)
    }

    /// People have begun to tidy up: nothing more goes wrong by itself.
    pub fn is_calm(&self) -> bool {
        self.now.since(BEGIN).as_millis() >= u128::from(SPAN_MS)
    }

    pub fn elapsed_ms(&self) -> u128 {
        self.now.since(BEGIN).as_millis()
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Input(life, input) if life == self.life => self.input(*input),
            Item::Ask(life, query) if life == self.life => self.ask(query),
            Item::Start(life, effect) if life == self.life => self.start(effect),
            // Of a controller that is dead.
            Item::Input(..) | Item::Ask(..) | Item::Start(..) => {}
            Item::Step(call) => self.step(call),
            Item::Arrive { life, call, route } => self.arrive(life, call, &route),
            Item::Instances => self.instances_due(),
            Item::Watch(slot) => self.watch(&slot),
            Item::Insist { slot, fence, left } => self.insist(&slot, fence, left),
            Item::Act(act) => self.act(act),
            Item::Over(act, tries) => self.over(act, tries),
            Item::Boot => self.boot(),
            Item::AskAgain(request) => self.ask_for(request),
            Item::Tidy => self.tidy(),
        }
    }

    fn boot(&mut self) {
        if self.core.is_some() {
            return;
        }
        let mut core = Core::new(Tenant::local());
        let actions = core.begin();
        self.core = Some(core);
        self.perform(actions);
        self.resize();
        for slot in self.slots() {
            self.report(&slot);
        }
        self.report_trips();
    }

    pub fn slots(&self) -> Vec<SlotId> {
        self.scenario.lanes.iter().map(|lane| lane.slot.clone()).collect()
    }

    /// The controller dies, and with it everything that it had not written down.
    pub fn crash(&mut self) {
        if self.core.take().is_none() {
            return;
        }
        self.tally.fault(Fault::Crash);
        self.life += 1;
        self.calls.clear();
        for asker in std::mem::take(&mut self.askers).into_values() {
            self.unanswered(asker);
        }
        self.runner.die();
        let down = self.rng.between(100, 5_000);
        self.queue(down, Item::Boot);
    }

    /// Whether the controller dies just now.
    pub fn dies_in(&mut self, moment: Moment) -> bool {
        !self.is_calm() && self.armed.remove(&moment)
    }

    fn input(&mut self, input: Input) {
        let Some(core) = self.core.as_mut() else { return };
        let actions = core.step(self.now, input);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            if !self.is_calm() && self.rng.permille(2) {
                return self.crash();
            }
            let (life, soon) = (self.life, self.rng.between(0, 15));
            match action {
                Action::Load { stream } => self.queue(soon, Item::Ask(life, Query::Load(stream))),
                Action::Append(append) => {
                    self.queue(soon, Item::Ask(life, Query::Append(append)));
                }
                Action::Recover => self.queue(soon, Item::Ask(life, Query::Pending)),
                Action::Carry(effect) => self.queue(soon, Item::Start(life, effect)),
                Action::Answer { ticket, result } => self.answered(ticket, result),
                Action::Retry { stream } => {
                    self.queue(250, Item::Input(life, Box::new(Input::Retry { stream })));
                }
            }
        }
    }

    /// Asks the controller something; nobody is there to hear it while it is dead.
    pub fn submit(&mut self, stream: StreamId, command: Command, actor: Actor, asker: Asker) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if self.core.is_some() {
            self.askers.insert(ticket, asker);
            let (life, soon) = (self.life, self.rng.between(0, 20));
            self.queue(
                soon,
                Item::Input(life, Box::new(Input::Submit { ticket, stream, command, actor })),
            );
        } else {
            self.unanswered(asker);
        }
    }

    /// Who wants a deployment does not leave it at that.
    fn unanswered(&mut self, asker: Asker) {
        if let Asker::Deployer(request) = asker {
            let pause = self.rng.between(500, 3_000);
            self.queue(pause, Item::AskAgain(request));
        }
    }

    fn answered(&mut self, ticket: Ticket, result: Result<Receipt, SubmitError>) {
        match &result {
            Ok(receipt) => {
                if let Some(lost) = self.oracle.missing(receipt) {
                    self.fail(format!("event {lost} was acknowledged and is not in the journal"));
                }
            }
            Err(SubmitError::Refused(refusal)) => {
                self.tally.count("refusal", tally::refusal(refusal));
            }
            Err(SubmitError::Storage(error)) => {
                let name = if error.full { "storage: full" } else { "storage: failed" };
                self.tally.count("refusal", name);
            }
            Err(error @ (SubmitError::Unreadable(_) | SubmitError::Closed)) => {
                self.fail(format!("a command was answered with: {error}"));
            }
        }
        match self.askers.remove(&ticket) {
            Some(Asker::Call(call)) => self.call_answered(call, result),
            Some(asker) if matches!(result, Err(SubmitError::Storage(_))) => self.unanswered(asker),
            // A report: nobody waits.
            Some(Asker::Person | Asker::Deployer(_)) | None => {}
        }
    }

    /// The target tells what is there now.
    pub fn report(&mut self, slot: &SlotId) {
        let instances = self.target.observe(slot);
        let report = Report::Instances { slot: slot.clone(), instances };
        let mut delay = self.rng.between(0, 30);
        if self.troubled("observation") {
            self.tally.fault(Fault::SlowObservation);
            delay += self.rng.between(2_000, 8_000);
        }
        self.tell(slot, report, delay);
    }

    /// The edge tells which trips hold.
    pub fn report_trips(&mut self) {
        let held = |(slot, routed): (&SlotId, &Routed)| {
            routed.trip.clone().map(|trip| (slot.clone(), trip))
        };
        let trips: Vec<_> = self.edge.routes.slots().filter_map(held).collect();
        if self.edge.down {
            return;
        }
        for (slot, trip) in trips {
            let delay = self.rng.between(5, 400);
            self.tell(&slot, Report::Tripped { slot: slot.clone(), trip }, delay);
        }
    }

    fn tell(&mut self, slot: &SlotId, report: Report, delay: u64) {
        if self.core.is_none() {
            return;
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let at = self.now.after(std::time::Duration::from_millis(delay)).max(self.last_report);
        self.last_report = at;
        let input = Input::Submit {
            ticket,
            stream: slot.stream(),
            command: Command::Slot(SlotCommand::Report(report)),
            actor: Actor::grit("observer"),
        };
        self.queued += 1;
        self.queue.insert((at, self.queued), Item::Input(self.life, Box::new(input)));
    }

    /// Whether a fault that lasts is on; it has hit something then.
    pub fn troubled(&mut self, name: &'static str) -> bool {
        let hit = self.troubles.get_mut(name);
        let on = hit.is_some();
        hit.into_iter().for_each(|hit| *hit = true);
        on
    }

    /// Looks at the instances again when the next change is due.
    pub fn wake_instances(&mut self) {
        let due = self.target.next_due();
        if let Some(at) = due.filter(|at| self.target_at.is_none_or(|known| *at < known)) {
            self.target_at = Some(at);
            self.queue(at.since(self.now).as_millis() as u64, Item::Instances);
        }
    }

    fn instances_due(&mut self) {
        self.target_at = None;
        let (scenario, rng) = (&self.scenario, &mut self.rng);
        let mut fate = |version: &str, instance: &_| fate(scenario, rng, version, instance);
        let changed = self.target.advance(self.now, &mut fate);
        changed.into_iter().for_each(|slot| self.instances_changed(&slot));
        self.wake_instances();
    }

    pub fn new_call(&mut self, call: Call) -> u64 {
        self.calls_made += 1;
        self.calls.insert(self.calls_made, call);
        self.calls_made
    }

    fn note(&mut self, item: &Item) {
        let mut line = Short(format!("{:>8} ", self.now.since(BEGIN).as_millis()));
        // Too long a line is cut, and that is its only error.
        let _ = item.describe(&mut line);
        for byte in line.0.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.trace.push_back(line.0);
        if self.trace.len() > self.trace_max {
            self.trace.pop_front();
        }
    }

    /// Makes what was recorded part of the digest.
    pub fn digest(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Takes so much of a text and no more, so that nothing large is formatted to its end.
struct Short(String);

impl std::fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.push_str(text);
        if self.0.len() > LINE_MAX { Err(std::fmt::Error) } else { Ok(()) }
    }
}
