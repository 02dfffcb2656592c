use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use grit_types::Digest;

use super::index::IndexFile;
use super::oci::{EMPTY, EMPTY_TYPE, MANIFEST_BYTES_MAX};
use super::{
    ARTIFACT_TYPE, ContentDescriptor, LayoutError, MANIFEST_TYPE, MARKER, Manifest, TAR_TYPE, pack,
    unpack,
};
use crate::disk::{above, create_folder};
use crate::temporary::TemporaryFolder;
use crate::{FileBlobs, Reference};

/// An OCI image layout: `oci-layout`, `index.json` and `blobs/` below a root.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    blobs: FileBlobs,
    index: IndexFile,
}

impl Layout {
    /// Opens the layout below `root`, and makes it where it is missing.
    pub fn open_or_create(root: &Path) -> Result<Self, LayoutError> {
        let blobs = FileBlobs::open(root)?;
        let root = root.canonicalize().map_err(LayoutError::file("find", root))?;
        let index = IndexFile::open_or_create(&root, blobs.temporary())?;
        Ok(Self { root, blobs, index })
    }

    /// The blobs of the layout.
    pub fn blobs(&self) -> &FileBlobs {
        &self.blobs
    }

    /// Packs `folder` as an artifact, names it `reference`, and answers its manifest's digest;
    /// what is answered is on the disk.
    ///
    /// The digest follows from the names, contents, link targets and executable bits in the folder
    /// and from `annotations`, which stand in the manifest; not from the reference, owners, times
    /// or the order of creation.
    pub fn push_artifact(
        &self,
        reference: &Reference,
        folder: &Path,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Digest, LayoutError> {
        self.check_folder(folder)?;
        let mut layer = self.blobs.writer()?;
        pack::pack(folder, &mut layer)?;
        let layer = ContentDescriptor::of(TAR_TYPE, layer.finish()?);
        let config = ContentDescriptor::of(EMPTY_TYPE, self.blobs.put(&mut &*EMPTY)?);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            artifact_type: Some(ARTIFACT_TYPE.to_owned()),
            config,
            layers: vec![layer],
            subject: None,
            annotations: annotations.clone(),
        };
        let mut entry = self.put_manifest(&manifest)?;
        entry.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        let digest = entry.digest;
        self.index.change(|index| index.set(&reference.to_string(), entry))?;
        Ok(digest)
    }

    /// The digest of the manifest that has this name now.
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, LayoutError> {
        Ok(self.index.read()?.find(&reference.to_string()))
    }

    /// All names that are references, with their manifests' digests.
    pub fn references(&self) -> Result<BTreeMap<Reference, Digest>, LayoutError> {
        let index = self.index.read()?;
        Ok(index.names().filter_map(|(name, digest)| Some((name.parse().ok()?, digest))).collect())
    }

    /// The manifest, verified.
    pub fn manifest(&self, digest: Digest) -> Result<Manifest, LayoutError> {
        let bytes = self.blobs.read(digest, MANIFEST_BYTES_MAX)?;
        serde_json::from_slice(&bytes).map_err(|source| {
            let what = format!("manifest {digest}");
            LayoutError::Malformed { what, source }
        })
    }

    /// Unpacks the artifact into the folder `into`, which then holds all of it or is not there.
    ///
    /// The manifest and the layer are verified first. A folder into which this artifact was
    /// unpacked before is left as it is; an empty one is filled; any other is refused. Files get
    /// mode 0644 or 0755 and belong to whoever runs this. The folder holds one file besides, a
    /// marker, which is never packed.
    pub fn unpack(&self, digest: Digest, into: &Path) -> Result<(), LayoutError> {
        if is_unpacked(digest, into)? {
            return Ok(());
        }
        let (mut archive, layer) = self.layer(digest)?;
        create_folder(above(into)).map_err(LayoutError::file("create", above(into)))?;
        let folder =
            TemporaryFolder::beside(into).map_err(LayoutError::file("unpack beside", into))?;
        unpack::unpack(&mut archive, layer, folder.path())?;
        mark(digest, folder.path()).map_err(LayoutError::file("write", into))?;
        match folder.persist(into) {
            // Another was faster; if it unpacked the same, that is as good.
            Err(_) if is_unpacked(digest, into)? => Ok(()),
            persisted => persisted.map_err(LayoutError::file("create", into)),
        }
    }

    fn check_folder(&self, folder: &Path) -> Result<(), LayoutError> {
        let found = folder.canonicalize().map_err(LayoutError::file("read", folder))?;
        if !found.is_dir() {
            return Err(LayoutError::file("read", folder)(ErrorKind::NotADirectory.into()));
        }
        if self.root.starts_with(&found) {
            let problem = "holds the image layout itself, into which it would be packed";
            return Err(LayoutError::refused(folder, problem));
        }
        Ok(())
    }

    fn put_manifest(&self, manifest: &Manifest) -> Result<ContentDescriptor, LayoutError> {
        let bytes = serde_json::to_vec(manifest).map_err(|source| {
            let what = "the manifest".to_owned();
            LayoutError::Malformed { what, source }
        })?;
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            let what = "bytes in its manifest";
            return Err(LayoutError::TooMuch { what, max: MANIFEST_BYTES_MAX });
        }
        Ok(ContentDescriptor::of(MANIFEST_TYPE, self.blobs.put(&mut &bytes[..])?))
    }

    /// The one layer of an artifact, verified and at its first byte.
    fn layer(&self, digest: Digest) -> Result<(File, Digest), LayoutError> {
        let manifest = self.manifest(digest)?;
        let unsupported = |problem| LayoutError::Unsupported { digest, problem };
        if manifest.schema_version != 2 {
            return Err(unsupported("its manifest has another schema version"));
        }
        if manifest.artifact_type.as_deref() != Some(ARTIFACT_TYPE) {
            return Err(unsupported("its manifest has another artifact type"));
        }
        let [layer] = &manifest.layers[..] else {
            return Err(unsupported("its manifest has not exactly one layer"));
        };
        if layer.media_type != TAR_TYPE {
            return Err(unsupported("its layer is no plain tar archive"));
        }
        let mut file = self.blobs.get(layer.digest)?;
        if self.blobs.verified(&mut file, layer.digest)?.size != layer.size {
            return Err(unsupported("its layer has another size than the manifest says"));
        }
        file.rewind().map_err(LayoutError::file("read", &self.root))?;
        Ok((file, layer.digest))
    }
}

/// Whether `into` holds this artifact; `false` where there is nothing or an empty folder.
fn is_unpacked(digest: Digest, into: &Path) -> Result<bool, LayoutError> {
    let occupied = || LayoutError::Occupied { path: into.to_owned() };
    let read = || LayoutError::file("read", into);
    match fs::read_to_string(into.join(MARKER)) {
        Ok(text) if text.trim_end() == digest.to_string() => return Ok(true),
        Ok(_) => return Err(occupied()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(occupied()),
        Err(error) => return Err(read()(error)),
    }
    match fs::read_dir(into) {
        Ok(mut entries) => match entries.next() {
            None => Ok(false),
            Some(_) => Err(occupied()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(read()(error)),
    }
}

fn mark(digest: Digest, folder: &Path) -> std::io::Result<()> {
    let mut marker = File::create_new(folder.join(MARKER))?;
    writeln!(marker, "{digest}")?;
    marker.sync_all()?;
    File::open(folder)?.sync_all()
}
