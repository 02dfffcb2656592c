use std::collections::{BTreeMap, BTreeSet};

use grit_types::Timestamp;

use super::{
    DAY_MILLIS, Deployment, Incident, Input, Key, Keys, Levels, Outcome, PRODUCTION, Targets,
    Window,
};

/// The keys of `window`. Deployments to other environments than [`PRODUCTION`] do not count.
pub fn keys(input: &Input, window: Window) -> Keys {
    let production = production(input);
    let within: Vec<&Deployment> =
        production.iter().copied().filter(|one| window.contains(one.finished_at)).collect();
    let links = links(&input.incidents, &production);
    let completed = within.iter().filter(|one| one.outcome == Outcome::Succeeded).count();
    let lead_times = lead_times(input, &production, window);
    let per_day = completed as f64 / window.days();
    let mut keys = Keys {
        deployment_total: within.len(),
        deployment_completed: completed,
        deployment_failed: within.len() - completed,
        deployments_per_day: per_day,
        deploy_days: deploy_days(&within),
        lead_time_samples: lead_times.len(),
        lead_time_median_s: percentile(&lead_times, 0.5),
        lead_time_p95_s: percentile(&lead_times, 0.95),
        change_failure_rate: share(failed_changes(&within, &links), within.len()),
        failed_deployment_recovery_median_s: percentile(&recoveries(&links, window), 0.5),
        mttr_mean_s: mean(&repairs(&input.incidents, window)),
        rework_rate: share(within.iter().filter(|one| one.unplanned).count(), within.len()),
        levels: Levels::default(),
        targets: Targets::default(),
    };
    keys.levels = Levels::of(&keys);
    keys.targets = Targets::of(&keys);
    keys
}

/// In the order in which they finished.
fn production(input: &Input) -> Vec<&Deployment> {
    let of_production = |one: &&Deployment| one.environment.as_str() == PRODUCTION;
    let mut production: Vec<&Deployment> = input.deployments.iter().filter(of_production).collect();
    production.sort_by_key(|one| (one.finished_at, &one.id));
    production
}

/// Which deployment each incident belongs to; those that belong to none are left out.
fn links<'a>(
    incidents: &'a [Incident],
    production: &[&'a Deployment],
) -> Vec<(&'a Incident, &'a Deployment)> {
    let link = |incident: &'a Incident| {
        let deployment = match &incident.deployment {
            Some(known) => production.iter().find(|one| one.id == *known),
            None => latest_before(incident, production),
        };
        deployment.map(|deployment| (incident, *deployment))
    };
    incidents.iter().filter_map(link).collect()
}

/// DevLake's rule: the service's last success that finished strictly before the incident opened.
fn latest_before<'a, 'b>(
    incident: &Incident,
    production: &'b [&'a Deployment],
) -> Option<&'b &'a Deployment> {
    let service = incident.service.as_ref()?;
    production.iter().rev().find(|one| {
        one.service == *service
            && one.outcome == Outcome::Succeeded
            && one.finished_at < incident.opened_at
    })
}

/// From each commit to the first success that brought it, where that is in the window. Clocks of
/// two machines can make it negative: then it says nothing.
fn lead_times(input: &Input, production: &[&Deployment], window: Window) -> Vec<f64> {
    let mut first = BTreeMap::<&Key, Timestamp>::new();
    for deployment in production.iter().filter(|one| one.outcome == Outcome::Succeeded) {
        for commit in &deployment.commits {
            first.entry(commit).or_insert(deployment.finished_at);
        }
    }
    let mut committed = BTreeMap::<&Key, Timestamp>::new();
    for commit in &input.commits {
        let at = committed.entry(&commit.sha).or_insert(commit.at);
        *at = commit.at.min(*at);
    }
    let samples = committed.iter().filter_map(|(sha, at)| {
        let deployed = *first.get(sha)?;
        (window.contains(deployed) && deployed >= *at).then(|| seconds(*at, deployed))
    });
    samples.collect()
}

fn failed_changes(within: &[&Deployment], links: &[(&Incident, &Deployment)]) -> usize {
    let hurt: BTreeSet<&Key> = links.iter().map(|(_, deployment)| &deployment.id).collect();
    let failed = |one: &&&Deployment| one.outcome != Outcome::Succeeded || hurt.contains(&one.id);
    within.iter().filter(failed).count()
}

/// From the deployment that caused an incident to the end of the incident.
fn recoveries(links: &[(&Incident, &Deployment)], window: Window) -> Vec<f64> {
    let recovery = |(incident, deployment): &(&Incident, &Deployment)| {
        let resolved = incident.resolved_at?;
        window.contains(deployment.finished_at).then(|| seconds(deployment.finished_at, resolved))
    };
    links.iter().filter_map(recovery).collect()
}

/// From the start to the end of every incident that began in the window and is over.
fn repairs(incidents: &[Incident], window: Window) -> Vec<f64> {
    let opened = incidents.iter().filter(|incident| window.contains(incident.opened_at));
    opened.filter_map(|incident| Some(seconds(incident.opened_at, incident.resolved_at?))).collect()
}

/// Days, in UTC, with a success.
fn deploy_days(within: &[&Deployment]) -> usize {
    let successes = within.iter().filter(|one| one.outcome == Outcome::Succeeded);
    let days: BTreeSet<i64> =
        successes.map(|one| one.finished_at.millis().div_euclid(DAY_MILLIS)).collect();
    days.len()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.millis().saturating_sub(from.millis()) as f64 / 1_000.0
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / samples.len() as f64)
}

/// Between the two samples nearest to `rank` (0 to 1), in proportion.
pub(super) fn percentile(samples: &[f64], rank: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = rank * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}
