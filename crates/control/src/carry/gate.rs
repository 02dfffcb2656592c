use grit_ledger::{RowQuery, StorageError};
use grit_rollout::slot::{GateVerdict, Status};
use grit_rollout::{Gate, SlotId};
use grit_types::{CommitId, Digest, Environment, Service};

use super::Carry;
use crate::project::{COMMITS, DEPLOYMENTS, row};
use crate::view::{CommitView, DeploymentView};

impl Carry {
    /// Asks again whenever something was appended, until there is an answer.
    pub(super) async fn gate_verdict(
        &self,
        ask: &Gate,
        commit: &CommitId,
        artifact: Digest,
    ) -> GateVerdict {
        let Some(slot) = SlotId::of_stream(&self.stream) else {
            let reason = format!("`{}` is no slot", self.stream);
            return GateVerdict::Rejected { reason };
        };
        let mut changes = self.handle.changes();
        loop {
            changes.mark_unchanged();
            let attempt = || self.answer(&slot, ask, commit, artifact);
            if let Some(verdict) = self.until_done("asking a gate", attempt).await {
                return verdict;
            }
            if changes.changed().await.is_err() {
                // The reactor is ending: the effect stays owed.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn answer(
        &self,
        slot: &SlotId,
        ask: &Gate,
        commit: &CommitId,
        artifact: Digest,
    ) -> Result<Option<GateVerdict>, StorageError> {
        match ask {
            Gate::Checks(jobs) => self.checks(slot, commit, jobs).await,
            Gate::After(environment) => {
                let wanted = |view: &DeploymentView| view.artifact == artifact;
                let there = self.deployments(slot, environment, &slot.service).await?;
                let there: Vec<_> = there.into_iter().filter(wanted).collect();
                Ok(standing(&there).map(|answer| said(answer, &format!("in {environment}"))))
            }
            Gate::Needs(services) => self.needs(slot, commit, services).await,
            // People answer it.
            Gate::Approval(_) => Ok(None),
        }
    }

    async fn checks(
        &self,
        slot: &SlotId,
        commit: &CommitId,
        jobs: &[String],
    ) -> Result<Option<GateVerdict>, StorageError> {
        let (journal, key) = (self.ports.journal.as_ref(), format!("{}/{commit}", slot.repo));
        let view: Option<CommitView> = row(journal, COMMITS, &slot.tenant, key).await?;
        let result = view.and_then(|view| view.state.checks(jobs));
        Ok(result.map(|result| match result {
            Ok(()) => GateVerdict::Passed { note: format!("{} succeeded", jobs.join(", ")) },
            Err(reason) => GateVerdict::Rejected { reason },
        }))
    }

    async fn needs(
        &self,
        slot: &SlotId,
        commit: &CommitId,
        services: &[Service],
    ) -> Result<Option<GateVerdict>, StorageError> {
        let mut all = true;
        for service in services {
            let there = self.deployments(slot, &slot.environment, service).await?;
            let there: Vec<_> = there.into_iter().filter(|view| view.commit == *commit).collect();
            match standing(&there) {
                Some(Ok(_)) => {}
                Some(Err(reason)) => {
                    return Ok(Some(GateVerdict::Rejected {
                        reason: format!("{service} {reason}"),
                    }));
                }
                None => all = false,
            }
        }
        let names: Vec<&str> = services.iter().map(Service::as_str).collect();
        let note = format!("{} deployed", names.join(", "));
        Ok(all.then_some(GateVerdict::Passed { note }))
    }

    async fn deployments(
        &self,
        slot: &SlotId,
        environment: &Environment,
        service: &Service,
    ) -> Result<Vec<DeploymentView>, StorageError> {
        let query = RowQuery {
            table: DEPLOYMENTS.to_owned(),
            tenant: Some(slot.tenant.clone()),
            scope: Some(format!("{}/{environment}/{service}", slot.repo)),
            limit: 100,
            ..RowQuery::default()
        };
        let rows = self.ports.journal.rows(&query).await?;
        Ok(rows.into_iter().filter_map(|row| serde_json::from_value(row.body).ok()).collect())
    }
}

/// One success is enough; a failure counts only when nothing is under way.
fn standing(deployments: &[DeploymentView]) -> Option<Result<String, String>> {
    let succeeded = deployments.iter().find(|view| view.status == Status::Succeeded);
    if let Some(view) = succeeded {
        return Some(Ok(format!("{} succeeded", view.version)));
    }
    let over = !deployments.is_empty() && deployments.iter().all(|view| view.status.is_final());
    over.then(|| Err(format!("{} is {}", deployments[0].version, deployments[0].status)))
}

fn said(answer: Result<String, String>, place: &str) -> GateVerdict {
    match answer {
        Ok(note) => GateVerdict::Passed { note: format!("{note} {place}") },
        Err(reason) => GateVerdict::Rejected { reason: format!("{reason} {place}") },
    }
}
