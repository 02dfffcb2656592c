//! Submodules and other repositories of a checkout: from a mirror, else from their host.

use std::path::{Component, Path, PathBuf};

use grit_executor::ActionRepo;
use grit_git::{Elsewhere, Git, Repository};
use grit_types::CommitId;

use super::actions::Places;

/// Submodules of submodules, no deeper.
const DEPTH_MAX: usize = 10;
const MODULES_MAX: usize = 1_000;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where the repositories that a checkout names come from.
pub struct Modules<'p> {
    pub places: &'p Places,
    /// Bare repositories by the digest of their URL.
    pub store: &'p Path,
    /// Where the repository itself comes from: what relative URLs count from.
    pub origin: Option<String>,
}

/// One entry of `.gitmodules`.
struct Module {
    path: String,
    url: String,
}

impl Modules<'_> {
    /// Another repository, `OWNER/NAME`, at a reference or at its default branch.
    pub fn other(&self, name: &str, reference: Option<&str>, into: &Path) -> Result<(), BoxError> {
        let uses = format!("{name}@{}", reference.unwrap_or("HEAD"));
        let (wanted, rest) =
            ActionRepo::parse(&uses).ok_or_else(|| format!("`{name}` is no OWNER/NAME"))?;
        if !rest.is_empty() {
            return Err(format!("`{name}` is no OWNER/NAME").into());
        }
        let Some(mirror) = self.places.mirrored(&wanted.owner, &wanted.repo) else {
            return Err(format!(
                "`{name}` is another repository, and there is no mirror of it: a bare clone as \
                 {name}.git in the folder that GRIT_ACTIONS_MIRROR names"
            )
            .into());
        };
        let repository = Repository::open(&mirror)?;
        let found = repository.resolve(&wanted.reference)?;
        let commit =
            found.ok_or_else(|| format!("there is no `{}` in {name}", wanted.reference))?;
        Ok(repository.checkout(&commit, None, into)?)
    }

    /// Fills the submodules of the working tree at `into`; `recursive`: theirs, too.
    pub fn fill(&self, into: &Path, recursive: bool) -> Result<(), BoxError> {
        self.fill_one(into, self.origin.as_deref(), recursive, DEPTH_MAX)
    }

    fn fill_one(
        &self,
        into: &Path,
        origin: Option<&str>,
        recursive: bool,
        deeper: usize,
    ) -> Result<(), BoxError> {
        let modules = listed(into)?;
        let commits = commits(into)?;
        if modules.len() > MODULES_MAX || (deeper == 0 && !modules.is_empty()) {
            return Err("there are more submodules than are followed".into());
        }
        for module in modules {
            let named = |problem: String| format!("submodule {}: {problem}", module.path);
            let Some((_, commit)) = commits.iter().find(|(path, _)| *path == module.path) else {
                // Named, and not in the tree.
                continue;
            };
            let folder = inside(into, &module.path).map_err(&named)?;
            let url = absolute(&module.url, origin).map_err(&named)?;
            let repository =
                self.repository(&url, commit).map_err(|error| named(error.to_string()))?;
            repository.checkout(commit, None, &folder)?;
            if recursive {
                self.fill_one(&folder, Some(&url), recursive, deeper - 1)?;
            }
        }
        Ok(())
    }

    /// A repository that has the commit.
    fn repository(&self, url: &str, commit: &CommitId) -> Result<Repository, BoxError> {
        let mut parts = url.trim_end_matches('/').trim_end_matches(".git").rsplit(['/', ':']);
        let (repo, owner) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is_safe = ActionRepo::parse(&format!("{owner}/{repo}@HEAD")).is_some();
        if let Some(mirror) = self.places.mirrored(owner, repo).filter(|_| is_safe) {
            let mirror = Repository::open(&mirror)?;
            if mirror.commit_info(commit).is_ok() {
                return Ok(mirror);
            }
        }
        if self.places.host.is_none() && !url.starts_with('/') {
            return Err(format!(
                "there is no mirror of {url}, and nothing is fetched from a host here"
            )
            .into());
        }
        let name = grit_types::Digest::of(url.as_bytes()).to_string().replace(':', "-");
        let path = self.store.join("modules").join(format!("{name}.git"));
        let kept =
            if path.is_dir() { Repository::open(&path)? } else { Repository::init_bare(&path)? };
        if kept.commit_info(commit).is_err() {
            kept.bring_all(url, &Elsewhere { commit: commit.clone(), name: None })?;
        }
        Ok(kept)
    }
}

fn listed(into: &Path) -> Result<Vec<Module>, BoxError> {
    let file = into.join(".gitmodules");
    if !std::fs::symlink_metadata(&file).is_ok_and(|file| file.is_file()) {
        return Ok(Vec::new());
    }
    let told = Git::new("config").flag("--null").flag("--list").option("--file=", &file).run()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let entries: Vec<(&str, &str, &str)> = text
        .split('\0')
        .filter_map(|entry| {
            let (key, value) = entry.split_once('\n')?;
            let (name, field) = key.strip_prefix("submodule.")?.rsplit_once('.')?;
            Some((name, field, value))
        })
        .collect();
    let value = |name: &str, field: &str| {
        let mut found = entries.iter().filter(|(of, key, _)| *of == name && *key == field);
        found.next_back().map(|(_, _, value)| (*value).to_owned())
    };
    let names: Vec<&str> =
        entries.iter().filter(|(_, field, _)| *field == "path").map(|(name, ..)| *name).collect();
    let module =
        |name: &&str| Some(Module { path: value(name, "path")?, url: value(name, "url")? });
    Ok(names.iter().filter_map(module).collect())
}

/// The commits that stand in the tree for submodules.
fn commits(into: &Path) -> Result<Vec<(String, CommitId)>, BoxError> {
    let listed = Git::new("ls-files").worktree(into).flag("--stage").flag("-z").run()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let commit = |entry: &str| {
        let (facts, path) = entry.split_once('\t')?;
        let id = facts.strip_prefix("160000 ")?.split(' ').next()?;
        Some((path.to_owned(), CommitId::try_from(id.to_owned()).ok()?))
    };
    Ok(text.split('\0').filter_map(commit).collect())
}

/// A path of the tree, through no link.
fn inside(into: &Path, path: &str) -> Result<PathBuf, String> {
    let parts = Path::new(path).components();
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.eq_ignore_ascii_case(".git"));
    if path.is_empty() || !parts.clone().all(is_plain) {
        return Err("its path leads out of the repository".to_owned());
    }
    let mut folder = into.to_owned();
    for part in parts {
        folder.push(part);
        if folder.is_symlink() {
            return Err("its path leads through a link".to_owned());
        }
    }
    Ok(folder)
}

/// A repository says where another one is: never by a path of this machine, unless it is one itself.
fn absolute(url: &str, origin: Option<&str>) -> Result<String, String> {
    if url.starts_with("./") || url.starts_with("../") {
        let origin = origin.ok_or("its URL is relative, and the repository has no origin")?;
        let mut base = origin.trim_end_matches('/').to_owned();
        let mut rest = url;
        loop {
            if let Some(next) = rest.strip_prefix("../") {
                let at = base.rfind(['/', ':']).ok_or("its URL leads above the origin's")?;
                base.truncate(at);
                rest = next;
            } else if let Some(next) = rest.strip_prefix("./") {
                rest = next;
            } else {
                return Ok(format!("{base}/{rest}"));
            }
        }
    }
    let is_remote = ["https://", "ssh://"].iter().any(|scheme| url.starts_with(scheme))
        || url
            .split_once(':')
            .is_some_and(|(host, path)| host.contains('@') && !path.starts_with("//"));
    match is_remote && !url.starts_with('-') {
        true => Ok(url.to_owned()),
        false => Err(format!(
            "`{url}` is not fetched: https and ssh are, and paths beside the repository's own"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_count_from_the_origin_and_name_no_path() {
        let origin = Some("https://h/o/shop.git");
        assert_eq!(absolute("../lib.git", origin).unwrap(), "https://h/o/lib.git");
        assert_eq!(absolute("../../x/lib", origin).unwrap(), "https://h/x/lib");
        assert_eq!(absolute("https://h/o/r", None).unwrap(), "https://h/o/r");
        assert_eq!(absolute("git@h:o/r.git", None).unwrap(), "git@h:o/r.git");
        for url in ["/etc", "file:///etc", "ext::sh -c id", "http://h/o", "--upload-pack=x", "../x"]
        {
            assert!(absolute(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn paths_stay_in_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        assert!(inside(folder.path(), "a/b").is_ok());
        for path in ["", "..", "/etc", "a/../../b", "root/x", ".git/x", "a/.GIT"] {
            assert!(inside(folder.path(), path).is_err(), "{path}");
        }
    }
}
