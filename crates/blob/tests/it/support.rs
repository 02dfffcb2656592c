use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use grit_blob::{Layout, Reference};
use grit_types::Digest;
use tempfile::TempDir;

/// A layout in a folder of its own.
pub fn layout() -> (TempDir, Layout) {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(&root.path().join("data")).unwrap();
    (root, layout)
}

pub fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

pub fn write(path: &Path, content: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder with a program, a file deeper down, an empty folder and a link.
pub fn sample(folder: &Path) {
    write(&folder.join("api"), "#!/bin/sh\nexit 0\n", 0o775);
    write(&folder.join("share/catalogue.json"), "{}", 0o600);
    fs::create_dir_all(folder.join("empty")).unwrap();
    std::os::unix::fs::symlink("../api", folder.join("share/run")).unwrap();
}

pub fn push(layout: &Layout, name: &str, folder: &Path) -> Digest {
    layout.push_artifact(&reference(name), folder, &BTreeMap::new()).unwrap()
}

/// Everything below a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            names.push(entry.path().strip_prefix(folder).unwrap().display().to_string());
        }
    }
    names.sort();
    names
}
