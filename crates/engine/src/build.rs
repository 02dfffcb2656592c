use std::path::{Path, PathBuf};
use std::{fs, io};

use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use grit_types::{BoxFuture, Digest};

use crate::{Engine, EngineError};

/// A folder that is sent to an engine is no larger than this.
const FOLDER_BYTES_MAX: usize = 256 << 20;

/// A folder with a `Dockerfile`, packed for an engine.
#[derive(Clone, Debug)]
pub struct Recipe {
    folder: PathBuf,
    dockerfile: String,
    packed: Bytes,
}

impl Recipe {
    /// Reads the folder, without its `.git`; `dockerfile` is a path in it. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or is too large; there is no such file in it.
    pub fn read(folder: &Path, dockerfile: &str) -> Result<Self, EngineError> {
        let what = || format!("read the build folder {}", folder.display());
        let failed = |source| EngineError::Io { what: what(), source };
        let dockerfile = dockerfile.trim_start_matches("./").to_owned();
        if !folder.join(&dockerfile).is_file() {
            let said = format!("there is no `{dockerfile}` in it");
            return Err(EngineError::Absent { what: what(), said });
        }
        let packed = pack(folder).map_err(failed)?.into();
        Ok(Self { folder: folder.to_owned(), dockerfile, packed })
    }

    /// Of everything that is sent: the same folder has the same.
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.dockerfile.as_bytes(), &self.packed].concat())
    }
}

impl Engine {
    /// Builds an image, under that name, and says how it goes.
    pub fn build<'a>(
        &'a self,
        recipe: &'a Recipe,
        name: &'a str,
        say: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let options = BuildImageOptionsBuilder::default()
                .dockerfile(&recipe.dockerfile)
                .t(name)
                .rm(true)
                .forcerm(true)
                .build();
            let body = bollard::body_full(recipe.packed.clone());
            let mut told = Box::pin(self.docker.build_image(options, None, Some(body)));
            let what = || format!("build {} in {}", recipe.dockerfile, recipe.folder.display());
            while let Some(next) = told.next().await {
                let info = next.map_err(self.failed(what()))?;
                if let Some(said) = info.error_detail.and_then(|detail| detail.message) {
                    return Err(EngineError::Refused { what: what(), said });
                }
                let said = info.stream.or(info.status).unwrap_or_default();
                said.lines().filter(|line| !line.trim().is_empty()).for_each(say);
            }
            Ok(())
        })
    }
}

/// In the order of the names, and without times and owners, so that the same is the same.
fn pack(folder: &Path) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut stack = vec![PathBuf::new()];
    let mut bytes = 0_u64;
    while let Some(path) = stack.pop() {
        let full = folder.join(&path);
        let metadata = fs::symlink_metadata(&full)?;
        if metadata.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&full)?
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<_>>()?;
            names.retain(|name| name != ".git");
            names.sort_unstable_by(|a, b| b.cmp(a));
            stack.extend(names.into_iter().map(|name| path.join(name)));
        }
        if path.as_os_str().is_empty() {
            continue;
        }
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
        if bytes > FOLDER_BYTES_MAX as u64 {
            return Err(io::Error::other("it holds more than 256 MiB"));
        }
        add(&mut tar, &full, &path, &metadata)?;
    }
    tar.into_inner()
}

fn add(
    tar: &mut tar::Builder<Vec<u8>>,
    full: &Path,
    path: &Path,
    metadata: &fs::Metadata,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_metadata_in_mode(metadata, tar::HeaderMode::Deterministic);
    if metadata.is_symlink() {
        header.set_size(0);
        return tar.append_link(&mut header, path, fs::read_link(full)?);
    }
    if metadata.is_dir() {
        header.set_size(0);
        return tar.append_data(&mut header, path, io::empty());
    }
    if !metadata.is_file() {
        return Ok(());
    }
    // Read whole: a file that grows meanwhile would not fit its header.
    let text = fs::read(full)?;
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, path, text.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_the_same_wherever_and_whenever() {
        let make = |folder: &Path, text: &str| {
            fs::create_dir_all(folder.join("src")).unwrap();
            fs::create_dir_all(folder.join(".git")).unwrap();
            fs::write(folder.join(".git/HEAD"), folder.to_str().unwrap()).unwrap();
            fs::write(folder.join("Dockerfile"), "FROM scratch\n").unwrap();
            fs::write(folder.join("src/main.sh"), text).unwrap();
            std::os::unix::fs::symlink("src/main.sh", folder.join("link")).unwrap();
            Recipe::read(folder, "./Dockerfile").unwrap().digest()
        };
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let first = make(folders[0].path(), "echo");
        assert_eq!(make(folders[1].path(), "echo"), first);
        assert_ne!(make(folders[2].path(), "echo 2"), first);
        let absent = Recipe::read(folders[0].path(), "Containerfile").unwrap_err();
        assert!(absent.is_absent() && absent.to_string().contains("Containerfile"), "{absent}");
    }
}
