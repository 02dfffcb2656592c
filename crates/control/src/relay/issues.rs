//! Issues that follow from events, as the `grit.yaml` of the commit concerned asks for them.
//!
//! What is decided depends on the journal and on the ledger as it is, and every event that is
//! written names what caused it: a relay that was killed in between starts over, and writes what is
//! missing.

use std::collections::BTreeSet;

use grit_issues::report::{self, Build, Condition, FailedStep, Per, Policy, Report};
use grit_issues::{Draft, Issues, State};
use grit_ledger::{Cause, Event, Lane, Recorded, split};
use grit_pipeline::run::Ending;
use grit_rollout::config::{self, FollowedDeployment, IssuesConfig, PipelineFailed};
use grit_rollout::slot::Deployment;
use grit_types::{Actor, CommitId};

use super::note::{self, Note};
use super::{Relay, RelayError};
use crate::pipelines;
use crate::ports::{RepoId, Source, SourceError};
use crate::view::RunView;

/// A report, and what may become of its issue.
struct Wanted {
    at: RepoId,
    report: Report,
    policy: Policy,
}

impl Relay {
    /// Opens, updates or closes what the event concerns.
    pub(super) async fn tell(&self, recorded: &Recorded) -> Result<(), RelayError> {
        let wanted = match recorded.event.kind.as_str() {
            "run.finished" => self.run_report(recorded).await?,
            _ if recorded.stream.kind() == "slot" => self.deployment_report(recorded).await?,
            _ => None,
        };
        let Some(wanted) = wanted else { return Ok(()) };
        let (source, server, cause) = (self.source.clone(), self.server.clone(), recorded.clone());
        let write = move || record(source.as_ref(), &server, &cause, &wanted);
        tokio::task::spawn_blocking(write).await.map_err(|_| RelayError::Panicked)??;
        Ok(())
    }

    async fn run_report(&self, recorded: &Recorded) -> Result<Option<Wanted>, RelayError> {
        let Some(row) = self.run_row(recorded).await? else { return Ok(None) };
        let Ok(view) = serde_json::from_value::<RunView>(row) else { return Ok(None) };
        let at = RepoId { tenant: view.tenant_id.clone(), repo: view.repo.clone() };
        let rule = self.config(&at, &view.commit).await?.pipeline_failed;
        Ok(rule.and_then(|rule| of_run(at, &view, &rule)))
    }

    async fn deployment_report(&self, recorded: &Recorded) -> Result<Option<Wanted>, RelayError> {
        let Some((note, slot)) = self.slots.pass(&*self.journal, recorded).await? else {
            return Ok(None);
        };
        let Some(deployment) = slot.deployments.get(&note.number) else { return Ok(None) };
        let slot = &deployment.request.slot;
        let at = RepoId { tenant: slot.tenant.clone(), repo: slot.repo.clone() };
        let rule = self.config(&at, &deployment.request.commit).await?.deployment;
        let rule = rule.filter(|rule| rule.concerns(&slot.environment));
        Ok(rule.map(|rule| of_deployment(at, deployment, note, &rule)))
    }

    async fn config(&self, at: &RepoId, commit: &CommitId) -> Result<IssuesConfig, RelayError> {
        let (source, at, commit) = (self.source.clone(), at.clone(), commit.clone());
        let read = move || pipelines::issues(source.as_ref(), &at, &commit);
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| RelayError::Panicked)?;
        read.map_err(RelayError::Config)
    }
}

fn of_run(at: RepoId, view: &RunView, rule: &PipelineFailed) -> Option<Wanted> {
    let failed: Vec<FailedStep> = match view.status.as_str() {
        status if status == Ending::Success.as_str() => vec![],
        status if status == Ending::Failure.as_str() => failed(view),
        _ => return None,
    };
    let build = Build {
        workflow: view.name.clone(),
        number: view.number.to_string(),
        branch: view.ref_name.as_ref().map(|name| name.short().to_owned()),
        commit: view.commit.to_string(),
        logs: Some(format!("`grit logs {}`", view.id)),
        failed,
    };
    let per = match rule.per {
        config::Per::Branch => Per::Branch,
        config::Per::Workflow => Per::Workflow,
        config::Per::Commit => Per::Commit,
    };
    let report = build.report(per, &rule.issue.labels.iter().cloned().collect());
    let policy = Policy { reopen: rule.issue.reopen, close: rule.issue.close };
    Some(Wanted { at, report, policy })
}

fn failed(view: &RunView) -> Vec<FailedStep> {
    let mut failed = Vec::new();
    for job in view.jobs.iter().filter(|job| job.ending == Some(Ending::Failure)) {
        let steps = job.steps.iter().filter(|step| step.ending == Some(Ending::Failure));
        let before = failed.len();
        failed.extend(steps.map(|step| FailedStep {
            job: job.name.clone(),
            step: Some(step.title.clone()),
            log: step.note.clone(),
        }));
        if failed.len() == before {
            let log = job.why.clone().unwrap_or_default();
            failed.push(FailedStep { job: job.name.clone(), step: None, log });
        }
    }
    if failed.is_empty() {
        failed.push(FailedStep { job: view.name.clone(), ..FailedStep::default() });
    }
    failed
}

fn of_deployment(
    at: RepoId,
    deployment: &Deployment,
    note: Note,
    rule: &FollowedDeployment,
) -> Wanted {
    let request = &deployment.request;
    let (environment, service) = (&request.slot.environment, &request.slot.service);
    let own = [environment.as_str(), service.as_str()].map(str::to_owned);
    let labels: BTreeSet<String> = rule.labels.iter().cloned().chain(own).collect();
    let begins = note.condition == Condition::Wrong;
    let draft = Draft {
        title: note::title(deployment),
        body: note.text.clone(),
        labels,
        template: Some("deployment".to_owned()),
        ..Draft::default()
    };
    let report = Report {
        fingerprint: format!("deployment/{}", request.id),
        // What follows is said once because its event is the same one each time.
        occurrence: begins.then(|| request.id.to_string()),
        condition: note.condition,
        draft,
        note: note.text,
    };
    Wanted { at, report, policy: Policy { reopen: true, close: rule.close } }
}

fn record(
    source: &dyn Source,
    server: &str,
    cause: &Recorded,
    wanted: &Wanted,
) -> Result<(), SourceError> {
    let ledger = source.ledger(&wanted.at)?;
    let failed = |source: grit_ledger::LedgerError| SourceError {
        action: format!("write an issue to the ledger of {}", wanted.at),
        source: source.into(),
    };
    let mut known = ledger.read().map_err(failed)?;
    loop {
        let issues = Issues::fold(&known);
        let issue = issues.by_fingerprint(&wanted.report.fingerprint);
        let is_open = issue.is_some_and(|issue| issue.state == State::Open);
        let of = issue.and_then(|issue| issues.record(&issue.id));
        let reported = report::report(&wanted.report, wanted.policy, of);
        let Ok(reported) = reported.inspect_err(|refusal| {
            tracing::warn!(%refusal, cause = %cause.id, "an issue cannot be written");
        }) else {
            return Ok(());
        };
        for event in &reported.events {
            let event = envelope(event, cause, &wanted.at);
            if !known.iter().any(|there| there.id() == event.id()) {
                ledger.append(&Lane::Actor(server.to_owned()), &event).map_err(failed)?;
                known.push(event);
            }
        }
        // Clones that did not know of each other may have opened several: all of them are over.
        if reported.fate != report::Fate::Closed || !is_open {
            return Ok(());
        }
    }
}

fn envelope(event: &grit_issues::Event, cause: &Recorded, at: &RepoId) -> Event {
    // An event is an enum tagged by its kind: it always splits.
    let (kind, data) = split(event).expect("an event has a kind");
    Event {
        kind,
        tenant: at.tenant.clone(),
        repo: at.repo.clone(),
        subject: "issue".to_owned(),
        actor: Actor::grit("relay"),
        hlc: cause.event.hlc,
        cause: Some(Cause::Event(cause.id.clone())),
        data,
    }
}
