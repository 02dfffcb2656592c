//! A home, a configuration and a temporary folder of a test's own, and the processes in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub const GRIT: &str = env!("CARGO_BIN_EXE_grit");
/// No command and no wait of a test takes longer, however loaded the machine is.
pub const PATIENCE: Duration = Duration::from_secs(240);

const LOOK_EVERY: Duration = Duration::from_millis(50);
const GITCONFIG: &str = "\
[user]\n\tname = Tess\n\temail = tess@localhost\n[init]\n\tdefaultBranch = main\n\
[commit]\n\tgpgSign = false\n[tag]\n\tgpgSign = false\n";

/// Where one test happens; whatever is still running there at its end is killed.
pub struct Env {
    folder: TempDir,
    outputs: AtomicUsize,
}

impl Env {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("grit-it-").tempdir().unwrap();
        let env = Self { folder, outputs: AtomicUsize::new(0) };
        for name in ["home", "tmp", "out"] {
            std::fs::create_dir(env.path(name)).unwrap();
        }
        std::fs::write(env.path("gitconfig"), GITCONFIG).unwrap();
        env
    }

    /// A path in the test's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// A repository with these files, and one commit of them.
    pub fn repository(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.path(name);
        std::fs::create_dir(&folder).unwrap();
        self.git(&folder, &["init", "--quiet"]);
        self.commit(&folder, files, "first");
        folder
    }

    /// `hosted.git`, a bare copy of a repository, for others to clone.
    pub fn host(&self, repository: &Path) {
        self.git(repository, &["clone", "--quiet", "--bare", ".", "../hosted.git"]);
    }

    /// A clone of `hosted.git`.
    pub fn clone(&self, name: &str) -> PathBuf {
        self.git(&self.path(""), &["clone", "--quiet", "hosted.git", name]);
        self.path(name)
    }

    /// Two of them.
    pub fn two_clones() -> (Self, PathBuf, PathBuf) {
        let env = Self::new();
        env.host(&env.repository("seed", &[("README", "seed\n")]));
        let (one, two) = (env.clone("one"), env.clone("two"));
        (env, one, two)
    }

    /// Writes files and commits everything.
    pub fn commit(&self, repository: &Path, files: &[(&str, &str)], message: &str) {
        for (name, text) in files {
            let path = repository.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(repository, &["add", "--all"]);
        self.git(repository, &["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Runs git, which must succeed.
    pub fn git(&self, folder: &Path, args: &[&str]) -> String {
        self.run(self.command("git", folder).args(args)).expect_code(0).stdout
    }

    /// Runs grit to its end.
    pub fn grit(&self, folder: &Path, args: &[&str]) -> Out {
        self.run(self.command(GRIT, folder).args(args))
    }

    /// Runs grit as whoever owns this token.
    pub fn grit_as(&self, token: &str, folder: &Path, args: &[&str]) -> Out {
        self.run(self.command(GRIT, folder).args(args).env("GRIT_TOKEN", token))
    }

    /// The data of a `--json` command that must succeed.
    pub fn data(&self, folder: &Path, args: &[&str]) -> Value {
        let out = self.grit(folder, args).expect_code(0);
        let document = out.document();
        assert_eq!((&document["schema"], &document["ok"]), (&1.into(), &true.into()), "{out:?}");
        document["data"].clone()
    }

    /// A command with nothing of the tester's own settings.
    pub fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(program);
        let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
        let tools = |name: &str, below: &str| {
            std::env::var(name).unwrap_or_else(|_| format!("{home}/{below}"))
        };
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("RUSTUP_HOME", tools("RUSTUP_HOME", ".rustup"))
            .env("CARGO_HOME", tools("CARGO_HOME", ".cargo"))
            .env("TMPDIR", self.path("tmp"))
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("USER", "tess")
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &mut Command) -> Out {
        self.start(command).wait()
    }

    /// Starts a command whose output goes to files: who inherits them cannot hold us up.
    pub fn start(&self, command: &mut Command) -> Running {
        let number = self.outputs.fetch_add(1, Ordering::Relaxed);
        let stdout = self.path(&format!("out/{number}.stdout"));
        let stderr = self.path(&format!("out/{number}.stderr"));
        let told = format!("{command:?}");
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{told}: {error}"));
        let root = self.path("");
        Running { child, told, stdout, stderr, root }
    }

    /// The processes that work below this test's folder, as `PID: command line`.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let root = self.path("");
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let below = pids.filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&root))
        });
        let line = |pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        below.map(|pid| (pid, line(pid).unwrap_or_default().replace('\0', " "))).collect()
    }

    /// What is in the folder for temporary things.
    pub fn left_over(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("tmp")).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            kill(pid, Signal::KILL);
        }
    }
}

/// A process that is killed with its guard.
pub struct Running {
    child: Child,
    told: String,
    stdout: PathBuf,
    stderr: PathBuf,
    root: PathBuf,
}

impl Running {
    /// What it wrote so far.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Sends a signal, and waits for the end.
    pub fn end(self, signal: Signal) -> Out {
        kill(self.pid(), signal);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Out {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "does not end: {}\n{}", self.told, self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        let told = |text: String| text.replace(&*self.root.to_string_lossy(), "[ROOT]/");
        Out {
            command: self.told.clone(),
            code: status.code(),
            stdout: told(self.stdout()),
            stderr: told(self.stderr()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command said; the test's folder stands as `[ROOT]`.
#[derive(Debug)]
pub struct Out {
    pub command: String,
    /// Nothing after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Out {
    /// With this exit status, or the test fails and tells what was said.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        let Self { command, stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "{command}\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// Stdout, which must be one JSON document and nothing else.
    #[track_caller]
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Exit status and stderr, for snapshots.
    pub fn refusal(&self) -> String {
        assert_eq!(self.stdout, "", "a refusal answers nothing");
        format!("exit {}\n{}", self.code.unwrap_or(-1), self.stderr)
    }
}

/// Looks until something is there.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "no {what}; at last: {seen}"),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Gone already is as good.
        let _ = kill_process(pid, signal);
    }
}
