//! The live table as lines of text: a pure function of what is known.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_control::view::{DeploymentView, RunView, SlotView};
use grit_rollout::slot::Status;
use grit_types::Weight;

use super::load::Tally;

/// From here on there is room for what a deployment is doing, and for longer bars.
const WIDE: usize = 100;
/// Below this the bars go, below the next also the instances and the latency.
const BARS_FROM: usize = 80;
const ALL_FROM: usize = 64;
/// Environments in the order of a release's walk.
const WALK: [&str; 3] = ["development", "staging", super::act::PRODUCTION];

/// What the control process last told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub slots: Vec<SlotView>,
    /// Of the api in production, in no particular order.
    pub deployments: Vec<DeploymentView>,
    /// The newest.
    pub run: Option<RunView>,
}

/// All that the table shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// `4 of 6: v1.1.0 as a canary`.
    pub act: String,
    pub elapsed: Duration,
    pub seen: Seen,
    /// The control process does not answer.
    pub away: bool,
    /// By version, without the `v`.
    pub tallies: BTreeMap<String, Tally>,
}

/// How it may look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub width: usize,
    pub height: usize,
    pub colour: bool,
    /// Bars of blocks rather than of `#`.
    pub unicode: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tone {
    Plain,
    Dim,
    Good,
    Busy,
    Bad,
}

/// A line of pieces, each with its tone.
type Line = Vec<(String, Tone)>;

/// The lines, none wider than the terminal and none too many for it.
pub fn draw(scene: &Scene, look: Look) -> Vec<String> {
    let mut lines = vec![title(scene, look), walk(scene)];
    lines.extend(table(scene, look));
    lines.extend(reasons(scene));
    if scene.away {
        let away = "the controller is away; the router goes on without it".to_owned();
        lines.push(vec![(away, Tone::Busy)]);
    }
    lines.truncate(look.height.saturating_sub(1));
    lines.iter().map(|line| shown(line, look)).collect()
}

fn title(scene: &Scene, look: Look) -> Line {
    let rule = if look.unicode { "─" } else { "-" };
    let seconds = scene.elapsed.as_secs();
    let time = format!(" {}:{:02} ", seconds / 60, seconds % 60);
    let act = format!(" {} ", scene.act);
    let room = look.width.saturating_sub(act.chars().count() + time.len() + 4);
    vec![
        (rule.repeat(2), Tone::Dim),
        (act, Tone::Plain),
        (rule.repeat(room), Tone::Dim),
        (time, Tone::Plain),
        (rule.repeat(2), Tone::Dim),
    ]
}

/// How far the newest push has come.
fn walk(scene: &Scene) -> Line {
    let Some(run) = &scene.seen.run else { return vec![("starting".to_owned(), Tone::Dim)] };
    let over = run.jobs.iter().filter(|job| job.ending.is_some()).count();
    let jobs = run.jobs.len();
    let name = run.ref_name.as_ref().map(|name| short(name.as_str()).to_owned());
    let mut line = vec![
        (format!("{}: ", name.unwrap_or_default()), Tone::Plain),
        match run.status.as_str() {
            "running" => (format!("{over} of {jobs} jobs"), Tone::Busy),
            "success" => ("built".to_owned(), Tone::Good),
            status => (status.to_owned(), Tone::Bad),
        },
    ];
    if run.status == "running" {
        line.extend(at_work(run));
        return line;
    }
    for environment in WALK {
        let slot = scene.seen.slots.iter().find(|slot| {
            slot.service.as_str() == "api" && slot.environment.as_str() == environment
        });
        let here = slot.and_then(|slot| slot.deployment.as_ref());
        let here = here.filter(|deployment| deployment.commit == run.commit);
        let (status, tone) = here.map_or(("-".to_owned(), Tone::Dim), |deployment| {
            (deployment.status.to_string(), tone(deployment.status))
        });
        line.push((format!("  {environment} "), Tone::Plain));
        line.push((status, tone));
    }
    line
}

/// The jobs that are running, and what they do.
fn at_work(run: &RunView) -> Line {
    let running = run.jobs.iter().filter(|job| job.state == "running");
    let line = running.map(|job| {
        let step = job.steps.iter().find(|step| step.ending.is_none());
        let step = step.map(|step| format!(": {}", step.title)).unwrap_or_default();
        (format!("  {}{step}", job.name), Tone::Plain)
    });
    line.collect()
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn tone(status: Status) -> Tone {
    match status {
        Status::Succeeded => Tone::Good,
        Status::RollingBack | Status::RolledBack | Status::Failed | Status::Degraded => Tone::Bad,
        Status::Cancelled | Status::Superseded => Tone::Dim,
        Status::Pending | Status::Gated | Status::Queued | Status::Provisioning => Tone::Busy,
        Status::Verifying | Status::Progressing | Status::Paused | Status::Promoting => Tone::Busy,
        Status::Soaking => Tone::Busy,
    }
}

fn table(scene: &Scene, look: Look) -> Vec<Line> {
    let state = if look.width >= WIDE { look.width.min(120) - 66 } else { 20 };
    let bars = if look.width >= WIDE { 18 } else { 10 };
    let row = |cells: [(String, Tone); 7]| {
        let [version, says, weight, instances, rate, failed, p99] = cells;
        let mut line = vec![
            (format!("{:<8} ", version.0), version.1),
            (format!("{:<state$.state$} ", says.0), says.1),
        ];
        let weight_width = if look.width >= BARS_FROM { 6 + bars } else { 6 };
        line.push((format!("{:<weight_width$} ", weight.0), weight.1));
        if look.width >= ALL_FROM {
            line.push((format!("{:>9} ", instances.0), instances.1));
        }
        line.push((format!("{:>5} ", rate.0), rate.1));
        line.push((format!("{:>6}", failed.0), failed.1));
        if look.width >= ALL_FROM {
            line.push((format!(" {:>7}", p99.0), p99.1));
        }
        line
    };
    let head = ["VERSION", "STATE", "WEIGHT", "INSTANCES", "REQ/S", "FAILED", "P99"];
    let mut lines = vec![row(head.map(|cell| (cell.to_owned(), Tone::Dim)))];
    let production = scene.seen.slots.iter().find(|slot| {
        slot.service.as_str() == "api" && slot.environment.as_str() == super::act::PRODUCTION
    });
    let mut deployments: Vec<&DeploymentView> = scene.seen.deployments.iter().collect();
    deployments.sort_by_key(|deployment| deployment.number);
    for deployment in deployments {
        let revision = production
            .and_then(|slot| slot.revisions.iter().find(|r| r.version == deployment.version));
        let live = !deployment.status.is_final();
        let (says, says_tone) = match revision {
            _ if live => (progress(deployment, look), tone(deployment.status)),
            Some(revision) if revision.stable => ("stable".to_owned(), Tone::Good),
            _ if deployment.status != Status::Succeeded => {
                (deployment.status.to_string(), tone(deployment.status))
            }
            Some(revision) if revision.ready > 0 => ("standby".to_owned(), Tone::Dim),
            _ => ("retired".to_owned(), Tone::Dim),
        };
        let weight = revision.map_or(Weight::ZERO, |revision| revision.weight);
        let ready = revision.map_or(0, |revision| revision.ready);
        let counted = scene.tallies.get(deployment.version.trim_start_matches('v'));
        let tally = counted.cloned().unwrap_or_default();
        let failed = if tally.failed > 0 { Tone::Bad } else { Tone::Plain };
        lines.push(row([
            (deployment.version.clone(), Tone::Plain),
            (says, says_tone),
            (bar(weight, bars, look), says_tone),
            (ready.to_string(), Tone::Plain),
            (counted.map_or("-".to_owned(), |_| format!("{:.0}", tally.rate)), Tone::Plain),
            (counted.map_or("-".to_owned(), |_| tally.failed.to_string()), failed),
            (tally.p99.map_or("-".to_owned(), latency), Tone::Plain),
        ]));
    }
    if let Some(tally) = scene.tallies.get("").filter(|tally| tally.failed > 0) {
        let mut cells = ["", "", "", "", "", "", ""].map(|cell| (cell.to_owned(), Tone::Plain));
        cells[1] = ("unanswered".to_owned(), Tone::Bad);
        cells[4].0 = format!("{:.0}", tally.rate);
        cells[5] = (tally.failed.to_string(), Tone::Bad);
        lines.push(row(cells));
    }
    lines
}

fn progress(deployment: &DeploymentView, look: Look) -> String {
    let mut text = deployment.status.to_string();
    if deployment.steps > 1 && deployment.started_at.is_some() {
        text.push_str(&format!(" {}/{}", deployment.step, deployment.steps));
    }
    if look.width >= WIDE && !deployment.doing.is_empty() {
        text.push_str(&format!(" {}", deployment.doing));
    }
    text
}

fn bar(weight: Weight, length: usize, look: Look) -> String {
    let percent = weight.to_string();
    if look.width < BARS_FROM {
        return percent;
    }
    let full = usize::from(weight.basis_points()) * length;
    // Some is never shown as none, and not as all.
    let filled = full.div_ceil(usize::from(Weight::FULL.basis_points()));
    let filled = if weight < Weight::FULL { filled.min(length - 1) } else { filled };
    let (on, off) = if look.unicode { ("█", "·") } else { ("#", ".") };
    format!("{percent:<5} {}{}", on.repeat(filled), off.repeat(length - filled))
}

fn latency(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1_000.0;
    match ms {
        _ if ms >= 1_000.0 => format!("{:.2} s", ms / 1_000.0),
        _ if ms >= 10.0 => format!("{ms:.0} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

/// Why versions went back.
fn reasons(scene: &Scene) -> Vec<Line> {
    let mut told: Vec<&DeploymentView> = scene.seen.deployments.iter().collect();
    told.sort_by_key(|deployment| deployment.number);
    let told = told.into_iter().filter_map(|deployment| {
        let reason = deployment.reason.as_ref()?;
        Some(vec![(format!("{}: {reason}", deployment.version), Tone::Bad)])
    });
    told.collect()
}

/// Cut to the width, then coloured.
fn shown(line: &Line, look: Look) -> String {
    let mut room = look.width;
    let mut text = String::new();
    for (piece, tone) in line {
        let cut: String = piece.chars().take(room).collect();
        room -= cut.chars().count();
        let code = match tone {
            Tone::Plain => None,
            Tone::Dim => Some(2),
            Tone::Good => Some(32),
            Tone::Busy => Some(33),
            Tone::Bad => Some(31),
        };
        match code.filter(|_| look.colour && !cut.is_empty()) {
            Some(code) => text.push_str(&format!("\x1b[{code}m{cut}\x1b[0m")),
            None => text.push_str(&cut),
        }
    }
    if look.colour { text } else { text.trim_end().to_owned() }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
