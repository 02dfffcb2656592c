//! What the paths of a step count from, and where what was kept from there goes again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use grit_blob::{Anchor, Item};
use grit_types::Digest;

use super::container::Paths;
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
    /// Of a job in a container, the folders that it has in common with the machine; what else it
    /// names is its image's.
    seen: Option<Vec<PathBuf>>,
    paths: Option<Paths>,
}

impl Ground {
    pub fn of(at: &Attempt) -> Self {
        let home = at.variables.get(OsStr::new("HOME"));
        let inside = at.job.inside();
        let paths = inside.map(|_| Paths::of_job(&at.job.folder, &at.job.spec.repo));
        Self {
            workspace: at.job.folder.workspace(),
            temp: at.job.folder.temp(),
            home: home.map(PathBuf::from).unwrap_or_default(),
            seen: paths.as_ref().map(Paths::outsides),
            paths,
        }
    }

    /// The patterns that lie where the job's files are, and those that do not.
    pub fn within<'p>(&self, patterns: &'p [String]) -> (Vec<String>, Vec<&'p str>) {
        let lines = patterns.iter().flat_map(|pattern| pattern.lines()).map(str::trim);
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let path = line.strip_prefix('!').unwrap_or(line).trim_start();
            match self.is_seen(&self.path(path)) {
                true => own.push(line.to_owned()),
                false => others.push(line),
            }
        }
        match self.seen {
            Some(_) => (own, others),
            None => (patterns.to_vec(), others),
        }
    }

    fn is_seen(&self, path: &Path) -> bool {
        let seen = self.seen.as_ref();
        seen.is_none_or(|seen| seen.iter().any(|folder| path.starts_with(folder)))
    }

    /// Whether what is there is the job's, wherever links lead.
    pub fn owns(&self, path: &Path) -> bool {
        self.seen.is_none() || path.canonicalize().is_ok_and(|real| self.is_seen(&real))
    }

    /// For patterns.
    pub fn bases(&self) -> Bases<'_> {
        Bases { workspace: &self.workspace, home: &self.home }
    }

    /// A path as a program of the step says it.
    pub fn named(&self, text: &str) -> PathBuf {
        self.path(&self.paths.as_ref().map_or_else(|| text.to_owned(), |paths| paths.outside(text)))
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
        // The home of a container is among the temporary files.
        let home = if self.seen.is_some() { Some(("home", &self.home)) } else { None };
        let bases = [("workspace", &self.workspace), ("temp", &self.temp), ("home", &self.home)];
        for (name, base) in home.into_iter().chain(bases) {
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
            "home" if self.home.is_absolute() => (&*self.home, self.seen.is_none()),
            "root" if self.seen.is_none() => (Path::new("/"), true),
            _ => return None,
        };
        Some(Anchor { folder: folder.to_owned(), follows })
    }
}
