//! `grit serve` is killed within canaries; the edge and the instances go on, and so does the rollout.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    random::Random,
    world::{World, ended},
};

use crate::load::Load;

/// From one kill to the next, in milliseconds.
const PAUSE_MS: (u64, u64) = (50, 1_500);
/// A canary takes no longer.
const END_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const VERSIONS: [&str; 2] = ["v1.0.0", "v1.1.0"];
/// Basis points that a canary holds at.
const WEIGHTS: [u64; 3] = [500, 2_000, 5_000];

/// What the control processes said of the rollouts, before and after each kill.
#[derive(Default)]
struct Story {
    resumed: Vec<Duration>,
    /// By deployment: the furthest step, and the weights that it was seen at.
    rollouts: BTreeMap<String, (u64, BTreeSet<u64>)>,
    wrong: Vec<String>,
}

/// Answers with what was not as it should be.
pub fn run(world: &mut World, kills: u64, seed: u64) -> Result<Vec<String>> {
    let mut random = Random::new(seed);
    let mut story = Story::default();
    let load = Load::start(&world.target());
    world.release("1.1.0")?;
    let mut rollouts = 0;
    while (story.resumed.len() as u64) < kills {
        rollouts += 1;
        let version = VERSIONS[rollouts % 2];
        if rollouts > 1 {
            world.deploy(version)?;
        }
        world.approve_when_gated(version)?;
        canary(world, version, kills, &mut random, &mut story)?;
        println!("rollout {rollouts} to {version}: {} kills so far", story.resumed.len());
    }
    let processes = world.processes();
    let seen = load.stop();
    story.check_weights();
    let (median, longest) = story.resumes();
    println!("kills                   {}", story.resumed.len());
    println!("rollouts                {rollouts}");
    println!("requests served         {} ({:?})", seen.served(), seen.versions);
    println!("requests lost           {} + {} refused", seen.lost.len(), seen.refused);
    println!("slowest answer          {} ms", seen.longest.as_millis());
    println!("resume                  median {median} ms, longest {longest} ms");
    println!("orphans                 {} of {} processes", processes.orphans.len(), processes.all);
    ensure!(processes.all > 0, "no process of ours was found: orphans would not be seen");
    let mut wrong = story.wrong;
    wrong.extend(seen.lost.iter().map(|lost| format!("a request was lost: {}", lost.why)));
    wrong.extend((seen.refused > 0).then(|| format!("{} connections refused", seen.refused)));
    wrong.extend(processes.orphans.iter().map(|pid| format!("process {pid} is in no record")));
    Ok(wrong)
}

/// Kills again and again until the rollout has ended, or enough were killed.
fn canary(
    world: &mut World,
    version: &str,
    kills: u64,
    random: &mut Random,
    story: &mut Story,
) -> Result<()> {
    while (story.resumed.len() as u64) < kills {
        let pause = Duration::from_millis(random.between(PAUSE_MS.0, PAUSE_MS.1));
        if story.watch(world, pause)? {
            break;
        }
        story.resumed.push(world.kill_controller()?);
    }
    ensure!(story.watch(world, END_MAX)?, "{version} does not end");
    let last = world.newest()?;
    story.note(&last);
    if last["status"] != "SUCCEEDED" {
        story.wrong.push(format!("{version} ended {}: {}", last["status"], last["reason"]));
    }
    Ok(())
}

impl Story {
    /// Looks on for so long; true when the rollout has ended.
    fn watch(&mut self, world: &World, pause: Duration) -> Result<bool> {
        let until = Instant::now() + pause;
        loop {
            let newest = world.newest()?;
            self.note(&newest);
            if ended(&newest) {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn note(&mut self, deployment: &Value) {
        let id = deployment["id"].as_str().unwrap_or_default().to_owned();
        let (furthest, weights) = self.rollouts.entry(id).or_default();
        let step = deployment["step"].as_u64().unwrap_or_default();
        if step < *furthest && !ended(deployment) {
            self.wrong.push(format!("step {step} was seen after step {furthest}"));
        }
        *furthest = step.max(*furthest);
        weights.extend(deployment["weight"].as_u64());
    }

    /// From kill to answer, in milliseconds: the median and the longest.
    fn resumes(&self) -> (u128, u128) {
        let mut all: Vec<u128> = self.resumed.iter().map(Duration::as_millis).collect();
        all.sort_unstable();
        let at = |index: usize| all.get(index).copied().unwrap_or_default();
        (at(all.len() / 2), at(all.len().saturating_sub(1)))
    }

    /// Each canary was seen at each of its weights, and at no other.
    fn check_weights(&mut self) {
        let mut skipped = 0;
        for (_, weights) in self.rollouts.values() {
            skipped += WEIGHTS.iter().filter(|weight| !weights.contains(weight)).count();
            let known = |weight: &&u64| WEIGHTS.contains(weight) || [0, 10_000].contains(*weight);
            let other = weights.iter().filter(|weight| !known(weight));
            self.wrong.extend(other.map(|weight| format!("weight {weight} is in no plan")));
        }
        println!("steps skipped           {skipped}");
        self.wrong.extend((skipped > 0).then(|| format!("{skipped} weights were skipped")));
    }
}
