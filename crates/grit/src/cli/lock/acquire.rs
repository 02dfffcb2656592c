use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grit_git::{Ask, Grant, LockError, Locks};
use grit_types::format_duration;

use super::args::Acquire;
use super::{named, refusal, view};
use crate::cli::signals::Signals;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// Whoever waits longer is told for what.
const SILENT: Duration = Duration::from_millis(250);

pub async fn run(options: &Acquire, locks: &Arc<Locks>, ui: &Ui) -> Result<Exit, Failure> {
    let ask = Ask {
        resource: named(&options.named)?.clone(),
        ttl: options.ttl,
        reason: options.reason.clone(),
        wait: options.wait,
    };
    let mut signals = Signals::listen()?;
    let grant = acquire(locks, ask, &mut signals, ui).await?;
    show(&grant, ui);
    Ok(Exit::Done)
}

/// Waits for a lock as long as it is asked to; a signal ends that, and leaves nothing held.
pub async fn acquire(
    locks: &Arc<Locks>,
    ask: Ask,
    signals: &mut Signals,
    ui: &Ui,
) -> Result<Grant, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (inside, stopped, wanted) = (locks.clone(), stop.clone(), ask.clone());
    let mut task = tokio::task::spawn_blocking(move || inside.acquire(&wanted, &stopped));
    let mut told = ask.wait.is_zero();
    let outcome = loop {
        tokio::select! {
            outcome = &mut task => break outcome,
            () = signals.next() => stop.store(true, Ordering::Relaxed),
            () = tokio::time::sleep(SILENT), if !told => {
                let limit = format_duration(ask.wait);
                ui.status(format!("Waiting up to {limit} for `{}`.", ask.resource));
                told = true;
            }
        }
    };
    let outcome =
        outcome.map_err(|error| Failure::because("acquiring ended with a panic", &error))?;
    if !stop.load(Ordering::Relaxed) {
        return outcome.map_err(refusal::failure);
    }
    if outcome.is_ok()
        && let Err(error) = locks.release(&ask.resource)
    {
        let error = grit_types::chain(&error);
        ui.status(format!("Warning: it was had just then and is left to its time: {error}"));
    }
    Err(refusal::failure(LockError::Stopped))
}

/// A pipe gets the number alone: what `check --token` takes.
pub fn show(grant: &Grant, ui: &Ui) {
    let lease = &grant.lease;
    ui.data(&view::grant(grant), |_| {
        if !ui.is_terminal() {
            return format!("{}\n", lease.fence);
        }
        let row = vec![
            lease.resource.to_string(),
            lease.fence.to_string(),
            lease.expires_at.rfc3339(),
            lease.id.to_string(),
        ];
        table(&["RESOURCE", "TOKEN", "UNTIL", "LEASE"], &[row])
    });
}
