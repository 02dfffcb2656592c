use std::io::Write;
use std::path::Path;

use gix::objs::{Kind, compute_hash, encode::loose_header};
use gix::zlib::{Compression, stream::deflate};

use crate::GitError;
use crate::durable::{Temporary, create_folders, parent, sync_file, sync_folder};
use crate::error::{Doing, Reading};

/// As git gives loose objects: nobody writes them again.
const MODE: u32 = 0o444;

/// Writes a loose object into the `objects` folder, durably, and answers its id.
///
/// One that is there already is written again: whoever wrote it may not have synced it.
pub(crate) fn write(objects: &Path, kind: Kind, data: &[u8]) -> Result<gix::ObjectId, GitError> {
    let id = compute_hash(gix::hash::Kind::Sha1, kind, data).reading(|| "own object".to_owned())?;
    let hex = id.to_string();
    let path = objects.join(&hex[..2]).join(&hex[2..]);
    let folder = parent(&path);
    create_folders(folder)?;
    let (file, temporary) = Temporary::create(folder, "tmp_obj_", MODE)?;
    let mut stream = deflate::Write::new(file, Compression::BEST_SPEED);
    let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
    let filled = stream
        .write_all(&loose_header(kind, length))
        .and_then(|()| stream.write_all(data))
        .and_then(|()| stream.flush());
    filled.doing("write", temporary.path())?;
    sync_file(&stream.into_inner(), temporary.path())?;
    temporary.rename(&path)?;
    sync_folder(folder)?;
    Ok(id)
}

/// Whether `objects` holds a loose object of that id.
pub(crate) fn is_loose(objects: &Path, id: &gix::ObjectId) -> bool {
    let hex = id.to_string();
    objects.join(&hex[..2]).join(&hex[2..]).exists()
}
