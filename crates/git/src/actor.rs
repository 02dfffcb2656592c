use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use grit_types::Entropy;
use serde::{Deserialize, Serialize};

use crate::durable::{Temporary, create_folders, sync_folder};
use crate::error::{Doing, Reading};
use crate::filelock::FileLock;
use crate::{GitError, Repository};

const VERSION: u32 = 1;
const PATIENCE: Duration = Duration::from_secs(30);

/// `grit/actor` in the git folder, which no push and no clone carries along.
#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    lane: String,
    /// The file's own number in its file system.
    inode: u64,
}

impl Repository {
    /// The name of the lane that only this clone writes; made up at the first call.
    ///
    /// A lane must have one writer. A copy of the clone (`cp -r`, a restored backup) would be a
    /// second one, so the name is bound to the file that holds it: in a copy that is another file,
    /// and the copy gets a name of its own.
    pub fn actor(&self, entropy: &dyn Entropy) -> Result<String, GitError> {
        let folder = self.common_dir().join("grit");
        let path = folder.join("actor");
        if let Some(lane) = read(&path)? {
            return Ok(lane);
        }
        create_folders(&folder)?;
        let _one_at_a_time = FileLock::acquire(&folder.join("actor.lock"), PATIENCE)?;
        if let Some(lane) = read(&path)? {
            return Ok(lane);
        }
        let mut random = [0; 10];
        entropy.fill(&mut random);
        let lane: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        write(&folder, &path, &lane)?;
        Ok(lane)
    }
}

fn read(path: &Path) -> Result<Option<String>, GitError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing("read", path),
    };
    let what = || format!("`{}`", path.display());
    let record: Record = serde_json::from_slice(&text).reading(what)?;
    if record.v > VERSION {
        return Err(io::Error::other("it was written by a newer Grit")).doing("read", path);
    }
    let inode = fs::metadata(path).doing("look at", path)?.ino();
    Ok((record.inode == inode).then_some(record.lane))
}

fn write(folder: &Path, path: &Path, lane: &str) -> Result<(), GitError> {
    let (mut file, temporary) = Temporary::create(folder, "tmp_actor_", 0o600)?;
    let inode = file.metadata().doing("look at", temporary.path())?.ino();
    let record = Record { v: VERSION, lane: lane.to_owned(), inode };
    serde_json::to_writer(&mut file, &record).map_err(io::Error::from).doing("write", path)?;
    crate::durable::sync_file(&file, temporary.path())?;
    temporary.rename(path)?;
    sync_folder(folder)
}
