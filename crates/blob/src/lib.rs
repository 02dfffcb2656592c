//! Content-addressed blobs on the file system, and the OCI image layout over them.
//!
//! [`FileBlobs`] stores bytes under their SHA-256: hashed while they are written, synced, and only
//! then given their name, so that what has a name is whole. [`Layout`] keeps an OCI image layout
//! ([image-layout.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md))
//! in the same folder: a folder is pushed as an artifact of one deterministic tar layer, found by
//! its [`Reference`], and unpacked again by its digest. Other OCI tools read what this writes.
//!
//! [`Trees`] keeps a folder file by file, with its modes, times, links and empty folders, so that
//! what several have in common is there once; it is restored by copying, by reference where the
//! file system can, and every byte is compared with its digest on the way.
//!
//! All block; asynchronous callers go through `spawn_blocking`. Several processes may use one
//! folder at once.
//!
//! This room knows no registry protocol and compresses nothing. What is collected, its callers say.
//!
//! ```no_run
//! use grit_blob::{Layout, Reference};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layout = Layout::open_or_create("data".as_ref())?;
//! let reference: Reference = "shop/api:v1.0.0".parse()?;
//! let digest = layout.push_artifact(&reference, "target/api".as_ref(), &Default::default())?;
//! assert_eq!(layout.resolve(&reference)?, Some(digest));
//! layout.unpack(digest, "instances/1/root".as_ref())?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod disk;
mod layout;
mod reference;
mod store;
mod temporary;
mod tree;

pub use layout::{
    ARTIFACT_TYPE, BYTES_MAX, ContentDescriptor, ENTRIES_MAX, Layout, LayoutError, MANIFEST_TYPE,
    Manifest, TAR_TYPE,
};
pub use reference::Reference;
pub use store::{BLOB_BYTES_MAX, BlobError, BlobWriter, Descriptor, FileBlobs};
pub use tree::{
    Anchor, Entry, EntryKind, Hold, Item, Kept, Restored, TREE_ENTRIES_MAX, Tree, TreeError,
    TreeName, Trees,
};
