//! The edge beside nginx and haproxy: 90/10 over two upstreams, keep-alive on both sides, one thread each.
//!
//! CPU time of the proxy per request is what counts: throughput on a machine that the load and the upstreams share
//! says more about the machine.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};

use super::{
    proxies::{self, Proxy, Upstreams},
    score::{self, Reading},
    wrk,
};
use crate::{
    repo::Repo,
    tools::{self, Source, Tool},
};

/// Fills every pool of connections.
const WARM_UP_SECONDS: u64 = 1;

pub const NGINX: Tool = Tool {
    name: "nginx",
    probe: &["-v"],
    source: Source::Debian("nginx"),
    why: "a peer of the edge, and the upstreams",
};

const TOOLS: &[Tool] = &[
    NGINX,
    Tool {
        name: "haproxy",
        probe: &["-v"],
        source: Source::Debian("haproxy"),
        why: "a peer of the edge",
    },
    Tool { name: "wrk", probe: &[], source: Source::Debian("wrk"), why: "makes the requests" },
];

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub rounds: u64,
    /// Of load on each proxy in each round.
    pub seconds: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 5, seconds: 2, binary: None }
    }
}

/// # Errors
/// A tool is missing, `grit` does not build, or a part does not start or answer.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    tools::need(TOOLS)?;
    let binary = repo.grit(settings.binary.as_deref())?;
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let upstreams = Upstreams::start(folder.path())?;
    let proxies = [
        proxies::grit(folder.path(), &binary, &upstreams)?,
        proxies::nginx(folder.path(), &upstreams)?,
        proxies::haproxy(folder.path(), &upstreams)?,
    ];
    for proxy in &proxies {
        println!("{}: {}", proxy.name, proxy.version);
        wrk::load(&proxy.address(), WARM_UP_SECONDS)?;
    }
    let rounds = (0..settings.rounds)
        .map(|round| measure_all(&proxies, &upstreams, settings, round))
        .collect::<Result<Vec<_>>>()?;
    print!("{}", score::table(proxies.each_ref().map(|proxy| proxy.name), &rounds));
    let failed: u64 = rounds.iter().flatten().map(|reading| reading.failed).sum();
    if failed > 0 {
        println!("{failed} requests failed: the figures above mean nothing");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// One round over all proxies; each round begins with another, so that none always follows the same.
fn measure_all<const N: usize>(
    proxies: &[Proxy; N],
    upstreams: &Upstreams,
    settings: &Settings,
    round: u64,
) -> Result<[Reading; N]> {
    let mut readings = [Reading::default(); N];
    let first = usize::try_from(round)? % N;
    for at in (0..N).map(|step| (first + step) % N) {
        readings[at] = measure(&proxies[at], upstreams, settings.seconds)
            .with_context(|| format!("measure {}", proxies[at].name))?;
    }
    println!(
        "round {} of {}: {}",
        round + 1,
        settings.rounds,
        score::round_line(proxies.each_ref().map(|proxy| proxy.name), &readings)
    );
    Ok(readings)
}

fn measure(proxy: &Proxy, upstreams: &Upstreams, seconds: u64) -> Result<Reading> {
    let served = upstreams.served()?;
    let spent = proxy.cpu_time()?;
    let load = wrk::load(&proxy.address(), seconds)?;
    let spent = proxy.cpu_time()?.saturating_sub(spent);
    let now = upstreams.served()?;
    ensure!(load.requests > 0, "no request was answered");
    ensure!(!spent.is_zero(), "it answered without its process doing anything");
    Ok(Reading {
        cpu_us: spent.as_secs_f64() * 1e6 / load.requests as f64,
        per_second: load.per_second,
        p99_ms: load.p99_ms,
        stable: now.stable - served.stable,
        canary: now.canary - served.canary,
        failed: load.failed,
    })
}
