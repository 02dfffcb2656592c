use std::collections::{BTreeSet, HashSet};
use std::io;
use std::time::Duration;

use grit_types::BoxFuture;
use rustix::io::Errno;
use rustix::process::{Signal, kill_process_group};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::identity::{ProcessId, Stat, boot_id, raw_pid};
use crate::marker::Marker;
use crate::pidfd::Held;
use crate::scan;

/// How long a killed process may take to go. One that a file system holds in the kernel goes later
/// or never; then [`TerminateError::Survivors`] says so.
pub const KILL_WAIT_MAX: Duration = Duration::from_secs(10);

/// Looks over all processes before a doubtful "nothing is there" is believed.
const SCANS_MAX: u32 = 5;

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

/// Which processes are ours: those of the leader's session, and those with the marker.
#[derive(Clone)]
struct Reach {
    leader: Option<ProcessId>,
    marker: Marker,
}

struct Member {
    id: ProcessId,
    stat: Stat,
    in_session: bool,
}

impl Member {
    fn new(stat: Stat, in_session: bool) -> io::Result<Self> {
        Ok(Self { id: stat.identity()?, stat, in_session })
    }
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

    /// `known`: processes that were found to be ours before.
    fn members(&self, known: &HashSet<ProcessId>) -> io::Result<Vec<Member>> {
        if let Some(leader) = &self.leader
            && leader.boot_id != boot_id()?
        {
            return Ok(Vec::new());
        }
        for _ in 1..SCANS_MAX {
            let (members, settled) = self.scan(known)?;
            if settled || !members.is_empty() {
                return Ok(members);
            }
        }
        self.scan(known).map(|(members, _)| members)
    }

    /// What one look over all processes shows; and whether "nothing" can be believed, which it
    /// cannot be while processes end that may have left a child behind.
    fn scan(&self, known: &HashSet<ProcessId>) -> io::Result<(Vec<Member>, bool)> {
        // Before the look: a leader that is there now, alive or zombie, holds the number.
        let led = self.is_led()?;
        let (stats, some_ended) = scan::processes()?;
        let (mut session, mut elsewhere) = (Vec::new(), Vec::new());
        let mut settled = !some_ended;
        for stat in stats {
            let in_session = self.leader.as_ref().is_some_and(|l| l.pid == stat.session);
            let member = || Member::new(stat, in_session);
            match (stat.is_live(), in_session) {
                (true, true) => session.push(member()?),
                (true, false) if scan::carries(stat.pid, &self.marker) => elsewhere.push(member()?),
                (true, false) => {}
                (false, in_session) => settled &= !in_session,
            }
        }
        // The kernel gives no new process a number that a session still has. So one member that is
        // surely ours proves the others, whatever became of the leader and of their environments.
        let proves = |m: &Member| known.contains(&m.id) || scan::carries(m.id.pid, &self.marker);
        if led || session.iter().any(proves) {
            elsewhere.append(&mut session);
        }
        Ok((elsewhere, settled))
    }

    fn is_led(&self) -> io::Result<bool> {
        let Some(leader) = &self.leader else {
            return Ok(false);
        };
        Ok(leader.stat()?.is_some_and(|stat| stat.session == leader.pid))
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
    for (group, pid) in groups.into_iter().filter_map(|g| Some((g, raw_pid(g)?))) {
        match kill_process_group(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(unsignalled(group, errno.into())),
        }
    }
    for member in elsewhere {
        let sent = Held::open(&member.id).and_then(|held| match held {
            Some(held) => held.signal(signal),
            None => Ok(false),
        });
        sent.map_err(|source| unsignalled(member.id.pid, source))?;
    }
    Ok(())
}

fn unsignalled(process: u32, source: io::Error) -> TerminateError {
    TerminateError::Signal { process, source }
}
