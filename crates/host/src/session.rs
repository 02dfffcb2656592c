use std::collections::{BTreeSet, HashSet};
use std::io;
use std::time::Duration;

use grit_types::BoxFuture;
use rustix::io::Errno;
use rustix::process::{Signal, kill_process_group};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::identity::{ProcessId, raw_pid};
use crate::marker::Marker;
use crate::pidfd::Held;
use crate::reach::{Member, Reach};

/// How long a killed process may take to go. One that a file system holds in the kernel goes later
/// or never; then [`TerminateError::Survivors`] says so.
pub const KILL_WAIT_MAX: Duration = Duration::from_secs(10);

/// A command that was launched, with everything it started: the process session that it leads, and
/// what carries its marker elsewhere.
///
/// A value, not a hold on anything: cheap to clone, valid to ask after a crash, after the end and
/// after a reboot. Dropping it ends nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    leader: ProcessId,
    marker: Marker,
}

/// How [`Session::terminate`] ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing of it was there.
    AlreadyGone,
    /// All of it went within the grace.
    Graceful,
    /// Something of it had to be killed.
    Killed,
}

#[derive(Debug, thiserror::Error)]
pub enum TerminateError {
    /// Nothing is known about what still runs.
    #[error("look for the processes of {marker}")]
    Observe { marker: Marker, source: io::Error },
    #[error("signal process {process}")]
    Signal { process: u32, source: io::Error },
    #[error("{} processes of {marker} still run after being killed", left.len())]
    Survivors { marker: Marker, left: Vec<ProcessId> },
}

impl Session {
    pub(crate) fn new(leader: ProcessId, marker: Marker) -> Self {
        Self { leader, marker }
    }

    /// The process that became the command; its pid is also the session's and the group's number.
    pub fn leader(&self) -> &ProcessId {
        &self.leader
    }

    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Whether the command itself still runs; see [`ProcessId::is_alive`]. Children of it may
    /// outlive it: [`Session::members`].
    pub fn is_alive(&self) -> io::Result<bool> {
        self.leader.is_alive()
    }

    /// Returns once the command itself has ended; see [`ProcessId::wait_gone`].
    pub fn wait_gone(&self) -> BoxFuture<'_, io::Result<()>> {
        self.leader.wait_gone()
    }

    /// The live processes of this session and those with its marker, never a stranger that now has
    /// one of their numbers. Blocks for milliseconds.
    pub fn members(&self) -> io::Result<Vec<ProcessId>> {
        let members = self.reach().members(&HashSet::new())?;
        Ok(members.into_iter().map(|member| member.id).collect())
    }

    /// SIGTERM to all of it, then, if anything is left after `grace`, SIGKILL until nothing is. A
    /// grace of zero kills at once. What is started after the SIGTERM, such as a clean-up of its
    /// own, is left alone within the grace.
    ///
    /// Idempotent, may be dropped and called again, and reaches nobody else: a pid that is another
    /// process's by now gets no signal.
    pub fn terminate(&self, grace: Duration) -> BoxFuture<'_, Result<Ending, TerminateError>> {
        let span = tracing::info_span!("terminate", marker = %self.marker, leader = %self.leader);
        Box::pin(self.reach().terminate(grace).instrument(span))
    }

    /// SIGSTOP to all of it.
    pub fn pause(&self) -> Result<(), TerminateError> {
        self.reach().signal_now(Signal::STOP)
    }

    /// SIGCONT to all of it.
    pub fn resume(&self) -> Result<(), TerminateError> {
        self.reach().signal_now(Signal::CONT)
    }

    fn reach(&self) -> Reach {
        Reach { leader: Some(self.leader.clone()), marker: self.marker.clone() }
    }
}

/// Ends everything that carries `marker`, as [`Session::terminate`] does: orphans, and what a
/// finished job left in the background.
pub fn sweep(
    marker: &Marker,
    grace: Duration,
) -> BoxFuture<'static, Result<Ending, TerminateError>> {
    let reach = Reach { leader: None, marker: marker.clone() };
    let span = tracing::info_span!("sweep", %marker);
    Box::pin(reach.terminate(grace).instrument(span))
}

impl Reach {
    async fn terminate(self, grace: Duration) -> Result<Ending, TerminateError> {
        let mut known = HashSet::new();
        let members = self.observe(&mut known).await?;
        if members.is_empty() {
            return Ok(Ending::AlreadyGone);
        }
        if !grace.is_zero() {
            self.ask(&members)?;
            if let Ok(drained) = timeout(grace, self.drained(&mut known)).await {
                return drained.map(|()| Ending::Graceful);
            }
            tracing::warn!(?grace, "still running after its grace, killing it");
        }
        self.kill(&mut known).await.map(|()| Ending::Killed)
    }

    fn ask(&self, members: &[Member]) -> Result<(), TerminateError> {
        signal_all(members, Signal::TERM)?;
        if members.iter().any(|member| member.stat.is_stopped()) {
            // A stopped process handles its SIGTERM only once it continues.
            signal_all(members, Signal::CONT)?;
        }
        Ok(())
    }

    async fn drained(&self, known: &mut HashSet<ProcessId>) -> Result<(), TerminateError> {
        loop {
            let members = self.observe(known).await?;
            if members.is_empty() {
                return Ok(());
            }
            for member in &members {
                let gone = member.id.wait_gone().await;
                gone.map_err(|source| self.unobserved(source))?;
            }
        }
    }

    /// In rounds, since a process may have forked between being seen and being killed.
    async fn kill(&self, known: &mut HashSet<ProcessId>) -> Result<(), TerminateError> {
        let deadline = Instant::now() + KILL_WAIT_MAX;
        loop {
            let members = self.observe(known).await?;
            if members.is_empty() {
                return Ok(());
            }
            signal_all(&members, Signal::KILL)?;
            for member in &members {
                match timeout_at(deadline, member.id.wait_gone()).await {
                    Ok(gone) => gone.map_err(|source| self.unobserved(source))?,
                    Err(_) => return Err(self.survivors(members)),
                }
            }
            if Instant::now() >= deadline {
                return Err(self.survivors(self.observe(known).await?));
            }
        }
    }

    async fn observe(&self, known: &mut HashSet<ProcessId>) -> Result<Vec<Member>, TerminateError> {
        let (reach, before) = (self.clone(), known.clone());
        let scan = tokio::task::spawn_blocking(move || reach.members(&before));
        let members = scan.await.map_err(io::Error::other).flatten();
        let members = members.map_err(|source| self.unobserved(source))?;
        known.extend(members.iter().map(|member| member.id.clone()));
        Ok(members)
    }

    fn signal_now(&self, signal: Signal) -> Result<(), TerminateError> {
        let members = self.members(&HashSet::new());
        signal_all(&members.map_err(|source| self.unobserved(source))?, signal)
    }

    fn unobserved(&self, source: io::Error) -> TerminateError {
        let marker = self.marker.clone();
        TerminateError::Observe { marker, source }
    }

    fn survivors(&self, members: Vec<Member>) -> TerminateError {
        let left = members.into_iter().map(|member| member.id).collect();
        let marker = self.marker.clone();
        TerminateError::Survivors { marker, left }
    }
}

/// Groups of the session as a whole, which a fork in progress cannot escape; processes elsewhere
/// one by one, since their groups may hold strangers. Each process gets the signal once.
fn signal_all(members: &[Member], signal: Signal) -> Result<(), TerminateError> {
    let (ours, elsewhere): (Vec<_>, Vec<_>) = members.iter().partition(|m| m.in_session);
    let groups: BTreeSet<u32> = ours.iter().map(|member| member.stat.group).collect();
    for group in groups {
        let of_group = ours.iter().filter(|member| member.stat.group == group);
        signal_group(group, &mut of_group.map(|member| &member.id), signal)
            .map_err(|source| TerminateError::Signal { process: group, source })?;
    }
    for Member { id, .. } in elsewhere {
        let sent = Held::open(id).and_then(|held| held.map_or(Ok(false), |h| h.signal(signal)));
        sent.map_err(|source| TerminateError::Signal { process: id.pid, source })?;
    }
    Ok(())
}

/// A group has its number as long as it has a member: one that still lives vouches for it. With
/// all gone that were seen, what they left is for the next look.
fn signal_group(
    group: u32,
    members: &mut dyn Iterator<Item = &ProcessId>,
    signal: Signal,
) -> io::Result<()> {
    let Some(group) = raw_pid(group) else { return Ok(()) };
    for member in members {
        if member.is_alive()? {
            return match kill_process_group(group, signal) {
                Ok(()) | Err(Errno::SRCH) => Ok(()),
                Err(errno) => Err(errno.into()),
            };
        }
    }
    Ok(())
}
