//! Promises, checked at every step against what was recorded and what the edge does.

use std::collections::{BTreeMap, BTreeSet};

use grit_control::aggregate::State;
use grit_control::project;
use grit_control::reactor::Receipt;
use grit_control::view::{CommitView, DeploymentView, QueueView, RunView, SlotView};
use grit_ledger::{Append, RowQuery, StreamId, join};
use grit_pipeline::run;
use grit_rollout::fake::Routed;
use grit_rollout::slot::{self, Phase, Slot, Stage, Status};
use grit_rollout::{Route, SlotId};
use grit_types::{DeploymentId, EffectId, EventId, Fence, Sequence, Weight};
use serde_json::Value;

use super::edge::Edge;
use super::store::Store;
use super::tally::Tally;

#[derive(Default)]
pub struct Oracle {
    /// Every stream, folded from what was appended.
    states: BTreeMap<StreamId, State>,
    events: BTreeSet<EventId>,
    owed: BTreeSet<EffectId>,
    /// How far each deployment is.
    progress: BTreeMap<(StreamId, u64), Progress>,
    /// What was ever requested.
    requested: BTreeSet<DeploymentId>,
    /// Slots whose last deployment that came so far left neither revision whole.
    degraded: BTreeSet<StreamId>,
    fences: BTreeMap<SlotId, (Fence, Sequence)>,
}

#[derive(Clone, Copy)]
struct Progress {
    step: usize,
    /// That the step gives, and the one before it gave.
    weight: Weight,
    before: Weight,
}

impl Oracle {
    pub fn events(&self) -> u64 {
        self.events.len() as u64
    }

    /// An acknowledged event that is not there.
    pub fn missing(&self, receipt: &Receipt) -> Option<EventId> {
        receipt.events.iter().find(|id| !self.events.contains(*id)).cloned()
    }

    /// Whether the effect was ever recorded.
    pub fn was_owed(&self, effect: &EffectId) -> bool {
        self.owed.contains(effect)
    }

    /// The slots as recorded.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.states.values().filter_map(|state| match state {
            State::Slot(slot) => Some(&**slot),
            State::Run(_) | State::Repo(_) | State::Group(_) | State::Queue(_) => None,
        })
    }

    /// Whether the slot's rollout under that fence is under way, and not on its way back.
    pub fn goes_on(&self, slot: &SlotId, fence: Fence) -> bool {
        let Some(State::Slot(slot)) = self.states.get(&slot.stream()) else { return false };
        let on_its_way = |d: &&slot::Deployment| !matches!(d.phase, Phase::RollingBack { .. });
        slot.active().filter(on_its_way).is_some_and(|active| active.number == fence.0)
    }

    /// Whether what requests follow is not what was last found good.
    pub fn is_degraded(&self, slot: &SlotId) -> bool {
        self.degraded.contains(&slot.stream())
    }

    /// The runs as recorded.
    pub fn runs(&self) -> impl Iterator<Item = &run::Run> {
        self.states.values().filter_map(|state| match state {
            State::Run(run) => Some(run),
            State::Slot(_) | State::Repo(_) | State::Group(_) | State::Queue(_) => None,
        })
    }

    /// Takes note of an append that is durable.
    pub fn recorded(
        &mut self,
        append: &Append,
        edge: &Edge,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.owed.extend(append.effects.iter().map(|effect| effect.id.clone()));
        for event in &append.events {
            self.events.insert(event.id());
            let kind = match append.stream.kind() {
                "slot" => "slot event",
                "run" => "run event",
                "group" => "group event",
                "queue" => "queue event",
                _ => "repo event",
            };
            tally.count(kind, &event.kind);
            let before = match self.states.remove(&append.stream) {
                Some(state) => state,
                None => State::empty(&append.stream).map_err(|error| error.to_string())?,
            };
            let was = statuses(&before);
            let after = before.fold(&append.stream, &event.kind, &event.data);
            let after = after.map_err(|error| error.to_string())?;
            count_state(&after, tally);
            count_transitions(&was, &statuses(&after), tally);
            self.states.insert(append.stream.clone(), after);
            if append.stream.kind() == "slot" {
                self.slot_event(&append.stream, &event.kind, &event.data, edge, tally)?;
            }
        }
        match append.stream.kind() {
            "run" => self.one_in_each_group().and_then(|()| self.within_slots()),
            _ => Ok(()),
        }
    }

    /// All runs together work on no more jobs than the machine has slots.
    fn within_slots(&self) -> Result<(), String> {
        let busy = |run: &run::Run| run.jobs.iter().filter(|job| job.phase.is_busy()).count();
        let busy: usize = self.runs().map(busy).sum();
        let slots = super::runs::SLOTS as usize;
        if busy <= slots {
            return Ok(());
        }
        Err(format!("{busy} jobs are worked on at once, with {slots} slots"))
    }

    /// Never two run in one concurrency group.
    fn one_in_each_group(&self) -> Result<(), String> {
        let mut running: BTreeMap<String, String> = BTreeMap::new();
        for run in self.runs() {
            let Some(request) = &run.request else { continue };
            for (group, who) in in_groups(run) {
                let who = format!("{who} of {}", request.run);
                if let Some(other) = running.insert(group.to_lowercase(), who.clone()) {
                    return Err(format!("{other} and {who} run in the group {group} at once"));
                }
            }
        }
        Ok(())
    }

    fn slot_event(
        &mut self,
        stream: &StreamId,
        kind: &str,
        data: &serde_json::Value,
        edge: &Edge,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let event = join::<slot::Event>(kind, data).map_err(|error| error.to_string())?;
        let Some(State::Slot(slot)) = self.states.get(stream) else { return Ok(()) };
        one_at_a_time(slot)?;
        match event {
            slot::Event::Requested { request, .. } if !self.requested.insert(request.id) => {
                Err(format!("deployment {} was requested once, and is there twice", request.id))
            }
            slot::Event::StepStarted { number, step, .. } => {
                let Some(deployment) = slot.deployments.get(&number).cloned() else {
                    return Ok(());
                };
                self.step(stream, &deployment, step)
            }
            slot::Event::RollbackStarted { reason, .. } => {
                tally.count("rollback", why(&reason));
                Ok(())
            }
            slot::Event::Finished { number, status, reason, .. } => {
                let gated =
                    reason.as_ref().map(why).filter(|why| matches!(*why, "Gate" | "StableLost"));
                gated.into_iter().for_each(|why| tally.count("rollback", why));
                match status {
                    Status::Degraded => self.degraded.insert(stream.clone()),
                    Status::Succeeded => self.degraded.remove(stream),
                    _ => false,
                };
                ended_as_routed(slot, number, status, edge)
            }
            _ => Ok(()),
        }
    }

    /// Steps follow each other; promoted in full, the last one follows any.
    fn step(
        &mut self,
        stream: &StreamId,
        deployment: &slot::Deployment,
        step: usize,
    ) -> Result<(), String> {
        let key = (stream.clone(), deployment.number);
        let last = self.progress.get(&key).copied();
        let follows = match last {
            None => step == 0,
            Some(last) => step == last.step + 1 || (deployment.full && step > last.step),
        };
        if !follows {
            let last = last.map(|last| last.step);
            return Err(format!("deployment {key:?} went from step {last:?} to {step}"));
        }
        let now = last.map_or(Weight::ZERO, |last| last.weight);
        let weight = match deployment.stages.get(step) {
            Some(Stage::Move { weight, .. }) => *weight,
            Some(Stage::Hold { .. } | Stage::Measure(_)) | None => now,
        };
        self.progress.insert(key, Progress { step, weight, before: now });
        Ok(())
    }

    /// A route is in force at the edge.
    pub fn routed(&mut self, edge: &Edge, route: &Route) -> Result<(), String> {
        let at = (route.fence, route.sequence);
        let last = self.fences.insert(route.slot.clone(), at);
        if last.is_some_and(|last| at < last) {
            return Err(format!("the edge went back from {last:?} to {at:?}"));
        }
        let Some(State::Slot(slot)) = self.states.get(&route.slot.stream()) else {
            return Err(format!("{} is routed, and nothing of it is recorded", route.slot));
        };
        let told = slot.routing.as_ref().map(|routing| (routing.fence, routing.sequence));
        if told.is_none_or(|told| told < at) {
            return Err(format!("{} is routed by an act that is not recorded", route.slot));
        }
        let Some(routed) = edge.routes.get(&route.slot) else { return Ok(()) };
        let progress = self.progress.get(&(route.slot.stream(), route.fence.0));
        for (revision, weight) in routed.weights() {
            within_bounds(slot, route, progress, revision, weight)?;
        }
        Ok(())
    }

    /// Whether the journal, read from its beginning, tells another story than its rows, or than
    /// what was appended.
    pub fn misread(&self, store: &Store) -> Option<String> {
        self.states.iter().find_map(|(stream, appended)| {
            let read = match refold(store, stream) {
                Ok(read) => read,
                Err(error) => return Some(format!("{stream} cannot be read: {error}")),
            };
            if read != *appended {
                return Some(format!("{stream} reads back as something else than was appended"));
            }
            rows_of(stream, appended).into_iter().find_map(|(table, key, body)| {
                let query = RowQuery { table, key: Some(key), ..RowQuery::default() };
                let rows = store.rows(&query);
                let same = rows.len() == 1 && rows[0].body == body;
                (!same).then(|| format!("the row of {query:?} is not what {stream} folds to"))
            })
        })
    }
}

fn refold(store: &Store, stream: &StreamId) -> Result<State, String> {
    let events = store.read(stream).map_err(|error| error.to_string())?;
    let empty = State::empty(stream).map_err(|error| error.to_string())?;
    events.into_iter().try_fold(empty, |state, recorded| {
        let event = recorded.event;
        state.fold(stream, &event.kind, &event.data).map_err(|error| error.to_string())
    })
}

fn body(view: &impl serde::Serialize) -> Value {
    serde_json::to_value(view).expect("a view is plain data")
}

/// Table, key and body of the rows that a state is shown as.
fn rows_of(stream: &StreamId, state: &State) -> Vec<(String, String, Value)> {
    match state {
        State::Run(run) => {
            let view = RunView::new(run);
            view.map(|view| (project::RUNS.to_owned(), view.id.to_string(), body(&view)))
                .into_iter()
                .collect()
        }
        State::Slot(slot) => {
            let Some(view) = SlotView::new(slot) else { return vec![] };
            let scope = format!("{}/{}/{}", view.repo, view.environment, view.service);
            let deployments = slot.deployments.values().map(|deployment| {
                let view = DeploymentView::new(slot, deployment);
                (project::DEPLOYMENTS.to_owned(), view.id.to_string(), body(&view))
            });
            let whole = (project::SLOTS.to_owned(), scope, body(&view));
            deployments.chain([whole]).collect()
        }
        State::Group(_) => Vec::new(),
        State::Queue(queue) => {
            vec![(project::QUEUES.to_owned(), stream.to_string(), body(&QueueView::new(queue)))]
        }
        State::Repo(repo) => {
            let name = stream.parts().nth(1).unwrap_or_default();
            let commits = repo.commits.iter().map(|(commit, state)| {
                let view = CommitView { commit: commit.clone(), state: state.clone() };
                (project::COMMITS.to_owned(), format!("{name}/{commit}"), body(&view))
            });
            commits.collect()
        }
    }
}

/// What of a run is at work in which concurrency group.
fn in_groups(run: &run::Run) -> Vec<(&str, String)> {
    let begun = run.groups.iter().any(|group| group.phase != run::GroupPhase::Waiting);
    let whole = run.claim.as_ref().filter(|_| run.granted && begun && run.ending().is_none());
    let whole = whole.map(|own| (own.group.as_str(), "all".to_owned()));
    let at_work =
        |job: &&std::sync::Arc<run::JobRun>| job.phase.is_busy() || run.left_over.contains(&job.id);
    let jobs = run.jobs.iter().filter(at_work).filter_map(|job| {
        Some((job.cell.concurrency.as_ref()?.group.as_str(), job.id.to_string()))
    });
    whole.into_iter().chain(jobs).collect()
}

fn one_at_a_time(slot: &Slot) -> Result<(), String> {
    let moving =
        |d: &&slot::Deployment| !matches!(d.phase, Phase::Gated | Phase::Queued | Phase::Ended(_));
    let moving: Vec<u64> = slot.deployments.values().filter(moving).map(|d| d.number).collect();
    if moving.len() <= 1 {
        return Ok(());
    }
    Err(format!("{moving:?} move at once, {:?} is active", slot.active))
}

/// Traffic only on what was verified, and as much as the step gives or, while its instances are
/// being started, the one before it gave.
fn within_bounds(
    slot: &Slot,
    route: &Route,
    progress: Option<&Progress>,
    revision: grit_types::Revision,
    weight: Weight,
) -> Result<(), String> {
    let by = slot.deployments.get(&route.fence.0).filter(|d| d.revision == revision);
    let Some(deployment) = by.filter(|_| weight > Weight::ZERO) else { return Ok(()) };
    if !deployment.verified {
        return Err(format!("revision {revision} of {} gets traffic unverified", route.slot));
    }
    let given = progress.is_some_and(|by| weight == by.weight || weight == by.before);
    if given {
        return Ok(());
    }
    let by = progress.map(|by| (by.weight, by.before));
    Err(format!("revision {revision} of {} has {weight}, and its steps give {by:?}", route.slot))
}

/// What a deployment ended as is what requests follow.
fn ended_as_routed(slot: &Slot, number: u64, status: Status, edge: &Edge) -> Result<(), String> {
    let (Some(id), Some(deployment)) = (&slot.id, slot.deployments.get(&number)) else {
        return Ok(());
    };
    let weights = edge.routes.get(id).map(Routed::weights).unwrap_or_default();
    let on = |revision| weights.get(&revision).copied().unwrap_or(Weight::ZERO);
    match status {
        Status::Succeeded if on(deployment.revision) != Weight::FULL => {
            Err(format!("deployment {number} of {id} SUCCEEDED with {}", on(deployment.revision)))
        }
        Status::RolledBack if on(deployment.revision) != Weight::ZERO => {
            Err(format!("deployment {number} of {id} ROLLED_BACK with {}", on(deployment.revision)))
        }
        _ => Ok(()),
    }
}

/// Of a slot's deployments, by number.
fn statuses(state: &State) -> BTreeMap<u64, Status> {
    match state {
        State::Slot(slot) => slot.deployments.values().map(|d| (d.number, d.status())).collect(),
        State::Run(_) | State::Repo(_) | State::Group(_) | State::Queue(_) => BTreeMap::new(),
    }
}

fn count_transitions(was: &BTreeMap<u64, Status>, is: &BTreeMap<u64, Status>, tally: &mut Tally) {
    for (number, to) in is {
        match was.get(number) {
            Some(from) if from != to => tally.count("transition", &format!("{from} -> {to}")),
            Some(_) | None => {}
        }
    }
}

fn count_state(state: &State, tally: &mut Tally) {
    match state {
        State::Slot(slot) => {
            for deployment in slot.deployments.values() {
                tally.count("status", deployment.status().as_str());
            }
        }
        State::Run(run) => match run.phase {
            run::Phase::New => {}
            run::Phase::Running => tally.count("run state", "running"),
            run::Phase::Cancelling => tally.count("run state", "cancelling"),
            run::Phase::Finished(ending) => tally.count("run state", ending.as_str()),
        },
        State::Repo(_) | State::Group(_) | State::Queue(_) => {}
    }
}

fn why(why: &slot::Why) -> &'static str {
    match why {
        slot::Why::Guard(_) => "Guard",
        slot::Why::Analysis { .. } => "Analysis",
        slot::Why::Health { .. } => "Health",
        slot::Why::NeverReady { .. } => "NeverReady",
        slot::Why::Check { .. } => "Check",
        slot::Why::Gate { .. } => "Gate",
        slot::Why::Aborted { .. } => "Aborted",
        slot::Why::Superseded { .. } => "Superseded",
        slot::Why::Route { .. } => "Route",
        slot::Why::StableLost { .. } => "StableLost",
    }
}
