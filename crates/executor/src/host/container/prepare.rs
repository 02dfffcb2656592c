use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use grit_engine::{Engine, Health, Mount, State, Wanted};
use grit_pipeline::{
    ContainerSpec, Containers, JobSpec, PreparedContainers, PreparedService, RunnerError,
};
use tokio::time::Instant;

use super::super::folder::Folder;
use super::super::job::Job;
use super::super::{Shared, blocking, chain, failed, unseal};
use super::paths::{self, Paths};
use super::{Inside, Kept, engine, image, labels, owner, preparing, refused};

/// Between two looks at a service that is starting.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A service whose health nobody asks for is up if it still is by then.
const SETTLE: Duration = Duration::from_millis(500);

/// Of the log of a service that does not come up.
const LOG_LINES: u32 = 50;

/// Makes the containers of a job, or finds them as they are. Cancelling the job ends it, too.
pub(in super::super) async fn prepare(
    shared: &Shared,
    folder: &Folder,
    job: &JobSpec,
) -> Result<PreparedContainers, RunnerError> {
    let action = format!("make the containers of {}", job.job);
    let preparing = preparing(shared, job.job);
    let _turn = preparing.turn.lock().await;
    let engine = engine(shared).await.map_err(|error| refused(&action, &error))?;
    owner::sweep(shared, &engine).await;
    let read = folder.clone();
    let kept = blocking(move || read.containers()).await;
    if let Some(kept) = kept.map_err(|error| failed(action.clone(), error))?
        && is_up(&engine, &kept).await
    {
        return Ok(kept.prepared);
    }
    let mark = folder.clone();
    let marked = blocking(move || mark.note_engine()).await;
    marked.map_err(|error| failed(action.clone(), error))?;
    let of_job = format!("{}={}/{}", super::JOB, shared.unit, job.job);
    // Of a preparation that was cut short.
    let cleared = engine.remove_labelled(&of_job).await;
    cleared.map_err(|error| refused(&action, &error))?;
    let made = tokio::select! {
        biased;
        () = preparing.cancel.cancelled() => Err("the job was cancelled".to_owned()),
        () = shared.closing.cancelled() => Err("the runner is closed".to_owned()),
        made = make(shared, &engine, folder, job) => made,
    };
    match made {
        Ok(kept) => {
            let (folder, prepared) = (folder.clone(), kept.prepared.clone());
            let written = blocking(move || folder.write_containers(&kept)).await;
            written.map_err(|error| failed(action, error))?;
            Ok(prepared)
        }
        Err(why) => {
            if let Err(error) = engine.remove_labelled(&of_job).await {
                tracing::warn!(job = %job.job, error = chain(&error), "containers are left");
            }
            Err(failed(action, why))
        }
    }
}

async fn is_up(engine: &Engine, kept: &Kept) -> bool {
    let services = kept.prepared.services.values().map(|service| &service.id);
    for id in services.chain(&kept.prepared.job) {
        match engine.state(id).await {
            Ok(Some(state)) if state.is_running => {}
            _ => return false,
        }
    }
    true
}

/// What a preparation works with; errors are for people.
struct Making<'a> {
    shared: &'a Shared,
    engine: &'a Engine,
    folder: &'a Folder,
    job: &'a JobSpec,
    network: String,
}

async fn make(
    shared: &Shared,
    engine: &Engine,
    folder: &Folder,
    job: &JobSpec,
) -> Result<Kept, String> {
    let hidden = hidden(shared, folder, job).await?;
    let containers = opened(shared, folder, job).await?;
    let name = format!("grit-{}-{}", shared.unit, job.job);
    let network = engine.create_network(&name, &labels(shared, job.run, job.job, None)).await;
    let network = network.map_err(|error| chain(&error))?;
    let gateway = engine.gateway(&network).await.map_err(|error| chain(&error))?;
    let making = Making { shared, engine, folder, job, network: network.clone() };
    let mut services = BTreeMap::new();
    for (name, spec) in &containers.services {
        let started = making.service(name, spec).await;
        services.insert(name.clone(), started.map_err(|why| format!("service `{name}`: {why}"))?);
    }
    let begun = Instant::now();
    let inside = match &containers.job {
        Some(spec) => Some(making.inside(spec).await.map_err(|why| format!("container: {why}"))?),
        None => None,
    };
    let mut prepared = PreparedContainers {
        network,
        job: inside.as_ref().map(|inside| inside.id.clone()),
        services: BTreeMap::new(),
    };
    let failed =
        |name: &String, why| hidden.shown(&format!("service container `{name}` failed: {why}"));
    let mut unasked = Vec::new();
    for (name, id) in services {
        let up = making.up(&id).await.map_err(|why| failed(&name, why))?;
        if up.health == Health::Unknown {
            unasked.push((name.clone(), id.clone()));
        }
        prepared.services.insert(name, PreparedService { id, ports: up.ports });
    }
    if !unasked.is_empty() {
        tokio::time::sleep_until(begun + SETTLE).await;
    }
    // It was up when it was looked at first, which it is even if it ends at once.
    for (name, id) in unasked {
        making.up(&id).await.map_err(|why| failed(&name, why))?;
    }
    Ok(Kept { v: 1, prepared, inside, gateway })
}

/// What nobody may see of what containers say.
async fn hidden(shared: &Shared, folder: &Folder, spec: &JobSpec) -> Result<Job, String> {
    let folder = folder.clone();
    let job = blocking(move || Job::of_prepared(folder)).await;
    let job = job.map_err(|error| error.to_string())?.ok_or("the job has no folder")?;
    job.hide(&(shared.config.secrets)(spec));
    job.hide(&(shared.config.named)(spec));
    Ok(job)
}

/// The containers with their secrets filled in.
async fn opened(shared: &Shared, folder: &Folder, job: &JobSpec) -> Result<Containers, String> {
    let secrets = (shared.config.named)(job);
    let (mut containers, word, folder) = (job.containers.clone(), job.seal.clone(), folder.clone());
    let opened = blocking(move || {
        let opener = unseal::Opener { word: &word, secrets: &secrets, folder: &folder };
        let all = containers.services.values_mut().chain(&mut containers.job);
        all.flat_map(|spec| spec.texts_mut()).try_for_each(|text| opener.fill(text))?;
        Ok(containers)
    });
    opened.await
}

impl Making<'_> {
    async fn service(&self, name: &str, spec: &ContainerSpec) -> Result<String, String> {
        let mut wanted = self.wanted(spec)?;
        wanted.aliases.insert(0, name.to_owned());
        self.start(spec, &wanted).await
    }

    /// The job's own container, which does nothing by itself.
    async fn inside(&self, spec: &ContainerSpec) -> Result<Inside, String> {
        let mut wanted = self.wanted(spec)?;
        let paths = Paths::of_job(self.folder, &self.job.repo);
        let folder = self.folder.clone();
        let made = blocking(move || folder.make_seen()).await;
        made.map_err(|error| format!("make the folders that it sees: {error}"))?;
        wanted.mounts.splice(0..0, paths.mounts());
        let node = blocking(node).await;
        let source = node.as_ref().map(|folder| folder.to_string_lossy().into_owned());
        wanted.mounts.extend(source.map(|source| Mount {
            source,
            target: paths::NODE.to_owned(),
            read_only: true,
        }));
        let ours = [("CI", "true"), ("GITHUB_ACTIONS", "true"), ("HOME", paths::HOME)];
        for (name, value) in ours {
            wanted.env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        let workspace = paths.inside(&self.folder.workspace().to_string_lossy());
        wanted.cwd.get_or_insert(workspace);
        wanted.entrypoint = Some(vec!["tail".to_owned()]);
        wanted.command = Some(["-f", "/dev/null"].map(str::to_owned).to_vec());
        let id = self.start(spec, &wanted).await?;
        let state = self.up(&id).await?;
        let path = state.env.iter().find_map(|pair| pair.strip_prefix("PATH="));
        let path = path.unwrap_or(super::super::environment::PATH_DEFAULT).to_owned();
        let (node, pids) = (node.is_some(), wanted.pid.is_some());
        Ok(Inside { id, path, node, pids })
    }

    fn wanted(&self, spec: &ContainerSpec) -> Result<Wanted, String> {
        let (shared, job) = (self.shared, self.job);
        let trusted = shared.config.engine.privileged || job.containers.trusted;
        let mut wanted = super::wanted::wanted(spec, trusted)?;
        wanted.network = Some(self.network.clone());
        wanted.labels.extend(labels(shared, job.run, job.job, None));
        Ok(wanted)
    }

    async fn start(&self, spec: &ContainerSpec, wanted: &Wanted) -> Result<String, String> {
        let say = |line: &str| tracing::info!(image = wanted.image, "{line}");
        let (engine, config) = (self.engine, &self.shared.config.engine);
        let started = async {
            let credentials = spec.credentials.as_ref();
            image::ensure(engine, config, &wanted.image, credentials, &say).await?;
            let id = engine.create(wanted).await?;
            engine.start(&id).await?;
            Ok(id)
        };
        started.await.map_err(|error: grit_engine::EngineError| chain(&error))
    }

    /// Waits until it is up, and healthy where it says so.
    async fn up(&self, id: &str) -> Result<State, String> {
        let mut pause = LOOK_FIRST;
        loop {
            let state = self.engine.state(id).await.map_err(|error| chain(&error))?;
            let state = state.ok_or("it is gone")?;
            match state.health {
                Health::Unknown | Health::Good if state.is_running => return Ok(state),
                Health::Starting if state.is_running => {}
                Health::Bad if state.is_running => {
                    return Err(self.obituary(id, "it is not healthy".to_owned()).await);
                }
                _ => {
                    let why = format!("it ended, with status {}", state.exit);
                    let why = if state.error.is_empty() { why } else { state.error };
                    return Err(self.obituary(id, why).await);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_MAX);
        }
    }

    async fn obituary(&self, id: &str, why: String) -> String {
        let said = self.engine.last_words(id, LOG_LINES).await.unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        match said.trim_end() {
            "" => format!("{why}, and it said nothing"),
            said => format!("{why}; the end of its log:\n{said}"),
        }
    }
}

/// The folder of this machine's Node, where it is one that can be used in other places: as Node is
/// handed out, all of it in one folder that is not the system's own.
fn node() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&path).map(|folder| folder.join("node"));
    let program =
        program.filter_map(|program| program.canonicalize().ok()).find(|p| p.is_file())?;
    let folder = program.parent()?.parent()?;
    let whole = folder.join("bin/node") == program && folder.join("include/node").is_dir();
    (whole && !matches!(folder.to_str(), Some("/" | "/usr" | "/usr/local"))).then(|| folder.into())
}
