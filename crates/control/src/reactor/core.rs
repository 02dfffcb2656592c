use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use grit_ledger::{
    Append, AppendError, Appended, Cause, Context, Event, HlcClock, PendingEffect, Recorded,
    StorageError, StreamId,
};
use grit_types::{Actor, EffectId, EventId, Repo, Tenant, Timestamp, Version};

use crate::aggregate::{Command, Decision, FoldError, Refusal, State};

/// Names a submission until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the reactor is told.
#[derive(Debug)]
pub enum Input {
    /// Somebody asks.
    Submit { ticket: Ticket, stream: StreamId, command: Command, actor: Actor },
    /// An effect came to this.
    Outcome { effect: EffectId, stream: StreamId, command: Command },
    /// The answer to [`Action::Load`].
    Loaded { stream: StreamId, events: Result<Vec<Recorded>, StorageError> },
    /// The answer to [`Action::Append`].
    Appended { stream: StreamId, result: Result<Appended, AppendError> },
    /// The answer to [`Action::Recover`].
    Pending { effects: Result<Vec<PendingEffect>, StorageError> },
    /// The time asked for by [`Action::Retry`] is over.
    Retry { stream: Option<StreamId> },
}

/// What the reactor wants done.
#[derive(Debug)]
pub enum Action {
    Load {
        stream: StreamId,
    },
    Append(Box<Append>),
    /// Read what effects are owed.
    Recover,
    /// Carry out an effect; its outcome comes back as [`Input::Outcome`].
    Carry(PendingEffect),
    Answer {
        ticket: Ticket,
        result: Result<Receipt, SubmitError>,
    },
    /// The store did not do it: come back with [`Input::Retry`] after a while.
    Retry {
        stream: Option<StreamId>,
    },
}

/// What a submission led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub version: Version,
    pub events: Vec<EventId>,
}

/// Why a submission led to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    #[error(transparent)]
    Refused(Arc<Refusal>),
    #[error(transparent)]
    Unreadable(Arc<FoldError>),
    #[error(transparent)]
    Storage(Arc<StorageError>),
    #[error("the control process is ending")]
    Closed,
}

/// The reactor's state: the streams it knows, and what it waits for.
pub struct Core {
    tenant: Tenant,
    clock: HlcClock,
    streams: BTreeMap<StreamId, Stream>,
    /// Handed out and not yet acknowledged.
    carried: BTreeSet<EffectId>,
    recovering: bool,
    /// Acknowledged while what is owed was being read: that reading may not know it yet.
    settled: BTreeSet<EffectId>,
    /// A recovery was asked for while one was under way.
    recover_again: bool,
}

#[derive(Default)]
struct Stream {
    known: Option<(State, Version)>,
    waiting: VecDeque<Job>,
    at: At,
}

#[derive(Default)]
enum At {
    #[default]
    Rest,
    Loading,
    Appending(Box<InFlight>),
    /// Until [`Input::Retry`].
    Backing,
}

/// An append whose answer is awaited.
struct InFlight {
    job: Job,
    state: State,
    effects: Vec<PendingEffect>,
}

struct Job {
    command: Command,
    actor: Actor,
    from: From,
}

enum From {
    Person(Ticket),
    Effect(EffectId),
}

impl Core {
    /// A reactor for the streams of one tenant's server.
    pub fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            clock: HlcClock::default(),
            streams: BTreeMap::new(),
            carried: BTreeSet::new(),
            recovering: false,
            settled: BTreeSet::new(),
            recover_again: false,
        }
    }

    /// What a reactor does first: find out what is owed from before.
    pub fn begin(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.recover(&mut actions);
        actions
    }

    /// Takes an input at `now`; what is to be done about it comes back.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Submit { ticket, stream, command, actor } => {
                let from = From::Person(ticket);
                self.enqueue(now, stream, Job { command, actor, from }, &mut actions);
            }
            Input::Outcome { effect, stream, command } => {
                let actor = Actor::grit("effect");
                let from = From::Effect(effect);
                self.enqueue(now, stream, Job { command, actor, from }, &mut actions);
            }
            Input::Loaded { stream, events } => self.loaded(now, stream, events, &mut actions),
            Input::Appended { stream, result } => self.appended(now, stream, result, &mut actions),
            Input::Pending { effects } => self.pending(effects, &mut actions),
            Input::Retry { stream: Some(stream) } => {
                self.stream(&stream).at = At::Rest;
                self.go_on(now, &stream, &mut actions);
            }
            Input::Retry { stream: None } => self.recover(&mut actions),
        }
        actions
    }

    fn stream(&mut self, stream: &StreamId) -> &mut Stream {
        self.streams.entry(stream.clone()).or_default()
    }

    fn enqueue(&mut self, now: Timestamp, stream: StreamId, job: Job, actions: &mut Vec<Action>) {
        self.stream(&stream).waiting.push_back(job);
        self.go_on(now, &stream, actions);
    }

    /// Works on a stream until something must be waited for.
    fn go_on(&mut self, now: Timestamp, id: &StreamId, actions: &mut Vec<Action>) {
        loop {
            let stream = self.stream(id);
            if !matches!(stream.at, At::Rest) || stream.waiting.is_empty() {
                return;
            }
            if stream.known.is_none() {
                stream.at = At::Loading;
                actions.push(Action::Load { stream: id.clone() });
                return;
            }
            self.decide(now, id, actions);
        }
    }

    fn decide(&mut self, now: Timestamp, id: &StreamId, actions: &mut Vec<Action>) {
        let stream = self.stream(id);
        let (Some(job), Some((state, version))) = (stream.waiting.pop_front(), &stream.known)
        else {
            return;
        };
        let (version, context) = (*version, Context { now, actor: job.actor.clone() });
        match (state.decide(id, &job.command, &context), &job.from) {
            (Err(refusal), From::Person(ticket)) => {
                let result = Err(SubmitError::Refused(Arc::new(refusal)));
                actions.push(Action::Answer { ticket: *ticket, result });
            }
            // Nobody waits for that outcome any more; that it came must still be recorded.
            (Err(_), From::Effect(_)) => {
                let (state, events, rows) = (state.clone(), vec![], vec![]);
                self.append(now, id, version, job, Decision { state, events, rows }, actions);
            }
            (Ok(decision), From::Person(ticket)) if decision.events.is_empty() => {
                let result = Ok(Receipt { version, events: vec![] });
                actions.push(Action::Answer { ticket: *ticket, result });
            }
            (Ok(decision), _) => self.append(now, id, version, job, decision, actions),
        }
    }

    fn append(
        &mut self,
        now: Timestamp,
        id: &StreamId,
        expected: Version,
        job: Job,
        decision: Decision,
        actions: &mut Vec<Action>,
    ) {
        let acknowledges = match &job.from {
            From::Effect(effect) => Some(effect.clone()),
            From::Person(_) => None,
        };
        let (mut events, mut effects) = (Vec::new(), Vec::new());
        for (kind, data, owed) in decision.events {
            let event = Event {
                kind,
                tenant: self.tenant.clone(),
                repo: repo_of(id),
                subject: id.to_string(),
                actor: job.actor.clone(),
                hlc: self.clock.tick(now),
                cause: acknowledges.clone().map(Cause::Effect),
                data,
            };
            effects.extend(owe(id, &event.id(), &owed));
            events.push(event);
        }
        let append = Append {
            stream: id.clone(),
            expected,
            events,
            effects: effects.clone(),
            acknowledges,
            rows: decision.rows,
        };
        actions.push(Action::Append(Box::new(append)));
        let state = decision.state;
        self.stream(id).at = At::Appending(Box::new(InFlight { job, state, effects }));
    }

    fn loaded(
        &mut self,
        now: Timestamp,
        id: StreamId,
        events: Result<Vec<Recorded>, StorageError>,
        actions: &mut Vec<Action>,
    ) {
        let folded = match events {
            Ok(events) => self.fold(&id, events),
            Err(error) => return self.back_off(&id, &Arc::new(error), actions),
        };
        let stream = self.stream(&id);
        stream.at = At::Rest;
        match folded {
            Ok(known) => stream.known = Some(known),
            Err(error) => {
                // What nobody can read, nobody can decide on; its effects stay owed.
                let error = Arc::new(error);
                for job in std::mem::take(&mut stream.waiting) {
                    if let From::Person(ticket) = job.from {
                        let result = Err(SubmitError::Unreadable(error.clone()));
                        actions.push(Action::Answer { ticket, result });
                    }
                }
            }
        }
        self.go_on(now, &id, actions);
    }

    fn fold(
        &mut self,
        id: &StreamId,
        events: Vec<Recorded>,
    ) -> Result<(State, Version), FoldError> {
        let mut version = Version::ZERO;
        let mut state = State::empty(id)?;
        for recorded in events {
            self.clock.see(recorded.event.hlc);
            version = recorded.version;
            state = state.fold(id, &recorded.event.kind, &recorded.event.data)?;
        }
        Ok((state, version))
    }

    fn appended(
        &mut self,
        now: Timestamp,
        id: StreamId,
        result: Result<Appended, AppendError>,
        actions: &mut Vec<Action>,
    ) {
        let stream = self.stream(&id);
        let At::Appending(in_flight) = std::mem::take(&mut stream.at) else { return };
        let InFlight { job, state, effects } = *in_flight;
        match result {
            Ok(Appended { ids, version }) => {
                stream.known = Some((state, version));
                match job.from {
                    From::Person(ticket) => {
                        let result = Ok(Receipt { version, events: ids });
                        actions.push(Action::Answer { ticket, result });
                    }
                    From::Effect(effect) => self.settle(effect),
                }
                for effect in effects {
                    self.carry(effect, actions);
                }
            }
            Err(AppendError::Conflict { .. }) => {
                stream.known = None;
                stream.waiting.push_front(job);
            }
            // It was recorded before, and the answer was lost; so may its effects have been.
            Err(AppendError::Acknowledged { effect }) => {
                stream.known = None;
                self.settle(effect);
                self.recover(actions);
            }
            Err(AppendError::Storage(error)) => {
                // Whether it was written is not known: read again before anything is decided.
                stream.known = None;
                match job.from {
                    From::Person(ticket) => {
                        let result = Err(SubmitError::Storage(Arc::new(error)));
                        actions.push(Action::Answer { ticket, result });
                        self.recover(actions);
                    }
                    From::Effect(_) => {
                        stream.waiting.push_front(job);
                        return self.back_off(&id, &Arc::new(error), actions);
                    }
                }
            }
        }
        self.go_on(now, &id, actions);
    }

    /// People are told at once; outcomes wait, because nobody else knows of them.
    fn back_off(&mut self, id: &StreamId, error: &Arc<StorageError>, actions: &mut Vec<Action>) {
        let stream = self.stream(id);
        let (mut kept, mut told) = (VecDeque::new(), Vec::new());
        for job in std::mem::take(&mut stream.waiting) {
            match job.from {
                From::Person(ticket) => told.push(ticket),
                From::Effect(_) => kept.push_back(job),
            }
        }
        stream.waiting = kept;
        stream.at = At::Backing;
        actions.extend(told.into_iter().map(|ticket| Action::Answer {
            ticket,
            result: Err(SubmitError::Storage(error.clone())),
        }));
        actions.push(Action::Retry { stream: Some(id.clone()) });
    }

    fn recover(&mut self, actions: &mut Vec<Action>) {
        if self.recovering {
            self.recover_again = true;
        } else {
            self.recovering = true;
            actions.push(Action::Recover);
        }
    }

    fn pending(
        &mut self,
        effects: Result<Vec<PendingEffect>, StorageError>,
        actions: &mut Vec<Action>,
    ) {
        self.recovering = false;
        let settled = std::mem::take(&mut self.settled);
        match effects {
            Ok(effects) => {
                for effect in effects.into_iter().filter(|e| !settled.contains(&e.id)) {
                    self.carry(effect, actions);
                }
                if std::mem::take(&mut self.recover_again) {
                    self.recover(actions);
                }
            }
            Err(_) => actions.push(Action::Retry { stream: None }),
        }
    }

    /// An effect's outcome is recorded: nobody carries it out any more.
    fn settle(&mut self, effect: EffectId) {
        self.carried.remove(&effect);
        if self.recovering {
            self.settled.insert(effect);
        }
    }

    /// Hands an effect out once; again only to a reactor that starts anew.
    fn carry(&mut self, effect: PendingEffect, actions: &mut Vec<Action>) {
        if self.carried.insert(effect.id.clone()) {
            actions.push(Action::Carry(effect));
        }
    }
}

fn owe(
    stream: &StreamId,
    event: &EventId,
    effects: &[crate::aggregate::Effect],
) -> Vec<PendingEffect> {
    let numbered = (0u16..).zip(effects);
    let owe = |(index, effect): (u16, &crate::aggregate::Effect)| PendingEffect {
        id: EffectId { event: event.clone(), index },
        stream: stream.clone(),
        // Effects are plain data: they always serialise.
        body: serde_json::to_value(effect).expect("an effect is plain data"),
    };
    numbered.map(owe).collect()
}

/// `slot/TENANT/REPO/…`, `group/TENANT/REPO/…` and `repo/TENANT/REPO` name it; a run's own events stand in its stream.
fn repo_of(stream: &StreamId) -> Repo {
    let named = stream.parts().nth(1).and_then(|name| name.parse().ok());
    // A valid name by its form.
    named.unwrap_or_else(|| "run".parse().expect("a valid name"))
}
