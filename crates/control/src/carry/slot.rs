use grit_rollout::slot::{Command as SlotCommand, Effect, Outcome, RouteFailure};
use grit_rollout::{RouterError, TargetError};
use grit_types::chain;

use super::{Carry, sleep_until};
use crate::aggregate::Command;

impl Carry {
    pub(super) async fn slot(&self, effect: Effect) -> Command {
        let outcome = match effect {
            Effect::AskGate { number, gate, ask, commit, artifact } => {
                let verdict = self.gate_verdict(&ask, &commit, artifact).await;
                return Command::Slot(SlotCommand::Gate { number, gate, verdict });
            }
            Effect::EnsureInstances { number, set } => {
                let revision = set.revision;
                let result = self.ensure(&set).await;
                Outcome::Ensured { number, revision, result }
            }
            Effect::RunCheck { number, check, run } => {
                let attempt = || self.ports.verifier.verify(&self.id, &run);
                let result = self.until_done("a check", attempt).await;
                Outcome::Checked { number, check, result }
            }
            Effect::SetWeights(route) => {
                let result = self.route(&route).await;
                Outcome::Routed { sequence: route.sequence, result }
            }
            Effect::Drain { revision, slot, instances, deadline } => {
                let attempt = || self.ports.router.drained(&slot, &instances, deadline);
                let result = self.until_done("waiting for a drain", attempt).await;
                Outcome::Drained { revision, result }
            }
            Effect::StopInstances { revision, slot, instances, drain } => {
                let attempt =
                    || self.ports.target.stop(&self.id, &slot, revision, &instances, drain);
                self.until_done("stopping instances", attempt).await;
                Outcome::Stopped { revision }
            }
            // No answer is no evidence: the analysis decides what that means.
            Effect::Measure { number, of, slot, window } => {
                let stats = self.ports.router.stats(&slot, window).await;
                let result = stats.map_err(|error| chain(&error));
                Outcome::Measured { number, of, result }
            }
            Effect::WakeAt { at, timer } => {
                sleep_until(&*self.ports.clock, at).await;
                Outcome::Woke(timer)
            }
            Effect::OpenIssue { number, slot, version, reason, at } => {
                let issue = match self.incident_labels(&slot, number).await {
                    Some(labels) => {
                        Some(self.open_issue(&slot, &version, &reason, at, labels).await)
                    }
                    None => None,
                };
                Outcome::IssueOpened { number, issue }
            }
        };
        Command::Slot(SlotCommand::Outcome(outcome))
    }

    async fn ensure(
        &self,
        set: &grit_rollout::InstanceSet,
    ) -> Result<Vec<grit_rollout::Instance>, String> {
        let attempt = || async {
            match self.ports.target.ensure(&self.id, set).await {
                Ok(instances) => Ok(Ok(instances)),
                Err(TargetError::NeverReady { reason, .. }) => Ok(Err(reason)),
                Err(error @ TargetError::Unable { .. }) => Err(error),
            }
        };
        self.until_done("starting instances", attempt).await
    }

    async fn route(
        &self,
        route: &grit_rollout::Route,
    ) -> Result<grit_rollout::Observed, RouteFailure> {
        let attempt = || async {
            let error = match self.ports.router.apply(route).await {
                Ok(observed) => return Ok(Ok(observed)),
                Err(error) => error,
            };
            // Only what is refused as unusable may have been refused because of a trip.
            let now = match error {
                RouterError::Invalid { .. } => self.ports.router.observed(&route.slot).await?,
                RouterError::Stale { .. }
                | RouterError::Unreachable(_)
                | RouterError::Storage { .. } => None,
            };
            RouteFailure::judge(route, error, now).map(Err)
        };
        self.until_done("setting weights", attempt).await
    }
}
