use grit_types::{Actor, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// The circumstances of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    pub now: Timestamp,
    pub actor: Actor,
}

/// The one shape of run, deployment, promotion, release, flag and lock: three pure, total
/// functions.
///
/// `decide` says what happens, `evolve` what is then so, and `effects` what must be done about
/// it. An effect is a value, named by the event that caused it; carrying it out is an adapter's
/// work, and its outcome comes back as the next command.
pub trait Decider {
    type State: Clone + Default + Send;
    type Command: Send;
    /// Serde-tagged with `kind` and `data`; see [`crate::split`].
    type Event: Clone + Serialize + DeserializeOwned;
    type Effect: Clone + Serialize + DeserializeOwned;
    type Refusal: std::error::Error + Send;

    /// What follows from `command`. No events: nothing to record, which is not a refusal.
    fn decide(
        state: &Self::State,
        command: &Self::Command,
        context: &Context,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// The state after `event`.
    fn evolve(state: Self::State, event: &Self::Event) -> Self::State;

    /// What `event` obliges to, `state` being the state after it.
    fn effects(state: &Self::State, event: &Self::Event) -> Vec<Self::Effect>;
}
