//! A process that the benchmark starts, watches and ends.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::shell;

/// How long a part may take to start, and how long to end by itself.
const START: Duration = Duration::from_secs(10);
const END: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process and its children; dropped, they end.
pub struct Part {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Part {
    /// Starts it; what it says goes into `FOLDER/NAME.log`.
    pub fn start(folder: &Path, name: &str, command: &mut Command) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    /// Waits until `ready`; a part that ends instead says why in its log.
    pub fn wait_for(&mut self, ready: impl Fn() -> bool) -> Result<()> {
        let began = Instant::now();
        while !ready() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || began.elapsed() > START {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let how =
                    ended.map_or("is not ready".to_owned(), |status| format!("ended ({status})"));
                bail!("{} {how}; it said:\n{}", self.name, said.trim());
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// CPU time of the process and of its children, with all their threads, from the start on.
    pub fn cpu_time(&self) -> Result<Duration> {
        let parent = self.child.id();
        let mut ticks = 0;
        for entry in fs::read_dir("/proc").context("list /proc")? {
            let path = entry?.path().join("stat");
            // Not a process, or one that has just ended.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            if let Some(stat) = Stat::parse(&text)
                && (stat.pid == parent || stat.parent == parent)
            {
                ticks += stat.ticks;
            }
        }
        Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second()?))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // nginx and haproxy end their workers only when they are asked to end.
        shell::quiet("kill", &["-TERM", &self.child.id().to_string()]);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < END {
            thread::sleep(LOOK_EVERY);
        }
        // Fails where it has ended, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/proc/PID/stat` says (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    parent: u32,
    /// In user and kernel mode together.
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        let (pid, rest) = text.split_once(' ')?;
        // The name may hold anything, spaces and parentheses included.
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            parent: u32::try_from(number(1)?).ok()?,
            ticks: number(11)? + number(12)?,
        })
    }
}

fn ticks_per_second() -> Result<f64> {
    let output = Command::new("getconf").arg("CLK_TCK").output().context("start getconf")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().context("getconf CLK_TCK")
}

/// A port of 127.0.0.1 that nobody listens on now.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 1 0 5 6\n";
        assert_eq!(Stat::parse(line), Some(Stat { pid: 42, parent: 7, ticks: 200 }));
        assert_eq!(Stat::parse("nothing"), None);
    }

    #[test]
    fn a_part_is_timed_and_ends_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        let mut part = Part::start(folder.path(), "busy", &mut command).unwrap();
        let pid = part.child.id();
        let spent = |part: &Part| part.cpu_time().unwrap();
        let before = spent(&part);
        let began = Instant::now();
        while spent(&part) <= before {
            assert!(began.elapsed() < Duration::from_secs(60), "it never runs");
            thread::sleep(LOOK_EVERY);
        }
        part.wait_for(|| true).unwrap();
        drop(part);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_part_that_ends_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no port >&2; exit 3"]);
        let mut part = Part::start(folder.path(), "broken", &mut command).unwrap();
        let error = part.wait_for(|| false).unwrap_err().to_string();
        assert!(error.starts_with("broken ended (exit status: 3)"), "{error}");
        assert!(error.ends_with("no port"), "{error}");
    }
}
