use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use grit_pipeline::JobSpec;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::container::{Inside, Kept};
use super::folder::Folder;
use super::locked;
use crate::text::mask::Masks;
use crate::text::matcher::{MATCHERS_MAX, Matcher};

/// Masks that the steps of a job may add; then nothing more of it is logged.
const MASKS_MAX: usize = 1000;

/// What the steps of a job share, as long as this process runs them.
pub(super) struct Job {
    pub spec: JobSpec,
    pub folder: Folder,
    /// What it has at an engine.
    pub containers: Option<Kept>,
    masks: Mutex<MaskSet>,
    /// Problem matchers that its steps added, for those that follow.
    matchers: Mutex<Vec<Arc<Matcher>>>,
    /// Readers of the output of processes that outlive their step.
    pub readers: TaskTracker,
    /// Nobody will ask for that output any more.
    pub over: CancellationToken,
}

struct MaskSet {
    /// Said by steps. Kept on disk, since later steps may run in another process of ours.
    added: Vec<String>,
    /// Given by us; one that was given before may still be said.
    secrets: BTreeSet<String>,
    is_stored: bool,
    ready: Arc<Masks>,
}

/// More masks than [`MASKS_MAX`]: the output cannot be masked as it should.
#[derive(Debug)]
pub(super) struct TooManyMasks;

impl Job {
    /// The job of a prepared folder; `None`: it is not prepared, or its containers are not.
    pub fn load(folder: Folder) -> io::Result<Option<Self>> {
        let job = Self::of_prepared(folder)?;
        Ok(job.filter(|job| job.spec.containers.is_empty() || job.containers.is_some()))
    }

    /// The same, whatever became of its containers.
    pub fn of_prepared(folder: Folder) -> io::Result<Option<Self>> {
        let Some(spec) = folder.job()? else { return Ok(None) };
        let (added, containers) = (folder.masks()?, folder.containers()?);
        let mut ready = Masks::none();
        added.iter().for_each(|mask| ready.add(mask));
        let (secrets, ready) = (BTreeSet::new(), Arc::new(ready));
        let masks = MaskSet { added, secrets, is_stored: true, ready };
        Ok(Some(Self {
            spec,
            folder,
            containers,
            masks: Mutex::new(masks),
            matchers: Mutex::default(),
            readers: TaskTracker::new(),
            over: CancellationToken::new(),
        }))
    }

    /// A text of ours as a log would show it.
    pub fn shown(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.masks().apply(text.as_bytes())).into_owned()
    }

    /// The container that its steps run in.
    pub fn inside(&self) -> Option<&Inside> {
        self.containers.as_ref().and_then(|kept| kept.inside.as_ref())
    }

    pub fn masks(&self) -> Arc<Masks> {
        locked(&self.masks).ready.clone()
    }

    /// From now on the values are masked.
    pub fn hide(&self, secrets: &BTreeMap<String, String>) {
        let mut masks = locked(&self.masks);
        for secret in secrets.values() {
            if masks.secrets.insert(secret.clone()) {
                Arc::make_mut(&mut masks.ready).add(secret);
            }
        }
    }

    /// `::add-mask::`.
    pub fn add_mask(&self, value: String) -> Result<(), TooManyMasks> {
        let mut masks = locked(&self.masks);
        if masks.added.contains(&value) {
            return Ok(());
        }
        if masks.added.len() == MASKS_MAX {
            return Err(TooManyMasks);
        }
        Arc::make_mut(&mut masks.ready).add(&value);
        masks.added.push(value);
        masks.is_stored = false;
        Ok(())
    }

    /// Writes what steps added, for the time after a crash. Blocks.
    pub fn store_masks(&self) -> io::Result<()> {
        let unstored = {
            let masks = locked(&self.masks);
            (!masks.is_stored).then(|| masks.added.clone())
        };
        let Some(added) = unstored else { return Ok(()) };
        self.folder.write_masks(&added)?;
        let mut masks = locked(&self.masks);
        masks.is_stored = masks.added == added;
        Ok(())
    }

    /// The newest first, as the service tries them.
    pub fn matchers(&self) -> Vec<Arc<Matcher>> {
        locked(&self.matchers).clone()
    }

    /// `::add-matcher::`; one takes the place of another of its owner.
    pub fn add_matchers(&self, added: Vec<Arc<Matcher>>) -> Result<(), String> {
        let mut matchers = locked(&self.matchers);
        for matcher in added {
            matchers.retain(|there| !there.owner.eq_ignore_ascii_case(&matcher.owner));
            if matchers.len() == MATCHERS_MAX {
                return Err(format!("a job has at most {MATCHERS_MAX} of them"));
            }
            matchers.insert(0, matcher);
        }
        Ok(())
    }

    /// `::remove-matcher::`.
    pub fn remove_matcher(&self, owner: &str) {
        locked(&self.matchers).retain(|matcher| !matcher.owner.eq_ignore_ascii_case(owner));
    }

    /// Stops reading what its processes say.
    pub async fn let_go(&self) {
        self.over.cancel();
        self.readers.close();
        self.readers.wait().await;
    }
}
