//! Weight changes under load: what is lost while the edge goes from one split to the next, and how true each split is.

use std::{
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    ask, edge,
    proxies::{self, HOST, Upstreams},
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
    let socket = folder.path().join("data/edge/admin.sock");
    let put = |weight: u32, sequence: u64| -> Result<()> {
        let told = ask::put(&socket, "/routes", &proxies::route(&upstreams, weight, sequence))?;
        let observed: Value = serde_json::from_str(&told)?;
        ensure!(observed["sequence"] == sequence, "change {sequence} is answered {told}");
        Ok(())
    };
    let target = Target {
        edge: proxy.address().parse()?,
        host: HOST.to_owned(),
        rate: u32::try_from(settings.rate)?,
        version_header: "x-no-version",
        shop: false,
    };
    let before = upstreams.served()?;
    let began = Instant::now();
    let load = Load::start(&target);
    // Of each split what it should have sent to the canary.
    let (mut wanted, mut counted, mut weight) = (0.0, 0, proxies::CANARY_PERCENT * 100);
    for change in 0..settings.changes {
        thread::sleep(
            (began + PERIOD * u32::try_from(change)?).saturating_duration_since(Instant::now()),
        );
        wanted += since(&load, &mut counted) * f64::from(weight) / 10_000.0;
        weight = weight_of(change);
        put(weight, change + 2)?;
    }
    wanted += since(&load, &mut counted) * f64::from(weight) / 10_000.0;
    let changed = began.elapsed();
    put(HELD, settings.changes + 2)?;
    let held_from = upstreams.served()?;
    thread::sleep(HOLD);
    let held_to = upstreams.served()?;
    let seen = load.stop();
    let took = began.elapsed();
    let share = |canary: u64, stable: u64| 100.0 * canary as f64 / (canary + stable).max(1) as f64;
    let (canary, stable) = (held_from.canary - before.canary, held_from.stable - before.stable);
    let held = share(held_to.canary - held_from.canary, held_to.stable - held_from.stable);
    let meant = 100.0 * wanted / counted.max(1) as f64;
    println!("changes                 {} in {:.1} s", settings.changes, changed.as_secs_f64());
    println!(
        "requests                {}, {:.0} per second",
        seen.served(),
        seen.served() as f64 / took.as_secs_f64()
    );
    println!("lost                    {} + {} refused", seen.lost.len(), seen.refused);
    println!("slowest answer          {:.1} ms", seen.longest.as_secs_f64() * 1e3);
    println!("to the canary, changing {:.2} %, meant {meant:.2} %", share(canary, stable));
    println!("to the canary, held     {held:.2} %, meant {:.2} %", f64::from(HELD) / 100.0);
    let whole = seen.lost.is_empty() && seen.refused == 0;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
