//! Files that patterns select, as the toolkit's `glob` has it: a pattern is relative to the workspace,
//! absolute, or begins with `~`; what lies below a folder that is matched is matched; `!` takes
//! back what those before it gave.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use crate::text::glob::{leads_to, parts};

/// So many names are looked at for one selection; then it is refused.
const LOOKED_AT_MAX: usize = 1_000_000;
/// Links that are followed may lead this deep and no deeper.
const DEPTH_MAX: usize = 256;

/// What patterns count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bases<'a> {
    pub workspace: &'a Path,
    pub home: &'a Path,
}

/// How folders are gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walk {
    /// Through links, which then are what they lead to; those that lead nowhere are left out.
    pub follow: bool,
    /// Names that begin with a dot as well.
    pub hidden: bool,
}

/// What was selected.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Files, folders and links, absolute, folders before what is in them.
    pub found: Vec<PathBuf>,
    /// The parts of the patterns before the first that is one: where the search began.
    pub roots: Vec<PathBuf>,
}

struct Pattern {
    negative: bool,
    parts: Vec<String>,
    root: PathBuf,
}

/// Selects files; blocks.
pub(crate) fn select(patterns: &[String], bases: Bases<'_>, walk: Walk) -> io::Result<Selection> {
    let lines = patterns.iter().flat_map(|pattern| pattern.lines()).map(str::trim);
    let named = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let patterns: Vec<Pattern> = named.map(|line| Pattern::read(line, bases)).collect();
    let roots = roots(&patterns);
    let mut search = Search { patterns: &patterns, walk, looked_at: 0, found: BTreeSet::new() };
    for root in &roots {
        search.look(root, &mut Vec::new())?;
    }
    Ok(Selection { found: search.found.into_iter().collect(), roots })
}

impl Pattern {
    fn read(line: &str, bases: Bases<'_>) -> Self {
        let (negative, text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, line),
        };
        let whole = match text.strip_prefix('~') {
            Some("") => bases.home.to_owned(),
            Some(rest) if rest.starts_with('/') => bases.home.join(rest.trim_start_matches('/')),
            _ => bases.workspace.join(text),
        };
        let whole = lexical(&whole);
        let part = |part: Component<'_>| part.as_os_str().to_string_lossy().into_owned();
        let parts: Vec<String> = whole.components().skip(1).map(part).collect();
        let literal = parts.iter().take_while(|part| !part.contains(['*', '?', '[']));
        let root = literal.fold(PathBuf::from("/"), |root, part| root.join(part));
        Self { negative, parts, root }
    }

    fn matches(&self, path: &[&str]) -> bool {
        let pattern: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        parts(&pattern, path)
    }

    fn leads_to(&self, path: &[&str]) -> bool {
        let pattern: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        leads_to(&pattern, path)
    }
}

/// Without `.` and `..`, as the path is written.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    clean
}

/// Where patterns that give begin, without those that lie below another.
fn roots(patterns: &[Pattern]) -> Vec<PathBuf> {
    let all: BTreeSet<&PathBuf> =
        patterns.iter().filter(|pattern| !pattern.negative).map(|pattern| &pattern.root).collect();
    let below_another =
        |root: &PathBuf| all.iter().any(|other| *other != root && root.starts_with(other));
    all.iter().filter(|root| !below_another(root)).map(|root| (*root).clone()).collect()
}

struct Search<'a> {
    patterns: &'a [Pattern],
    walk: Walk,
    looked_at: usize,
    found: BTreeSet<PathBuf>,
}

impl Search<'_> {
    /// `above`: the folders that it was come through, without links.
    fn look(&mut self, path: &Path, above: &mut Vec<PathBuf>) -> io::Result<()> {
        self.looked_at += 1;
        if self.looked_at > LOOKED_AT_MAX {
            return Err(io::Error::other("there are more than a million files to look at"));
        }
        if !self.walk.hidden && is_hidden(path) {
            return Ok(());
        }
        let looked = if self.walk.follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let is_folder = match looked {
            Ok(found) => found.is_dir(),
            // Gone meanwhile, a link that leads nowhere or in a circle, or not there at all.
            Err(error) if is_absence(&error) => return Ok(()),
            Err(error) => return Err(told(path, &error)),
        };
        let names: Vec<String> = path
            .components()
            .skip(1)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if self.selects(&names) {
            self.found.insert(path.to_owned());
        }
        if is_folder && self.may_hold(&names) {
            self.look_into(path, above)?;
        }
        Ok(())
    }

    fn look_into(&mut self, folder: &Path, above: &mut Vec<PathBuf>) -> io::Result<()> {
        if self.walk.follow {
            let real = folder.canonicalize().map_err(|error| told(folder, &error))?;
            if above.contains(&real) || above.len() > DEPTH_MAX {
                return Ok(());
            }
            above.push(real);
        }
        let entries = fs::read_dir(folder).map_err(|error| told(folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| told(folder, &error))?;
            self.look(&entry.path(), above)?;
        }
        if self.walk.follow {
            above.pop();
        }
        Ok(())
    }

    /// Only what stands after a pattern that takes the folder back can give something in it.
    fn may_hold(&self, names: &[&str]) -> bool {
        let taken = |pattern: &Pattern| pattern.negative && pattern.matches(names);
        let after = self.patterns.iter().rposition(taken).map_or(0, |at| at + 1);
        self.patterns[after..].iter().any(|one| !one.negative && one.leads_to(names))
    }

    fn selects(&self, names: &[&str]) -> bool {
        self.patterns.iter().fold(false, |selected, pattern| match pattern.negative {
            true => selected && !pattern.matches(names),
            false => selected || pattern.matches(names),
        })
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The deepest folder that all of them are in.
pub(crate) fn common_ancestor(paths: &[PathBuf]) -> PathBuf {
    let mut all = paths.iter();
    let mut common = all.next().cloned().unwrap_or_default();
    for path in all {
        while !path.starts_with(&common) {
            common.pop();
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn world() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "work/dist/a.js",
            "work/dist/a.map",
            "work/dist/sub/.hidden/x",
            "work/dist/sub/b.js",
            "work/src/main.rs",
            "work/top.txt",
            "home/.cargo/registry/one",
            "home/.cargo/registry/src/two",
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    fn selected(world: &Path, patterns: &[&str], walk: Walk) -> (Vec<String>, Vec<String>) {
        let (workspace, home) = (world.join("work"), world.join("home"));
        let bases = Bases { workspace: &workspace, home: &home };
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let selection = select(&patterns, bases, walk).unwrap();
        let short = |path: &PathBuf| path.strip_prefix(world).unwrap().display().to_string();
        let files = selection.found.iter().filter(|path| !path.is_dir());
        (files.map(short).collect(), selection.roots.iter().map(short).collect())
    }

    const ALL: Walk = Walk { follow: false, hidden: true };

    #[test]
    fn patterns_give_and_take_back() {
        let world = world();
        let files = |patterns: &[&str]| selected(world.path(), patterns, ALL).0;
        assert_eq!(files(&["dist/**/*.js"]), ["work/dist/a.js", "work/dist/sub/b.js"]);
        assert_eq!(files(&["dist", "!**/*.js", "!dist/sub/.hidden"]), ["work/dist/a.map"]);
        assert_eq!(files(&["*.txt"]), ["work/top.txt"]);
        assert_eq!(files(&["~/.cargo", "!~/.cargo/registry/src"]), ["home/.cargo/registry/one"]);
        assert_eq!(files(&["src/../top.txt", "absent"]), ["work/top.txt"]);
        assert_eq!(files(&["!dist"]), [""; 0]);
        assert_eq!(files(&["dist", "!dist/*.js", "dist/a.js"]).len(), 4);
    }

    #[test]
    fn the_search_begins_where_patterns_do() {
        let world = world();
        let roots = |patterns: &[&str]| selected(world.path(), patterns, ALL).1;
        assert_eq!(roots(&["dist/**", "dist/sub/b.js"]), ["work/dist"]);
        assert_eq!(roots(&["dist/*.js", "src"]), ["work/dist", "work/src"]);
        let apart = [PathBuf::from("/a/b/c"), PathBuf::from("/a/b/d/e"), PathBuf::from("/a/bc")];
        assert_eq!(common_ancestor(&apart), Path::new("/a"));
    }

    #[test]
    fn hidden_names_and_links_are_as_asked() {
        let world = world();
        symlink("../../src", world.path().join("work/dist/src")).unwrap();
        symlink("..", world.path().join("work/dist/up")).unwrap();
        symlink("gone", world.path().join("work/dist/broken")).unwrap();
        symlink("../src", world.path().join("work/dist/way")).unwrap();
        let follow = Walk { follow: true, hidden: false };
        let (files, _) = selected(world.path(), &["dist"], follow);
        assert!(files.contains(&"work/dist/way/main.rs".to_owned()), "{files:?}");
        assert!(!files.iter().any(|file| file.contains("hidden") || file.contains("broken")));
        assert!(files.len() < 20, "a circle ends: {files:?}");
        let (files, _) = selected(world.path(), &["dist"], Walk { hidden: true, ..follow });
        assert!(files.iter().any(|file| file.ends_with(".hidden/x")), "{files:?}");
    }
}
