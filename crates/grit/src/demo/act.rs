//! The acts of the demo, in their order; each waits for what it must have seen.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_control::view::{DeploymentView, SlotView};
use grit_git::{GitLedger, Repository};
use grit_insight::dora;
use grit_issues::Issues;
use grit_ledger::Ledger;
use grit_rollout::slot::{Status, Why};
use grit_types::{Clock, Weight};
use serde_json::json;

use super::load::{Load, Sample};
use super::report::{Bad, Recovery, Summary, Told, VersionCount};
use super::sequence;
use super::world::{REPO, World};
use crate::cli::args::{Demo, Fault};
use crate::cli::{self};
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// No wait of the demo is longer.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often the control process is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PRODUCTION: &str = "production";

/// What was seen while everything ran.
pub struct Played {
    samples: Vec<Sample>,
    own_approval_refused: bool,
    resumed_after: Duration,
    killed_at: Weight,
    good: DeploymentView,
    bad: DeploymentView,
    digests: BTreeMap<String, String>,
    /// When the third release was approved, since the load began.
    third_at: Duration,
}

/// Plays until the third release has ended.
pub async fn play(world: &World, options: &Demo, ui: &Ui) -> Result<Played, Failure> {
    let stage = Stage { world, ui };
    ui.status("1  A control process, an edge and a repository whose push starts the pipeline.");
    ui.status("2  v1.0.0 is pushed: built once, then development, staging, production.");
    world.shop.commit("1.0.0")?;
    world.shop.push("1.0.0", &world.author_token).await?;
    stage.gated("v1.0.0").await?;
    let own_approval_refused = stage.own_approval().await?;
    stage.approve("web").await?;
    stage.approve("api").await?;
    world.shop.release("1.1.0", Fault::None)?;
    world.shop.push("1.1.0", &world.author_token).await?;
    stage.ended("api", PRODUCTION, "v1.0.0").await?;
    stage.ended("web", PRODUCTION, "v1.0.0").await?;
    let digests = stage.digests("v1.0.0").await?;

    let host = format!("api.{PRODUCTION}.localhost");
    ui.status(
        "3  An open-loop load on the edge: 200 requests a second, none is sent twice. The split:",
    );
    ui.status(format!(
        "   for i in $(seq 20); do curl -s -H 'Host: {host}' http://{}/version; echo; done",
        world.file.edge
    ));
    let load = Load::start(world.file.edge, &host, options.seed);
    ui.status("4  v1.1.0 as a canary: 5, 20, 50, 100 %. Its controller is killed at 20 %.");
    stage.gated("v1.1.0").await?;
    stage.approve("api").await?;
    world.shop.release("1.2.0", options.fault)?;
    world.shop.push("1.2.0", &world.author_token).await?;
    let killed_at = stage.weight("v1.1.0", Weight::from_percent(20)).await?;
    let resumed_after = world.kill_controller().await?;
    ui.status(format!("   killed, and back after {} ms", resumed_after.as_millis()));
    let good = stage.ended("api", PRODUCTION, "v1.1.0").await?;
    let split = load.split(Duration::from_millis(500));
    ui.status(format!("   {} - the last half second: {split:?}", cli::line(&good)));

    ui.status(format!("5  v1.2.0, which turns bad: {:?}.", options.fault));
    stage.gated("v1.2.0").await?;
    let third_at = load.began.elapsed();
    stage.approve("api").await?;
    let bad = stage.ended("api", PRODUCTION, "v1.2.0").await?;
    ui.status(format!("   {}", cli::line(&bad)));
    if options.fault != Fault::None {
        stage.issue_opened("v1.2.0").await?;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let samples = load.stop().await;
    Ok(Played {
        samples,
        own_approval_refused,
        resumed_after,
        killed_at,
        good,
        bad,
        digests,
        third_at,
    })
}

struct Stage<'a> {
    world: &'a World,
    ui: &'a Ui,
}

impl Stage<'_> {
    async fn deployments(
        &self,
        service: &str,
        environment: &str,
    ) -> Result<Vec<DeploymentView>, Failure> {
        let path =
            format!("/api/v1/deployments?service={service}&environment={environment}&limit=20");
        self.world.lead.get(&path).await
    }

    /// Waits for what `seen` finds; a controller that is away for a moment is asked again.
    async fn until<T>(
        &self,
        what: &str,
        service: &str,
        environment: &str,
        mut seen: impl FnMut(&[DeploymentView]) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            let asked = self.deployments(service, environment).await;
            if let Some(found) = asked.as_ref().ok().and_then(|views| seen(views)) {
                return Ok(found);
            }
            if tokio::time::Instant::now() > deadline {
                let now = match &asked {
                    Ok(views) => views.iter().map(cli::line).collect::<Vec<_>>().join("; "),
                    Err(failure) => failure.message.clone(),
                };
                let problems = self.problems().await;
                let message = format!("waited in vain for {what}: {now} {problems}");
                return Err(Failure::new(Exit::Failed, "demo", message));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What is wrong with commits and runs, where something is.
    async fn problems(&self) -> String {
        let commits = self.world.lead.get::<serde_json::Value>("/api/v1/commits?limit=3").await;
        let runs = self.world.lead.get::<serde_json::Value>("/api/v1/runs?limit=1").await;
        let shown = |value: Result<serde_json::Value, Failure>| {
            value.map(|value| value.to_string()).unwrap_or_default()
        };
        format!("commits {} runs {}", shown(commits), shown(runs))
    }

    /// The api's release waits at production's approval, everything before it done.
    async fn gated(&self, version: &str) -> Result<(), Failure> {
        let waits = |views: &[DeploymentView]| {
            views.iter().find(|view| view.version == version).filter(|view| {
                let open = view.gates.iter().filter(|gate| gate.passed.is_none());
                view.status == Status::Gated && open.into_iter().all(|gate| gate.needs_person)
            })?;
            Some(())
        };
        self.until(&format!("{version} at its approval"), "api", PRODUCTION, waits).await?;
        self.ui.status(format!("   {version} waits for production's approval"));
        Ok(())
    }

    /// Who pushed it may not approve it.
    async fn own_approval(&self) -> Result<bool, Failure> {
        let path = format!("/api/v1/slots/{PRODUCTION}/api/approve");
        let answer = self.world.author.post::<serde_json::Value>(&path, &json!({})).await;
        match answer {
            Err(failure) if failure.code == "own_approval" => {
                self.ui.status(format!("   dana's own approval is refused: {}", failure.message));
                Ok(true)
            }
            Err(failure) => Err(failure),
            Ok(_) => Ok(false),
        }
    }

    async fn approve(&self, service: &str) -> Result<(), Failure> {
        let path = format!("/api/v1/slots/{PRODUCTION}/{service}/approve");
        self.world.lead.post::<serde_json::Value>(&path, &json!({})).await?;
        self.ui.status(format!("   lee approves {service}"));
        Ok(())
    }

    /// Waits until the version has this weight, read back.
    async fn weight(&self, version: &str, weight: Option<Weight>) -> Result<Weight, Failure> {
        let holds = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            let holding = view.status == Status::Paused || view.status.is_final();
            (holding && Some(view.weight) >= weight).then_some(view.weight)
        };
        self.until(&format!("{version} at its weight"), "api", PRODUCTION, holds).await
    }

    async fn ended(
        &self,
        service: &str,
        environment: &str,
        version: &str,
    ) -> Result<DeploymentView, Failure> {
        let mut told = String::new();
        let ended = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            let now = cli::line(view);
            if now != told && !view.status.is_final() {
                self.ui.status(format!("   {now}"));
                told = now;
            }
            view.status.is_final().then(|| view.clone())
        };
        self.until(&format!("the end of {version}"), service, environment, ended).await
    }

    async fn issue_opened(&self, version: &str) -> Result<(), Failure> {
        let opened = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            view.issue.as_ref().map(|_| ())
        };
        self.until("the issue", "api", PRODUCTION, opened).await
    }

    /// The api's digest by environment.
    async fn digests(&self, version: &str) -> Result<BTreeMap<String, String>, Failure> {
        let slots: Vec<SlotView> = self.world.lead.get("/api/v1/slots").await?;
        let mut digests = BTreeMap::new();
        for slot in slots.iter().filter(|slot| slot.service.as_str() == "api") {
            let revision = slot.revisions.iter().find(|revision| revision.version == version);
            if let Some(revision) = revision {
                digests.insert(slot.environment.to_string(), revision.artifact.to_string());
            }
        }
        Ok(digests)
    }
}

/// Stops everything, and reads the story from a fresh clone.
pub async fn tell(world: &World, played: Played, ui: &Ui) -> Result<Summary, Failure> {
    world.stop_controller().await;
    ui.status("6  Everything is stopped. A fresh clone tells the story:");
    let clone = world.fresh_clone()?;
    let told = tokio::task::spawn_blocking(move || read_back(&clone));
    let told =
        told.await.map_err(|error| Failure::because("reading ended with a panic", &error))??;
    for line in &told.lines {
        ui.status(format!("   {line}"));
    }
    let sequence = sequence::read(&world.data).await?;
    Ok(summary(played, told, sequence))
}

fn read_back(clone: &std::path::Path) -> Result<Told, Failure> {
    let repository = Repository::open(clone).map_err(|error| cli::git_failure(&error))?;
    let ledger = GitLedger::new(repository);
    let failed =
        |error: grit_ledger::LedgerError| Failure::because("the ledger cannot be read", &error);
    ledger.sync().map_err(failed)?;
    let events = ledger.read().map_err(failed)?;
    let history = grit_insight::deployments(&events);
    let issues = Issues::fold(&events);
    let mut lines = vec!["$ grit history api".to_owned()];
    let api = history.iter().filter(|summary| summary.service.as_str() == "api");
    lines.extend(api.map(|s| {
        let reason = s.reason.clone().unwrap_or_default();
        format!("  {} {} {} {} {reason}", s.number, s.environment, s.version, s.status.as_str())
    }));
    lines.push("$ grit issue list".to_owned());
    lines.extend(issues.all().map(|issue| format!("  {} {}", issue.id.short(), issue.title)));
    let window = dora::Window::last_days(1, SystemClock.now().after(Duration::from_secs(1)));
    let keys = dora::keys(&grit_insight::from_ledger(&events), window);
    let seconds =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} s"));
    lines.push("$ the four keys, from the same ledger".to_owned());
    lines.push(format!(
        "  {} production deployments, lead time {}, change failure rate {}, recovery {}",
        keys.deployment_total,
        seconds(keys.lead_time_median_s),
        keys.change_failure_rate.map_or("-".to_owned(), |rate| format!("{:.0} %", rate * 100.0)),
        seconds(keys.failed_deployment_recovery_median_s),
    ));
    Ok(Told {
        lines,
        deployments: history.len(),
        issues: issues.all().count(),
        dora: serde_json::to_value(&keys).unwrap_or_default(),
    })
}

fn summary(played: Played, told: Told, sequence: Vec<String>) -> Summary {
    let Played { samples, third_at, .. } = &played;
    let mut versions: BTreeMap<String, VersionCount> = BTreeMap::new();
    for sample in samples {
        let count = versions.entry(sample.version.clone()).or_default();
        count.requests += 1;
        count.failed += u64::from(sample.failed());
    }
    let before = samples.iter().filter(|sample| sample.due < *third_at && sample.failed()).count();
    let recovery = recovery(&played);
    let last = samples.iter().rev().take(50);
    let settled = last.clone().all(|sample| sample.version == wanted_version(&played));
    let mut summary = Summary {
        repo: REPO.to_owned(),
        versions,
        lost_before_the_bad_release: before,
        resumed_after_ms: millis(played.resumed_after),
        killed_at: played.killed_at,
        good: played.good.status,
        bad: played.bad.status,
        reason: played.bad.reason.clone(),
        detector: played.bad.evidence.as_ref().map(detector),
        settled,
        own_approval_refused: played.own_approval_refused,
        digests: played.digests.clone(),
        recovery,
        told,
        sequence,
        missing: vec![],
    };
    summary.missing = super::report::missing(&summary, played.bad.evidence.as_ref());
    summary
}

fn wanted_version(played: &Played) -> &'static str {
    if played.bad.status == Status::Succeeded { "1.2.0" } else { "1.1.0" }
}

fn detector(why: &Why) -> String {
    match why {
        Why::Guard(trip) => format!("guard ({:?})", trip.cause).to_lowercase(),
        Why::Analysis { .. } => "analysis".to_owned(),
        Why::Health { .. } => "health".to_owned(),
        other => other.to_string(),
    }
}

/// From the first bad answer of the third release to the last request that it got.
fn recovery(played: &Played) -> Option<Recovery> {
    let bad = |sample: &&Sample| {
        sample.due >= played.third_at
            && (sample.failed() || sample.took > Duration::from_millis(500))
    };
    let first = played.samples.iter().find(bad)?;
    let on_it = |sample: &&Sample| sample.version == "1.2.0" || sample.failed();
    let last = played.samples.iter().rev().find(on_it)?;
    let line = |sample: &Sample| Bad {
        line: sample.line.to_owned(),
        status: sample.status,
        at_ms: millis(sample.due),
    };
    let guard = match &played.bad.evidence {
        Some(Why::Guard(trip)) => trip.first_failure.clone(),
        _ => None,
    };
    Some(Recovery {
        first_bad: line(first),
        guard,
        last_bad: line(last),
        took_ms: millis(last.due.saturating_sub(first.due)),
        failed: played.samples.iter().filter(|s| s.due >= played.third_at && s.failed()).count(),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
