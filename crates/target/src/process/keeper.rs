use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use grit_host::{Session, durable};
use grit_rollout::{Instance, InstanceSet, InstanceState, Report, SlotId, TargetError};
use grit_types::{EffectId, InstanceId, Revision};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::adopt::Found;
use super::folder::Folder;
use super::record::{Record, VERSION};
use super::supervisor::{Fault, Note, Supervisor, prune_logs};
use super::{INBOX_LEN, INSTANCES_PER_SLOT_MAX, Shared, blocking, log, unable};

pub(super) type Handle = mpsc::Sender<Request>;
type Reply<T> = oneshot::Sender<Result<T, TargetError>>;

pub(super) enum Request {
    Ensure { effect: EffectId, set: Box<InstanceSet>, reply: Reply<Vec<Instance>> },
    Stop { revision: Revision, instances: Vec<InstanceId>, drain: Duration, reply: Reply<()> },
    Observe { reply: Reply<Vec<Instance>> },
}

/// Owns the list of a slot's instances and those who wait for it to change.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    slot: SlotId,
    inbox: mpsc::Receiver<Request>,
    noting: mpsc::Sender<Note>,
    notes: mpsc::Receiver<Note>,
    members: BTreeMap<InstanceId, Member>,
    supervisors: JoinSet<()>,
    ensures: Vec<Ensure>,
    stops: Vec<Stop>,
    /// The list changed since it was last reported.
    dirty: bool,
}

struct Member {
    instance: Instance,
    effect: EffectId,
    was_ready: bool,
    fault: Option<Fault>,
    desired: watch::Sender<Option<Duration>>,
}

impl Member {
    fn is_leaving(&self) -> bool {
        self.desired.borrow().is_some()
    }
}

/// Somebody waits for instances to be ready.
struct Ensure {
    effect: EffectId,
    set: Box<InstanceSet>,
    /// By this call, or by one under the same effect before it.
    started: BTreeSet<InstanceId>,
    /// It has failed, and waits for what it started to be gone.
    failed: Option<TargetError>,
    reply: Reply<Vec<Instance>>,
}

/// Somebody waits for instances to be gone.
struct Stop {
    instances: BTreeSet<InstanceId>,
    reply: Reply<()>,
}

enum Verdict {
    Ready(Vec<Instance>),
    Missing(usize),
    Failed(TargetError),
    Wait,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, slot: SlotId, inbox: mpsc::Receiver<Request>) -> Self {
        let (noting, notes) = mpsc::channel(INBOX_LEN);
        Self {
            shared,
            slot,
            inbox,
            noting,
            notes,
            members: BTreeMap::new(),
            supervisors: JoinSet::new(),
            ensures: Vec::new(),
            stops: Vec::new(),
            dirty: false,
        }
    }

    /// Returns when nobody holds the handle any more. Dropped, it leaves all instances running.
    pub(super) async fn run(mut self, found: Vec<Found>) {
        for Found { record, session } in found {
            self.enroll(record, session);
        }
        loop {
            self.advance().await;
            self.report();
            tokio::select! {
                request = self.inbox.recv() => match request {
                    Some(request) => self.take(request),
                    None => return,
                },
                // This keeper holds a sender itself: the channel never closes.
                Some(note) = self.notes.recv() => self.note(note).await,
                Some(Err(failed)) = self.supervisors.join_next() => {
                    tracing::error!(slot = %self.slot, %failed, "supervisor ended");
                }
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Ensure { effect, set, reply } => {
                let started = self.begun_under(&effect, set.revision);
                self.retire_failed(set.revision);
                self.ensures.push(Ensure { effect, set, started, failed: None, reply });
            }
            Request::Stop { revision, instances, drain, reply } => {
                let instances = self.stop(revision, &instances, drain);
                self.stops.push(Stop { instances, reply });
            }
            Request::Observe { reply } => {
                let _ = reply.send(Ok(self.instances()));
            }
        }
    }

    async fn note(&mut self, note: Note) {
        self.dirty = true;
        match note {
            Note::Changed { instance, fault } => {
                if let Some(member) = self.members.get_mut(&instance.id) {
                    member.was_ready |= instance.state == InstanceState::Ready;
                    (member.instance, member.fault) = (instance, fault);
                }
            }
            Note::Gone(id) => {
                self.members.remove(&id);
                let folder = log::folder(&self.shared.config.logs, &self.slot);
                let alive: Vec<InstanceId> = self.members.keys().copied().collect();
                blocking(move || prune_logs(&folder, &alive)).await;
            }
        }
    }

    fn instances(&self) -> Vec<Instance> {
        self.members.values().map(|member| member.instance.clone()).collect()
    }

    fn report(&mut self) {
        if std::mem::take(&mut self.dirty) {
            let report = Report::Instances { slot: self.slot.clone(), instances: self.instances() };
            self.shared.config.observer.report(report);
        }
    }

    /// What was started for an effect that is handed out once more.
    fn begun_under(&self, effect: &EffectId, revision: Revision) -> BTreeSet<InstanceId> {
        let begun = self.members.values().filter(|member| {
            member.instance.revision == revision
                && member.effect == *effect
                && member.instance.state == InstanceState::Starting
                && !member.was_ready
                && !member.is_leaving()
        });
        begun.map(|member| member.instance.id).collect()
    }

    fn retire_failed(&mut self, revision: Revision) {
        for member in self.members.values() {
            let Instance { revision: own, state, .. } = member.instance;
            if own == revision && state == InstanceState::Failed {
                retire(member, Duration::ZERO);
            }
        }
    }

    fn stop(
        &mut self,
        revision: Revision,
        named: &[InstanceId],
        drain: Duration,
    ) -> BTreeSet<InstanceId> {
        if named.is_empty() {
            self.give_up_ensures(revision);
        }
        let asked = self.members.values().filter(|member| {
            let Instance { id, revision: own, .. } = &member.instance;
            *own == revision && (named.is_empty() || named.contains(id))
        });
        let asked = asked.inspect(|member| retire(member, drain));
        asked.map(|member| member.instance.id).collect()
    }

    fn give_up_ensures(&mut self, revision: Revision) {
        let waits =
            |ensure: &mut Ensure| ensure.set.revision == revision && ensure.failed.is_none();
        for ensure in self.ensures.extract_if(.., waits) {
            let InstanceSet { slot, revision, .. } = *ensure.set;
            let reason = "it was stopped meanwhile".to_owned();
            let error = TargetError::NeverReady { slot, revision, reason };
            let _ = ensure.reply.send(Err(error));
        }
    }

    /// Answers whoever has waited long enough.
    async fn advance(&mut self) {
        let members = &self.members;
        let is_gone = |stop: &mut Stop| !stop.instances.iter().any(|id| members.contains_key(id));
        for stop in self.stops.extract_if(.., is_gone) {
            let _ = stop.reply.send(Ok(()));
        }
        self.stops.retain(|stop| !stop.reply.is_closed());
        for ensure in std::mem::take(&mut self.ensures) {
            if let Some(waiting) = self.advance_ensure(ensure).await {
                self.ensures.push(waiting);
            }
        }
    }

    async fn advance_ensure(&mut self, mut ensure: Ensure) -> Option<Ensure> {
        if ensure.reply.is_closed() {
            return None;
        }
        if ensure.failed.is_none() {
            match self.judge(&ensure) {
                Verdict::Wait => return Some(ensure),
                Verdict::Ready(instances) => {
                    let _ = ensure.reply.send(Ok(instances));
                    return None;
                }
                Verdict::Failed(error) => ensure.failed = Some(error),
                Verdict::Missing(count) => match self.begin(&ensure, count).await {
                    Ok(started) => {
                        ensure.started.extend(started);
                        return Some(ensure);
                    }
                    Err(error) => ensure.failed = Some(unable(starting(&ensure.set), error)),
                },
            }
        }
        let left: Vec<&Member> =
            ensure.started.iter().filter_map(|id| self.members.get(id)).collect();
        left.iter().for_each(|member| retire(member, ensure.set.run.drain));
        match ensure.failed {
            Some(error) if left.is_empty() => {
                let _ = ensure.reply.send(Err(error));
                None
            }
            failed => Some(Ensure { failed, ..ensure }),
        }
    }

    fn judge(&self, ensure: &Ensure) -> Verdict {
        let set = &ensure.set;
        let failed = ensure.started.iter().filter_map(|id| self.members.get(id));
        if let Some(error) = failed.filter_map(|member| failure(set, member)).next() {
            return Verdict::Failed(error);
        }
        let wanted = usize::try_from(set.replicas).unwrap_or(usize::MAX);
        let staying = self.members.values().filter(|m| !m.is_leaving());
        let (mut ready, mut starting) = (Vec::new(), 0);
        for member in staying.filter(|m| m.instance.revision == set.revision) {
            match member.instance.state {
                InstanceState::Ready => ready.push(member.instance.clone()),
                InstanceState::Starting => starting += 1,
                InstanceState::Unhealthy | InstanceState::Stopping | InstanceState::Failed => {}
            }
        }
        if ready.len() >= wanted {
            return Verdict::Ready(ready);
        }
        match wanted - ready.len() {
            missing if missing > starting => Verdict::Missing(missing - starting),
            _ => Verdict::Wait,
        }
    }

    /// Starts so many more: all of them are recorded, or none is started.
    async fn begin(&mut self, ensure: &Ensure, count: usize) -> io::Result<Vec<InstanceId>> {
        let room = INSTANCES_PER_SLOT_MAX.saturating_sub(self.members.len());
        if count > room {
            let limit = format!("a slot holds at most {INSTANCES_PER_SLOT_MAX} instances");
            return Err(io::Error::other(limit));
        }
        let records: Vec<Record> = (0..count).map(|_| self.fresh_record(ensure)).collect();
        let root = self.shared.config.root.clone();
        let records = blocking(move || write_all(&root, records)).await?;
        let ids = records.iter().map(|record| record.instance.id).collect();
        for record in records {
            self.enroll(record, None);
        }
        Ok(ids)
    }

    fn fresh_record(&self, ensure: &Ensure) -> Record {
        let now = self.shared.config.clock.now();
        let InstanceSet { slot, revision, artifact, version, run, .. } = ensure.set.as_ref();
        let instance = Instance {
            id: InstanceId::new(now, self.shared.config.entropy.as_ref()),
            revision: *revision,
            address: String::new(),
            state: InstanceState::Starting,
            restarts: 0,
            since: now,
            reason: None,
        };
        Record {
            v: VERSION,
            slot: slot.clone(),
            version: version.clone(),
            artifact: *artifact,
            run: run.clone(),
            effect: ensure.effect.clone(),
            created: now,
            was_ready: false,
            stopping_ms: None,
            instance,
        }
    }

    fn enroll(&mut self, record: Record, session: Option<Session>) {
        let (desired, asked) = watch::channel(record.stopping_ms.map(Duration::from_millis));
        let member = Member {
            instance: record.instance.clone(),
            effect: record.effect.clone(),
            was_ready: record.was_ready,
            // Which of the two it was is not recorded; whoever asks anew finds out anew.
            fault: None,
            desired,
        };
        self.members.insert(member.instance.id, member);
        let notes = self.noting.clone();
        let supervisor = Supervisor::new(self.shared.clone(), record, notes, asked);
        self.supervisors.spawn(supervisor.run(session));
        self.dirty = true;
    }
}

/// Once asked to end, an instance is not asked again: its time runs from the first.
fn retire(member: &Member, drain: Duration) {
    if !member.is_leaving() {
        member.desired.send_replace(Some(drain));
    }
}

fn starting(set: &InstanceSet) -> String {
    format!("start revision {} of {}", set.revision, set.slot)
}

fn failure(set: &InstanceSet, member: &Member) -> Option<TargetError> {
    if member.instance.state != InstanceState::Failed {
        return None;
    }
    let reason = member.instance.reason.clone().unwrap_or_default();
    Some(match member.fault {
        Some(Fault::Machine) => unable(starting(set), reason),
        Some(Fault::Version) | None => {
            TargetError::NeverReady { slot: set.slot.clone(), revision: set.revision, reason }
        }
    })
}

fn write_all(root: &std::path::Path, records: Vec<Record>) -> io::Result<Vec<Record>> {
    let folders: Vec<Folder> =
        records.iter().map(|record| Folder::new(root, record.instance.id)).collect();
    let written = records.iter().zip(&folders).try_for_each(|(record, folder)| {
        durable::create_dir_all(folder.path())?;
        record.write(&folder.record())
    });
    if let Err(error) = written {
        for folder in &folders {
            if let Err(error) = folder.remove() {
                tracing::warn!(path = %folder.path().display(), %error, "left behind");
            }
        }
        return Err(error);
    }
    Ok(records)
}
