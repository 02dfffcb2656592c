use std::fmt::Write as _;

use grit_issues::Event as IssueEvent;
use grit_ledger::{Cause, Event, Hlc, Lane, split};
use grit_rollout::SlotId;
use grit_rollout::slot::Why;
use grit_types::{Actor, IssueId, Timestamp};

use super::{Carry, Ports};
use crate::ports::{RepoId, SourceError};

impl Carry {
    /// Opens an issue in the repository's ledger; the same effect always makes the same issue.
    pub(super) async fn open_issue(
        &self,
        slot: &SlotId,
        version: &str,
        reason: &Why,
        at: Timestamp,
    ) -> IssueId {
        let created = IssueEvent::created(
            format!("{version} of {} was rolled back in {}", slot.service, slot.environment),
            body(slot, version, reason, at),
            ["incident", slot.environment.as_str(), slot.service.as_str()],
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
