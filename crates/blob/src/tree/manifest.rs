use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use grit_types::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is where, folders before what is in them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    pub(super) v: u32,
    pub entries: Vec<Entry>,
}

/// A file, a folder or a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// From the tree's root.
    pub name: TreeName,
    /// The permission bits, without those that lend rights.
    pub mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
    pub kind: EntryKind,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    File { digest: Digest, size: u64 },
    Folder,
    Link { target: TreeName },
}

impl Tree {
    pub(super) const VERSION: u32 = 1;

    /// In the order of their names.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| a.name.path().cmp(b.name.path()));
        Self { v: Self::VERSION, entries }
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        let size = |entry: &Entry| match entry.kind {
            EntryKind::File { size, .. } => size,
            EntryKind::Folder | EntryKind::Link { .. } => 0,
        };
        self.entries.iter().map(size).sum()
    }
}

/// A path of any bytes. In JSON: text; where it is not UTF-8, a NUL and the bytes in hexadecimal,
/// which no path can be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeName(PathBuf);

impl TreeName {
    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl From<PathBuf> for TreeName {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Serialize for TreeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => {
                let bytes = self.0.as_os_str().as_bytes();
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.serialize_str(&format!("\0{hex}"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for TreeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let Some(hex) = text.strip_prefix('\0') else {
            return Ok(Self(PathBuf::from(OsStr::new(&text))));
        };
        let byte = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
        let bytes = bytes.ok_or_else(|| de::Error::custom("bytes of a path are no hexadecimal"))?;
        Ok(Self(PathBuf::from(OsString::from_vec(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_any_bytes_reads_back() {
        for bytes in [&b"a/b"[..], "\u{e4}\u{20ac}".as_bytes(), b"\xff\xfe/x", b""] {
            let name = TreeName::from(PathBuf::from(OsStr::from_bytes(bytes)));
            let text = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<TreeName>(&text).unwrap(), name, "{text}");
        }
        assert!(serde_json::from_str::<TreeName>("\"\\u0000f\"").is_err());
        assert!(serde_json::from_str::<TreeName>("\"\\u0000\u{20ac}0\"").is_err());
    }
}
