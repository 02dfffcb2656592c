use std::io;
use std::path::{Path, PathBuf};

use grit_types::Digest;

use crate::BlobError;
use crate::disk::is_full;

/// What an image layout refuses or cannot do.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("{action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// Another process holds the index for much longer than a change takes.
    #[error("image layout `{}` is locked by another process", path.display())]
    Locked { path: PathBuf },
    #[error("image layout `{}` has version `{found}`, and this program reads 1.0.0", path.display())]
    Version { path: PathBuf, found: String },
    #[error("{what} is not what the OCI image spec says")]
    Malformed { what: String, source: serde_json::Error },
    /// An image, a compressed layer, several layers: nothing that this room packs.
    #[error("{digest} is no artifact of Grit: {problem}")]
    Unsupported { digest: Digest, problem: &'static str },
    /// An entry of a folder or an archive, which can do harm where it is unpacked.
    #[error("`{}` {problem}", path.escape_debug())]
    Refused { path: String, problem: &'static str },
    #[error("the artifact has more than {max} {what}")]
    TooMuch { what: &'static str, max: u64 },
    /// The layer is what its digest says, but no sound tar archive.
    #[error("read the archive {digest}")]
    Archive { digest: Digest, source: io::Error },
    /// Something else is where the artifact should be unpacked.
    #[error("`{}` holds something else", path.display())]
    Occupied { path: PathBuf },
}

impl LayoutError {
    /// No room left: works again when there is.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Blob(error) => error.is_full(),
            Self::File { source, .. } => is_full(source),
            _ => false,
        }
    }

    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    pub(crate) fn refused(path: &Path, problem: &'static str) -> Self {
        Self::Refused { path: path.to_string_lossy().into_owned(), problem }
    }
}
