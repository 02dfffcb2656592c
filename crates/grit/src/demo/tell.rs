//! The last act: what a fresh clone tells, and all that was seen, summed up.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use grit_git::{GitLedger, Repository};
use grit_insight::dora;
use grit_issues::Issues;
use grit_ledger::Ledger;
use grit_rollout::slot::{Status, Why};
use grit_types::{Clock, Timestamp};

use super::act::{Played, Trial};
use super::load::Sample;
use super::report::{self, Bad, Recovery, Summary, Told, TrialView, VersionCount};
use super::screen::Screen;
use super::sequence;
use super::world::{REPO, World};
use crate::cli;
use crate::cli::args::Demo;
use crate::compose::SystemClock;
use crate::exit::Failure;

/// What takes longer is no good answer.
const LATE: Duration = Duration::from_millis(500);

/// Stops everything (what is to be kept only as far as it must), and reads the story from a fresh
/// clone.
pub async fn tell(
    world: &World,
    played: Played,
    options: &Demo,
    screen: &Screen<'_>,
) -> Result<Summary, Failure> {
    screen.close_table();
    if options.keep {
        world.stop_controller().await;
        screen.act(6, "the story", "The controller is stopped. A fresh clone tells the story:");
    } else {
        world.stop().await;
        screen.act(6, "the story", "Everything is stopped. A fresh clone tells the story:");
    }
    let clone = world.fresh_clone()?;
    let told = tokio::task::spawn_blocking(move || read_back(&clone));
    let told =
        told.await.map_err(|error| Failure::because("reading ended with a panic", &error))??;
    for line in &told.lines {
        screen.say(format!("   {line}"));
    }
    let story = sequence::read(&world.data).await?;
    if options.keep {
        world.start_again().await?;
    }
    Ok(summary(played, told, story, options))
}

fn read_back(clone: &Path) -> Result<Told, Failure> {
    let repository = Repository::open(clone).map_err(|error| cli::git_failure(&error))?;
    let ledger = GitLedger::new(repository);
    let failed =
        |error: grit_ledger::LedgerError| Failure::because("the ledger cannot be read", &error);
    ledger.sync().map_err(failed)?;
    let events = ledger.read().map_err(failed)?;
    let history = grit_insight::deployments(&events);
    let issues = Issues::fold(&events);
    let mut lines = vec!["$ grit sync --audit".to_owned(), "$ grit history api".to_owned()];
    let api = history.iter().filter(|summary| summary.service.as_str() == "api");
    let rows: Vec<Vec<String>> = api
        .map(|s| {
            let number = format!("  {}", s.number);
            let reason = s.reason.clone().unwrap_or_default();
            let status = s.status.to_string();
            vec![number, s.environment.to_string(), s.version.clone(), status, reason]
        })
        .collect();
    let table = crate::ui::table(&["  REVISION", "ENVIRONMENT", "VERSION", "STATUS", "WHY"], &rows);
    lines.extend(table.lines().map(str::to_owned));
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

fn summary(played: Played, told: Told, story: sequence::Story, options: &Demo) -> Summary {
    let Played { samples, trials, .. } = &played;
    let mut versions: BTreeMap<String, VersionCount> = BTreeMap::new();
    for sample in samples {
        let count = versions.entry(sample.version.clone()).or_default();
        count.requests += 1;
        count.failed += u64::from(sample.failed());
    }
    let first = trials.first().map_or(Duration::MAX, |trial| trial.approved);
    let before = samples.iter().filter(|sample| sample.due < first && sample.failed()).count();
    let wanted = match trials.last() {
        Some(trial) if trial.view.status == Status::Succeeded => plain(&trial.view.version),
        _ => "1.1.0",
    };
    let settled = samples.iter().rev().take(50).all(|sample| sample.version == wanted);
    let mut ends = trials.iter().skip(1).map(|trial| trial.approved);
    let mut views = trials.iter().map(|trial| {
        let until = ends.next().unwrap_or(Duration::MAX);
        trial_view(trial, until, &played, &story)
    });
    let (bad, with_guard) = (views.next(), views.next());
    let mut summary = Summary {
        repo: REPO.to_owned(),
        versions,
        lost_before_the_bad_release: before,
        resumed_after_ms: millis(played.resumed_after),
        killed_at: played.killed_at,
        good: played.good.status,
        bad,
        with_guard,
        settled,
        own_approval_refused: played.own_approval_refused,
        digests: played.digests.clone(),
        told,
        sequence: story.lines.clone(),
        kept: None,
        missing: vec![],
    };
    summary.missing = report::missing(&summary, options);
    summary
}

fn plain(version: &str) -> &str {
    version.trim_start_matches('v')
}

fn trial_view(
    trial: &Trial,
    until: Duration,
    played: &Played,
    story: &sequence::Story,
) -> TrialView {
    let view = &trial.view;
    let during = |sample: &&Sample| sample.due >= trial.approved && sample.due < until;
    let samples: Vec<&Sample> = played.samples.iter().filter(during).collect();
    let since_load =
        |at: Timestamp| u64::try_from(at.millis() - played.load_began.millis()).unwrap_or_default();
    let detected = match &view.evidence {
        Some(Why::Guard(trip)) => Some(trip.at),
        _ => story.rollbacks.get(&view.version).copied(),
    };
    let saw = match &view.evidence {
        Some(Why::Guard(trip)) => trip.first_failure.clone(),
        _ => None,
    };
    TrialView {
        version: view.version.clone(),
        status: view.status,
        reason: view.reason.clone(),
        detector: view.evidence.as_ref().map(detector),
        recovery: recovery(plain(&view.version), &samples).map(|recovery| Recovery {
            detected_at_ms: detected.map(since_load),
            saw,
            over_at_ms: view.completed_at.map(since_load),
            ..recovery
        }),
    }
}

fn detector(why: &Why) -> String {
    match why {
        Why::Guard(trip) => format!("guard ({:?})", trip.cause).to_lowercase(),
        Why::Analysis { .. } => "analysis".to_owned(),
        Why::Health { .. } => "health".to_owned(),
        other => other.to_string(),
    }
}

/// From the first bad answer of a release to the last request that it got.
fn recovery(version: &str, samples: &[&Sample]) -> Option<Recovery> {
    let late =
        |sample: &Sample| !sample.failed() && sample.version == version && sample.took > LATE;
    let first = samples.iter().find(|sample| sample.failed() || late(sample))?;
    let on_it = |sample: &&&Sample| sample.version == version || sample.failed();
    let last = samples.iter().rev().find(on_it)?;
    let line = |sample: &Sample| Bad {
        line: sample.line.to_owned(),
        status: sample.status,
        at_ms: millis(sample.due),
    };
    Some(Recovery {
        first_bad: line(first),
        detected_at_ms: None,
        saw: None,
        last_bad: line(last),
        over_at_ms: None,
        took_ms: millis(last.due.saturating_sub(first.due)),
        failed: samples.iter().filter(|sample| sample.failed()).count(),
        late: samples.iter().filter(|sample| late(sample)).count(),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
