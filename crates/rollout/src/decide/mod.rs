//! What follows from a command.

mod gate;
mod measure;
mod outcome;
mod progress;
mod report;
mod rollback;

use grit_ledger::Context;
use grit_types::{Principal, Revision, Timestamp};

use crate::evolve::evolve;
use crate::slot::{
    Act, Command, Deployment, Event, PauseReason, Phase, Refusal, Request, Slot, Status, Trigger,
    Why,
};

/// Decides; see [`grit_ledger::Decider::decide`].
pub fn decide(slot: &Slot, command: &Command, context: &Context) -> Result<Vec<Event>, Refusal> {
    let mut draft = Draft {
        slot: slot.clone(),
        events: Vec::new(),
        now: context.now,
        by: context.actor.principal.clone(),
    };
    draft.take(command)?;
    Ok(draft.events)
}

/// Events so far, and the slot after them: each step of a decision sees what the last one did.
struct Draft {
    slot: Slot,
    events: Vec<Event>,
    now: Timestamp,
    by: Principal,
}

impl Draft {
    fn record(&mut self, event: Event) {
        self.slot = evolve(std::mem::take(&mut self.slot), &event);
        self.events.push(event);
    }

    fn take(&mut self, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::Request(request) => self.request(request),
            Command::Gate { number, gate, verdict } => {
                self.gate(*number, *gate, verdict);
                Ok(())
            }
            Command::Approve { number, roles } => self.approve(*number, roles),
            Command::Reject { number, reason } => self.reject(*number, reason),
            Command::Promote { full } => self.promote(*full),
            Command::Pause => self.pause(),
            Command::Resume => self.resume(),
            Command::Abort { reason } => self.abort(reason),
            Command::Retry { id } => self.retry(*id),
            Command::Rollback { to, id } => self.roll_back_to(*to, *id),
            Command::Outcome(outcome) => {
                self.outcome(outcome);
                Ok(())
            }
            Command::Report(report) => {
                self.report(report);
                Ok(())
            }
        }
    }

    /// A push that changes nothing is refused; a person may deploy the same again.
    fn request(&mut self, request: &Request) -> Result<(), Refusal> {
        if self.slot.has_taken(request.id) {
            return Ok(());
        }
        let stable = self.slot.stable.and_then(|stable| self.slot.revisions.get(&stable));
        let same = stable.is_some_and(|stable| {
            (stable.artifact, &stable.run) == (request.artifact, &request.run)
        });
        let idle = self.slot.deployments.values().all(|d| d.status().is_final());
        if same && idle && request.trigger == Trigger::Push {
            return Err(Refusal::Unchanged { version: request.version.clone() });
        }
        let number = self.slot.last + 1;
        let request = Box::new(request.clone());
        self.record(Event::Requested { number, request, at: self.now });
        self.queue_if_open(number);
        Ok(())
    }

    fn active(&self) -> Result<&Deployment, Refusal> {
        self.slot.active().ok_or(Refusal::NoRollout)
    }

    fn promote(&mut self, full: bool) -> Result<(), Refusal> {
        let active = self.active()?;
        let (number, status) = (active.number, active.status());
        let refused = Refusal::NotNow { action: "promote", status };
        match active.phase {
            Phase::Holding { .. } | Phase::Measuring | Phase::Soaking { .. } => {
                self.record(Event::Promoted { number, full, by: self.by.clone(), at: self.now });
                self.advance(number);
                Ok(())
            }
            Phase::Moving(_) if full => {
                self.record(Event::Promoted { number, full, by: self.by.clone(), at: self.now });
                Ok(())
            }
            Phase::Moving(_) | Phase::RollingBack { .. } => Err(refused),
            Phase::Gated | Phase::Queued | Phase::Ended(_) => Err(refused),
        }
    }

    fn pause(&mut self) -> Result<(), Refusal> {
        let active = self.active()?;
        let (number, status) = (active.number, active.status());
        // Sealing: there is nothing left to hold back.
        if matches!(active.phase, Phase::RollingBack { .. } | Phase::Moving(Act::Sealing(_))) {
            return Err(Refusal::NotNow { action: "pause", status });
        }
        if active.paused.is_none() {
            let reason = PauseReason::By(self.by.clone());
            self.record(Event::Paused { number, reason, at: self.now });
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Refusal> {
        let active = self.active()?;
        let (number, status) = (active.number, active.status());
        if active.paused.is_none() {
            return Err(Refusal::NotNow { action: "resume", status });
        }
        self.record(Event::Resumed { number, by: self.by.clone(), at: self.now });
        self.go_on(number);
        Ok(())
    }

    /// After a person's pause: whatever became due in the meantime.
    fn go_on(&mut self, number: u64) {
        let Some(deployment) = self.slot.live(number) else { return };
        match deployment.phase {
            Phase::Holding { expired: true, .. } => self.advance(number),
            Phase::Soaking { until } if until <= self.now => self.advance(number),
            _ => {}
        }
    }

    fn abort(&mut self, reason: &str) -> Result<(), Refusal> {
        let waiting = |d: &&Deployment| matches!(d.phase, Phase::Gated | Phase::Queued);
        let newest = self.slot.deployments.values().rev().find(waiting).map(|d| d.number);
        let why = Why::Aborted { by: self.by.clone(), reason: reason.to_owned() };
        if let Some(active) = self.slot.active() {
            let (number, status) = (active.number, active.status());
            if status == Status::RollingBack {
                return Err(Refusal::NotNow { action: "abort", status });
            }
            self.give_up(number, why);
            return Ok(());
        }
        let number = newest.ok_or(Refusal::NoRollout)?;
        self.finish(number, Status::Cancelled, Some(why));
        Ok(())
    }

    fn retry(&mut self, id: grit_types::DeploymentId) -> Result<(), Refusal> {
        if self.slot.has_taken(id) {
            return Ok(());
        }
        if let Some(live) = self.slot.deployments.values().find(|d| !d.status().is_final()) {
            return Err(Refusal::NotNow { action: "retry", status: live.status() });
        }
        let last = self.slot.deployments.values().next_back().ok_or(Refusal::NoRollout)?;
        if last.status() == Status::Succeeded {
            return Err(Refusal::NothingToRetry { status: last.status() });
        }
        let trigger = Trigger::Retry { of: last.number };
        let requested_by = self.by.clone();
        let request = Request { id, trigger, requested_by, ..last.request.clone() };
        self.request(&request)
    }

    /// Never gated: what holds a bad version up must not hold the way back.
    fn roll_back_to(
        &mut self,
        to: Option<Revision>,
        id: grit_types::DeploymentId,
    ) -> Result<(), Refusal> {
        if self.slot.has_taken(id) {
            return Ok(());
        }
        if to.is_none() && self.slot.active.is_some() {
            return self.abort("rolled back");
        }
        let to = to.or_else(|| self.slot.previous()).ok_or(Refusal::NothingBefore)?;
        let record = self.slot.revisions.get(&to).ok_or(Refusal::NoRevision { revision: to })?;
        if self.slot.stable == Some(to) && self.slot.active.is_none() {
            return Err(Refusal::Unchanged { version: record.version.clone() });
        }
        let last = self.slot.deployments.values().next_back();
        let strategy = last.ok_or(Refusal::NothingBefore)?.request.strategy.clone();
        let request = Request {
            id,
            slot: self.slot.id.clone().ok_or(Refusal::NothingBefore)?,
            version: record.version.clone(),
            commit: record.commit.clone(),
            artifact: record.artifact,
            run: record.run.clone(),
            strategy,
            gates: vec![],
            verify: vec![],
            trigger: Trigger::Rollback { to },
            requested_by: self.by.clone(),
            authors: vec![],
            changes: vec![],
            warm: std::time::Duration::ZERO,
        };
        self.request(&request)
    }
}
