//! Weight changes under load: what is lost while the edge goes from one split to the next, and how true each split is.

use std::{
    fmt,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    ask, edge,
    proxies::{self, HOST, Served, Upstreams},
};
use crate::{
    load::{Load, Target},
    repo::Repo,
    tools::{self, Tool},
};

/// From one change to the next.
const PERIOD: Duration = Duration::from_millis(10);
/// How long the last split is held.
const HOLD: Duration = Duration::from_secs(3);
/// Of the split that is held.
const HELD: u32 = 2_000;
const TOOLS: &[Tool] = &[edge::NGINX];

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub changes: u64,
    /// Requests per second.
    pub rate: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { changes: 1_000, rate: 2_000, binary: None }
    }
}

/// # Errors
/// A part does not start, or the edge refuses a change.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    tools::need(TOOLS)?;
    let binary = repo.grit(settings.binary.as_deref())?;
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let upstreams = Upstreams::start(folder.path())?;
    let proxy = proxies::grit(folder.path(), &binary, &upstreams)?;
    let bench = Bench { upstreams, socket: folder.path().join("data/edge/admin.sock") };
    let load = Load::start(&Target {
        edge: proxy.address().parse()?,
        host: HOST.to_owned(),
        rate: u32::try_from(settings.rate)?,
        version_header: "x-no-version",
        shop: false,
    });
    let began = Instant::now();
    let changing = bench.change(settings.changes, &load)?;
    let changed = began.elapsed();
    let held = bench.hold(settings.changes + 2)?;
    let seen = load.stop();
    let per_second = seen.served() as f64 / began.elapsed().as_secs_f64();
    println!("changes                 {} in {:.1} s", settings.changes, changed.as_secs_f64());
    println!("requests                {}, {per_second:.0} per second", seen.served());
    println!("lost                    {} + {} refused", seen.lost.len(), seen.refused);
    println!("slowest answer          {:.1} ms", seen.longest.as_secs_f64() * 1e3);
    println!("to the canary, changing {changing}");
    println!("to the canary, held     {held}");
    let whole = seen.lost.is_empty() && seen.refused == 0;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The canary's share of requests, in percent: as it was, and as it was meant to be.
struct Share {
    seen: f64,
    meant: f64,
}

impl Share {
    fn new(from: Served, to: Served, meant: f64) -> Self {
        let (canary, stable) = (to.canary - from.canary, to.stable - from.stable);
        Self { seen: 100.0 * canary as f64 / (canary + stable).max(1) as f64, meant }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} %, meant {:.2} %", self.seen, self.meant)
    }
}

struct Bench {
    upstreams: Upstreams,
    socket: PathBuf,
}

impl Bench {
    /// Goes from split to split; each is meant for what is served until the next.
    fn change(&self, changes: u64, load: &Load) -> Result<Share> {
        let before = self.upstreams.served()?;
        let (mut meant, mut counted) = (0.0, 0);
        let mut weight = proxies::CANARY_PERCENT * 100;
        let mut due = Instant::now();
        for change in 0..changes {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += PERIOD;
            meant += since(load, &mut counted) * f64::from(weight) / 100.0;
            weight = weight_of(change);
            self.put(weight, change + 2)?;
        }
        meant += since(load, &mut counted) * f64::from(weight) / 100.0;
        Ok(Share::new(before, self.upstreams.served()?, meant / counted.max(1) as f64))
    }

    /// Stays at one split.
    fn hold(&self, sequence: u64) -> Result<Share> {
        self.put(HELD, sequence)?;
        let from = self.upstreams.served()?;
        thread::sleep(HOLD);
        Ok(Share::new(from, self.upstreams.served()?, f64::from(HELD) / 100.0))
    }

    fn put(&self, weight: u32, sequence: u64) -> Result<()> {
        let route = proxies::route(&self.upstreams, weight, sequence);
        let told = ask::put(&self.socket, "/routes", &route)?;
        let observed: Value = serde_json::from_str(&told)?;
        ensure!(observed["sequence"] == sequence, "change {sequence} is answered {told}");
        Ok(())
    }
}

/// All over the range, the same in every run.
fn weight_of(change: u64) -> u32 {
    u32::try_from(change * 3_701 % 10_001).unwrap_or_default()
}

/// Requests served since the last time.
fn since(load: &Load, counted: &mut u64) -> f64 {
    let now = load.seen(crate::load::Seen::served);
    let more = now - *counted;
    *counted = now;
    more as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_all_over_the_range_and_within_it() {
        let all: Vec<u32> = (0..1_000).map(weight_of).collect();
        assert!(all.iter().all(|weight| *weight <= 10_000));
        for tenth in 0..10 {
            let within = all.iter().filter(|weight| **weight / 1_000 == tenth).count();
            assert!((50..200).contains(&within), "{within} in tenth {tenth}");
        }
    }
}
