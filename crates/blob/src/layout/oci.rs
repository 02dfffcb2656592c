use std::collections::BTreeMap;

use grit_types::Digest;
use serde::{Deserialize, Serialize};

/// The media type of an image manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The artifact type of what [`push_artifact`](crate::Layout::push_artifact) makes.
pub const ARTIFACT_TYPE: &str = "application/vnd.grit.artifact.v1";
/// The media type of its layer.
pub const TAR_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
pub(crate) const EMPTY: &[u8] = b"{}";

/// The OCI spec's limit, and that of common registries.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// An OCI image manifest, version 1.1
/// ([manifest.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: ContentDescriptor,
    pub layers: Vec<ContentDescriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<ContentDescriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest or an index says of a blob
/// ([descriptor.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentDescriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl ContentDescriptor {
    pub(crate) fn of(media_type: &str, blob: crate::Descriptor) -> Self {
        let crate::Descriptor { digest, size } = blob;
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new() }
    }
}
