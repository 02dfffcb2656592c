use std::sync::{Mutex, PoisonError};

use grit_control::Control;
use grit_rollout::{Observer, Report};

/// Passes reports on to the control plane; keeps those that come before it is there.
#[derive(Default)]
pub struct Reports {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    control: Option<Control>,
    early: Vec<Report>,
}

impl Reports {
    /// From now on reports go to `control`, the early ones first.
    pub fn connect(&self, control: Control) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for report in held.early.drain(..) {
            control.report(report);
        }
        held.control = Some(control);
    }
}

impl Observer for Reports {
    fn report(&self, report: Report) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &held.control {
            Some(control) => control.report(report),
            None => held.early.push(report),
        }
    }
}
