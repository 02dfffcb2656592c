use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use grit_types::CommitId;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::GitError;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);
/// An agent may ask a person to touch a key.
const SIGNING_TIMEOUT: Duration = Duration::from_secs(60);
const STDOUT_BYTES_MAX: usize = 16 << 20;
const STDERR_BYTES_MAX: usize = 64 << 10;
/// How long a run that is stopped may take to remove its own lock files.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What no run may do, whatever the configuration of the repository or of the person says: run a
/// hook or a file-system monitor, or go into submodules.
///
/// A local remote's own hooks still run at a push: git takes these settings, like all of its
/// repository environment, out of the environment of the receive-pack that it starts there.
const SETTINGS: [&str; 3] =
    ["core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false"];

/// What of git's environment says how a remote is reached, and whose configuration counts; the rest
/// says which repository, and is a hook's or a surrounding command's.
const KEPT: [&str; 12] = [
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_HTTP_USER_AGENT",
    "GIT_PROXY_SSL_CAINFO",
    "GIT_PROXY_SSL_CERT",
    "GIT_PROXY_SSL_KEY",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// One run of the `git` command: the only way in which Grit starts it.
///
/// The subcommand and its flags are fixed in the program; what came from outside is an operand,
/// stands after `--end-of-options` and is never taken for a flag. The environment is cleaned of
/// every `GIT_*` variable but those that say how a remote is reached, nothing asks at a terminal, and only files, https and ssh are spoken.
/// The run ends at its deadline, and so does whatever it started in its process group.
#[derive(Clone, Debug)]
pub struct Git {
    command: &'static str,
    settings: Vec<&'static str>,
    place: Vec<OsString>,
    folder: Option<PathBuf>,
    flags: Vec<OsString>,
    operands: Vec<OsString>,
    input: Vec<u8>,
    timeout: Duration,
    output_max: usize,
}

/// What a run that ended by itself left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    /// Without control characters, because a remote may have written it.
    pub stderr: String,
}

impl Git {
    /// A run of `git COMMAND`.
    pub fn new(command: &'static str) -> Self {
        Self {
            command,
            settings: SETTINGS.to_vec(),
            place: Vec::new(),
            folder: None,
            flags: Vec::new(),
            operands: Vec::new(),
            input: Vec::new(),
            timeout: TIMEOUT_DEFAULT,
            output_max: STDOUT_BYTES_MAX,
        }
    }

    /// In the repository with this git folder (`.git`, or a bare repository).
    #[must_use]
    pub fn repository(mut self, git_dir: &Path) -> Self {
        self.place = vec![joined("--git-dir=", git_dir.as_os_str())];
        self
    }

    /// In the working tree at `folder`, whose `.git` is a folder of its own.
    #[must_use]
    pub fn worktree(mut self, folder: &Path) -> Self {
        let git_dir = joined("--git-dir=", folder.join(".git").as_os_str());
        self.place = vec![git_dir, joined("--work-tree=", folder.as_os_str())];
        self.folder = Some(folder.to_owned());
        self
    }

    /// Under this setting, `NAME=VALUE`.
    #[must_use]
    pub fn setting(mut self, setting: &'static str) -> Self {
        self.settings.push(setting);
        self
    }

    /// With a flag that is fixed in the program.
    #[must_use]
    pub fn flag(mut self, flag: &'static str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// With a flag and its value as one argument; `flag` is written as `--origin=` or `-B`.
    #[must_use]
    pub fn option(mut self, flag: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.flags.push(joined(flag, value.as_ref()));
        self
    }

    /// With a commit before the operands: its id is hexadecimal and never taken for a flag, and
    /// `checkout` takes `--end-of-options` only from git 2.44 on.
    #[must_use]
    pub fn commit(mut self, commit: &CommitId) -> Self {
        self.flags.push(commit.as_str().into());
        self
    }

    /// With an operand, which may be hostile.
    #[must_use]
    pub fn operand(mut self, operand: impl AsRef<OsStr>) -> Self {
        self.operands.push(operand.as_ref().to_owned());
        self
    }

    /// Reading `input`; without, its standard input is empty.
    #[must_use]
    pub fn input(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    /// Stopped after `timeout`; five minutes without.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Stopped when it writes more than this many bytes.
    #[must_use]
    pub fn output_max(mut self, bytes: usize) -> Self {
        self.output_max = bytes;
        self
    }

    /// The command itself, for those who stream: arguments and environment are set, standard
    /// input, output and deadline are the caller's.
    pub fn into_command(self) -> Command {
        let mut command = Command::new("git");
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.args(&self.place).arg(self.command).args(&self.flags);
        if !self.operands.is_empty() {
            command.arg("--end-of-options").args(&self.operands);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        clean_environment(&mut command);
        command
    }

    /// Runs to the end; any exit code other than 0 is an error.
    pub fn run(self) -> Result<Output, GitError> {
        let command = self.command;
        let output = self.output()?;
        if output.code == Some(0) {
            return Ok(output);
        }
        Err(output.into_failure(command))
    }

    /// Runs to the end, whatever the exit code says.
    pub fn output(mut self) -> Result<Output, GitError> {
        let (name, timeout, limit) = (self.command, self.timeout, self.output_max);
        let input = std::mem::take(&mut self.input);
        finish(self.into_command(), name, input, timeout, limit)
    }
}

/// A run of `ssh-keygen`, which must succeed: it speaks to the agent, and signs with keys that are
/// none of Grit's to read.
pub(crate) fn ssh_keygen(args: &[&OsStr], input: Vec<u8>) -> Result<Vec<u8>, GitError> {
    let mut command = Command::new("ssh-keygen");
    command.args(args).env("SSH_ASKPASS", "false").env("SSH_ASKPASS_REQUIRE", "force");
    let name = "ssh-keygen";
    let output = finish(command, name, input, SIGNING_TIMEOUT, STDOUT_BYTES_MAX)?;
    if output.code == Some(0) { Ok(output.stdout) } else { Err(output.into_failure(name)) }
}

fn finish(
    mut command: Command,
    name: &'static str,
    input: Vec<u8>,
    timeout: Duration,
    limit: usize,
) -> Result<Output, GitError> {
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if name != "ssh-keygen" => GitError::Missing(source),
        _ => GitError::Io { action: format!("start `git {name}`"), source },
    })?;
    supervise(child, input, timeout, limit).map_err(|stopped| match stopped {
        Stopped::Late => GitError::TimedOut { command: name, limit: timeout },
        Stopped::TooMuch => GitError::TooMuchOutput { command: name, limit },
        Stopped::Io(source) => GitError::Io { action: format!("follow `git {name}`"), source },
    })
}

impl Output {
    pub(crate) fn into_failure(self, command: &'static str) -> GitError {
        let stderr = self.stderr.trim().to_owned();
        GitError::Failed { command, code: self.code, stderr }
    }
}

fn joined(name: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(name);
    argument.push(value);
    argument
}

fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let is_kept = name.to_str().is_some_and(|name| KEPT.contains(&name));
        if name.as_encoded_bytes().starts_with(b"GIT_") && !is_kept {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_ALLOW_PROTOCOL", "file:https:ssh")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    // ssh asks at the terminal, not at standard input: the program it asks instead says no, unless
    // there is one that somebody chose.
    if std::env::var_os("SSH_ASKPASS").is_none() {
        command.env("SSH_ASKPASS", "false");
    }
    command.env("SSH_ASKPASS_REQUIRE", "force");
}

/// Why a run did not end by itself.
enum Stopped {
    Late,
    TooMuch,
    Io(io::Error),
}

/// What the threads that follow a run tell.
enum Report {
    Stdout(Option<Vec<u8>>),
    Stderr(String),
    Ended,
}

fn supervise(
    mut child: Child,
    input: Vec<u8>,
    timeout: Duration,
    limit: usize,
) -> Result<Output, Stopped> {
    let deadline = Instant::now() + timeout;
    let reports = follow(&mut child, input, limit);
    let (mut stdout, mut stderr, mut ended) = (None, None, false);
    while stdout.is_none() || stderr.is_none() || !ended {
        let left = deadline.saturating_duration_since(Instant::now());
        let stopped = match reports.recv_timeout(left) {
            Ok(Report::Stdout(Some(bytes))) => {
                stdout = Some(bytes);
                continue;
            }
            Ok(Report::Stderr(text)) => {
                stderr = Some(text);
                continue;
            }
            Ok(Report::Ended) => {
                ended = true;
                continue;
            }
            Ok(Report::Stdout(None)) => Stopped::TooMuch,
            Err(_) => Stopped::Late,
        };
        stop(&mut child, &reports, ended);
        return Err(stopped);
    }
    let code = child.wait().map_err(Stopped::Io)?.code();
    Ok(Output { code, stdout: stdout.unwrap_or_default(), stderr: stderr.unwrap_or_default() })
}

/// The threads end with the run: at the latest when its process group is killed.
fn follow(child: &mut Child, input: Vec<u8>, limit: usize) -> Receiver<Report> {
    let (sender, reports) = mpsc::channel();
    if let Some(mut stdin) = child.stdin.take() {
        // A run that does not read its input says so by its exit code.
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    if let Some(stdout) = child.stdout.take() {
        report(&sender, move || Report::Stdout(read_bounded(stdout, limit)));
    }
    if let Some(stderr) = child.stderr.take() {
        report(&sender, move || Report::Stderr(read_beginning(stderr)));
    }
    let pid = Pid::from_child(child);
    report(&sender, move || {
        // Without reaping: until `wait` the process id stays ours and can be killed safely.
        while let Err(rustix::io::Errno::INTR) =
            waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
        Report::Ended
    });
    reports
}

fn report(sender: &Sender<Report>, work: impl FnOnce() -> Report + Send + 'static) {
    let sender = sender.clone();
    // Nobody listens any more once the run was stopped.
    thread::spawn(move || drop(sender.send(work())));
}

/// Everything, or nothing when it is more than `limit` bytes or cannot be read.
fn read_bounded(pipe: impl Read, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let over = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    pipe.take(over).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= limit).then_some(bytes)
}

/// The beginning of what was said; the rest is read too, so that the writer does not block.
fn read_beginning(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    let limit = u64::try_from(STDERR_BYTES_MAX).unwrap_or(u64::MAX);
    let _ = pipe.by_ref().take(limit).read_to_end(&mut bytes);
    let _ = io::copy(&mut pipe, &mut io::sink());
    let printable = |c: &char| !c.is_control() || *c == '\n';
    String::from_utf8_lossy(&bytes).chars().filter(printable).collect()
}

/// Politely first, because git then removes its own lock files.
fn stop(child: &mut Child, reports: &Receiver<Report>, mut ended: bool) {
    let pid = Pid::from_child(child);
    // The group may be gone already.
    let _ = kill_process_group(pid, Signal::TERM);
    let deadline = Instant::now() + STOP_GRACE;
    while !ended {
        match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(report) => ended = matches!(report, Report::Ended),
            Err(_) => break,
        }
    }
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_never_flags() {
        let command = Git::new("fetch").flag("--quiet").operand("--upload-pack=x").into_command();
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args[args.len() - 3..], ["--quiet", "--end-of-options", "--upload-pack=x"]);
    }

    #[test]
    fn the_deadline_stops_what_hangs() {
        let mut command = Git::new("hash-object").flag("--stdin-paths").into_command();
        // Its input stays open, so it waits for ever.
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let held = child.stdin.take();
        let pid = Pid::from_child(&child);
        let stopped = supervise(child, Vec::new(), Duration::from_millis(50), 10);
        assert!(matches!(stopped, Err(Stopped::Late)));
        assert!(rustix::process::test_kill_process(pid).is_err(), "it still runs");
        drop(held);
    }

    #[test]
    fn too_much_output_stops_it() {
        let refused = Git::new("help").flag("--all").output_max(100).run();
        assert!(matches!(refused, Err(GitError::TooMuchOutput { limit: 100, .. })), "{refused:?}");
    }

    #[test]
    fn what_it_said_is_in_the_error() {
        let refused = Git::new("rev-parse").flag("--verify").operand("no\u{1b}[31m such").run();
        let Err(GitError::Failed { command: "rev-parse", code: Some(128), stderr }) = refused
        else {
            panic!("{refused:?}")
        };
        assert!(stderr.contains("fatal") && !stderr.contains('\u{1b}'), "{stderr}");
    }

    #[test]
    fn input_reaches_it() {
        let output = Git::new("hash-object").flag("--stdin").input(b"x\n".to_vec()).run().unwrap();
        assert_eq!(output.stdout, b"587be6b4c3f93f93c489c0111bba5596147a26cb\n");
    }
}
