//! What the paths of a step count from, and where what was kept from there goes again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use grit_blob::{Anchor, Item};
use grit_types::Digest;

use super::step::Attempt;
use crate::store::select::{Bases, lexical};

/// How trees of caches are laid out: one that is laid out otherwise is another version.
const LAYOUT: &str = "grit tree 1";

/// The folders of a job, and the home that it shares with others.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub workspace: PathBuf,
    pub temp: PathBuf,
    pub home: PathBuf,
}

impl Ground {
    pub fn of(at: &Attempt) -> Self {
        let home = at.variables.get(OsStr::new("HOME"));
        Self {
            workspace: at.job.folder.workspace(),
            temp: at.job.folder.temp(),
            home: home.map(PathBuf::from).unwrap_or_default(),
        }
    }

    /// For patterns.
    pub fn bases(&self) -> Bases<'_> {
        Bases { workspace: &self.workspace, home: &self.home }
    }

    /// A path as a step names it.
    pub fn path(&self, text: &str) -> PathBuf {
        match text.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) if rest.starts_with('/') => self.home.join(rest.trim_start_matches('/')),
            _ => lexical(&self.workspace.join(text)),
        }
    }

    /// A digest of the paths, the same in every job whose folders have other names.
    pub fn version(&self, paths: &[String]) -> String {
        let own = |path: &String| {
            let text = path.replace(&*self.temp.to_string_lossy(), "{temp}");
            text.replace(&*self.workspace.to_string_lossy(), "{workspace}")
        };
        let paths: Vec<String> = paths.iter().map(own).collect();
        Digest::of(format!("{LAYOUT}\n{}", paths.join("\n")).as_bytes()).hex()
    }

    /// What was found, by the folder that it is in.
    pub fn items(&self, found: &[PathBuf]) -> Vec<Item> {
        let unique: BTreeSet<&PathBuf> = found.iter().collect();
        let item = |path: &PathBuf| {
            let (base, below) = self.place(path);
            let name = Path::new(base).join(below);
            Item { name, path: path.clone(), follow: false }
        };
        unique.into_iter().map(item).collect()
    }

    fn place<'a>(&self, path: &'a Path) -> (&'static str, &'a Path) {
        let bases = [("workspace", &self.workspace), ("temp", &self.temp), ("home", &self.home)];
        for (name, base) in bases {
            if let Ok(below) = path.strip_prefix(base)
                && !base.as_os_str().is_empty()
            {
                return (name, below);
            }
        }
        ("root", path.strip_prefix("/").unwrap_or(path))
    }

    /// Where a part of a cache goes. The job's own folders may hold links of its making, which are
    /// replaced; those of a home are somebody's wish.
    pub fn anchor(&self, name: &OsStr) -> Option<Anchor> {
        let (folder, follows) = match name.to_str()? {
            "workspace" => (&*self.workspace, false),
            "temp" => (&*self.temp, false),
            "home" if self.home.is_absolute() => (&*self.home, true),
            "root" => (Path::new("/"), true),
            _ => return None,
        };
        Some(Anchor { folder: folder.to_owned(), follows })
    }
}
