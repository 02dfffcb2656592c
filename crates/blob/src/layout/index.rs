use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use grit_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::LayoutError;
use super::oci::{ContentDescriptor, INDEX_TYPE};
use crate::temporary::TemporaryFile;

/// The annotation by which an index names what it lists.
pub(crate) const NAME: &str = "org.opencontainers.image.ref.name";

const INDEX_BYTES_MAX: u64 = 64 << 20;
const LOCK_MAX: Duration = Duration::from_secs(30);
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// `index.json`. What other tools wrote into it stays, known here or not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u32,
    #[serde(default)]
    manifests: Vec<Value>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Index {
    pub(crate) fn empty() -> Self {
        let other = Map::from_iter([("mediaType".to_owned(), json!(INDEX_TYPE))]);
        Self { schema_version: 2, manifests: Vec::new(), other }
    }

    /// The digest that the index gives to `name`.
    pub(crate) fn find(&self, name: &str) -> Option<Digest> {
        let named = |entry: &&Value| name_of(entry) == Some(name);
        self.manifests.iter().rev().find(named).and_then(digest_of)
    }

    /// All names with their digests.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.manifests.iter().filter_map(|entry| Some((name_of(entry)?, digest_of(entry)?)))
    }

    /// Gives `name` to `manifest`. What had it before stays listed without a name, so that no tool
    /// takes it for garbage while it is still deployed.
    pub(crate) fn set(&mut self, name: &str, mut manifest: ContentDescriptor) {
        for entry in &mut self.manifests {
            if name_of(entry) == Some(name) {
                drop_name(entry);
            }
        }
        manifest.annotations.insert(NAME.to_owned(), name.to_owned());
        self.manifests.push(json!(manifest));
        self.drop_repeated();
    }

    /// A digest that has a name needs no entry without one, and no digest needs two such.
    fn drop_repeated(&mut self) {
        let mut listed: BTreeSet<Digest> = self.names().map(|(_, digest)| digest).collect();
        self.manifests.retain(|entry| match (name_of(entry), digest_of(entry)) {
            (None, Some(digest)) => listed.insert(digest),
            _ => true,
        });
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(NAME)?.as_str()
}

fn digest_of(entry: &Value) -> Option<Digest> {
    entry.get("digest")?.as_str()?.parse().ok()
}

fn drop_name(entry: &mut Value) {
    let annotations = entry.get_mut("annotations").and_then(Value::as_object_mut);
    let is_empty = annotations.is_some_and(|annotations| {
        annotations.remove(NAME);
        annotations.is_empty()
    });
    if is_empty && let Some(members) = entry.as_object_mut() {
        members.remove("annotations");
    }
}

/// Where `index.json` and `oci-layout` are, and the lock under which they change.
#[derive(Clone, Debug)]
pub(crate) struct IndexFile {
    root: PathBuf,
    temporary: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutVersion {
    image_layout_version: String,
}

impl IndexFile {
    pub(crate) fn open_or_create(root: &Path, temporary: &Path) -> Result<Self, LayoutError> {
        let file = Self { root: root.to_owned(), temporary: temporary.to_owned() };
        let _lock = file.lock()?;
        match file.read_json::<LayoutVersion>("oci-layout")? {
            Some(version) if version.image_layout_version == "1.0.0" => {}
            Some(version) => {
                let (path, found) = (root.to_owned(), version.image_layout_version);
                return Err(LayoutError::Version { path, found });
            }
            None => file.write_json("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?,
        }
        if file.read_json::<Index>("index.json")?.is_none() {
            file.write_json("index.json", &Index::empty())?;
        }
        Ok(file)
    }

    pub(crate) fn read(&self) -> Result<Index, LayoutError> {
        Ok(self.read_json("index.json")?.unwrap_or_else(Index::empty))
    }

    /// Reads, changes and writes while nobody else does; durable when it returns.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Index)) -> Result<(), LayoutError> {
        let _lock = self.lock()?;
        let mut index = self.read()?;
        change(&mut index);
        self.write_json("index.json", &index)
    }

    /// An flock(2), freed when the file is closed.
    fn lock(&self) -> Result<File, LayoutError> {
        let path = self.root.join(".grit").join("index.lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(LayoutError::file("open", &path))?;
        let deadline = Instant::now() + LOCK_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_RETRY);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LayoutError::Locked { path: self.root.clone() });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(LayoutError::file("lock", &path)(source));
                }
            }
        }
    }

    fn read_json<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, LayoutError> {
        let path = self.root.join(name);
        let read = || LayoutError::file("read", &path);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(INDEX_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(read())?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read()(error)),
        };
        if bytes.len() as u64 > INDEX_BYTES_MAX {
            return Err(LayoutError::TooMuch { what: "bytes in its index", max: INDEX_BYTES_MAX });
        }
        let what = || path.display().to_string();
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| LayoutError::Malformed { what: what(), source })
    }

    fn write_json(&self, name: &str, content: &impl Serialize) -> Result<(), LayoutError> {
        let path = self.root.join(name);
        let write = || LayoutError::file("write", &path);
        let bytes = serde_json::to_vec(content)
            .map_err(|source| LayoutError::Malformed { what: name.to_owned(), source })?;
        let mut file = TemporaryFile::in_folder(&self.temporary).map_err(write())?;
        file.file.write_all(&bytes).map_err(write())?;
        file.persist(&path).map_err(write())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> ContentDescriptor {
        let digest = Digest::of(text.as_bytes());
        ContentDescriptor::of("m", crate::Descriptor { digest, size: 1 })
    }

    #[test]
    fn a_name_moves_and_what_had_it_stays_listed_once() {
        let mut index = Index::empty();
        for (name, text) in [("a:1", "x"), ("a:1", "y"), ("a:1", "x"), ("a:1", "y"), ("b:1", "y")] {
            index.set(name, manifest(text));
            assert_eq!(index.find(name), Some(Digest::of(text.as_bytes())));
        }
        assert_eq!(index.names().count(), 2);
        assert_eq!(index.manifests.len(), 3);
        assert_eq!(index.find("a:1"), index.find("b:1"));
        assert_eq!(index.find("c:1"), None);
    }

    #[test]
    fn what_others_wrote_stays() {
        let theirs = json!({
            "schemaVersion": 2,
            "annotations": {"org.example": "kept"},
            "manifests": [
                {"mediaType": "m", "digest": "sha512:00", "size": 1, "platform": {"os": "linux"}},
                {"mediaType": "m", "digest": "other", "annotations": {NAME: "a:1", "k": "v"}},
            ],
        });
        let mut index: Index = serde_json::from_value(theirs.clone()).unwrap();
        assert_eq!(json!(index), theirs);
        index.set("a:1", manifest("x"));
        let ours = json!(index);
        assert_eq!(ours["manifests"][0], theirs["manifests"][0]);
        assert_eq!(ours["manifests"][1]["annotations"], json!({"k": "v"}));
        assert_eq!(ours["annotations"], theirs["annotations"]);
    }
}
