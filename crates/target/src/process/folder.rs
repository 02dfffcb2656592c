use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grit_host::durable;
use grit_types::InstanceId;

/// `ROOT/ID/`: everything of an instance but its log.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(root: &Path, id: InstanceId) -> Self {
        Self(root.join(id.to_string()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn record(&self) -> PathBuf {
        self.0.join("record.json")
    }

    /// The record of grit-host.
    pub(super) fn process(&self) -> PathBuf {
        self.0.join("process.json")
    }

    /// The unpacked artifact.
    pub(super) fn files(&self) -> PathBuf {
        self.0.join("root")
    }

    /// Removes all of it, the record last: what has a record is never without an owner.
    pub(super) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.files())?;
        durable::remove(&self.process())?;
        durable::remove(&self.record())?;
        remove_tree(&self.0)
    }
}

/// A tree that is not there is no error.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
