use grit_types::Role;

use super::Draft;
use crate::slot::{Deployment, Event, GateVerdict, Phase, Refusal, Status, Why};
use crate::{Approval, Gate};

impl Draft {
    pub(super) fn gate(&mut self, number: u64, gate: usize, verdict: &GateVerdict) {
        let Some(deployment) = self.gated(number) else { return };
        if deployment.gates.get(gate).is_none_or(|state| state.passed.is_some()) {
            return;
        }
        match verdict {
            GateVerdict::Passed { note } => {
                self.record(Event::GatePassed { number, gate, note: note.clone() });
                self.queue_if_open(number);
            }
            GateVerdict::Rejected { reason } => self.gate_rejected(number, gate, reason),
        }
    }

    fn gate_rejected(&mut self, number: u64, gate: usize, reason: &str) {
        self.record(Event::GateRejected { number, gate, reason: reason.to_owned() });
        self.finish(number, Status::Failed, Some(Why::Gate { reason: reason.to_owned() }));
    }

    pub(super) fn approve(&mut self, number: Option<u64>, roles: &[Role]) -> Result<(), Refusal> {
        let (number, gate, approval) = self.awaited(number)?;
        let deployment = self.gated(number).ok_or(Refusal::NothingToApprove)?;
        let role = may_approve(&approval, roles).ok_or_else(|| Refusal::Role {
            by: self.by.clone(),
            wanted: approval.roles.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let request = &deployment.request;
        if approval.distinct
            && (request.requested_by == self.by || request.authors.contains(&self.by))
        {
            return Err(Refusal::OwnApproval { by: self.by.clone() });
        }
        let state = &deployment.gates[gate];
        if state.approvals.contains(&self.by) {
            return Ok(());
        }
        let given = state.approvals.len() + 1;
        self.record(Event::Approved { number, gate, by: self.by.clone(), role });
        if given >= usize::try_from(approval.min).unwrap_or(usize::MAX) {
            let by = self.slot.deployments.get(&number).map(|d| d.gates[gate].approvals.clone());
            let names: Vec<String> =
                by.unwrap_or_default().iter().map(ToString::to_string).collect();
            let note = format!("approved by {}", names.join(", "));
            self.record(Event::GatePassed { number, gate, note });
            self.queue_if_open(number);
        }
        Ok(())
    }

    pub(super) fn reject(&mut self, number: Option<u64>, reason: &str) -> Result<(), Refusal> {
        let (number, gate, _) = self.awaited(number)?;
        self.gate_rejected(number, gate, &format!("{}: {reason}", self.by));
        Ok(())
    }

    /// The approval that a deployment waits for: the given one's, else the newest's.
    fn awaited(&self, number: Option<u64>) -> Result<(u64, usize, Approval), Refusal> {
        let open = |deployment: &Deployment| {
            let mut gates = deployment.gates.iter().enumerate();
            let waiting = gates.find_map(|(index, state)| match &state.gate {
                Gate::Approval(approval) if state.passed.is_none() => {
                    Some((index, approval.clone()))
                }
                Gate::Approval(_) | Gate::Checks(_) | Gate::After(_) | Gate::Needs(_) => None,
            });
            waiting.map(|(gate, approval)| (deployment.number, gate, approval))
        };
        if let Some(number) = number {
            let deployment = self.gated(number).ok_or(Refusal::NoApproval { number })?;
            return open(deployment).ok_or(Refusal::NoApproval { number });
        }
        let gated = self.slot.deployments.values().rev().filter(|d| d.phase == Phase::Gated);
        gated.into_iter().find_map(open).ok_or(Refusal::NothingToApprove)
    }

    fn gated(&self, number: u64) -> Option<&Deployment> {
        self.slot.deployments.get(&number).filter(|deployment| deployment.phase == Phase::Gated)
    }

    /// Once every gate is open: older ones that still wait give way, and the slot is taken when
    /// it is free.
    pub(super) fn queue_if_open(&mut self, number: u64) {
        let Some(deployment) = self.gated(number) else { return };
        if deployment.gates.iter().any(|state| state.passed.is_none()) {
            return;
        }
        self.record(Event::Queued { number });
        let waits =
            |d: &&Deployment| d.number < number && matches!(d.phase, Phase::Gated | Phase::Queued);
        let older: Vec<u64> =
            self.slot.deployments.values().filter(waits).map(|d| d.number).collect();
        for old in older {
            self.finish(old, Status::Superseded, Some(Why::Superseded { by: number }));
        }
        self.start_next();
    }
}

fn may_approve(approval: &Approval, roles: &[Role]) -> Option<Role> {
    let listed = |role: &&Role| approval.roles.is_empty() || approval.roles.contains(role);
    roles.iter().filter(listed).max().copied()
}
