//! What of a target folder is not worth keeping: everything that the workspace's own crates were built
//! to. It changes with each commit, and is most of the folder.
//!
//! Source: Cargo's layout of `target/PROFILE`: `.fingerprint/PACKAGE-HASH`, `build/PACKAGE-HASH`,
//! `deps/NAME-HASH.*`, where the hash of a package's fingerprint is that of what it was built to.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What there is of every target folder, and stays.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];
/// Of a profile's folder, what may hold something of dependencies.
const PARTS: [&str; 3] = [".fingerprint", "build", "deps"];

/// Removes what is not of a package that the lock file has a source for; answers how much. Without
/// a lock file nothing is known, and nothing removed.
pub(super) fn target(target: &Path, lock: &Path) -> io::Result<u64> {
    let text = match fs::read_to_string(lock) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        text => text?,
    };
    let dependencies = dependencies(&text);
    let mut removed = 0;
    for path in entries(target)? {
        if !is_folder(&path) {
            if !MARKS.contains(&name(&path)) {
                removed += remove(&path)?;
            }
        } else if is_profile(&path) {
            removed += profile(&path, &dependencies)?;
        } else if entries(&path)?.iter().any(|below| is_profile(below)) {
            // Of one target triple.
            for below in entries(&path)?.iter().filter(|below| is_profile(below)) {
                removed += profile(below, &dependencies)?;
            }
        } else {
            removed += remove(&path)?;
        }
    }
    Ok(removed)
}

/// The packages of a lock file that come from somewhere else.
fn dependencies(lock: &str) -> HashSet<String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='));
        line.map(|value| value.trim().trim_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    let from_elsewhere = blocks.filter(|block| value(block, "source").is_some());
    from_elsewhere.filter_map(|block| value(block, "name")).collect()
}

fn profile(folder: &Path, dependencies: &HashSet<String>) -> io::Result<u64> {
    let (mut removed, mut hashes) = (0, HashSet::new());
    for part in [".fingerprint", "build"] {
        for path in entries(&folder.join(part))? {
            match name(&path).rsplit_once('-') {
                Some((package, hash)) if dependencies.contains(package) => {
                    hashes.insert(hash.to_owned());
                }
                _ => removed += remove(&path)?,
            }
        }
    }
    for path in entries(&folder.join("deps"))? {
        let stem = name(&path).split('.').next().unwrap_or_default();
        let is_kept = stem.rsplit_once('-').is_some_and(|(_, hash)| hashes.contains(hash));
        if !is_kept {
            removed += remove(&path)?;
        }
    }
    for path in entries(folder)? {
        if !PARTS.contains(&name(&path)) {
            removed += remove(&path)?;
        }
    }
    Ok(removed)
}

fn is_profile(folder: &Path) -> bool {
    is_folder(&folder.join(".fingerprint")) || is_folder(&folder.join("deps"))
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<u64> {
    match is_folder(path) {
        true => crate::host::folder::remove_all(path)?,
        false => fs::remove_file(path)?,
    }
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n\
        dependencies = [\"serde-json\"]\n\n[[package]]\nname = \"serde-json\"\nversion = \"1.0.0\"\n\
        source = \"registry+https://x\"\n";

    #[test]
    fn what_dependencies_were_built_to_stays() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for file in [
            "target/CACHEDIR.TAG",
            "target/stray",
            "target/doc/index.html",
            "target/debug/app",
            "target/debug/incremental/app-1/x",
            "target/debug/.fingerprint/serde-json-aa/lib",
            "target/debug/.fingerprint/app-bb/bin",
            "target/debug/build/serde-json-cc/out/gen.rs",
            "target/debug/deps/libserde_json-aa.rlib",
            "target/debug/deps/serde_json-aa.d",
            "target/debug/deps/app-bb",
            "target/debug/deps/app-bb.0x.rcgu.o",
            "target/x86_64-unknown-linux-gnu/release/.fingerprint/serde-json-dd/lib",
            "target/x86_64-unknown-linux-gnu/release/.fingerprint/app-ee/lib",
        ] {
            fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            fs::write(at(file), "x").unwrap();
        }
        fs::write(at("Cargo.lock"), LOCK).unwrap();
        assert_eq!(target(&at("target"), &at("absent")).unwrap(), 0);
        target(&at("target"), &at("Cargo.lock")).unwrap();
        for kept in [
            "target/CACHEDIR.TAG",
            "target/debug/.fingerprint/serde-json-aa/lib",
            "target/debug/build/serde-json-cc/out/gen.rs",
            "target/debug/deps/libserde_json-aa.rlib",
            "target/debug/deps/serde_json-aa.d",
            "target/x86_64-unknown-linux-gnu/release/.fingerprint/serde-json-dd/lib",
        ] {
            assert!(at(kept).exists(), "{kept}");
        }
        for gone in [
            "target/stray",
            "target/doc",
            "target/debug/app",
            "target/debug/incremental",
            "target/debug/.fingerprint/app-bb",
            "target/debug/deps/app-bb",
            "target/debug/deps/app-bb.0x.rcgu.o",
            "target/x86_64-unknown-linux-gnu/release/.fingerprint/app-ee",
        ] {
            assert!(!at(gone).exists(), "{gone}");
        }
    }
}
