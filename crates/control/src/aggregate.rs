//! The deciders behind one face, so that one reactor drives them all.

use grit_ledger::{Context, Decider, PayloadError, Row, StreamId, join, split};
use grit_pipeline::concurrency::{self, Groups};
use grit_pipeline::queue::{self, Queues};
use grit_pipeline::run::{self, Runs};
use grit_rollout::{Rollouts, slot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::project;
use crate::repo::{self, Repos};

/// What a stream folds to.
#[derive(Clone, PartialEq)]
pub enum State {
    Run(run::Run),
    Slot(Box<slot::Slot>),
    Repo(Box<repo::State>),
    Group(concurrency::Group),
    Queue(queue::Queue),
}

/// What can be asked of a stream.
#[derive(Debug)]
pub enum Command {
    Run(run::Command),
    Slot(slot::Command),
    Repo(repo::Command),
    Group(concurrency::Command),
    Queue(queue::Command),
}

/// What a stream asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Run(run::Effect),
    Slot(slot::Effect),
    Repo(repo::Effect),
    Group(concurrency::Effect),
    Queue(queue::Effect),
}

/// Why a command changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Run(run::Refusal),
    #[error(transparent)]
    Slot(slot::Refusal),
    #[error(transparent)]
    Repo(repo::Refusal),
    #[error(transparent)]
    Group(concurrency::Refusal),
    #[error(transparent)]
    Queue(queue::Refusal),
    #[error("a `{command}` command does not belong on stream `{stream}`")]
    Misplaced { command: &'static str, stream: StreamId },
}

/// A stream's events cannot be read: written by a newer Grit, or damaged.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    #[error("`{0}` is no stream that folds")]
    UnknownStream(StreamId),
    #[error("stream `{stream}` cannot be read")]
    Payload {
        stream: StreamId,
        #[source]
        source: PayloadError,
    },
}

/// A decision: what happened, what it obliges to, what is then so.
pub struct Decision {
    pub state: State,
    /// Kind, data and effects of each event.
    pub events: Vec<(String, Value, Vec<Effect>)>,
    /// What the pages read, brought up to date.
    pub rows: Vec<Row>,
}

impl State {
    /// The state of a stream without events.
    pub fn empty(stream: &StreamId) -> Result<Self, FoldError> {
        match stream.kind() {
            "run" => Ok(Self::Run(run::Run::default())),
            "slot" => Ok(Self::Slot(Box::default())),
            "repo" => Ok(Self::Repo(Box::default())),
            "group" => Ok(Self::Group(concurrency::Group::default())),
            "queue" => Ok(Self::Queue(queue::Queue::default())),
            _ => Err(FoldError::UnknownStream(stream.clone())),
        }
    }

    /// The state after a recorded event.
    pub fn fold(self, stream: &StreamId, kind: &str, data: &Value) -> Result<Self, FoldError> {
        let folded =
            match self {
                Self::Run(state) => {
                    join(kind, data).map(|event| Self::Run(Runs::evolve(state, &event)))
                }
                Self::Slot(state) => join(kind, data)
                    .map(|event| Self::Slot(Box::new(Rollouts::evolve(*state, &event)))),
                Self::Repo(state) => join(kind, data)
                    .map(|event| Self::Repo(Box::new(Repos::evolve(*state, &event)))),
                Self::Group(state) => {
                    join(kind, data).map(|event| Self::Group(Groups::evolve(state, &event)))
                }
                Self::Queue(state) => {
                    join(kind, data).map(|event| Self::Queue(Queues::evolve(state, &event)))
                }
            };
        folded.map_err(|source| FoldError::Payload { stream: stream.clone(), source })
    }

    /// Decides on a command; see [`Decider::decide`].
    pub fn decide(
        &self,
        stream: &StreamId,
        command: &Command,
        context: &Context,
    ) -> Result<Decision, Refusal> {
        match (self, command) {
            (Self::Run(state), Command::Run(command)) => {
                let (state, events) =
                    outcome::<Runs>(state, command, context, Effect::Run).map_err(Refusal::Run)?;
                let rows = if events.is_empty() { vec![] } else { project::run(&state, &events) };
                Ok(Decision { state: Self::Run(state), events, rows })
            }
            (Self::Slot(state), Command::Slot(command)) => {
                let (state, events) = outcome::<Rollouts>(state, command, context, Effect::Slot)
                    .map_err(Refusal::Slot)?;
                let rows = if events.is_empty() { vec![] } else { project::slot(&state) };
                Ok(Decision { state: Self::Slot(Box::new(state)), events, rows })
            }
            (Self::Repo(state), Command::Repo(command)) => {
                let (state, events) = outcome::<Repos>(state, command, context, Effect::Repo)
                    .map_err(Refusal::Repo)?;
                let rows =
                    if events.is_empty() { vec![] } else { project::repo(stream, &state, &events) };
                Ok(Decision { state: Self::Repo(Box::new(state)), events, rows })
            }
            (Self::Group(state), Command::Group(command)) => {
                let (state, events) = outcome::<Groups>(state, command, context, Effect::Group)
                    .map_err(Refusal::Group)?;
                Ok(Decision { state: Self::Group(state), events, rows: vec![] })
            }
            (Self::Queue(state), Command::Queue(command)) => {
                let (state, events) = outcome::<Queues>(state, command, context, Effect::Queue)
                    .map_err(Refusal::Queue)?;
                let rows =
                    if events.is_empty() { vec![] } else { vec![project::queue(stream, &state)] };
                Ok(Decision { state: Self::Queue(state), events, rows })
            }
            (_, command) => {
                let command = command.noun();
                Err(Refusal::Misplaced { command, stream: stream.clone() })
            }
        }
    }
}

impl Command {
    fn noun(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Slot(_) => "slot",
            Self::Repo(_) => "repo",
            Self::Group(_) => "group",
            Self::Queue(_) => "queue",
        }
    }
}

type Events = Vec<(String, Value, Vec<Effect>)>;

/// Folds each event in turn, so that its effects follow from the state right after it.
fn outcome<D: Decider>(
    state: &D::State,
    command: &D::Command,
    context: &Context,
    wrap: fn(D::Effect) -> Effect,
) -> Result<(D::State, Events), D::Refusal>
where
    D::Event: DeserializeOwned,
{
    let mut state = state.clone();
    let mut events = Vec::new();
    for event in D::decide(&state, command, context)? {
        state = D::evolve(state, &event);
        let effects = D::effects(&state, &event).into_iter().map(wrap).collect();
        // An event is an enum tagged by its kind: it always splits.
        let (kind, data) = split(&event).expect("an event has a kind");
        events.push((kind, data, effects));
    }
    Ok((state, events))
}
