use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grit_host::{LaunchError, Launched, Output, Spec, launch};
use grit_pipeline::{Conclusion, RunnerError};
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::environment::Variables;
use super::job::Job;
use super::log::Log;
use super::step::Attempt;
use super::{chain, container, failed, sweeping, tool};

/// For the last words of what outlives the command: `exec > >(tee log)`.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);

const CHUNK_BYTES: usize = 64 * 1024;

/// A command, in its surroundings.
pub(super) struct Command {
    pub words: Vec<String>,
    pub cwd: PathBuf,
    pub variables: Variables,
}

/// Runs the command to its end. Everything that it said is in the log then.
pub(super) async fn run(at: &Attempt, command: Command) -> Result<Conclusion, RunnerError> {
    if let Some(inside) = at.job.inside() {
        return container::run_command(at, inside, command).await;
    }
    let Some((program, args)) = command.words.split_first() else {
        return Ok(Conclusion::Unable("the step's command is empty".to_owned()));
    };
    let marker = sweeping::marker(&at.shared.unit, at.spec.job, at.spec.index);
    let marker = marker.map_err(|error| failed(at.action(), error))?;
    let spec = Spec::new(program, marker)
        .args(args)
        .cwd(command.cwd)
        .envs(command.variables)
        .output(Output::Pipe);
    let record = at.job.folder.session(at.spec.index);
    let mut launched = match launch(spec, &record, &at.shared.config.shim).await {
        Ok(launched) => launched,
        Err(error) => return unable(error).map_err(|error| failed(at.action(), error)),
    };
    let exited = CancellationToken::new();
    let mut progress = read_output(at, &mut launched, exited.clone());
    let conclusion = conclude(at, &launched).await;
    exited.cancel();
    // A reader that failed is gone, and waited for no longer.
    let _ = progress.wait_for(|progress| *progress >= Progress::Drained).await;
    let ended = progress.wait_for(|progress| *progress == Progress::Ended);
    let _ = tokio::time::timeout(LAST_WORDS_MAX, ended).await;
    conclusion
}

async fn conclude(at: &Attempt, launched: &Launched) -> Result<Conclusion, RunnerError> {
    let conclusion = tokio::select! {
        // What has ended was not cut short.
        biased;
        exit = launched.wait() => {
            let exit = exit.map_err(|error| failed(at.action(), error))?;
            return Ok(Conclusion::Exited(exit.shell_code()));
        }
        conclusion = at.cut_short() => conclusion,
    };
    let ended = tokio::select! {
        ended = launched.terminate(at.shared.grace()) => ended,
        () = at.shared.hurry.cancelled() => launched.terminate(Duration::ZERO).await,
    };
    if let Err(error) = ended {
        at.say(&format!("Not everything could be ended: {}", chain(&error))).await?;
    }
    Ok(conclusion)
}

/// How far the output is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Reading,
    /// Everything that was said before the command's exit is in the log.
    Drained,
    /// Nobody can say anything any more.
    Ended,
}

/// The reader goes on after the step as long as something of it runs: a server in the background
/// that found nobody reading would be ended by its next word.
fn read_output(
    at: &Attempt,
    launched: &mut Launched,
    exited: CancellationToken,
) -> watch::Receiver<Progress> {
    let (sender, progress) = watch::channel(Progress::Reading);
    let Some(pipe) = launched.take_output() else {
        sender.send_replace(Progress::Ended);
        return progress;
    };
    let reader = Reader { pipe, log: at.log.clone(), job: at.job.clone(), exited, sender };
    let (job, index) = (at.spec.job, at.spec.index);
    at.job.readers.spawn(async move {
        if let Err(error) = reader.run().await {
            tracing::error!(%job, index, %error, "the output of a step could not be logged");
        }
    });
    progress
}

struct Reader {
    pipe: Receiver,
    log: Arc<Mutex<Log>>,
    job: Arc<Job>,
    exited: CancellationToken,
    sender: watch::Sender<Progress>,
}

impl Reader {
    async fn run(self) -> io::Result<()> {
        let read = self.read(&mut vec![0; CHUNK_BYTES]).await;
        let ended = self.log.lock().await.output_ends().await;
        self.sender.send_replace(Progress::Ended);
        read.and(ended)
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut is_drained = false;
        loop {
            tokio::select! {
                ready = self.pipe.readable() => {
                    ready?;
                    if !self.take(buffer).await? {
                        return Ok(());
                    }
                }
                () = self.exited.cancelled(), if !is_drained => {
                    if !self.drain(buffer).await? {
                        return Ok(());
                    }
                    is_drained = true;
                    self.sender.send_replace(Progress::Drained);
                }
                () = self.job.over.cancelled() => return Ok(()),
            }
        }
    }

    /// Takes once what is there; `false` at the end.
    async fn take(&self, buffer: &mut [u8]) -> io::Result<bool> {
        match self.pipe.try_read(buffer) {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.log.lock().await.output(&buffer[..read]).await?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Takes all that is there; `false` at the end. Asks the pipe itself: the runtime may not have
    /// heard yet that there is something.
    async fn drain(&self, buffer: &mut [u8]) -> io::Result<bool> {
        // A pipe holds no more than that; what comes meanwhile was said after the exit.
        let mut left = PIPE_BYTES_MAX;
        while left > 0 {
            match rustix::io::read(&self.pipe, &mut *buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    left = left.saturating_sub(read);
                    self.log.lock().await.output(&buffer[..read]).await?;
                }
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }
}

/// `/proc/sys/fs/pipe-max-size`, as Linux has it.
const PIPE_BYTES_MAX: usize = 1024 * 1024;

/// What keeps the step from starting is its conclusion; what keeps us from starting anything is an
/// error.
fn unable(error: LaunchError) -> Result<Conclusion, LaunchError> {
    let reason = match &error {
        LaunchError::NotFound { program, .. } if program.contains('/') => {
            format!("`{program}` does not exist")
        }
        LaunchError::NotFound { program, .. } => tool::not_installed(program),
        LaunchError::Invalid(_) | LaunchError::NotExecutable { .. } | LaunchError::Cwd { .. } => {
            chain(&error)
        }
        LaunchError::AlreadyRunning { .. }
        | LaunchError::Log { .. }
        | LaunchError::Record { .. }
        | LaunchError::Limit { .. }
        | LaunchError::Resource { .. }
        | LaunchError::Shim { .. }
        | LaunchError::ShimDied { .. } => return Err(error),
    };
    Ok(Conclusion::Unable(reason))
}
