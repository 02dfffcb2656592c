use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use grit_types::Digest;
use tar::{Archive, EntryType, PaxExtensions};

use super::inside::link_stays_inside;
use super::pack::DEPTH_MAX;
use super::{BYTES_MAX, ENTRIES_MAX, LayoutError, MARKER};

/// A path or a link's target.
const PATH_BYTES_MAX: usize = 4096;
/// What an archive says of one entry in front of it.
const METADATA_BYTES_MAX: u64 = 64 << 10;
/// Up to here each file is synced alone, above the file system as a whole.
const SYNC_EACH_MAX: usize = 256;

type Entry<'a> = tar::Entry<'a, &'a mut File>;

/// Unpacks the archive into `root`, an empty folder that nobody else knows, and syncs it.
///
/// The archive is hostile: each entry is put into a real folder that this call made, nothing is
/// put in the place of anything, and no link leads out.
pub(crate) fn unpack(archive: &mut File, digest: Digest, root: &Path) -> Result<(), LayoutError> {
    let damaged = |source| LayoutError::Archive { digest, source };
    let mut archive = Archive::new(archive);
    let mut unpacking =
        Unpacking { root, digest, placed: BTreeMap::new(), bytes: 0, names: Names::default() };
    let entries = archive.entries().map_err(damaged)?;
    // Raw: the library would read a name of any length into memory.
    for (count, entry) in (1..).zip(entries.raw(true)) {
        if count > ENTRIES_MAX {
            return Err(LayoutError::TooMuch { what: "files", max: ENTRIES_MAX });
        }
        unpacking.take(&mut entry.map_err(damaged)?)?;
    }
    unpacking.sync().map_err(LayoutError::file("sync", root))
}

struct Unpacking<'a> {
    root: &'a Path,
    digest: Digest,
    placed: BTreeMap<PathBuf, Placed>,
    bytes: u64,
    names: Names,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Placed {
    Folder,
    File,
    Link,
}

/// What stood in front of the next entry because its header has no room for it.
#[derive(Default)]
struct Names {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Unpacking<'_> {
    fn take(&mut self, entry: &mut Entry<'_>) -> Result<(), LayoutError> {
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => Ok(()),
            EntryType::GNULongName => {
                self.names.path = Some(without_nul(self.metadata(entry)?));
                Ok(())
            }
            EntryType::GNULongLink => {
                self.names.link = Some(without_nul(self.metadata(entry)?));
                Ok(())
            }
            EntryType::XHeader => {
                let metadata = self.metadata(entry)?;
                self.take_extensions(&metadata)
            }
            kind => self.place(kind, entry),
        }
    }

    fn metadata(&self, entry: &mut Entry<'_>) -> Result<Vec<u8>, LayoutError> {
        if entry.size() > METADATA_BYTES_MAX {
            let max = METADATA_BYTES_MAX;
            return Err(LayoutError::TooMuch { what: "bytes in the name of a file", max });
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|source| self.damaged(source))?;
        Ok(bytes)
    }

    fn take_extensions(&mut self, metadata: &[u8]) -> Result<(), LayoutError> {
        for extension in PaxExtensions::new(metadata) {
            let extension = extension.map_err(|source| self.damaged(source))?;
            let value = extension.value_bytes().to_vec();
            match extension.key_bytes() {
                b"path" => self.names.path = Some(value),
                b"linkpath" => self.names.link = Some(value),
                // Tools disagree on where the next entry begins then.
                key if key == b"size" || key.starts_with(b"GNU.sparse") => {
                    let path = String::from_utf8_lossy(key).into_owned();
                    let problem = "is an extension of tar that is not unpacked";
                    return Err(LayoutError::Refused { path, problem });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn place(&mut self, kind: EntryType, entry: &mut Entry<'_>) -> Result<(), LayoutError> {
        let Names { path, link } = std::mem::take(&mut self.names);
        let path = path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let link = link.or_else(|| entry.link_name_bytes().map(|link| link.into_owned()));
        let is_folder = path.ends_with(b"/");
        let path = clean(&path)?;
        let mode = entry.header().mode().map_err(|source| self.damaged(source))?;
        if mode & 0o6000 != 0 {
            return Err(LayoutError::refused(&path, "would run with the rights of another"));
        }
        let link = link.unwrap_or_default();
        match kind {
            EntryType::Directory => self.place_folder(&path),
            EntryType::Regular | EntryType::Continuous if is_folder => self.place_folder(&path),
            EntryType::Regular | EntryType::Continuous => self.place_file(&path, mode, entry),
            EntryType::Symlink => self.place_link(&path, Path::new(OsStr::from_bytes(&link))),
            EntryType::Link => self.place_hard_link(&path, &clean(&link)?),
            _ => Err(LayoutError::refused(&path, "is no file, folder or link")),
        }
    }

    fn place_folder(&mut self, path: &Path) -> Result<(), LayoutError> {
        let mut folder = PathBuf::new();
        for part in path.components() {
            folder.push(part);
            match self.placed.get(&folder) {
                Some(Placed::Folder) => continue,
                Some(_) => {
                    return Err(LayoutError::refused(path, "lies below something else"));
                }
                None => {}
            }
            let full = self.root.join(&folder);
            let create = || LayoutError::file("create", &full);
            DirBuilder::new().create(&full).map_err(create())?;
            fs::set_permissions(&full, Permissions::from_mode(0o755)).map_err(create())?;
            self.note(folder.clone(), Placed::Folder)?;
        }
        Ok(())
    }

    /// Where a file or a link goes: into a folder that is one, where nothing is yet.
    fn free_place(&mut self, path: &Path) -> Result<PathBuf, LayoutError> {
        let Some(folder) = path.parent() else {
            return Err(LayoutError::refused(path, "has no name"));
        };
        self.place_folder(folder)?;
        if path == Path::new(MARKER) {
            return Err(LayoutError::refused(path, "is a name that Grit needs for itself"));
        }
        if self.placed.contains_key(path) {
            return Err(LayoutError::refused(path, "is there twice"));
        }
        Ok(self.root.join(path))
    }

    fn place_file(
        &mut self,
        path: &Path,
        mode: u32,
        entry: &mut Entry<'_>,
    ) -> Result<(), LayoutError> {
        let full = self.free_place(path)?;
        let size = entry.size();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > BYTES_MAX {
            return Err(LayoutError::TooMuch { what: "bytes", max: BYTES_MAX });
        }
        let write = || LayoutError::file("write", &full);
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&full)
            .map_err(write())?;
        if io::copy(entry, &mut file).map_err(write())? != size {
            return Err(self.damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        file.set_permissions(Permissions::from_mode(mode)).map_err(write())?;
        self.note(path.to_owned(), Placed::File)
    }

    fn place_link(&mut self, path: &Path, target: &Path) -> Result<(), LayoutError> {
        let full = self.free_place(path)?;
        let depth = path.components().count() - 1;
        let bytes = target.as_os_str().as_bytes();
        let is_sound = bytes.len() <= PATH_BYTES_MAX && !bytes.contains(&0);
        if !is_sound || !link_stays_inside(depth, target) {
            return Err(LayoutError::refused(path, "links out of the artifact"));
        }
        symlink(target, &full).map_err(LayoutError::file("link", &full))?;
        self.note(path.to_owned(), Placed::Link)
    }

    fn place_hard_link(&mut self, path: &Path, target: &Path) -> Result<(), LayoutError> {
        let full = self.free_place(path)?;
        if self.placed.get(target) != Some(&Placed::File) {
            return Err(LayoutError::refused(path, "links to what is no file of the artifact"));
        }
        fs::hard_link(self.root.join(target), &full).map_err(LayoutError::file("link", &full))?;
        self.note(path.to_owned(), Placed::File)
    }

    /// One entry may bring many folders with it, which count too.
    fn note(&mut self, path: PathBuf, placed: Placed) -> Result<(), LayoutError> {
        self.placed.insert(path, placed);
        if self.placed.len() as u64 > ENTRIES_MAX {
            return Err(LayoutError::TooMuch { what: "files", max: ENTRIES_MAX });
        }
        Ok(())
    }

    fn damaged(&self, source: io::Error) -> LayoutError {
        LayoutError::Archive { digest: self.digest, source }
    }

    fn sync(&self) -> io::Result<()> {
        if self.placed.len() > SYNC_EACH_MAX && sync_file_system(self.root)? {
            return Ok(());
        }
        for (path, placed) in &self.placed {
            if *placed != Placed::Link {
                File::open(self.root.join(path))?.sync_all()?;
            }
        }
        File::open(self.root)?.sync_all()
    }
}

/// Syncs all of the file system at once, where the system can.
#[cfg(target_os = "linux")]
pub(crate) fn sync_file_system(root: &Path) -> io::Result<bool> {
    rustix::fs::syncfs(File::open(root)?)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_file_system(_root: &Path) -> io::Result<bool> {
    Ok(false)
}

/// The path below the root that an entry names; empty for the root itself.
fn clean(bytes: &[u8]) -> Result<PathBuf, LayoutError> {
    let path = Path::new(OsStr::from_bytes(bytes));
    if bytes.len() > PATH_BYTES_MAX || bytes.contains(&0) {
        return Err(LayoutError::refused(path, "is no name of a file"));
    }
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => clean.push(part),
            _ => return Err(LayoutError::refused(path, "leads out of the artifact")),
        }
    }
    if clean.components().count() > DEPTH_MAX + 1 {
        return Err(LayoutError::refused(path, "lies too deep"));
    }
    Ok(clean)
}

/// GNU tar ends these with a NUL.
fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}
