//! A command in a process group of its own, and the process that ends it in time.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use grit_git::Grant;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::deadline::{Word, counted};
use crate::exit::Failure;

/// From SIGTERM to SIGKILL, when there is time for it.
const END_GRACE: Duration = Duration::from_secs(10);
/// How long before the end of the lease the command is asked to end: a tenth, at most this.
const MARGIN_MAX: Duration = Duration::from_secs(10);

/// The command and its watch.
pub struct Guarded {
    child: Child,
    group: Option<Pid>,
    watch: Child,
    words: ChildStdin,
    /// When the command is asked to end, in milliseconds since boot.
    asked_to_end: u64,
}

impl Guarded {
    /// Starts both, the watch first. With `quiet_stdout` the command's output goes to stderr.
    pub async fn start(
        command: &[OsString],
        grant: &Grant,
        quiet_stdout: bool,
    ) -> Result<Self, Failure> {
        let failed = |what: &str, error: &std::io::Error| Failure::because(what, error);
        let program =
            std::env::current_exe().map_err(|error| failed("grit does not find itself", &error))?;
        let mut watch = Command::new(program);
        watch.arg("__deadline").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What stops or ends the terminal's group must not stop the watch.
        let mut watch = watch
            .process_group(0)
            .spawn()
            .map_err(|error| failed("the watch does not start", &error))?;
        let words = watch.stdin.take().ok_or_else(|| Failure::environment("the watch is deaf"))?;
        let name = command.first().cloned().unwrap_or_default();
        let child = child(command, grant, quiet_stdout).spawn().map_err(|error| {
            failed(&format!("`{}` cannot be started", name.to_string_lossy()), &error)
        })?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        let group = leader.and_then(Pid::from_raw);
        let mut guarded = Self { child, group, watch, words, asked_to_end: 0 };
        guarded.tell(Word::Group(leader.unwrap_or_default())).await;
        guarded.extend(grant).await;
        Ok(guarded)
    }

    /// The lease has a new end.
    pub async fn extend(&mut self, grant: &Grant) {
        let left = grant.left.unwrap_or_default();
        let margin = (grant.lease.ttl / 10).min(MARGIN_MAX);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let gone = counted().saturating_add(millis(left));
        self.asked_to_end = gone.saturating_sub(millis(margin));
        self.tell(Word::Deadline { asked: self.asked_to_end, gone }).await;
    }

    /// Ends with the command; or with its watch, which means the command's end as well.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        tokio::select! {
            status = self.child.wait() => status,
            _ = self.watch.wait() => self.terminate().await,
        }
    }

    /// Whether the lease's time was up, or so nearly that the command was told to end.
    pub fn time_is_up(&self) -> bool {
        counted() >= self.asked_to_end
    }

    /// SIGTERM to the group, and SIGKILL to what is left of it.
    pub async fn terminate(&mut self) -> std::io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        if let Ok(status) = timeout(END_GRACE, self.child.wait()).await {
            self.signal(Signal::KILL);
            return status;
        }
        self.signal(Signal::KILL);
        self.child.wait().await
    }

    /// The command is over: so is the watch.
    pub async fn finish(mut self) {
        self.tell(Word::Done).await;
        drop(self.words);
        let _ = timeout(END_GRACE, self.watch.wait()).await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Gone already is as good.
            let _ = kill_process_group(group, signal);
        }
    }

    /// A watch that is gone ends the command by being gone.
    async fn tell(&mut self, word: Word) {
        let _ = self.words.write_all(word.line().as_bytes()).await;
        let _ = self.words.flush().await;
    }
}

fn child(command: &[OsString], grant: &Grant, quiet_stdout: bool) -> Command {
    let (program, args) = command
        .split_first()
        .map_or((OsString::new(), &[][..]), |(first, rest)| (first.clone(), rest));
    let mut child = Command::new(program);
    child
        .args(args)
        .env("GRIT_LOCK_TOKEN", grant.lease.fence.to_string())
        .env("GRIT_LOCK_RESOURCE", grant.lease.resource.as_str())
        .process_group(0);
    if std::io::stdin().is_terminal() {
        // A group in the background would be stopped for reading there.
        child.stdin(Stdio::null());
    }
    if quiet_stdout {
        child.stdout(std::io::stderr());
    }
    child
}
