//! `grit serve` is killed while jobs run: each that was under way is interrupted and run again, and counts once.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{random::Random, world::World};

/// Pipelines that a push starts, and jobs of each that run at once.
const PIPELINES: usize = 10;
const JOBS: usize = 2;
/// A job is begun anew so often at most; then it fails.
const KILLS_PER_ROUND: u64 = 2;
/// What each of a job's steps tells, a line every 40 ms.
const LINES: usize = 40;
const STEPS: usize = 2;
/// From one kill to the next, in milliseconds.
const PAUSE_MS: (u64, u64) = (100, 1_200);
const END_MAX: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What the runner writes under the lines of a step that it found dead.
const INTERRUPTED: &str = "The runner was stopped while this step ran.";

/// The workflows that are killed under.
pub fn files() -> Vec<(String, String)> {
    let step = format!("for n in $(seq 1 {LINES}); do echo \"line $n\"; sleep 0.04; done");
    let pipeline = |number: usize| {
        let text = format!(
            "name: count {number}\non: push\njobs:\n  count:\n    runs-on: ubuntu-latest\n    \
             strategy:\n      matrix:\n        part: [a, b]\n    steps:\n      - run: {step}\n      \
             - run: {step}\n"
        );
        (format!(".github/workflows/count-{number}.yml"), text)
    };
    (0..PIPELINES).map(pipeline).collect()
}

#[derive(Default)]
struct Story {
    resumed: Vec<Duration>,
    /// Jobs that ran at each kill.
    running: Vec<usize>,
    accepted: usize,
    /// Attempts that were not the last.
    interrupted: usize,
    logs: usize,
    wrong: Vec<String>,
}

/// Answers with what was not as it should be.
pub fn run(world: &mut World, kills: u64, seed: u64) -> Result<Vec<String>> {
    let mut random = Random::new(seed);
    let mut story = Story::default();
    let mut rounds = 0;
    while (story.resumed.len() as u64) < kills {
        rounds += 1;
        let commit = world.push(&format!("round {rounds}"))?;
        until_all_run(world, &commit)?;
        for _ in 0..KILLS_PER_ROUND.min(kills - story.resumed.len() as u64) {
            thread::sleep(Duration::from_millis(random.between(PAUSE_MS.0, PAUSE_MS.1)));
            story.running.push(busy(&of_commit(world, &commit)?));
            story.resumed.push(world.kill_controller()?);
        }
        let runs = until_over(world, &commit)?;
        story.check(&world.logs(), &runs)?;
        let left = world.processes().orphans;
        story.wrong.extend(left.iter().map(|pid| format!("process {pid} is in no record")));
        if rounds % 10 == 0 {
            println!("round {rounds}: {} kills so far", story.resumed.len());
        }
    }
    story.tell(rounds);
    ensure!(story.interrupted > 0, "no kill met a job: nothing was shown");
    Ok(story.wrong)
}

impl Story {
    fn check(&mut self, logs: &Path, runs: &[Value]) -> Result<()> {
        for run in runs {
            let id = run["id"].as_str().context("a run has an id")?;
            let jobs = run["jobs"].as_array().context("a run has jobs")?;
            if run["status"] != "success" || jobs.len() != JOBS {
                self.wrong.push(format!("{id} is {} with {} jobs", run["status"], jobs.len()));
            }
            let last: BTreeMap<&str, &Value> =
                jobs.iter().filter_map(|job| Some((job["job"].as_str()?, job))).collect();
            for (id, job) in &last {
                self.accepted += 1;
                let ended = job["steps"].as_array().into_iter().flatten();
                let ended = ended.filter(|step| step["ending"] == "success").count();
                if job["ending"] != "success" || ended != STEPS {
                    self.wrong.push(format!("{id} is {} after {ended} steps", job["ending"]));
                }
                self.interrupted += job["attempt"].as_u64().unwrap_or(1) as usize - 1;
            }
            for entry in fs::read_dir(logs.join(id))? {
                let folder = entry?;
                let name = folder.file_name().to_string_lossy().into_owned();
                self.check_logs(&folder.path(), last.contains_key(name.as_str()))?;
            }
        }
        Ok(())
    }

    /// Lines from the first on, none twice, none left out; all of them where the attempt counts.
    fn check_logs(&mut self, folder: &Path, counts: bool) -> Result<()> {
        let mut whole = 0;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "log") {
                continue;
            }
            self.logs += 1;
            let text = fs::read_to_string(&path)?;
            let told: Vec<&str> = text.lines().filter(|line| *line != INTERRUPTED).collect();
            let right = (1..).map(|n| format!("line {n}"));
            if let Some((told, _)) = told.iter().zip(right).find(|(told, right)| **told != *right) {
                let path = path.display();
                self.wrong.push(format!("{path}: lines are lost or doubled, at `{told}`"));
            }
            whole += usize::from(told.len() == LINES);
        }
        if counts && whole != STEPS {
            let folder = folder.display();
            self.wrong
                .push(format!("{folder}: {whole} of {STEPS} logs of an accepted job are whole"));
        }
        Ok(())
    }

    fn tell(&self, rounds: u64) {
        let mut took: Vec<u128> = self.resumed.iter().map(Duration::as_millis).collect();
        took.sort_unstable();
        let at = |index: usize| took.get(index).copied().unwrap_or_default();
        let most = self.running.iter().max().copied().unwrap_or_default();
        let mean = self.running.iter().sum::<usize>() as f64 / self.running.len().max(1) as f64;
        println!("kills                   {} in {rounds} rounds", took.len());
        println!("jobs running at a kill  {mean:.1}, at most {most}");
        println!("jobs accepted           {}, each once", self.accepted);
        println!("attempts interrupted    {}", self.interrupted);
        println!("logs                    {} read", self.logs);
        println!(
            "resume                  median {} ms, longest {} ms",
            at(took.len() / 2),
            at(took.len().saturating_sub(1))
        );
    }
}

fn of_commit(world: &World, commit: &str) -> Result<Vec<Value>> {
    let runs = world.runs(PIPELINES * 2)?;
    Ok(runs.into_iter().filter(|run| run["commit"] == commit).collect())
}

fn busy(runs: &[Value]) -> usize {
    let jobs = runs.iter().filter_map(|run| run["jobs"].as_array()).flatten();
    jobs.filter(|job| job["state"] == "running").count()
}

fn until_all_run(world: &World, commit: &str) -> Result<()> {
    let running = |runs: &[Value]| busy(runs) == PIPELINES * JOBS;
    until(world, commit, "all jobs to run", running).map(drop)
}

fn until_over(world: &World, commit: &str) -> Result<Vec<Value>> {
    let over = |runs: &[Value]| {
        runs.len() == PIPELINES && runs.iter().all(|run| !run["completedAt"].is_null())
    };
    until(world, commit, "the end of all runs", over)
}

fn until(
    world: &World,
    commit: &str,
    what: &str,
    wanted: impl Fn(&[Value]) -> bool,
) -> Result<Vec<Value>> {
    let deadline = Instant::now() + END_MAX;
    loop {
        match of_commit(world, commit) {
            Ok(runs) if wanted(&runs) => return Ok(runs),
            now if Instant::now() > deadline => bail!("waited in vain for {what}: {now:?}"),
            _ => thread::sleep(LOOK_EVERY),
        }
    }
}
