//! One kill, and what must be so afterwards.

use std::{
    collections::BTreeSet, fmt, fs, os::unix::process::ExitStatusExt, thread, time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    calls::Point,
    world::{Deed, RESOURCE, Template, World},
};
use crate::shell;

/// What is left of a killed command ends in that time.
const LOOKS_MAX: usize = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What one kill came to.
#[derive(Default)]
pub struct What {
    killed: bool,
    acknowledged: bool,
    took_effect: bool,
    pub wrong: Vec<String>,
}

#[derive(Default)]
pub struct Tally {
    killed: usize,
    acknowledged: usize,
    before: usize,
    after: usize,
    survived: usize,
    wrong: usize,
}

impl Tally {
    pub fn add(&mut self, what: &What) {
        self.killed += usize::from(what.killed);
        self.survived += usize::from(!what.killed);
        self.acknowledged += usize::from(what.acknowledged);
        self.before += usize::from(!what.took_effect);
        self.after += usize::from(what.took_effect);
        self.wrong += what.wrong.len();
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed, acknowledged, before, after, survived, wrong } = self;
        write!(
            out,
            "{killed} killed, {survived} came through, {acknowledged} acknowledged, {before} before, {after} after, \
             between or lost {wrong}"
        )
    }
}

/// Kills `deed` at `point` in a world of its own, and looks.
pub fn at(template: &Template, deed: Deed, point: &Point) -> Result<What> {
    let world = template.copy()?;
    let before = Seen::look(&world)?;
    let (killed, told) = strike(&world, deed, point)?;
    let mut what = What { killed, acknowledged: is_acknowledged(deed, &told), ..What::default() };
    // Half of the kills take what is left along, the others let it go on.
    end_rest(&world, point.nth.is_multiple_of(2))?;
    match deed {
        Deed::Create => after_create(&world, &before, &told, &mut what)?,
        Deed::Sync => after_sync(&world, &before, &mut what)?,
        Deed::Acquire => after_acquire(&world, &mut what)?,
    }
    for folder in ["ours", "team.git"] {
        if let Err(error) = world.git(folder, &["fsck", "--strict", "--no-dangling"]) {
            what.wrong.push(format!("{folder}: {error}"));
        }
    }
    Ok(what)
}

/// Whether somebody was killed, and what the command has told.
fn strike(world: &World<'_>, deed: Deed, point: &Point) -> Result<(bool, String)> {
    let Point { child, call, nth, .. } = point;
    let mut command = match child {
        None => {
            let mut traced = world.command("strace", "ours");
            traced.args(["-f", "-qq", "-o"]).arg(world.path("killed"));
            traced.args(["-e", &format!("trace={call}")]);
            traced.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
            traced.arg(world.program());
            traced
        }
        Some(child) => {
            let runs = world.path("runs");
            fs::create_dir(&runs)?;
            let mut command = world.command(world.program(), "ours");
            command.env("TORTURE_COUNT", &runs).env("TORTURE_CHILD", child.to_string());
            command.env("TORTURE_CALL", call).env("TORTURE_NTH", nth.to_string());
            command
        }
    };
    let output = command.args(deed.args()).output().context("start a command to be killed")?;
    let killed = match child {
        None => output.status.signal() == Some(9),
        Some(child) => {
            let trace = world.path(&format!("runs/{child}/killed"));
            fs::read_to_string(trace).is_ok_and(|trace| trace.contains("killed by SIGKILL"))
        }
    };
    let told = String::from_utf8(output.stdout)?;
    // Whatever git ran into, it must not look like a success where it was none: that is checked by the effect.
    if output.status.success() && told.is_empty() && deed != Deed::Sync {
        bail!("`grit {}` told nothing", deed.args().join(" "));
    }
    Ok((killed, if output.status.success() { format!("{told}\nsuccess") } else { told }))
}

fn is_acknowledged(deed: Deed, told: &str) -> bool {
    match deed {
        Deed::Create => told.lines().next().is_some_and(|line| line.len() > 20),
        Deed::Sync => told.ends_with("success"),
        Deed::Acquire => {
            told.lines().next().is_some_and(|line| !line.is_empty() && line != "success")
        }
    }
}

/// What the two clones have, and the lanes at the remote.
struct Seen {
    ours: BTreeSet<String>,
    theirs: BTreeSet<String>,
}

impl Seen {
    fn look(world: &World<'_>) -> Result<Self> {
        Ok(Self { ours: world.events("ours")?, theirs: world.events("theirs")? })
    }
}

fn after_create(world: &World<'_>, before: &Seen, told: &str, what: &mut What) -> Result<()> {
    let now = world.events("ours")?;
    let new: Vec<_> = now.difference(&before.ours).collect();
    what.took_effect = !new.is_empty();
    if !now.is_superset(&before.ours) {
        what.wrong.push("what was there is gone".to_owned());
    }
    if new.len() > 1 {
        what.wrong.push(format!("{} new events", new.len()));
    }
    if what.acknowledged && !told.lines().next().is_some_and(|id| now.contains(id)) {
        what.wrong.push(format!("acknowledged and lost: {told}"));
    }
    let next = attempt(world, Deed::Create, what);
    let after = world.events("ours")?;
    if next.is_some() && after.len() != now.len() + 1 {
        what.wrong.push("the next create has no effect".to_owned());
    }
    let listed = world.json("ours", &["issue", "list"])?;
    let titles = listed.as_array().map_or(0, Vec::len);
    if titles != after.len() {
        what.wrong.push(format!("{titles} issues listed of {}", after.len()));
    }
    all_is_well(world, what)
}

fn after_sync(world: &World<'_>, before: &Seen, what: &mut What) -> Result<()> {
    let all: BTreeSet<_> = before.ours.union(&before.theirs).cloned().collect();
    let now = world.events("ours")?;
    what.took_effect = now == all;
    if !now.is_superset(&before.ours) || !now.is_subset(&all) {
        what.wrong.push("what was there is gone, or something came up".to_owned());
    }
    if what.acknowledged && now != all {
        what.wrong.push("said that it is done, and it is not".to_owned());
    }
    attempt(world, Deed::Sync, what);
    world.done("theirs", &["sync"])?;
    for clone in ["ours", "theirs"] {
        if world.events(clone)? != all {
            what.wrong.push(format!("{clone} has not everything after the next sync"));
        }
    }
    all_is_well(world, what)
}

fn after_acquire(world: &World<'_>, what: &mut What) -> Result<()> {
    let held = |clone: &str| -> Result<u64> {
        let status = world.json(clone, &["lock", "status", RESOURCE])?;
        Ok(status
            .as_array()
            .map_or(0, |locks| locks.iter().filter(|lock| lock["state"] == "held").count() as u64))
    };
    let had = held("theirs")?;
    what.took_effect = had == 1;
    if what.acknowledged && had == 0 {
        what.wrong.push("acknowledged and not held".to_owned());
    }
    // Given back without a word about which lease: the clone knows it.
    if had == 1
        && let Err(error) = world.done("ours", &["lock", "release", RESOURCE])
    {
        what.wrong.push(error.to_string());
    }
    if attempt(world, Deed::Acquire, what).is_some() && held("theirs")? != 1 {
        what.wrong.push("the next acquire has no effect".to_owned());
    }
    all_is_well(world, what)
}

/// The next command of the same kind, with no manual step.
fn attempt(world: &World<'_>, deed: Deed, what: &mut What) -> Option<String> {
    let next = world.done("ours", deed.args());
    next.map_err(|error| what.wrong.push(error.to_string())).ok()
}

fn all_is_well(world: &World<'_>, what: &mut What) -> Result<()> {
    for verb in ["verify", "doctor"] {
        let output = world.grit("ours", &[verb])?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            what.wrong.push(format!("{verb}: {said}"));
        }
    }
    let left = world.command("find", "ours").args([".git/refs", "-name", "*.lock"]).output()?;
    if !left.stdout.is_empty() {
        what.wrong.push(format!("left: {}", String::from_utf8_lossy(&left.stdout).trim()));
    }
    Ok(())
}

/// Waits until no process of this world is left, killing them first where that is wanted.
fn end_rest(world: &World<'_>, kill: bool) -> Result<()> {
    for _ in 0..LOOKS_MAX {
        let left = processes(&world.mark());
        if left.is_empty() {
            return Ok(());
        }
        for pid in left.iter().filter(|_| kill) {
            shell::quiet("kill", &["-KILL", pid]);
        }
        thread::sleep(LOOK_EVERY);
    }
    bail!("processes of a killed command do not end")
}

fn processes(mark: &str) -> Vec<String> {
    let marked = format!("TORTURE_WORLD={mark}");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|one| one == marked.as_bytes())
        })
        .collect()
}
