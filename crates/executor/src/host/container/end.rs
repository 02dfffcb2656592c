use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use grit_engine::{Command, Engine, EngineError};
use grit_pipeline::RunnerError;
use grit_types::JobId;
use tokio::time::Instant;

use super::super::folder::{self, Folder};
use super::super::{Shared, blocking, chain, failed, sweeping};
use super::{Inside, JOB, STEP, UNIT, engine, refused};

/// Between two looks at what was asked to end.
const LOOK: Duration = Duration::from_millis(100);

/// What was killed is gone after that, or its container has to be.
const KILL_WAIT_MAX: Duration = Duration::from_secs(5);

/// An engine that does not answer holds up the start no longer.
pub(super) const SWEEP_MAX: Duration = Duration::from_secs(10);

/// Sends `$1` to all processes that `$2` marks, and says which they were. Asked to end, they are all
/// asked before any of them acts: a parent must not see its child end first. The container's first
/// process stays, as it must.
const SIGNAL: &str = r#"
command -v grep >/dev/null 2>&1 || {
  # Where the machine's processes are seen, all would be all of them.
  [ -n "$3" ] && exit 3
  kill -"$1" -1 2>/dev/null
  exit 0
}
marked=
for process in /proc/[0-9]*; do
  pid=${process#/proc/}
  [ "$pid" = 1 ] && continue
  grep -qs -- "$2" "$process/environ" 2>/dev/null && marked="$marked $pid"
done
[ -n "$marked" ] || exit 0
if [ "$1" = TERM ]; then
  kill -STOP $marked
  kill -TERM $marked
  kill -CONT $marked
else
  kill -"$1" $marked
fi 2>/dev/null
echo $marked
"#;

/// Ends what a step started in the job's container: asks, and kills what does not go.
pub(super) async fn marked(
    shared: &Shared,
    engine: &Engine,
    inside: &Inside,
    job: JobId,
    index: u32,
) -> Result<(), EngineError> {
    let marker = format!("{}={}/{job}/{index}", sweeping::MARKER, shared.unit);
    let ended = async {
        if shared.grace() > Duration::ZERO && signal(engine, inside, "TERM", &marker).await? {
            let until = Instant::now() + shared.grace();
            while Instant::now() < until && !shared.hurry.is_cancelled() {
                tokio::time::sleep(LOOK).await;
                if !signal(engine, inside, "0", &marker).await? {
                    return Ok(true);
                }
            }
        }
        let until = Instant::now() + KILL_WAIT_MAX;
        while signal(engine, inside, "KILL", &marker).await? {
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, EngineError>(true)
    };
    match ended.await {
        Ok(true) => Ok(()),
        // It has no shell, or cannot be told: with the container everything in it ends.
        Ok(false) | Err(_) => engine.stop(&inside.id, Duration::ZERO).await,
    }
}

/// Whether there was any.
async fn signal(
    engine: &Engine,
    inside: &Inside,
    name: &str,
    marker: &str,
) -> Result<bool, EngineError> {
    let shared = if inside.pids { "shared" } else { "" };
    let words = ["sh", "-c", SIGNAL, "sh", name, marker, shared];
    let command = Command {
        words: words.map(str::to_owned).to_vec(),
        user: Some("0".to_owned()),
        ..Command::default()
    };
    let (id, mut output) = engine.exec(&inside.id, &command).await?;
    let mut said = Vec::new();
    while let Some(bytes) = output.more().await {
        said.extend_from_slice(&bytes?);
    }
    let state = engine.command_state(&id).await?;
    match state.exit {
        Some(0) | None => Ok(!said.is_empty()),
        Some(code) => Err(EngineError::Refused {
            what: "end what runs in the container".to_owned(),
            said: format!("its shell answered with {code}"),
        }),
    }
}

/// Ends what is left of a step that another process of ours began.
pub(in super::super) async fn step(
    shared: &Shared,
    folder: &Folder,
    job: JobId,
    index: u32,
) -> Result<(), RunnerError> {
    let action = format!("end what is left of step {index} of {job} at the engine");
    let read = folder.clone();
    let (noted, kept) = blocking(move || (read.is_engine_noted(), read.containers())).await;
    if !noted {
        return Ok(());
    }
    let kept = kept.map_err(|error| failed(action.clone(), error))?;
    let engine = engine(shared).await.map_err(|error| refused(&action, &error))?;
    let label = format!("{STEP}={}/{job}/{index}", shared.unit);
    engine.remove_labelled(&label).await.map_err(|error| refused(&action, &error))?;
    let Some(inside) = kept.and_then(|kept| kept.inside) else { return Ok(()) };
    match engine.state(&inside.id).await.map_err(|error| refused(&action, &error))? {
        Some(state) if state.is_running => {
            let ended = marked(shared, &engine, &inside, job, index).await;
            ended.map_err(|error| refused(&action, &error))
        }
        _ => Ok(()),
    }
}

/// Removes everything of a job at the engine.
pub(in super::super) async fn down(shared: &Shared, job: JobId) -> Result<(), RunnerError> {
    let action = format!("remove the containers of {job}");
    let work = shared.config.work.clone();
    let found = blocking(move || -> io::Result<bool> {
        Ok(folder::find(&work, job)?.is_some_and(|folder| folder.is_engine_noted()))
    });
    if !found.await.map_err(|error| failed(action.clone(), error))? {
        return Ok(());
    }
    let engine = engine(shared).await.map_err(|error| refused(&action, &error))?;
    let removed = engine.remove_labelled(&format!("{JOB}={}/{job}", shared.unit)).await;
    removed.map_err(|error| refused(&action, &error))
}

/// Removes what is at the engine of jobs that have no folder. What cannot be removed is left.
pub(in super::super) async fn orphans(shared: &Shared) {
    let work = shared.config.work.clone();
    if !blocking(move || folder::is_engine_noted_in(&work)).await {
        return;
    }
    let swept = tokio::time::timeout(SWEEP_MAX, sweep(shared)).await;
    match swept {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "containers could not be looked for");
        }
        Err(_) => tracing::warn!("the engine does not answer; containers may be left"),
    }
}

async fn sweep(shared: &Shared) -> Result<(), EngineError> {
    let engine = engine(shared).await?;
    let found = engine.labelled(&format!("{UNIT}={}", shared.unit), JOB).await?;
    let mut gone = BTreeSet::new();
    for of_job in found {
        let job: Option<JobId> = of_job.rsplit('/').next().and_then(|job| job.parse().ok());
        let Some(job) = job else { continue };
        let work = shared.config.work.clone();
        if blocking(move || folder::find(&work, job)).await.is_ok_and(|found| found.is_none()) {
            gone.insert(of_job);
        }
    }
    for of_job in gone {
        tracing::info!(job = of_job, "removing containers of a job that is gone");
        engine.remove_labelled(&format!("{JOB}={of_job}")).await?;
    }
    Ok(())
}
