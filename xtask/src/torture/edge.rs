//! The edge is killed: what was open breaks, nothing else does, and it serves again by itself.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{random::Random, world::World};
use crate::{
    load::{self, Load, Lost},
    shell,
};

/// From one kill to the next, in milliseconds.
const PAUSE_MS: (u64, u64) = (300, 1_500);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// An edge that does not serve by then is not coming back.
const BACK_MAX: Duration = Duration::from_secs(15);

/// A kill, and the first answer after it.
struct Gap {
    /// The kill fell between these.
    asked: Instant,
    done: Instant,
    served: Instant,
}

impl Gap {
    /// Whether the connection was open when the edge died.
    fn broke(&self, lost: &Lost) -> bool {
        lost.connected <= self.done && lost.at >= self.asked
    }
}

/// Answers with what was not as it should be.
pub fn run(world: &mut World, kills: u64, seed: u64) -> Result<Vec<String>> {
    let mut random = Random::new(seed);
    let load = Load::start(&world.target());
    let mut gaps: Vec<Gap> = Vec::new();
    for _ in 0..kills {
        thread::sleep(Duration::from_millis(random.between(PAUSE_MS.0, PAUSE_MS.1)));
        gaps.push(kill(world)?);
    }
    thread::sleep(Duration::from_secs(1));
    let processes = world.processes();
    let seen = load.stop();
    let broke = |lost: &&Lost| gaps.iter().any(|gap| gap.broke(lost));
    let (open, other): (Vec<_>, Vec<_>) = seen.lost.iter().partition(broke);
    let mut took: Vec<Duration> = gaps.iter().map(|gap| gap.served - gap.asked).collect();
    took.sort();
    let millis = |at: usize| took.get(at).copied().unwrap_or_default().as_millis();
    println!("kills                   {}", gaps.len());
    println!("requests served         {} ({:?})", seen.served(), seen.versions);
    println!("broken while open       {}", open.len());
    println!("lost otherwise          {}", other.len());
    println!("connections refused     {} (nothing was sent on them)", seen.refused);
    println!(
        "kill to first answer    median {} ms, longest {} ms",
        millis(took.len() / 2),
        millis(took.len().saturating_sub(1))
    );
    println!("orphans                 {} of {} processes", processes.orphans.len(), processes.all);
    ensure!(processes.all > 0, "no process of ours was found: orphans would not be seen");
    let mut wrong: Vec<String> =
        other.iter().map(|lost| format!("a request was lost: {}", lost.why)).collect();
    wrong.extend(processes.orphans.iter().map(|pid| format!("process {pid} is in no record")));
    Ok(wrong)
}

fn kill(world: &World) -> Result<Gap> {
    let pid = world.edge_process().context("the edge has no record")?;
    let asked = Instant::now();
    let killed = shell::quiet("kill", &["-KILL", &pid.to_string()]);
    ensure!(killed, "the edge's process {pid} was gone before");
    while !is_gone(pid) {
        ensure!(asked.elapsed() < BACK_MAX, "process {pid} does not die");
        thread::sleep(LOOK_EVERY);
    }
    let done = Instant::now();
    let target = world.target();
    while world.edge_process() == Some(pid) || !load::is_served(&target) {
        ensure!(done.elapsed() < BACK_MAX, "nobody started the edge again within {BACK_MAX:?}");
        thread::sleep(LOOK_EVERY);
    }
    Ok(Gap { asked, done, served: Instant::now() })
}

/// The kernel still takes connections for a process until its last thread has ended; that it waits for its parent then
/// is of no matter.
fn is_gone(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let ended = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    ended && threads <= 1
}
