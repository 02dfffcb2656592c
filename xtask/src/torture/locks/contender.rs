//! One contender in one round: it wants the lock, pushes under it twice, and gives it back.

use std::{
    fs,
    io::Read,
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{TTL, arena::Arena};
use crate::shell;

const LOOK_EVERY: Duration = Duration::from_millis(3);
/// Nothing that a contender does takes longer.
const END_MAX: Duration = Duration::from_secs(300);
const WAIT: &str = "60s";

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub fault: Fault,
    pub clock: Clock,
}

/// What happens to a contender, counted from the beginning of its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Killed without a word; with `children` also the git that it runs.
    Kill {
        after: Duration,
        children: bool,
    },
    /// What it runs is stopped for longer than a lease lasts.
    Stop {
        after: Duration,
        pause: Duration,
    },
    /// It does nothing between having the lock and using it, for longer than a lease lasts.
    Dawdle {
        pause: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Right,
    /// By two hours.
    Ahead,
    Behind,
}

/// What a contender has seen; times in milliseconds since boot.
#[derive(Debug, Default)]
pub struct Story {
    pub grant: Option<Granted>,
    pub pushes: Vec<Push>,
    /// When it died.
    pub died: Option<u64>,
    pub stopped: bool,
    /// Why it did not get the lock.
    pub refusal: Option<String>,
    done: bool,
}

#[derive(Debug)]
pub struct Granted {
    pub fence: u64,
    pub lease: String,
    /// From when to when it may think that it has the lock.
    pub from: u64,
    pub until: u64,
    /// When it began to give it back.
    pub released: Option<u64>,
}

#[derive(Debug)]
pub struct Push {
    pub tag: String,
    pub fence: u64,
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
}

impl Story {
    /// It had the lock, and went through to the end.
    pub fn is_done(&self) -> bool {
        self.done && self.grant.is_some()
    }
}

/// One round of one contender; `over` tells it to wait no longer.
pub fn run(
    arena: &Arena,
    number: usize,
    round: u64,
    resource: &str,
    plan: Plan,
    over: &AtomicBool,
) -> Result<Story> {
    let (begun, mut story) = (Instant::now(), Story::default());
    let ttl = format!("{}ms", TTL.as_millis());
    let acquire = ["lock", "acquire", resource, "--ttl", &ttl, "--wait", WAIT, "--json"];
    let mut act = Act { arena, number, plan, begun, over: Some(over), story: &mut story };
    let ended = act.run(&acquire)?;
    act.over = None;
    act.story.refusal = ended.as_ref().and_then(refusal);
    let Some(grant) = ended.and_then(|ended| granted(arena, number, resource, &ended)) else {
        story.done = story.died.is_none();
        return Ok(story);
    };
    let fence = grant.fence;
    act.story.grant = Some(grant);
    if let Fault::Dawdle { pause } = plan.fault {
        thread::sleep(pause);
    }
    for part in ["a", "b"] {
        let tag = format!("refs/tags/r{round}-c{number}-f{fence}-{part}");
        let target = format!("HEAD:{tag}");
        let push = ["lock", "push", "--resource", resource, &target, "--json"];
        let ended = act.run(&push)?;
        let code = ended.as_ref().and_then(|ended| ended.code);
        act.story.pushes.push(Push { tag, fence, code });
        if code == Some(0)
            && let Some(grant) = &mut act.story.grant
            && let Some(until) = kept_until(arena, number, resource, &grant.lease)
        {
            grant.until = until;
        }
        if ended.is_none() {
            return Ok(story);
        }
    }
    if let Some(grant) = &mut act.story.grant {
        grant.released = Some(uptime());
    }
    let released = act.run(&["lock", "release", resource, "--json"])?;
    story.done = released.is_some();
    Ok(story)
}

/// What a command left.
struct Ended {
    code: Option<i32>,
    stdout: String,
}

struct Act<'a> {
    arena: &'a Arena,
    number: usize,
    plan: Plan,
    begun: Instant,
    over: Option<&'a AtomicBool>,
    story: &'a mut Story,
}

impl Act<'_> {
    /// Runs to the end, through its fault; nothing when it was killed.
    fn run(&mut self, args: &[&str]) -> Result<Option<Ended>> {
        let mut command = self.arena.grit(self.number, self.plan.clock, args);
        let mut child = command.stdout(Stdio::piped()).spawn().context("start grit")?;
        let deadline = Instant::now() + END_MAX;
        let mut interrupted = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if self.suffer(&mut child)? {
                return Ok(None);
            }
            if !interrupted && self.over.is_some_and(|over| over.load(Ordering::Relaxed)) {
                shell::quiet("kill", &["-INT", &child.id().to_string()]);
                interrupted = true;
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("`grit {}` did not end", args.join(" "));
            }
            thread::sleep(LOOK_EVERY);
        };
        let mut stdout = String::new();
        child.stdout.take().context("stdout")?.read_to_string(&mut stdout)?;
        Ok(Some(Ended { code: status.code(), stdout }))
    }

    /// What the plan has for this moment; true when that was the end.
    fn suffer(&mut self, child: &mut Child) -> Result<bool> {
        let passed = self.begun.elapsed();
        match self.plan.fault {
            Fault::Kill { after, children } if passed >= after => {
                let below = if children { children_of(child.id()) } else { Vec::new() };
                child.kill()?;
                for pid in below {
                    shell::quiet("kill", &["-KILL", &pid]);
                }
                child.wait()?;
                self.story.died = Some(uptime());
                Ok(true)
            }
            Fault::Stop { after, pause } if passed >= after && !self.story.stopped => {
                self.story.stopped = true;
                let pid = child.id().to_string();
                shell::quiet("kill", &["-STOP", &pid]);
                thread::sleep(pause);
                shell::quiet("kill", &["-CONT", &pid]);
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

fn children_of(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn refusal(ended: &Ended) -> Option<String> {
    let document: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
    let message = document["error"]["message"].as_str()?;
    Some(format!("exit {}: {message}", ended.code.unwrap_or(-1)))
}

/// The grant, and by the clone's own file since when and until when it counts on it.
fn granted(arena: &Arena, number: usize, resource: &str, ended: &Ended) -> Option<Granted> {
    if ended.code != Some(0) {
        return None;
    }
    let document: Value = serde_json::from_str(&ended.stdout).ok()?;
    let data = &document["data"];
    let lease = data["lease"].as_str()?.to_owned();
    let path = kept(arena, number, resource, &lease)?;
    let written = fs::metadata(path).ok()?.modified().ok()?;
    // The file system's clock is right, whatever the contender's says.
    let since_boot = uptime();
    let wall = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let ago = wall(SystemTime::now()).saturating_sub(wall(written));
    let from = since_boot.saturating_sub(u64::try_from(ago).unwrap_or(0));
    let until = kept_until(arena, number, resource, &lease)?;
    Some(Granted { fence: data["fence"].as_u64()?, lease, from, until, released: None })
}

fn kept_until(arena: &Arena, number: usize, resource: &str, lease: &str) -> Option<u64> {
    let text = fs::read_to_string(kept(arena, number, resource, lease)?).ok()?;
    let kept: Value = serde_json::from_str(&text).ok()?;
    (kept["resource"] == resource).then(|| kept["until"]["millis"].as_u64()).flatten()
}

/// The clone's file of a lease.
fn kept(arena: &Arena, number: usize, _resource: &str, lease: &str) -> Option<std::path::PathBuf> {
    let folders = fs::read_dir(arena.clone(number).join(".git/grit/leases")).ok()?.flatten();
    let mut paths = folders.map(|folder| folder.path().join(format!("{lease}.json")));
    paths.find(|path| path.is_file())
}

/// Milliseconds since boot, sleep included.
fn uptime() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 =
        text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    (seconds * 1_000.0) as u64
}
