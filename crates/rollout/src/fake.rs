//! A router and a target in memory, kept to the same contract as those on sockets and processes.
//!
//! Each has a core without locks and without time of its own, [`Routes`] and [`Instances`], that a
//! simulation moves step by step; [`FakeRouter`] and [`FakeTarget`] put the ports on top. Who
//! drives these moves their clock and then says `tick`: nothing here waits for time to pass.

mod instances;
mod router;
mod routes;
mod target;

pub use instances::{Ensuring, Fate, Instances, Process, RESTARTS_MAX, Turn};
pub use router::FakeRouter;
pub use routes::{Routed, Routes};
pub use target::FakeTarget;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Those who wait for a change.
#[derive(Default)]
struct Waiting(Vec<Waker>);

impl Waiting {
    fn join(&mut self, context: &Context<'_>) {
        self.0.push(context.waker().clone());
    }

    fn wake(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// A test that failed elsewhere is not made better by a second panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
