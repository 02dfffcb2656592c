use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tar::{Builder, EntryType, Header};

use super::inside::link_stays_inside;
use super::{BYTES_MAX, ENTRIES_MAX, LayoutError, MARKER};

/// How deep folders may lie in one another.
pub(crate) const DEPTH_MAX: usize = 128;

/// Writes `folder` as a tar archive whose bytes follow from the names, the contents, the link
/// targets and the executable bits alone.
pub(crate) fn pack(folder: &Path, into: &mut dyn Write) -> Result<(), LayoutError> {
    let mut entries = Vec::new();
    list(folder, Path::new(""), 0, &mut entries)?;
    let mut archive = Builder::new(into);
    let mut bytes = 0;
    for entry in &entries {
        let path = folder.join(&entry.path);
        match &entry.kind {
            Kind::Folder => append_folder(&mut archive, &entry.path),
            Kind::Link(target) => append_link(&mut archive, &entry.path, target),
            Kind::File => {
                bytes += append_file(&mut archive, &entry.path, &path, BYTES_MAX - bytes)?;
                Ok(())
            }
        }
        .map_err(LayoutError::file("pack", &path))?;
    }
    archive.into_inner().map(drop).map_err(LayoutError::file("pack", folder))
}

struct Entry {
    /// From the packed folder.
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Folder,
    File,
    Link(PathBuf),
}

/// Folders before what is in them, names in the order of their bytes.
fn list(
    root: &Path,
    below: &Path,
    depth: usize,
    entries: &mut Vec<Entry>,
) -> Result<(), LayoutError> {
    let folder = root.join(below);
    let read = || LayoutError::file("read", &folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(read())? {
        let name = entry.map_err(read())?.file_name();
        if depth > 0 || name != MARKER {
            names.push(name);
        }
        if (entries.len() + names.len()) as u64 > ENTRIES_MAX {
            return Err(LayoutError::TooMuch { what: "files", max: ENTRIES_MAX });
        }
    }
    if depth > DEPTH_MAX {
        return Err(LayoutError::refused(below, "lies too deep"));
    }
    names.sort_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    for name in names {
        let path = below.join(name);
        let kind = kind(root, &path, depth)?;
        let is_folder = matches!(kind, Kind::Folder);
        entries.push(Entry { path: path.clone(), kind });
        if is_folder {
            list(root, &path, depth + 1, entries)?;
        }
    }
    Ok(())
}

fn kind(root: &Path, path: &Path, depth: usize) -> Result<Kind, LayoutError> {
    let full = root.join(path);
    let look = || LayoutError::file("look at", &full);
    let found = fs::symlink_metadata(&full).map_err(look())?.file_type();
    if found.is_dir() {
        return Ok(Kind::Folder);
    }
    if found.is_file() {
        return Ok(Kind::File);
    }
    if !found.is_symlink() {
        return Err(LayoutError::refused(path, "is no file, folder or link"));
    }
    let target = fs::read_link(&full).map_err(look())?;
    if !link_stays_inside(depth, &target) {
        return Err(LayoutError::refused(path, "links out of the folder"));
    }
    Ok(Kind::Link(target))
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append_folder(archive: &mut Builder<&mut dyn Write>, path: &Path) -> io::Result<()> {
    archive.append_data(&mut header(EntryType::Directory, 0o755, 0), path, io::empty())
}

fn append_link(
    archive: &mut Builder<&mut dyn Write>,
    path: &Path,
    target: &Path,
) -> io::Result<()> {
    archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)
}

/// The bytes of the file, of which there are at most `room`.
fn append_file(
    archive: &mut Builder<&mut dyn Write>,
    path: &Path,
    full: &Path,
    room: u64,
) -> Result<u64, LayoutError> {
    let failed = || LayoutError::file("pack", full);
    let mut file = open_file(full).map_err(failed())?;
    let found = file.metadata().map_err(failed())?;
    if !found.is_file() {
        return Err(LayoutError::refused(path, "changed while it was packed"));
    }
    let size = found.len();
    if size > room {
        return Err(LayoutError::TooMuch { what: "bytes", max: BYTES_MAX });
    }
    let mode = if found.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
    let mut content = (&mut file).take(size);
    archive
        .append_data(&mut header(EntryType::Regular, mode, size), path, &mut content)
        .map_err(failed())?;
    let is_short = content.limit() > 0;
    if is_short || !is_at_end(&mut file).map_err(failed())? {
        return Err(LayoutError::refused(path, "changed while it was packed"));
    }
    Ok(size)
}

/// What was a file a moment ago may be a link or a pipe now: neither is followed or waited for.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

fn is_at_end(file: &mut File) -> io::Result<bool> {
    loop {
        match file.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.map(|count| count == 0),
        }
    }
}
