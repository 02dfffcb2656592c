mod artifact;
mod error;
mod index;
mod inside;
mod oci;
mod pack;
mod unpack;

pub(crate) use unpack::sync_file_system;

pub use artifact::Layout;
pub use error::LayoutError;
pub use oci::{ARTIFACT_TYPE, ContentDescriptor, MANIFEST_TYPE, Manifest, TAR_TYPE};

/// The files, folders and links of one artifact.
pub const ENTRIES_MAX: u64 = 200_000;
/// The bytes of all files of one artifact.
pub const BYTES_MAX: u64 = 8 << 30;

/// Marks a folder as unpacked by this room, and holds the digest of what; never part of an
/// artifact.
pub(crate) const MARKER: &str = ".grit-artifact";
