use std::path::{Path, PathBuf};

use grit_engine::Mount;
use grit_types::Repo;

use super::super::folder::Folder;

/// Paths of the machine, and what a container sees them as; the longest of those that fit counts.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Paths(Vec<(String, String)>);

/// Where the files are that a step writes for the runner.
pub(super) const FILES: &str = "/github/file_commands";
pub(super) const HOME: &str = "/github/home";
pub(super) const EVENT: &str = "/github/workflow/event.json";
/// Node of this machine, where it can be had in a container.
pub(super) const NODE: &str = "/__e/node";

impl Paths {
    /// As steps in the job's own container see them.
    pub fn of_job(folder: &Folder, repo: &Repo) -> Self {
        Self::new(folder, &format!("/__w/{repo}/{repo}"), "/__w/_temp")
    }

    /// As a step's own container sees them, which may be told what the job's own would see.
    pub fn of_action(folder: &Folder, repo: &Repo) -> Self {
        let mut paths = Self::new(folder, "/github/workspace", "/github/runner_temp");
        let seen = Self::of_job(folder, repo).0;
        let again: Vec<_> =
            seen.into_iter().map(|(host, of_job)| (of_job, paths.inside(&host))).collect();
        paths.0.extend(again);
        paths
    }

    fn new(folder: &Folder, workspace: &str, temp: &str) -> Self {
        let pairs = [
            (folder.workspace(), workspace),
            (folder.home(), HOME),
            (folder.event_folder(), "/github/workflow"),
            (folder.temp(), temp),
            (folder.files(), FILES),
            (folder.actions(), "/__w/_actions"),
        ];
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Self(pairs.iter().map(|(host, inside)| (text(host), (*inside).to_owned())).collect())
    }

    /// Every folder that a container sees.
    pub fn mounts(&self) -> Vec<Mount> {
        let (mut mounts, mut seen) = (Vec::<Mount>::new(), Vec::new());
        for (source, target) in &self.0 {
            // The same, under the name that another container has for it.
            if seen.contains(&target) {
                continue;
            }
            seen.push(target);
            let (source, target) = (source.clone(), target.clone());
            mounts.push(Mount { source, target, read_only: false });
        }
        mounts
    }

    /// Every folder that a container sees, as the machine has it.
    pub fn outsides(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(host, _)| PathBuf::from(host)).collect()
    }

    /// The path as a container sees it; a text that is no path of these stays.
    pub fn inside(&self, text: &str) -> String {
        replaced(text, self.0.iter().map(|(host, inside)| (host, inside)))
    }

    /// The path as the machine has it.
    pub fn outside(&self, text: &str) -> String {
        replaced(text, self.0.iter().map(|(host, inside)| (inside, host)))
    }

    /// The same for every path within a text: the script's in a shell's own words.
    pub fn inside_word(&self, word: &str) -> String {
        let mut pairs: Vec<&(String, String)> = self.0.iter().collect();
        pairs.sort_by_key(|(host, _)| std::cmp::Reverse(host.len()));
        pairs.iter().fold(word.to_owned(), |word, (host, inside)| word.replace(host, inside))
    }
}

fn replaced<'a>(text: &str, pairs: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let below = |(from, to): (&'a String, &'a String)| {
        let rest = text.strip_prefix(from.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some((from.len(), to, rest))
    };
    match pairs.filter_map(below).max_by_key(|(len, ..)| *len) {
        Some((_, to, rest)) => format!("{to}{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use grit_types::{JobId, RunId, Timestamp};

    use super::*;

    #[test]
    fn paths_are_what_the_service_calls_them() {
        let at = Timestamp::from_millis(0);
        let (run, job) = (RunId::derived(at, b"r"), JobId::derived(at, b"j"));
        let folder = Folder::new(Path::new("/data/work"), run, job);
        let host = |rest: &str| format!("/data/work/{run}/{job}/{rest}");
        let repo: Repo = "shop".parse().unwrap();
        let of_job = Paths::of_job(&folder, &repo);
        for (rest, inside) in [
            ("workspace", "/__w/shop/shop"),
            ("workspace/a/b", "/__w/shop/shop/a/b"),
            ("temp/x", "/__w/_temp/x"),
            ("temp/_github_home/.cache", "/github/home/.cache"),
            ("temp/_github_workflow/event.json", EVENT),
            ("files/3/output", "/github/file_commands/3/output"),
        ] {
            assert_eq!(of_job.inside(&host(rest)), inside);
            assert_eq!(of_job.outside(inside), host(rest));
        }
        for other in ["/usr", "workspace", &host("workspaces"), "/__w/shop/shopping"] {
            assert_eq!(of_job.inside(other), other);
            assert_eq!(of_job.outside(other), other);
        }
        let script = format!(". '{}'", host("files/3/script.ps1"));
        assert_eq!(of_job.inside_word(&script), ". '/github/file_commands/3/script.ps1'");
        let of_action = Paths::of_action(&folder, &repo);
        assert_eq!(of_action.inside("/__w/shop/shop/a"), "/github/workspace/a");
        assert_eq!(of_action.inside(&host("workspace/a")), "/github/workspace/a");
        assert_eq!(of_action.mounts().len(), 6);
    }
}
