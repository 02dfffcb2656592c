use std::fmt::Write as _;

use grit_issues::Event as IssueEvent;
use grit_ledger::{Cause, Event, Hlc, Lane, RowQuery, split};
use grit_rollout::SlotId;
use grit_rollout::config::IssuesConfig;
use grit_rollout::slot::Why;
use grit_types::{Actor, IssueId, Timestamp};

use super::{Carry, Ports};
use crate::pipelines;
use crate::ports::{RepoId, SourceError};
use crate::project::DEPLOYMENTS;
use crate::view::DeploymentView;

impl Carry {
    /// What an incident is labelled with; none: `grit.yaml` wants no issue about it.
    pub(super) async fn incident_labels(&self, slot: &SlotId, number: u64) -> Option<Vec<String>> {
        let query = RowQuery {
            table: DEPLOYMENTS.to_owned(),
            tenant: Some(slot.tenant.clone()),
            scope: Some(format!("{}/{}/{}", slot.repo, slot.environment, slot.service)),
            ..RowQuery::default()
        };
        let attempt = || self.ports.journal.rows(&query);
        let rows = self.until_done("reading a deployment", attempt).await;
        let mut views = rows
            .into_iter()
            .filter_map(|row| serde_json::from_value::<DeploymentView>(row.body).ok());
        let Some(view) = views.find(|view| view.number == number) else {
            return IssuesConfig::default().rolled_back;
        };
        let at = RepoId { tenant: slot.tenant.clone(), repo: slot.repo.clone() };
        let attempt = || {
            let (at, commit) = (at.clone(), view.commit.clone());
            self.blocking(move |ports| pipelines::issues(ports.source.as_ref(), &at, &commit))
        };
        self.until_done("reading grit.yaml", attempt).await.rolled_back
    }

    /// Opens an issue in the repository's ledger; the same effect always makes the same issue.
    pub(super) async fn open_issue(
        &self,
        slot: &SlotId,
        version: &str,
        reason: &Why,
        at: Timestamp,
        labels: Vec<String>,
    ) -> IssueId {
        let own = [slot.environment.as_str(), slot.service.as_str()].map(str::to_owned);
        let created = IssueEvent::created(
            format!("{version} of {} was rolled back in {}", slot.service, slot.environment),
            body(slot, version, reason, at),
            labels.into_iter().chain(own),
        );
        // An event is an enum tagged by its kind: it always splits.
        let (kind, data) = split(&created).expect("an event has a kind");
        let event = Event {
            kind,
            tenant: slot.tenant.clone(),
            repo: slot.repo.clone(),
            subject: "issue".to_owned(),
            actor: Actor::grit("rollout"),
            hlc: Hlc { millis: at.millis(), count: 0 },
            cause: Some(Cause::Effect(self.id.clone())),
            data,
        };
        let attempt = || {
            let event = event.clone();
            self.blocking(move |ports| append_once(ports, &event))
        };
        self.until_done("opening an issue", attempt).await;
        event.id()
    }
}

fn append_once(ports: &Ports, event: &Event) -> Result<(), SourceError> {
    let at = RepoId { tenant: event.tenant.clone(), repo: event.repo.clone() };
    let ledger = ports.source.ledger(&at)?;
    let failed = |source: grit_ledger::LedgerError| SourceError {
        action: format!("append an issue to the ledger of {at}"),
        source: source.into(),
    };
    let id = event.id();
    let there = ledger.read().map_err(failed)?.iter().any(|known| known.id() == id);
    if !there {
        ledger.append(&Lane::Actor(ports.server.clone()), event).map_err(failed)?;
    }
    Ok(())
}

fn body(slot: &SlotId, version: &str, reason: &Why, at: Timestamp) -> String {
    let mut text = format!(
        "## What happened\n\n{version} of `{}` in `{}`: {reason}.\n\nAt {at}.\n\n## Evidence\n\n",
        slot.service, slot.environment
    );
    // Writing to a String cannot fail.
    let _ = match reason {
        Why::Guard(trip) => writeln!(
            text,
            "- {} of {} requests failed within the guard's window\n- first failure: {}",
            trip.failed,
            trip.requests,
            trip.first_failure.as_deref().unwrap_or("not recorded")
        ),
        Why::Analysis { readings } => readings.iter().try_for_each(|reading| {
            writeln!(text, "- {}: {} ({})", reading.metric, reading.value, reading.bound)
        }),
        Why::Check { run, output } => writeln!(text, "`{run}` printed\n\n```\n{output}\n```"),
        Why::Health { instance, reason } => writeln!(text, "- instance {instance}: {reason}"),
        other => writeln!(text, "- {other}"),
    };
    text
}
