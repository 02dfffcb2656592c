use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use grit_git::{Ask, Grant, LockError, Locks};
use grit_locks::Resource;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::args::Run;
use super::guard::Guarded;
use super::{acquire, refusal};
use crate::cli::signals::Signals;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// How the command ended.
enum End {
    Itself(ExitStatus),
    /// The lease went first.
    Lost(Failure),
    /// Somebody asked us to end.
    Interrupted,
}

type Renewal = JoinHandle<Result<Grant, LockError>>;

pub async fn run(options: &Run, locks: &Arc<Locks>, ui: &Ui) -> Result<Exit, Failure> {
    let ask = Ask {
        resource: options.resource.clone(),
        ttl: options.ttl,
        reason: options.reason.clone(),
        wait: options.wait,
    };
    let mut signals = Signals::listen()?;
    let grant = acquire::acquire(locks, ask, &mut signals, ui).await?;
    let fence = grant.lease.fence;
    let outcome = match Guarded::start(&options.command, &grant, ui.is_json()).await {
        Ok(guarded) => watch(guarded, options, locks, &mut signals).await,
        Err(failure) => Err(failure),
    };
    release(locks, &options.resource, &outcome, ui).await;
    match outcome? {
        End::Lost(failure) => Err(failure),
        End::Interrupted => Err(refusal::failure(LockError::Stopped)),
        End::Itself(status) => {
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            ui.data(
                &json!({ "resource": options.resource, "fence": fence, "exit_code": code }),
                |_| String::new(),
            );
            Ok(Exit::Child(u8::try_from(code).unwrap_or(u8::MAX)))
        }
    }
}

/// Renews as long as the command runs, and ends it when that is refused. That the lease's time is
/// up is the watch's to see.
async fn watch(
    mut guarded: Guarded,
    options: &Run,
    locks: &Arc<Locks>,
    signals: &mut Signals,
) -> Result<End, Failure> {
    let beat = options.ttl / 3;
    let mut next = Instant::now() + beat;
    let mut renewal: Option<Renewal> = None;
    let end = loop {
        tokio::select! {
            status = guarded.ended() => break ended(status, &guarded, &options.resource),
            () = signals.next() => {
                let status = guarded.terminate().await;
                break status.map(|_| End::Interrupted).map_err(unknown);
            }
            () = sleep_until(next), if renewal.is_none() => {
                let (locks, resource) = (locks.clone(), options.resource.clone());
                renewal = Some(tokio::task::spawn_blocking(move || locks.renew(&resource, None)));
            }
            renewed = finished(&mut renewal) => {
                renewal = None;
                match renewed {
                    Ok(grant) => {
                        guarded.extend(&grant).await;
                        next = Instant::now() + beat;
                    }
                    Err(error) if may_pass(&error) => next = Instant::now() + retry_after(beat),
                    Err(error) => {
                        let status = guarded.terminate().await;
                        break status.map(|_| End::Lost(refusal::failure(error))).map_err(unknown);
                    }
                }
            }
        }
    };
    guarded.finish().await;
    if let Some(renewal) = renewal {
        // What it still does must not come after the release.
        let _ = renewal.await;
    }
    end
}

async fn finished(renewal: &mut Option<Renewal>) -> Result<Grant, LockError> {
    match renewal {
        Some(renewal) => renewal.await.unwrap_or(Err(LockError::Stopped)),
        None => std::future::pending().await,
    }
}

/// The lease is not lost by it, as long as its time has not passed.
fn may_pass(error: &LockError) -> bool {
    matches!(error, LockError::Unreachable { .. } | LockError::Rejected { .. } | LockError::Git(_))
}

fn retry_after(beat: Duration) -> Duration {
    (beat / 4).clamp(Duration::from_millis(100), Duration::from_secs(10))
}

fn ended(
    status: std::io::Result<ExitStatus>,
    guarded: &Guarded,
    resource: &Resource,
) -> Result<End, Failure> {
    let status = status.map_err(unknown)?;
    if !status.success() && guarded.time_is_up() {
        let message = format!(
            "the lease on `{resource}` could not be renewed in time, and what ran under it was ended"
        );
        return Ok(End::Lost(Failure::new(Exit::Conflict, "lock_lost", message)));
    }
    Ok(End::Itself(status))
}

fn unknown(error: std::io::Error) -> Failure {
    Failure::because("what became of the command is not known", &error)
}

/// What cannot be released is over with its time.
async fn release(locks: &Arc<Locks>, resource: &Resource, outcome: &Result<End, Failure>, ui: &Ui) {
    let (locks, name) = (locks.clone(), resource.clone());
    let released = tokio::task::spawn_blocking(move || locks.release(&name)).await;
    let already_told = matches!(outcome, Ok(End::Lost(_)));
    if let Ok(Err(error)) = released
        && !already_told
    {
        let error = grit_types::chain(&error);
        ui.status(format!("Warning: `{resource}` was not released: {error}"));
    }
}
