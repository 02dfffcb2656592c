use std::fs::{DirBuilder, File};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Makes `folder` and all above it durable, where they are missing.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = above(folder);
    if above != folder {
        create_folder(above)?;
    }
    match DirBuilder::new().create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Err(error) if !folder.is_dir() => return Err(error),
        _ => {}
    }
    sync_folder(above)
}

/// The folder that holds `path`.
pub(crate) fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

/// No room left, for anybody or for this user.
pub(crate) fn is_full(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
