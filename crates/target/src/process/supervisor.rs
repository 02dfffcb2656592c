use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use grit_host::{
    LaunchError, Launched, Limits, Marker, Output, Session, Spec, TerminateError, durable, launch,
    sweep,
};
use grit_rollout::{Instance, InstanceState};
use grit_types::InstanceId;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::deaths::{Deaths, Next};
use super::folder::Folder;
use super::health::{Gauge, Probe};
use super::port::Reserved;
use super::record::Record;
use super::{Shared, adopt, blocking, log};

/// Between the first checks of an instance, until one passes; doubled up to the interval.
const FIRST_CHECK_PAUSE: Duration = Duration::from_millis(20);
/// From asking for a process until it runs.
const LAUNCH_MAX: Duration = Duration::from_secs(30);
/// Before trying again to end what does not end.
const STUBBORN_PAUSE: Duration = Duration::from_secs(1);
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a supervisor tells its keeper.
pub(super) enum Note {
    Changed { instance: Instance, fault: Option<Fault> },
    Gone(InstanceId),
}

/// Whose fault it is that an instance failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The version's own: trying again changes nothing.
    Version,
    /// The disk's, the artifact store's: may pass.
    Machine,
}

/// Owns one instance: its process, its record, what is known of its health.
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    folder: Folder,
    record: Record,
    notes: mpsc::Sender<Note>,
    /// Once it is asked to end: how long it may take.
    desired: watch::Receiver<Option<Duration>>,
    deaths: Deaths,
    port: Option<Reserved>,
}

enum Life {
    Asked,
    Ended(End),
}

struct End {
    reason: String,
    fault: Fault,
    /// How long it had been ready.
    ready_for: Option<Duration>,
    /// Another start would end the same way.
    hopeless: bool,
}

impl End {
    fn hopeless(reason: String) -> Self {
        Self { reason, fault: Fault::Version, ready_for: None, hopeless: true }
    }

    fn of_the_machine(action: &str, error: &dyn std::error::Error) -> Self {
        let reason = format!("{action}: {}", chain(error));
        Self { reason, fault: Fault::Machine, ready_for: None, hopeless: false }
    }
}

/// A running command: how it ends is known only of one that this process has launched.
enum Process {
    Launched(Launched),
    Adopted(Session),
}

impl Process {
    fn session(&self) -> &Session {
        match self {
            Self::Launched(launched) => launched.session(),
            Self::Adopted(session) => session,
        }
    }

    async fn gone(&self) -> String {
        let unknown = |error: io::Error| format!("lost sight of it: {error}");
        match self {
            Self::Launched(launched) => match launched.wait().await {
                Ok(exit) => format!("ended with {exit}"),
                Err(error) => unknown(error),
            },
            Self::Adopted(session) => match session.wait_gone().await {
                Ok(()) => "ended".to_owned(),
                Err(error) => unknown(error),
            },
        }
    }
}

/// What the checks of one life have shown.
struct Checkup {
    gauge: Gauge,
    ready_since: Option<Instant>,
    /// Before the next check.
    pause: Duration,
    last_failure: String,
}

impl Checkup {
    fn new(record: &Record) -> Self {
        let state = record.instance.state;
        let was_ready = matches!(state, InstanceState::Ready | InstanceState::Unhealthy);
        Self {
            gauge: Gauge::new(&record.run.health, state == InstanceState::Ready),
            ready_since: was_ready.then(Instant::now),
            pause: FIRST_CHECK_PAUSE.min(record.run.health.interval),
            last_failure: "no check was made".to_owned(),
        }
    }

    /// Takes the result of a check; `Some` when it changes whether the instance counts as ready.
    fn take(
        &mut self,
        result: Result<(), String>,
        alive: bool,
        interval: Duration,
    ) -> Option<bool> {
        let passed = result.is_ok() && alive;
        if let Err(failure) = result {
            self.last_failure = failure;
        }
        let changed = self.gauge.take(passed);
        if changed == Some(true) {
            self.ready_since = self.ready_since.or_else(|| Some(Instant::now()));
        }
        let settled = self.ready_since.is_some() || self.gauge.has_passed();
        self.pause = if settled { interval } else { (self.pause * 2).min(interval) };
        changed
    }
}

impl Supervisor {
    pub(super) fn new(
        shared: Arc<Shared>,
        record: Record,
        notes: mpsc::Sender<Note>,
        desired: watch::Receiver<Option<Duration>>,
    ) -> Self {
        let folder = Folder::new(&shared.config.root, record.instance.id);
        let deaths = Deaths::new(shared.config.restart);
        Self { shared, folder, record, notes, desired, deaths, port: None }
    }

    /// Returns when the instance is gone. Dropped before that, the process runs on.
    pub(super) async fn run(mut self, found: Option<Session>) {
        if found.is_some() {
            self.port = self.record.port().and_then(|port| self.shared.ports.take(port));
        }
        self.keep_running(found).await;
        let drain = asked(&mut self.desired).await;
        self.end(drain).await;
    }

    /// Returns when it is asked to end.
    async fn keep_running(&mut self, found: Option<Session>) {
        let mut found = found.map(Process::Adopted);
        if self.record.instance.state == InstanceState::Failed {
            self.end_failed().await;
        }
        while self.record.instance.state != InstanceState::Failed && !self.is_asked() {
            let life = match found.take() {
                Some(process) => self.watch(process).await,
                None => self.live().await,
            };
            let Life::Ended(end) = life else { return };
            let next = if end.hopeless { Next::GiveUp } else { self.deaths.count(end.ready_for) };
            match next {
                Next::GiveUp => self.fail(end).await,
                Next::StartAfter(delay) => self.pause(end, delay).await,
            }
        }
    }

    async fn live(&mut self) -> Life {
        match self.start().await {
            Ok(launched) => self.watch(Process::Launched(launched)).await,
            Err(end) => Life::Ended(end),
        }
    }

    /// Checks a running process until it is asked to end, ends by itself, or is too late.
    async fn watch(&mut self, process: Process) -> Life {
        let mut desired = self.desired.clone();
        let probe = self.probe();
        let mut checkup = Checkup::new(&self.record);
        let deadline = Instant::now() + self.time_to_ready(&process);
        let gone = process.gone();
        tokio::pin!(gone);
        loop {
            let check = async {
                sleep(checkup.pause).await;
                probe.check().await
            };
            let result = tokio::select! {
                biased;
                _ = asked(&mut desired) => return Life::Asked,
                reason = &mut gone => return Life::Ended(End {
                    reason,
                    fault: Fault::Version,
                    ready_for: checkup.ready_since.map(|since| since.elapsed()),
                    hopeless: false,
                }),
                () = sleep_until(deadline), if checkup.ready_since.is_none() => {
                    return Life::Ended(self.too_late(&checkup.last_failure));
                }
                result = check => result,
            };
            // An answer may have come from a stranger on the port of an instance that just died.
            let alive = process.session().is_alive().unwrap_or(false);
            match checkup.take(result, alive, self.record.run.health.interval) {
                Some(true) => self.change(InstanceState::Ready, None).await,
                Some(false) => {
                    let failure = checkup.last_failure.clone();
                    self.change(InstanceState::Unhealthy, Some(failure)).await;
                }
                None => {}
            }
            self.cap_log();
        }
    }

    fn probe(&self) -> Probe {
        let health = &self.record.run.health;
        Probe {
            address: self.record.instance.address.clone(),
            path: health.path.clone(),
            timeout: health.timeout,
        }
    }

    /// What is left of the deadline for one that was adopted, but at least time for one check.
    fn time_to_ready(&self, process: &Process) -> Duration {
        let health = &self.record.run.health;
        match process {
            Process::Adopted(_) if !self.record.was_ready => {
                let passed = self.shared.config.clock.now().since(self.record.created);
                let left = health.deadline.saturating_sub(passed);
                left.max(FIRST_CHECK_PAUSE + health.timeout)
            }
            Process::Adopted(_) | Process::Launched(_) => health.deadline,
        }
    }

    fn too_late(&self, last_failure: &str) -> End {
        let deadline = self.record.run.health.deadline;
        End {
            reason: format!("not ready within {deadline:?}: {last_failure}"),
            fault: Fault::Version,
            ready_for: None,
            hopeless: !self.record.was_ready,
        }
    }

    async fn start(&mut self) -> Result<Launched, End> {
        let ended = self.end_processes(Duration::ZERO).await;
        ended.map_err(|error| End::of_the_machine("end what is left of it", &error))?;
        self.unpack().await?;
        self.take_port()?;
        // Recorded before it runs: whoever adopts it must know where it listens.
        let saved = self.save().await;
        saved.map_err(|error| End::of_the_machine("write its record", &error))?;
        let logs = log::folder(&self.shared.config.logs, &self.record.slot);
        let made = blocking(move || durable::create_dir_all(&logs)).await;
        made.map_err(|error| End::of_the_machine("create the folder of its log", &error))?;
        let (spec, process) = (self.spec()?, self.folder.process());
        let launching = launch(spec, &process, &self.shared.config.shim);
        match tokio::time::timeout(LAUNCH_MAX, launching).await {
            Ok(Ok(launched)) => Ok(launched),
            Ok(Err(error)) => Err(unlaunched(&error)),
            Err(late) => Err(End::of_the_machine("launch it", &late)),
        }
    }

    /// Leaves files alone that are there already.
    async fn unpack(&self) -> Result<(), End> {
        let (artifact, files) = (self.record.artifact, self.folder.files());
        let artifacts = self.shared.config.artifacts.clone();
        let unpacked = blocking(move || artifacts.unpack(artifact, &files)).await;
        unpacked.map_err(|error| End::of_the_machine(&format!("unpack {artifact}"), &error))
    }

    /// The port it had, as long as that served it well: what is routed there need not change.
    fn take_port(&mut self) -> Result<(), End> {
        let served = self.deaths.unready == 0;
        let wanted = self.record.port().filter(|_| served);
        self.port = None;
        let port = self.shared.ports.reserve(wanted);
        let port = port.map_err(|error| End::of_the_machine("find a free port", &error))?;
        self.record.instance.address = format!("127.0.0.1:{}", port.number());
        self.port = Some(port);
        Ok(())
    }

    fn spec(&self) -> Result<Spec, End> {
        let run = &self.record.run;
        let (program, args) = run
            .command
            .split_first()
            .ok_or_else(|| End::hopeless("its command is empty".to_owned()))?;
        let limits = Limits {
            open_files: run.limits.open_files,
            memory_bytes: run.limits.memory_bytes,
            ..Limits::default()
        };
        Ok(Spec::new(program, self.marker()?)
            .args(args)
            .cwd(self.folder.files())
            .envs(self.env())
            .output(Output::File(self.log()))
            .limits(limits)
            .synced())
    }

    fn env(&self) -> BTreeMap<String, String> {
        let Record { slot, version, run, instance, .. } = &self.record;
        let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
        let home = self.folder.files().to_string_lossy().into_owned();
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), path),
            ("HOME".to_owned(), home),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ]);
        env.extend((self.shared.config.extra_env)(slot));
        env.extend(run.env.clone());
        let port = self.port.as_ref().map(|port| port.number().to_string());
        env.insert("PORT".to_owned(), port.unwrap_or_default());
        env.insert("GRIT_INSTANCE".to_owned(), instance.id.to_string());
        env.insert("GRIT_SERVICE".to_owned(), slot.service.to_string());
        env.insert("GRIT_ENVIRONMENT".to_owned(), slot.environment.to_string());
        env.insert("GRIT_VERSION".to_owned(), version.clone());
        env
    }

    fn marker(&self) -> Result<Marker, End> {
        let marker = adopt::marker(&self.shared.unit, &self.record.instance.id.to_string());
        marker.map_err(|error| End::hopeless(error.to_string()))
    }

    fn log(&self) -> PathBuf {
        log::path(&self.shared.config.logs, &self.record.slot, self.record.instance.id)
    }

    fn cap_log(&self) {
        let path = self.log();
        if let Err(error) = log::cap(&path, log::LOG_KEPT_MAX_BYTES) {
            tracing::warn!(path = %path.display(), %error, "log cannot be kept short");
        }
    }

    /// It is started again; until then, and until it is ready, it is not.
    async fn pause(&mut self, end: End, delay: Duration) {
        self.record.instance.restarts = self.record.instance.restarts.saturating_add(1);
        tracing::warn!(instance = %self.record.instance.id, reason = end.reason, ?delay, "instance ended, starting it again");
        self.change(InstanceState::Starting, Some(end.reason)).await;
        let mut desired = self.desired.clone();
        tokio::select! {
            _ = asked(&mut desired) => {}
            () = sleep(delay) => {}
        }
    }

    async fn fail(&mut self, end: End) {
        self.end_failed().await;
        let mut reason = end.reason;
        if self.deaths.unready > 1 && end.fault == Fault::Version {
            let times = self.deaths.unready;
            reason =
                format!("died {times} times without becoming ready, the last time it {reason}");
        }
        let tail = log::tail(&self.log());
        if !tail.is_empty() {
            reason.push_str("; its last lines:\n");
            reason.push_str(&tail);
        }
        tracing::warn!(instance = %self.record.instance.id, reason, "instance failed for good");
        self.note_change(InstanceState::Failed, Some(reason), Some(end.fault)).await;
    }

    async fn end_failed(&mut self) {
        if let Err(error) = self.end_processes(Duration::ZERO).await {
            tracing::error!(instance = %self.record.instance.id, error = chain(&error), "failed instance does not end");
        }
        self.port = None;
    }

    /// Recorded as ending before it is asked to, so that nobody starts it again.
    async fn end(mut self, drain: Duration) {
        self.record.stopping_ms = Some(u64::try_from(drain.as_millis()).unwrap_or(u64::MAX));
        self.change(InstanceState::Stopping, None).await;
        let mut grace = drain;
        while let Err(error) = self.end_processes(grace).await {
            tracing::error!(instance = %self.record.instance.id, error = chain(&error), "instance does not end");
            grace = Duration::ZERO;
            sleep(STUBBORN_PAUSE).await;
        }
        self.port = None;
        let folder = self.folder.clone();
        while let Err(error) = blocking({
            let folder = folder.clone();
            move || folder.remove()
        })
        .await
        {
            tracing::error!(path = %folder.path().display(), %error, "folder of an instance that is gone cannot be removed");
            sleep(STUBBORN_PAUSE).await;
        }
        let _ = self.notes.send(Note::Gone(self.record.instance.id)).await;
    }

    async fn end_processes(&self, grace: Duration) -> Result<(), TerminateError> {
        match grit_host::record::read(&self.folder.process()) {
            Ok(Some(session)) => session.terminate(grace).await.map(|_| ()),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(error = chain(&error), "ending an instance by its marker alone");
                match self.marker() {
                    Ok(marker) => sweep(&marker, grace).await.map(|_| ()),
                    Err(_) => Ok(()),
                }
            }
        }
    }

    fn is_asked(&self) -> bool {
        self.desired.borrow().is_some()
    }

    async fn change(&mut self, state: InstanceState, reason: Option<String>) {
        self.note_change(state, reason, None).await;
    }

    async fn note_change(
        &mut self,
        state: InstanceState,
        reason: Option<String>,
        fault: Option<Fault>,
    ) {
        let instance = &mut self.record.instance;
        if instance.state != state {
            instance.since = self.shared.config.clock.now();
        }
        (instance.state, instance.reason) = (state, reason);
        self.record.was_ready |= state == InstanceState::Ready;
        if let Err(error) = self.save().await {
            // What it says is a hint to whoever adopts it; that it is there was written before.
            tracing::warn!(instance = %self.record.instance.id, %error, "state of an instance not recorded");
        }
        let instance = self.record.instance.clone();
        let _ = self.notes.send(Note::Changed { instance, fault }).await;
    }

    async fn save(&self) -> io::Result<()> {
        let (record, path) = (self.record.clone(), self.folder.record());
        blocking(move || record.write(&path)).await
    }
}

/// Waits until it is to end. A keeper that is gone asks for nothing any more.
async fn asked(desired: &mut watch::Receiver<Option<Duration>>) -> Duration {
    match desired.wait_for(Option::is_some).await.map(|drain| *drain) {
        Ok(Some(drain)) => drain,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn unlaunched(error: &LaunchError) -> End {
    match error {
        LaunchError::NotFound { .. }
        | LaunchError::NotExecutable { .. }
        | LaunchError::Invalid(_)
        | LaunchError::Limit { .. } => End::hopeless(chain(error)),
        LaunchError::AlreadyRunning { .. }
        | LaunchError::Cwd { .. }
        | LaunchError::Log { .. }
        | LaunchError::Record { .. }
        | LaunchError::Resource { .. }
        | LaunchError::Shim { .. }
        | LaunchError::ShimDied { .. } => End::of_the_machine("launch it", error),
    }
}

/// An error with its causes: `write record x: no space left on device`.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Logs of instances that are gone are kept, but not for ever.
pub(super) fn prune_logs(folder: &Path, alive: &[InstanceId]) {
    if let Err(error) = log::prune(folder, alive) {
        tracing::warn!(path = %folder.display(), %error, "old logs cannot be removed");
    }
}
