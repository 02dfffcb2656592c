use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use grit_types::{BoxFuture, Clock, EffectId, InstanceId, Revision, Timestamp};

use super::{Ensuring, Instances, Turn, Waiting, lock};
use crate::{Instance, InstanceSet, Observer, Report, SlotId, Target, TargetError};

type Fate = Box<dyn FnMut(&str, &Instance) -> Option<(Duration, Turn)> + Send>;

/// [`Instances`] as a port. What is due happens when it is asked something, or told to
/// [`FakeTarget::tick`].
pub struct FakeTarget {
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    state: Mutex<State>,
}

struct State {
    instances: Instances,
    fate: Fate,
    waiting: Waiting,
}

impl FakeTarget {
    /// No instances; `fate` is asked for the version and the instance, see [`Instances`].
    pub fn new(
        clock: Arc<dyn Clock>,
        fate: impl FnMut(&str, &Instance) -> Option<(Duration, Turn)> + Send + 'static,
    ) -> Self {
        let (instances, waiting) = (Instances::default(), Waiting::default());
        let state = State { instances, fate: Box::new(fate), waiting };
        Self { clock, observer: None, state: Mutex::new(state) }
    }

    /// Reports every change.
    #[must_use]
    pub fn reporting(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What is due by now happens; who waits looks again.
    pub fn tick(&self) {
        self.act(|state, _| (state.waiting.wake(), BTreeSet::new()));
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        lock(&self.state).instances.next_due()
    }

    /// This becomes of an instance now.
    pub fn turn(&self, id: InstanceId, turn: Turn) {
        self.act(|state, now| {
            ((), state.instances.turn(id, turn, now, &mut state.fate).into_iter().collect())
        });
    }

    /// After what is due; the slots that `act` changed are reported with those that time did.
    fn act<T>(&self, act: impl FnOnce(&mut State, Timestamp) -> (T, BTreeSet<SlotId>)) -> T {
        let now = self.clock.now();
        let (value, reports) = {
            let mut guard = lock(&self.state);
            let state = &mut *guard;
            let mut changed = state.instances.advance(now, &mut state.fate);
            let (value, acted) = act(state, now);
            changed.extend(acted);
            // What the act led to at once.
            changed.extend(state.instances.advance(now, &mut state.fate));
            if !changed.is_empty() {
                state.waiting.wake();
            }
            let observed = |slot: SlotId| {
                let instances = state.instances.observe(&slot);
                Report::Instances { slot, instances }
            };
            (value, changed.into_iter().map(observed).collect::<Vec<_>>())
        };
        if let Some(observer) = &self.observer {
            reports.into_iter().for_each(|report| observer.report(report));
        }
        value
    }

    fn ensured(
        &self,
        (effect, set): (&EffectId, &InstanceSet),
        until: Timestamp,
    ) -> Option<Result<Vec<Instance>, TargetError>> {
        let ensuring = self.act(|state, now| {
            let before = state.instances.observe(&set.slot);
            if now >= until {
                let reason = "it was not ready in time";
                state.instances.give_up(effect, reason, now, &mut state.fate);
            }
            let ensuring = state.instances.ensure(effect, set, now, &mut state.fate);
            (ensuring, changed(state, &set.slot, &before))
        });
        match ensuring {
            Ensuring::Ready(instances) => Some(Ok(instances)),
            Ensuring::Waiting => None,
            Ensuring::Failed(reason) => {
                let (slot, revision) = (set.slot.clone(), set.revision);
                Some(Err(TargetError::NeverReady { slot, revision, reason }))
            }
        }
    }

    fn is_stopped(&self, slot: &SlotId, revision: Revision, named: &[InstanceId]) -> bool {
        self.act(|state, now| {
            let before = state.instances.observe(slot);
            let gone = state.instances.stop((slot, revision), named, now, &mut state.fate);
            (gone, changed(state, slot, &before))
        })
    }
}

fn changed(state: &State, slot: &SlotId, before: &[Instance]) -> BTreeSet<SlotId> {
    let same = state.instances.observe(slot) == before;
    if same { BTreeSet::new() } else { BTreeSet::from([slot.clone()]) }
}

impl Target for FakeTarget {
    fn ensure(
        &self,
        effect: &EffectId,
        set: &InstanceSet,
    ) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>> {
        let (effect, set) = (effect.clone(), set.clone());
        let until = self.clock.now().after(set.run.health.deadline);
        Box::pin(poll_fn(move |context| {
            lock(&self.state).waiting.join(context);
            self.ensured((&effect, &set), until).map_or(Poll::Pending, Poll::Ready)
        }))
    }

    fn stop(
        &self,
        _: &EffectId,
        slot: &SlotId,
        revision: Revision,
        instances: &[InstanceId],
        _: Duration,
    ) -> BoxFuture<'_, Result<(), TargetError>> {
        let (slot, named) = (slot.clone(), instances.to_vec());
        Box::pin(poll_fn(move |context| {
            lock(&self.state).waiting.join(context);
            let stopped = self.is_stopped(&slot, revision, &named);
            if stopped { Poll::Ready(Ok(())) } else { Poll::Pending }
        }))
    }

    fn observe(&self, slot: &SlotId) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>> {
        let instances = self.act(|state, _| (state.instances.observe(slot), BTreeSet::new()));
        Box::pin(async { Ok(instances) })
    }
}
