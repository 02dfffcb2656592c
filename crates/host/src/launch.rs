use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use grit_types::BoxFuture;
use rustix::io::Errno;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tracing::Instrument;

use crate::exit::Exit;
use crate::identity::{ProcessId, boot_id, raw_pid};
use crate::order::{ANSWERS_LEN_MAX, Answer, Order, Stage};
use crate::record;
use crate::session::{Ending, Session, TerminateError};
use crate::shim::{self, Shim};
use crate::spec::{InvalidSpec, Output, Spec};

/// A command that this process has launched. Its exit status is known here and nowhere else.
///
/// Dropping it ends nothing and leaves no zombie: the child is reaped in the background as long as
/// the runtime lives, by init after that.
#[derive(Debug)]
pub struct Launched {
    session: Session,
    output: Option<Receiver>,
    exit: watch::Receiver<Option<Result<Exit, io::ErrorKind>>>,
}

/// Why a command does not run. The record is removed, except where the shim was killed; a record
/// that stays reads as not alive.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("invalid launch")]
    Invalid(#[from] InvalidSpec),
    /// The record names a command that runs: adopt it, or terminate it first.
    #[error("process {} of this record already runs", session.leader())]
    AlreadyRunning { session: Session },
    /// The program, or the interpreter that its first line names.
    #[error("command `{program}` not found")]
    NotFound { program: String, source: io::Error },
    #[error("command `{program}` cannot be executed")]
    NotExecutable { program: String, source: io::Error },
    #[error("enter working folder {}", path.display())]
    Cwd { path: PathBuf, source: io::Error },
    #[error("open log {}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("write record {}", path.display())]
    Record { path: PathBuf, source: io::Error },
    /// Most often a bound above the controller's own.
    #[error("set limit {limit:?}")]
    Limit { limit: Limit, source: io::Error },
    /// Out of processes, memory or file descriptors: may pass.
    #[error("out of resources")]
    Resource { source: io::Error },
    #[error("start shim {}", path.display())]
    Shim { path: PathBuf, source: io::Error },
    /// Killed, or not a shim at all.
    #[error("shim ended without an answer ({exit})")]
    ShimDied { exit: Exit },
}

/// A bound of [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    OpenFiles,
    Memory,
    Processes,
    Core,
}

/// Starts the command of `spec`, recorded at `record`, whose folder must exist.
///
/// On `Ok` the command runs: its exec has succeeded. Dropping the future before that kills what
/// it started, so a deadline is the caller's `timeout` around it.
pub fn launch<'a>(
    spec: Spec,
    record: &'a Path,
    shim: &'a Shim,
) -> BoxFuture<'a, Result<Launched, LaunchError>> {
    let span = tracing::info_span!("launch", marker = %spec.marker, pid = tracing::field::Empty);
    Box::pin(start(spec, record, shim).instrument(span))
}

impl Launched {
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The reading end of [`Output::Pipe`]; `None` for other outputs and when taken before.
    pub fn take_output(&mut self) -> Option<Receiver> {
        self.output.take()
    }

    /// How the command ended; waits for that. Any number of callers may wait, and stop waiting.
    pub fn wait(&self) -> BoxFuture<'static, io::Result<Exit>> {
        let mut exit = self.exit.clone();
        Box::pin(async move {
            let ended = exit.wait_for(Option::is_some).await;
            let ended = ended.map_err(|_| io::Error::other("runtime stopped before the child"))?;
            let known = ended.unwrap_or(Err(io::ErrorKind::Other));
            known.map_err(io::Error::from)
        })
    }

    /// How the command ended, if it has.
    pub fn try_exit(&self) -> Option<Exit> {
        self.exit.borrow().and_then(Result::ok)
    }

    /// [`Session::terminate`], and how the command itself ended.
    pub fn terminate(
        &self,
        grace: Duration,
    ) -> BoxFuture<'_, Result<(Ending, Exit), TerminateError>> {
        Box::pin(async move {
            let ending = self.session.terminate(grace).await?;
            let unknown =
                |source| TerminateError::Observe { marker: self.session.marker().clone(), source };
            Ok((ending, self.wait().await.map_err(unknown)?))
        })
    }
}

async fn start(spec: Spec, record: &Path, shim: &Shim) -> Result<Launched, LaunchError> {
    spec.validate()?;
    refuse_second(record)?;
    let (mut unconfirmed, answers, output) = spawn(&spec, record, shim)?;
    let mut said = Vec::new();
    let mut answers = answers.take(ANSWERS_LEN_MAX);
    let heard = answers.read_to_end(&mut said).await;
    heard.map_err(|source| LaunchError::Resource { source })?;

    let session = match conclude(&said) {
        Conclusion::Runs { pid, start_time } => {
            let boot_id = boot_id().map_err(|source| LaunchError::Resource { source })?;
            let leader = ProcessId { pid, start_time, boot_id: boot_id.to_owned() };
            Session::new(leader, spec.marker)
        }
        Conclusion::Failed { stage, errno } => {
            unconfirmed.end().await;
            return Err(explain(&spec, record, stage, errno));
        }
        Conclusion::Silent => return Err(unconfirmed.obituary(shim).await),
    };
    tracing::Span::current().record("pid", session.leader().pid);
    Ok(Launched { session, output, exit: reap(unconfirmed.confirm()) })
}

/// A record that cannot be read is overwritten: what it named cannot be adopted by anyone. One of
/// a newer version is not ours to lose.
fn refuse_second(path: &Path) -> Result<(), LaunchError> {
    let unreadable = |source| LaunchError::Record { path: path.to_owned(), source };
    let session = match record::read(path) {
        Ok(Some(session)) => session,
        Ok(None) | Err(record::RecordError::Malformed { .. }) => return Ok(()),
        Err(record::RecordError::Read { source, .. }) => return Err(unreadable(source)),
        Err(newer) => return Err(unreadable(io::Error::other(newer))),
    };
    match session.is_alive() {
        Ok(false) => Ok(()),
        Ok(true) => Err(LaunchError::AlreadyRunning { session }),
        Err(source) => Err(unreadable(source)),
    }
}

type Spawned = (Unconfirmed, Receiver, Option<Receiver>);

fn spawn(spec: &Spec, record: &Path, shim: &Shim) -> Result<Spawned, LaunchError> {
    let resource = |source| LaunchError::Resource { source };
    let order = std::path::absolute(record).and_then(|record| Order::new(spec, record));
    let order = order.map_err(resource)?;
    let (answers, ours_to_write) = io::pipe().map_err(resource)?;
    let mut command = Command::new(shim.program());
    command
        .arg0("grit")
        .arg(shim::VERB)
        .args(order.to_args())
        .env_clear()
        .envs(spec.full_env())
        .stdin(ours_to_write)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let output = match spec.output {
        Output::Pipe => Some(pipe_output(&mut command).map_err(resource)?),
        Output::Discard | Output::File(_) | Output::Files { .. } => None,
    };
    let answers = receiver(answers).map_err(resource)?;
    let child = command.spawn().map_err(|source| unspawned(source, shim))?;
    Ok((Unconfirmed(Some(child)), answers, output))
    // `command` is dropped here, and with it our copies of the writing ends.
}

fn pipe_output(command: &mut Command) -> io::Result<Receiver> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    receiver(reader)
}

fn receiver(reader: io::PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(reader.into())
}

fn unspawned(source: io::Error, shim: &Shim) -> LaunchError {
    match Errno::from_io_error(&source) {
        Some(Errno::TOOBIG) => LaunchError::Invalid(InvalidSpec::TooLong),
        Some(errno) if is_shortage(errno) => LaunchError::Resource { source },
        _ => LaunchError::Shim { path: shim.program().to_owned(), source },
    }
}

fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE)
}

enum Conclusion {
    Runs {
        pid: u32,
        start_time: u64,
    },
    Failed {
        stage: Stage,
        errno: i32,
    },
    /// It ended, or never was a shim.
    Silent,
}

fn conclude(said: &[u8]) -> Conclusion {
    let lines = String::from_utf8_lossy(said);
    let mut answers = lines.lines().map(Answer::parse);
    if answers.next() != Some(Some(Answer::Ready)) {
        return Conclusion::Silent;
    }
    match (answers.next().flatten(), answers.next().flatten()) {
        (Some(Answer::Recorded { pid, start_time }), None) => Conclusion::Runs { pid, start_time },
        (Some(Answer::Failed { stage, errno }), _)
        | (Some(Answer::Recorded { .. }), Some(Answer::Failed { stage, errno })) => {
            Conclusion::Failed { stage, errno }
        }
        _ => Conclusion::Silent,
    }
}

fn explain(spec: &Spec, record: &Path, stage: Stage, errno: i32) -> LaunchError {
    let source = match errno {
        0 => io::Error::other("unknown error"),
        errno => io::Error::from_raw_os_error(errno),
    };
    let [stdout, stderr] = spec.output.paths();
    let log = |path: Option<PathBuf>| path.unwrap_or_default();
    match stage {
        Stage::Session => LaunchError::Resource { source },
        Stage::Record => LaunchError::Record { path: record.to_owned(), source },
        Stage::Stdout => LaunchError::Log { path: log(stdout), source },
        Stage::Stderr => LaunchError::Log { path: log(stderr), source },
        Stage::Cwd => LaunchError::Cwd { path: spec.cwd.clone(), source },
        Stage::OpenFiles => LaunchError::Limit { limit: Limit::OpenFiles, source },
        Stage::Memory => LaunchError::Limit { limit: Limit::Memory, source },
        Stage::Processes => LaunchError::Limit { limit: Limit::Processes, source },
        Stage::Core => LaunchError::Limit { limit: Limit::Core, source },
        Stage::Exec => unexecuted(spec, source),
    }
}

fn unexecuted(spec: &Spec, source: io::Error) -> LaunchError {
    let program = spec.command[0].to_string_lossy().into_owned();
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT | Errno::NOTDIR) => LaunchError::NotFound { program, source },
        Some(Errno::TOOBIG) => LaunchError::Invalid(InvalidSpec::TooLong),
        Some(errno) if is_shortage(errno) => LaunchError::Resource { source },
        _ => LaunchError::NotExecutable { program, source },
    }
}

/// A child of which nobody knows yet. Dropped as such, it is killed.
struct Unconfirmed(Option<Child>);

impl Unconfirmed {
    fn confirm(mut self) -> Option<Child> {
        self.0.take()
    }

    /// Kills and reaps it. A child that has exited by itself keeps its own exit status.
    async fn end(&mut self) -> Option<io::Result<Exit>> {
        self.kill();
        let status = self.0.as_mut()?.wait().await;
        self.0 = None;
        Some(status.map(Exit::from))
    }

    async fn obituary(mut self, shim: &Shim) -> LaunchError {
        match self.end().await {
            Some(Ok(exit)) => LaunchError::ShimDied { exit },
            Some(Err(source)) => unspawned(source, shim),
            None => unspawned(io::Error::other("no child"), shim),
        }
    }

    /// Not reaped yet, so the pid is the child's, and the group of that number its own or nobody's.
    fn kill(&mut self) {
        let Some(child) = &mut self.0 else { return };
        if let Some(pid) = child.id().and_then(raw_pid) {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = child.start_kill();
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The one task of this crate that nobody awaits: it ends with the child, and is there so that a
/// child whose `Launched` was dropped is reaped all the same.
fn reap(child: Option<Child>) -> watch::Receiver<Option<Result<Exit, io::ErrorKind>>> {
    let (sender, receiver) = watch::channel(None);
    if let Some(mut child) = child {
        tokio::spawn(async move {
            let status = child.wait().await;
            let exit = status.map(Exit::from).map_err(|error| error.kind());
            sender.send_replace(Some(exit));
        });
    }
    receiver
}
