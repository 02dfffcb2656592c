use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use grit_host::durable;
use grit_pipeline::{JobSpec, StepOutcome};
use grit_types::{EffectId, JobId, RunId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::container::Kept;
use super::locked;

const VERSION: u64 = 1;

/// A file that says that there may be something at an engine.
const ENGINE: &str = ".engine";

/// Workspaces on their way out: no name of a run begins like this.
const ASIDE: &str = ".gone-";

/// The folder of one job.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// What is recorded of the steps of a job that is of nobody when this process is gone.
    passing: Option<Arc<Mutex<BTreeMap<u32, StepRecord>>>>,
}

/// What is kept of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepRecord {
    v: u64,
    pub effect: EffectId,
    pub state: StepState,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StepState {
    /// Written before anything of it starts.
    Started,
    Done(Box<StepOutcome>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobRecord {
    v: u64,
    job: JobSpec,
}

impl StepRecord {
    pub fn new(effect: &EffectId, state: StepState) -> Self {
        Self { v: VERSION, effect: effect.clone(), state }
    }
}

impl Folder {
    pub fn new(work: &Path, run: RunId, job: JobId) -> Self {
        let root = work.join(run.to_string()).join(job.to_string());
        Self { root, passing: None }
    }

    /// The same, of nobody when this process is gone: nothing has to outlast a power cut, and what
    /// is recorded of steps is this value's and its clones'.
    pub fn passing(self) -> Self {
        Self { passing: Some(Arc::default()), ..self }
    }

    pub fn is_passing(&self) -> bool {
        self.passing.is_some()
    }

    /// Where steps start.
    pub fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    pub fn temp(&self) -> PathBuf {
        self.root.join("temp")
    }

    /// The script of a step and the files that it writes for the runner.
    pub fn step(&self, index: u32) -> PathBuf {
        self.files().join(index.to_string())
    }

    /// Of those of all steps.
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// What containers of the job have as their home.
    pub fn home(&self) -> PathBuf {
        self.temp().join("_github_home")
    }

    /// Where they find the event.
    pub fn event_folder(&self) -> PathBuf {
        self.temp().join("_github_workflow")
    }

    /// Makes what containers see and the machine has no use for. Steps may have removed it.
    pub fn make_seen(&self) -> io::Result<()> {
        for folder in [self.home(), self.event_folder(), self.files(), self.actions()] {
            fs::create_dir_all(folder)?;
        }
        let event = self.event_folder().join(JobSpec::EVENT_FILE);
        if event.exists() {
            return Ok(());
        }
        let job = self.job()?.map(|job| job.event).unwrap_or_default();
        fs::write(event, job)
    }

    /// The record of a step's processes.
    pub fn session(&self, index: u32) -> PathBuf {
        self.steps().join(format!("{index}.session.json"))
    }

    /// Where a step checks out before its files are moved to where they belong.
    pub fn checkout(&self, index: u32) -> PathBuf {
        self.root.join(format!("checkout-{index}"))
    }

    /// What a step unpacks on its way.
    pub fn scratch(&self, index: u32) -> PathBuf {
        self.root.join(format!("scratch-{index}"))
    }

    /// What its processes are sending to the services that it is given.
    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Where the actions of others are that the job uses, by `OWNER/REPO@REF`.
    pub fn actions(&self) -> PathBuf {
        self.root.join("actions")
    }

    fn steps(&self) -> PathBuf {
        self.root.join("steps")
    }

    fn record(&self, index: u32) -> PathBuf {
        self.steps().join(format!("{index}.json"))
    }

    /// A job that is prepared stays as it is; what is left of a preparation that was cut short is
    /// made anew.
    pub fn prepare(&self, job: &JobSpec) -> io::Result<()> {
        if let Some(prepared) = self.job()? {
            let same = prepared == *job;
            let other = || io::Error::other("it is prepared for another commit");
            return same.then_some(()).ok_or_else(other);
        }
        remove_all(&self.root)?;
        for folder in [self.workspace(), self.temp(), self.steps(), self.files()] {
            self.create_dir_all(&folder)?;
        }
        self.write(&self.temp().join(JobSpec::EVENT_FILE), job.event.as_bytes())?;
        let record = JobRecord { v: VERSION, job: job.clone() };
        self.write(&self.root.join("job.json"), &serde_json::to_vec(&record)?)
    }

    /// A file of the job, here or among its logs, that is whole for whoever reads it.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let write = if self.is_passing() { durable::write_unsynced } else { durable::write };
        write(path, bytes)
    }

    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if self.is_passing() { fs::create_dir_all(path) } else { durable::create_dir_all(path) }
    }

    /// What the job is; `None` if it is not prepared.
    pub fn job(&self) -> io::Result<Option<JobSpec>> {
        let record = read_json::<JobRecord>(&self.root.join("job.json"))?;
        Ok(record.map(|record| record.job))
    }

    pub fn step_record(&self, index: u32) -> io::Result<Option<StepRecord>> {
        match &self.passing {
            Some(records) => Ok(locked(records).get(&index).cloned()),
            None => read_json(&self.record(index)),
        }
    }

    pub fn write_step_record(&self, index: u32, record: StepRecord) -> io::Result<()> {
        if let Some(records) = &self.passing {
            locked(records).insert(index, record);
            return Ok(());
        }
        self.write(&self.record(index), &serde_json::to_vec(&record)?)
    }

    /// What the step gave that holds a secret. Readable by us only, and gone with the job.
    pub fn write_kept(&self, index: u32, values: &[String]) -> io::Result<()> {
        self.write(&self.kept_path(index), &serde_json::to_vec(values)?)
    }

    /// The same again; `None`: nothing is kept of that step.
    pub fn kept(&self, index: u32) -> io::Result<Option<Vec<String>>> {
        read_json(&self.kept_path(index))
    }

    fn kept_path(&self, index: u32) -> PathBuf {
        self.steps().join(format!("{index}.kept.json"))
    }

    /// As if the step had never been asked for.
    pub fn forget_step(&self, index: u32) -> io::Result<()> {
        match &self.passing {
            Some(records) => {
                locked(records).remove(&index);
                Ok(())
            }
            None => durable::remove(&self.record(index)),
        }
    }

    /// Steps that were started and have no outcome.
    pub fn unfinished(&self) -> io::Result<Vec<u32>> {
        let mut unfinished = Vec::new();
        for name in names(&self.steps())? {
            let Some(Ok(index)) = name.strip_suffix(".json").map(str::parse) else { continue };
            let record = self.step_record(index)?;
            if record.is_some_and(|record| matches!(record.state, StepState::Started)) {
                unfinished.push(index);
            }
        }
        Ok(unfinished)
    }

    /// From now on there may be something of the job at an engine.
    pub fn note_engine(&self) -> io::Result<()> {
        if self.is_engine_noted() {
            return Ok(());
        }
        if let Some(work) = self.root.parent().and_then(Path::parent) {
            self.write(&work.join(ENGINE), b"")?;
        }
        self.write(&self.root.join(ENGINE), b"")
    }

    pub fn is_engine_noted(&self) -> bool {
        self.root.join(ENGINE).exists()
    }

    /// What the job has at the engine; `None`: nothing that is ready.
    pub fn containers(&self) -> io::Result<Option<Kept>> {
        read_json(&self.root.join("containers.json"))
    }

    pub fn write_containers(&self, kept: &Kept) -> io::Result<()> {
        self.write(&self.root.join("containers.json"), &serde_json::to_vec(kept)?)
    }

    /// What steps asked to be masked, as written by [`Folder::write_masks`].
    pub fn masks(&self) -> io::Result<Vec<String>> {
        Ok(read_json(&self.root.join("masks.json"))?.unwrap_or_default())
    }

    /// Readable by us only, and gone with the job.
    pub fn write_masks(&self, masks: &[String]) -> io::Result<()> {
        self.write(&self.root.join("masks.json"), &serde_json::to_vec(masks)?)
    }
}

/// Whether any job ever had something at an engine.
pub(super) fn is_engine_noted_in(work: &Path) -> bool {
    work.join(ENGINE).exists()
}

/// The folder of a job whose run is not known.
pub(super) fn find(work: &Path, job: JobId) -> io::Result<Option<Folder>> {
    for run in names(work)?.into_iter().filter(|name| name.starts_with(RunId::PREFIX)) {
        let root = work.join(run).join(job.to_string());
        if root.is_dir() {
            return Ok(Some(Folder { root, passing: None }));
        }
    }
    Ok(None)
}

/// Takes the job's folder out of sight, and its run's with the last job of it; answers what is
/// to be removed.
pub(super) fn set_aside(work: &Path, job: JobId) -> io::Result<Option<PathBuf>> {
    let gone = work.join(format!("{ASIDE}{job}"));
    // Of an attempt that failed half-way.
    remove_all(&gone)?;
    let Some(folder) = find(work, job)? else { return Ok(None) };
    fs::rename(&folder.root, &gone)?;
    if let Some(run) = folder.root.parent() {
        match fs::remove_dir(run) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => return Err(error),
            _ => {}
        }
    }
    Ok(Some(gone))
}

pub(super) fn remove_set_aside(work: &Path) -> io::Result<()> {
    let aside = names(work)?.into_iter().filter(|name| name.starts_with(ASIDE));
    aside.map(|name| work.join(name)).try_for_each(|gone| remove_all(&gone))
}

/// Removes a folder and everything in it, also what a step made read-only. One that is not there
/// is no error.
pub(super) fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A module cache of Go, for one, has folders without permission to write.
fn make_writable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

/// At most `max + 1` bytes of a file that a step had in its hands: nothing but a regular file is
/// read. `None`: it is gone, or something else is there.
pub(super) fn read_bounded(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = File::options();
    let opened = options.read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}

/// Refuses what a later version wrote.
fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if let Ok(Version { v }) = serde_json::from_slice(&bytes)
        && v > VERSION
    {
        let path = path.display();
        return Err(io::Error::other(format!("{path} is of version {v}, newer than {VERSION}")));
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_is_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("job/mod/cache");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        fs::set_permissions(&deep, Permissions::from_mode(0o500)).unwrap();
        remove_all(&folder.path().join("job")).unwrap();
        remove_all(&folder.path().join("job")).unwrap();
        assert_eq!(names(folder.path()).unwrap(), [""; 0]);
    }

    #[test]
    fn reads_regular_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "12345").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        assert_eq!(read_bounded(&path("file"), 3).unwrap().unwrap(), b"1234");
        assert_eq!(read_bounded(&path("absent"), 3).unwrap(), None);
        assert_eq!(read_bounded(folder.path(), 3).unwrap(), None);
        assert!(read_bounded(&path("link"), 3).is_err());
    }
}
