//! A folder, a marker of one's own, and the wish to leave no process behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grit_host::{Exit, LaunchError, Launched, Marker, Output, ProcessId, Session, Shim, Spec};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

pub const MARKER_KEY: &str = "GRIT_TEST";
/// For what happens in milliseconds, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    folder: TempDir,
    marker: Marker,
}

impl World {
    pub fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let value = format!("{}-{count}-", std::process::id());
        Self {
            folder: tempfile::tempdir().unwrap(),
            marker: Marker::new(MARKER_KEY, value).unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// The same marker with something appended: found by the same prefix, another unit.
    pub fn marker_of(&self, part: &str) -> Marker {
        Marker::new(MARKER_KEY, format!("{}{part}", self.marker.value())).unwrap()
    }

    pub fn record(&self) -> PathBuf {
        self.path("record.json")
    }

    /// A command in this world's folder, with a `PATH` and its output in `log`.
    pub fn spec(&self, program: &str) -> Spec {
        Spec::new(program, self.marker.clone())
            .cwd(self.folder.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .output(Output::File(self.path("log")))
    }

    pub fn sh(&self, script: &str) -> Spec {
        self.spec("/bin/sh").arg("-c").arg(script)
    }

    pub async fn launch(&self, spec: Spec) -> Result<Launched, LaunchError> {
        grit_host::launch(spec, &self.record(), &shim()).await
    }

    pub async fn run(&self, script: &str) -> Launched {
        self.launch(self.sh(script)).await.unwrap()
    }

    /// Runs `script` and waits until it says that it is ready, by creating `ready`.
    pub async fn run_until_ready(&self, script: &str) -> Launched {
        let launched = self.run(script).await;
        until("ready", || self.path("ready").exists()).await;
        launched
    }

    pub fn recorded(&self) -> Option<Session> {
        grit_host::record::read(&self.record()).unwrap()
    }

    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        path
    }

    /// What runs here, by this world's marker.
    pub fn marked(&self) -> Vec<ProcessId> {
        let marked = grit_host::find_marked(MARKER_KEY, self.marker.value()).unwrap();
        marked.into_iter().map(|marked| marked.process).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for process in self.marked() {
            kill(process.pid);
        }
    }
}

pub fn shim() -> Shim {
    Shim::at(env!("CARGO_BIN_EXE_grit-host-shim"))
}

/// Opens a FIFO for reading without waiting for a writer.
pub fn open_reader(fifo: &Path) -> std::os::fd::OwnedFd {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    rustix::fs::open(fifo, flags, rustix::fs::Mode::empty()).unwrap()
}

pub fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    match rustix::process::kill_process(pid, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("kill {pid:?}: {error}"),
    }
}

/// `/proc/PID/stat` field 3; `None` once the process is gone.
pub fn state(pid: u32) -> Option<char> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat[stat.rfind(')').unwrap() + 2..].chars().next(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.raw_os_error() == Some(3) => None,
        Err(error) => panic!("stat of {pid}: {error}"),
    }
}

/// How the command ends by itself.
pub async fn ended(launched: &Launched) -> Exit {
    patiently("exit", launched.wait()).await.unwrap()
}

/// Waits for `condition`, and fails when it does not come.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    patiently(what, met).await;
}

/// Waits for `future`, and fails when it does not end.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}
