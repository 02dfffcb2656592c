use super::Draft;
use crate::analysis::judge;
use crate::effects::analysis;
use crate::slot::{Deployment, Event, MeasureOf, PauseReason, Phase, Verdict, Watch, Why};
use crate::{Analysis, Stats};

impl Draft {
    pub(super) fn measure(&mut self, number: u64, of: MeasureOf) {
        if self.slot.live(number).is_some_and(|deployment| watches(deployment, of)) {
            self.record(Event::Measuring { number, of });
        }
    }

    pub(super) fn measured(&mut self, number: u64, of: MeasureOf, result: &Result<Stats, String>) {
        let Some(deployment) = self.slot.live(number).filter(|d| watches(d, of)) else { return };
        let Some(analysis) = analysis(deployment, of).cloned() else { return };
        let stats = result.as_ref().ok().and_then(|s| s.revisions.get(&deployment.revision));
        let (verdict, readings) = judge(&analysis, stats);
        let evidence = readings.clone();
        self.record(Event::Measured { number, of, verdict, readings, at: self.now });
        let Some(deployment) = self.slot.live(number) else { return };
        let Some(watch) = deployment.watches.iter().find(|watch| watch.of == of) else { return };
        match next(&analysis, watch, verdict) {
            Next::GiveUp => self.give_up(number, Why::Analysis { readings: evidence }),
            Next::Ask if deployment.paused.is_none() => {
                let reason = PauseReason::Inconclusive;
                self.record(Event::Paused { number, reason, at: self.now });
            }
            Next::Pass => self.advance(number),
            Next::Ask | Next::Measure => {}
        }
    }
}

enum Next {
    GiveUp,
    /// A person decides.
    Ask,
    Pass,
    Measure,
}

fn next(analysis: &Analysis, watch: &Watch, verdict: Verdict) -> Next {
    if verdict == Verdict::Fail && watch.failed > analysis.failure_limit {
        Next::GiveUp
    } else if verdict == Verdict::Inconclusive && watch.inconclusive > analysis.inconclusive_limit {
        Next::Ask
    } else if watch.of != MeasureOf::Rollout && watch.taken >= analysis.count.unwrap_or(1) {
        // Enough measurements; the last ones must have said something.
        if watch.inconclusive == 0 { Next::Pass } else { Next::Measure }
    } else {
        Next::Measure
    }
}

/// Whether the analysis is still under way: that of the whole rollout until it ends or goes back,
/// that of a step as long as it is the step.
fn watches(deployment: &Deployment, of: MeasureOf) -> bool {
    let known = deployment.watches.iter().any(|watch| watch.of == of);
    known
        && match (of, &deployment.phase) {
            (_, Phase::Gated | Phase::Queued | Phase::RollingBack { .. } | Phase::Ended(_)) => {
                false
            }
            (MeasureOf::Rollout, _) => true,
            (MeasureOf::Step(step), Phase::Measuring) => deployment.step == step,
            (
                MeasureOf::Step(_),
                Phase::Moving(_) | Phase::Holding { .. } | Phase::Soaking { .. },
            ) => false,
        }
}
