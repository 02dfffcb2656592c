use std::path::Path;

use grit_engine::{Engine, EngineError, Recipe, Wanted};
use grit_pipeline::{ActionImage, Conclusion, RunnerError};

use super::super::step::Attempt;
use super::super::{blocking, chain, environment, failed};
use super::command::{read, shared_variables};
use super::paths::Paths;
use super::{engine, image, labels, owner, refused, tell, telling};

/// So much of a digest tells what was built from what.
const DIGEST_LEN: usize = 20;

/// Runs a container of its own for the step, to its end.
pub(in super::super) async fn run(
    at: &Attempt,
    image: &ActionImage,
    entrypoint: Option<&str>,
    args: &[String],
) -> Result<Conclusion, RunnerError> {
    let folder = at.job.folder.clone();
    let noted = blocking(move || folder.note_engine().and_then(|()| folder.make_seen())).await;
    noted.map_err(|error| failed(at.action(), error))?;
    let engine = match engine(&at.shared).await {
        Ok(engine) => engine,
        Err(error) => return Ok(Conclusion::Unable(chain(&error))),
    };
    owner::sweep(&at.shared, &engine).await;
    let found = tokio::select! {
        biased;
        conclusion = at.cut_short() => return Ok(conclusion),
        found = self::image(at, &engine, image) => found?,
    };
    let name = match found {
        Ok(name) => name,
        Err(error) => return Ok(Conclusion::Unable(chain(&error))),
    };
    let wanted = wanted(at, name, entrypoint, args);
    let started = async {
        let id = engine.create(&wanted).await?;
        let output = engine.attach(&id).await?;
        engine.start(&id).await?;
        Ok::<_, EngineError>((id, output))
    };
    match started.await {
        Ok((id, output)) => conclude(at, &engine, &id, output).await,
        Err(error) => {
            clear(at, &engine).await;
            Ok(Conclusion::Unable(chain(&error)))
        }
    }
}

async fn conclude(
    at: &Attempt,
    engine: &Engine,
    id: &str,
    output: grit_engine::Output,
) -> Result<Conclusion, RunnerError> {
    let mut progress = read(at, output);
    let conclusion = tokio::select! {
        biased;
        exit = engine.wait(id) => {
            let exit = exit.map_err(|error| refused(&at.action(), &error))?;
            Conclusion::Exited(i32::try_from(exit).unwrap_or(i32::MAX))
        }
        conclusion = at.cut_short() => {
            let stopped = tokio::select! {
                stopped = engine.stop(id, at.shared.grace()) => stopped,
                () = at.shared.hurry.cancelled() => engine.remove(id).await,
            };
            if let Err(error) = stopped {
                at.say(&format!("Not everything could be ended: {}", chain(&error))).await?;
            }
            conclusion
        }
    };
    // With its container over, its output ends.
    let _ = progress.wait_for(|ended| *ended).await;
    clear(at, engine).await;
    Ok(conclusion)
}

/// What cannot be removed now is removed with the job.
async fn clear(at: &Attempt, engine: &Engine) {
    let label = format!("{}={}/{}/{}", super::STEP, at.shared.unit, at.spec.job, at.spec.index);
    if let Err(error) = engine.remove_labelled(&label).await {
        tracing::warn!(job = %at.spec.job, error = chain(&error), "a container is left");
    }
}

/// The name of the image, which is on the machine then.
async fn image(
    at: &Attempt,
    engine: &Engine,
    image: &ActionImage,
) -> Result<Result<String, EngineError>, RunnerError> {
    match image {
        ActionImage::Named(name) => {
            let config = &at.shared.config.engine;
            let (say, lines) = telling();
            let ready = async move { image::ensure(engine, config, name, None, &say).await };
            let (ready, told) = tokio::join!(ready, tell(at, lines));
            told.map(|()| ready.map(|()| name.clone()))
        }
        ActionImage::Built { folder, dockerfile } => built(at, engine, folder, dockerfile).await,
    }
}

/// A folder that is as it was is not built again.
async fn built(
    at: &Attempt,
    engine: &Engine,
    folder: &str,
    dockerfile: &str,
) -> Result<Result<String, EngineError>, RunnerError> {
    let folder = Paths::of_job(&at.job.folder, &at.job.spec.repo).outside(folder);
    let dockerfile = dockerfile.to_owned();
    let recipe = blocking(move || Recipe::read(Path::new(&folder), &dockerfile)).await;
    let recipe = match recipe {
        Ok(recipe) => recipe,
        Err(error) => return Ok(Err(error)),
    };
    let digest: String = recipe.digest().hex().chars().take(DIGEST_LEN).collect();
    let name = format!("grit/action:{digest}");
    match engine.image(&name).await {
        Ok(Some(_)) => return Ok(Ok(name)),
        Ok(None) => {}
        Err(error) => return Ok(Err(error)),
    }
    let (say, lines) = telling();
    let (engine, recipe, under) = (engine.clone(), recipe, name.clone());
    let built = async move { engine.build(&recipe, &under, &say).await };
    let (built, told) = tokio::join!(built, tell(at, lines));
    told.map(|()| built.map(|()| name))
}

fn wanted(at: &Attempt, image: String, entrypoint: Option<&str>, args: &[String]) -> Wanted {
    let paths = Paths::of_action(&at.job.folder, &at.job.spec.repo);
    let network = at.job.containers.as_ref().map(|kept| kept.prepared.network.clone());
    let workspace = at.job.folder.workspace();
    let (run, job, index) = (at.spec.run, at.spec.job, at.spec.index);
    Wanted {
        image,
        entrypoint: entrypoint.map(|program| vec![program.to_owned()]),
        command: (!args.is_empty()).then(|| args.iter().map(|arg| paths.inside(arg)).collect()),
        env: shared_variables(at, &paths, &environment::of_container(&at.variables, &at.spec)),
        labels: labels(&at.shared, run, job, Some(index)),
        cwd: Some(paths.inside(&workspace.to_string_lossy())),
        network: network.filter(|network| !network.is_empty()),
        mounts: paths.mounts(),
        ..Wanted::default()
    }
}
