use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use grit_engine::{Engine, EngineError, Output};
use grit_pipeline::{Conclusion, RunnerError};
use tokio::sync::{Mutex, watch};

use super::super::chain;
use super::super::environment::{FILES, Variables};
use super::super::job::Job;
use super::super::log::Log;
use super::super::process::Command;
use super::super::step::Attempt;
use super::super::sweeping;
use super::paths::{self, Paths};
use super::{Inside, end, engine, refused};

/// For the last words of what outlives the command.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);

/// Of what a program is asked, it says no more.
const SAID_BYTES_MAX: usize = 256 << 10;

/// Between two looks at a command whose output does not end.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Runs the command in the job's container, to its end. What it said is in the log then.
pub(in super::super) async fn run(
    at: &Attempt,
    inside: &Inside,
    command: Command,
) -> Result<Conclusion, RunnerError> {
    let engine = match engine(&at.shared).await {
        Ok(engine) => engine,
        Err(error) => return Ok(Conclusion::Unable(chain(&error))),
    };
    let paths = Paths::of_job(&at.job.folder, &at.job.spec.repo);
    let mut words: Vec<String> = command.words.iter().map(|word| paths.inside_word(word)).collect();
    if let Some(first) = words.first_mut().filter(|word| inside.node && *word == "node") {
        *first = format!("{}/bin/node", paths::NODE);
    }
    let wanted = grit_engine::Command {
        words,
        env: variables(at, &paths, &command.variables),
        cwd: Some(paths.inside(&command.cwd.to_string_lossy())),
        user: None,
    };
    let (id, output) = match engine.exec(&inside.id, &wanted).await {
        Ok(begun) => begun,
        Err(error @ (EngineError::Absent { .. } | EngineError::Refused { .. })) => {
            return Ok(Conclusion::Unable(chain(&error)));
        }
        Err(error) => return Err(refused(&at.action(), &error)),
    };
    let mut progress = read(at, output);
    tokio::select! {
        // What has ended was not cut short.
        biased;
        exit = over(&engine, &id, &mut progress) => {
            let exit = exit.map_err(|error| refused(&at.action(), &error))?;
            Ok(Conclusion::Exited(i32::try_from(exit).unwrap_or(i32::MAX)))
        }
        conclusion = at.cut_short() => {
            let ended = end::marked(&at.shared, &engine, inside, at.spec.job, at.spec.index).await;
            if let Err(error) = ended {
                let why = format!("Not everything could be ended: {}", chain(&error));
                at.say(&why).await?;
            }
            let ended = progress.wait_for(|ended| *ended);
            let _ = tokio::time::timeout(LAST_WORDS_MAX, ended).await;
            Ok(conclusion)
        }
    }
}

/// Its exit status, once it has ended and everything that it said is in the log. What it left
/// running may hold its output open.
async fn over(
    engine: &Engine,
    id: &str,
    progress: &mut watch::Receiver<bool>,
) -> Result<i64, EngineError> {
    let mut pause = LOOK_FIRST;
    loop {
        // The reader is gone: nothing is waited for but the command.
        let mut is_silent = *progress.borrow();
        if !is_silent {
            let ended = progress.wait_for(|ended| *ended);
            is_silent = tokio::time::timeout(pause, ended).await.is_ok();
        }
        let state = engine.command_state(id).await?;
        if !state.is_running {
            if !is_silent {
                let ended = progress.wait_for(|ended| *ended);
                let _ = tokio::time::timeout(LAST_WORDS_MAX, ended).await;
            }
            return Ok(state.exit.unwrap_or(0));
        }
        if is_silent {
            tokio::time::sleep(pause).await;
        }
        pause = (pause * 2).min(LOOK_MAX);
    }
}

/// Puts what is said into the log; the value is true when nobody says anything any more.
pub(super) fn read(at: &Attempt, output: Output) -> watch::Receiver<bool> {
    let (sender, progress) = watch::channel(false);
    let reader = Reader { output, log: at.log.clone(), job: at.job.clone() };
    let (job, index) = (at.spec.job, at.spec.index);
    at.job.readers.spawn(async move {
        if let Err(error) = reader.run().await {
            tracing::error!(%job, index, %error, "the output of a step could not be logged");
        }
        sender.send_replace(true);
    });
    progress
}

struct Reader {
    output: Output,
    log: Arc<Mutex<Log>>,
    job: Arc<Job>,
}

impl Reader {
    async fn run(mut self) -> io::Result<()> {
        let read = loop {
            let next = tokio::select! {
                next = self.output.more() => next,
                () = self.job.over.cancelled() => None,
            };
            match next {
                Some(Ok(bytes)) => {
                    if let Err(error) = self.log.lock().await.output(&bytes).await {
                        break Err(error);
                    }
                }
                Some(Err(error)) => break Err(io::Error::other(chain(&error))),
                None => break Ok(()),
            }
        };
        let ended = self.log.lock().await.output_ends().await;
        read.and(ended)
    }
}

/// The environment of a command: the step's, with the paths that the container has.
fn variables(at: &Attempt, paths: &Paths, own: &Variables) -> Vec<String> {
    let mut all = shared_variables(at, paths, own);
    let marker = format!("{}/{}/{}", at.shared.unit, at.spec.job, at.spec.index);
    all.insert(sweeping::MARKER.to_owned(), marker);
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// A step's environment as a container has it.
pub(super) fn shared_variables(
    at: &Attempt,
    paths: &Paths,
    own: &Variables,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in own {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        all.insert(name.to_owned(), paths.inside(value));
    }
    let files = at.job.folder.step(at.spec.index);
    for (name, file) in FILES {
        all.insert(name.to_owned(), paths.inside(&files.join(file).to_string_lossy()));
    }
    all.insert("HOME".to_owned(), paths::HOME.to_owned());
    all.insert("GITHUB_EVENT_PATH".to_owned(), paths::EVENT.to_owned());
    all
}

/// What a command in the job's container says on its standard output and its error output; nothing
/// where it fails, says too much, takes too long, or cannot be asked.
pub(in super::super) async fn ask(
    at: &Attempt,
    inside: &Inside,
    words: &[&str],
    within: Duration,
    own: &Variables,
) -> Option<(String, String)> {
    let paths = Paths::of_job(&at.job.folder, &at.job.spec.repo);
    let command = grit_engine::Command {
        words: words.iter().map(|word| paths.inside_word(word)).collect(),
        env: variables(at, &paths, own),
        cwd: Some(paths.inside(&at.job.folder.workspace().to_string_lossy())),
        user: None,
    };
    let asked = async {
        let engine = engine(&at.shared).await.ok()?;
        let (id, mut output) = engine.exec(&inside.id, &command).await.ok()?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(said) = output.more_of_either().await {
            let (bytes, is_error) = said.ok()?;
            if is_error { &mut err } else { &mut out }.extend_from_slice(&bytes);
            if out.len() + err.len() > SAID_BYTES_MAX {
                return None;
            }
        }
        let exit = engine.command_state(&id).await.ok()?.exit?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (exit == 0).then(|| (text(&out), text(&err)))
    };
    let answer = tokio::time::timeout(within, asked).await;
    if answer.is_err() {
        // What does not end would go on beside the step.
        if let Ok(engine) = engine(&at.shared).await {
            let ended = end::marked(&at.shared, &engine, inside, at.spec.job, at.spec.index).await;
            ended.unwrap_or_else(|error| tracing::warn!(error = chain(&error), "a probe is left"));
        }
    }
    answer.ok().flatten()
}
