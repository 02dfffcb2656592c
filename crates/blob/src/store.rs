use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use grit_types::{Digest, Digester};
use serde::{Deserialize, Serialize};

use crate::disk::{create_folder, is_full};
use crate::temporary::{TemporaryFile, sweep};

/// The largest blob.
pub const BLOB_BYTES_MAX: u64 = 64 << 30;

const BUFFER_BYTES: usize = 128 << 10;

/// What a blob is called and how many bytes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    pub digest: Digest,
    pub size: u64,
}

/// What happened to a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {digest} is not there")]
    Missing { digest: Digest },
    /// The disk lost or changed bytes; putting the blob again heals it.
    #[error("blob {digest} is damaged: its bytes have the digest {found}")]
    Damaged { digest: Digest, found: Digest },
    #[error("the blob has more than {max} bytes")]
    TooLarge { max: u64 },
    /// Where the bytes came from failed; nothing was stored.
    #[error("read the bytes to be stored")]
    Source(#[source] io::Error),
    #[error("{action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
}

impl BlobError {
    /// No room left: works again when there is.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::File { source, .. } if is_full(source))
    }

    /// The bytes are gone: nothing brings them back but putting them again.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Damaged { .. })
    }

    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// Blobs in `blobs/sha256/` below a root; what is being written lies in `.grit/tmp/` beside it.
#[derive(Clone, Debug)]
pub struct FileBlobs {
    folder: PathBuf,
    temporary: PathBuf,
}

impl FileBlobs {
    /// Opens the blobs below `root`, makes the folders where they are missing, and removes what
    /// killed processes left unfinished.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        let folder = root.join("blobs").join("sha256");
        let temporary = root.join(".grit").join("tmp");
        for folder in [&folder, &temporary] {
            create_folder(folder).map_err(BlobError::file("create", folder))?;
        }
        sweep(&temporary, OsStr::new("")).map_err(BlobError::file("clean", &temporary))?;
        Ok(Self { folder, temporary })
    }

    /// Stores all that `reader` gives; what is returned is on the disk.
    pub fn put(&self, reader: &mut dyn Read) -> Result<Descriptor, BlobError> {
        self.put_at_most(reader, BLOB_BYTES_MAX)
    }

    /// Stores all that `reader` gives, unless that is more than `max` bytes.
    pub fn put_at_most(&self, reader: &mut dyn Read, max: u64) -> Result<Descriptor, BlobError> {
        let mut writer = self.writer()?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => return writer.finish(),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(BlobError::Source(error)),
            };
            if writer.size + count as u64 > max {
                return Err(BlobError::TooLarge { max });
            }
            writer.write_all(&buffer[..count]).map_err(BlobError::file("write", &self.folder))?;
        }
    }

    /// Takes bytes piece by piece; dropped before [`BlobWriter::finish`], leaves nothing behind.
    pub fn writer(&self) -> Result<BlobWriter, BlobError> {
        let temporary = TemporaryFile::in_folder(&self.temporary)
            .map_err(BlobError::file("create a file in", &self.temporary))?;
        let folder = self.folder.clone();
        Ok(BlobWriter { temporary, folder, digester: Digester::default(), size: 0 })
    }

    /// The blob, opened at its first byte; not verified.
    pub fn get(&self, digest: Digest) -> Result<File, BlobError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => BlobError::Missing { digest },
            _ => BlobError::file("open", &path)(source),
        })
    }

    /// Whether the blob is there; not verified.
    pub fn contains(&self, digest: Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(found) => Ok(found.is_file()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(BlobError::file("look at", &path)(error)),
        }
    }

    /// How many bytes the blob has, where it is there; not verified.
    pub fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BlobError::file("look at", &path)(error)),
        }
    }

    /// Removes a blob that is damaged.
    pub(crate) fn discard(&self, digest: Digest) -> Result<(), BlobError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(BlobError::file("remove", &path)),
        }
    }

    /// Reads the blob and compares it with its name.
    pub fn verify(&self, digest: Digest) -> Result<Descriptor, BlobError> {
        self.verified(&mut self.get(digest)?, digest)
    }

    /// The bytes of a small blob, verified.
    pub fn read(&self, digest: Digest, max: u64) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        let mut file = self.get(digest)?.take(max + 1);
        file.read_to_end(&mut bytes).map_err(BlobError::file("read", &self.path(digest)))?;
        if bytes.len() as u64 > max {
            return Err(BlobError::TooLarge { max });
        }
        match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(BlobError::Damaged { digest, found }),
        }
    }

    /// Reads `file` to its end and compares what it holds with `digest`.
    pub(crate) fn verified(
        &self,
        file: &mut File,
        digest: Digest,
    ) -> Result<Descriptor, BlobError> {
        let mut digester = Digester::default();
        let mut size = 0;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    digester.update(&buffer[..count]);
                    size += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(BlobError::file("read", &self.path(digest))(error)),
            }
        }
        match digester.finish() {
            found if found == digest => Ok(Descriptor { digest, size }),
            found => Err(BlobError::Damaged { digest, found }),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }
}

/// A blob that is being written.
pub struct BlobWriter {
    temporary: TemporaryFile,
    folder: PathBuf,
    digester: Digester,
    size: u64,
}

impl BlobWriter {
    /// Gives the blob its name; what is returned is on the disk.
    ///
    /// A blob of that name is replaced, which heals it where it was damaged.
    pub fn finish(self) -> Result<Descriptor, BlobError> {
        let digest = self.digester.finish();
        let path = self.folder.join(digest.hex());
        self.temporary.persist(&path).map_err(BlobError::file("store", &path))?;
        Ok(Descriptor { digest, size: self.size })
    }
}

impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.temporary.file.write(bytes)?;
        self.digester.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.file.flush()
    }
}
