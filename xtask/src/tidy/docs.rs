//! What the documents say of the repository must be there.

use anyhow::Result;

use crate::repo::Repo;

use super::{Findings, source, words};

pub const README: &str = "README.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const DOCUMENTS: &[&str] = &[README, ARCHITECTURE, "CONTRIBUTING.md", "CHANGELOG.md"];

/// A page that is read in one sitting.
const ARCHITECTURE_LINES_MAX: usize = 300;

/// First parts of paths that lie in this repository, and not in that of a user.
const OURS: &[&str] = &["crates", "docs", "examples", "xtask", ".ci", ".cargo"];

pub fn check(repo: &Repo, findings: &mut Findings) -> Result<()> {
    for path in DOCUMENTS {
        match repo.read(path)? {
            Some(text) => check_document(repo, path, &text, findings),
            None => findings.add(path, 1, "the file is missing; a newcomer reads it first"),
        }
    }
    Ok(())
}

fn check_document(repo: &Repo, path: &str, text: &str, findings: &mut Findings) {
    let lines = text.lines().count();
    if path == ARCHITECTURE && lines > ARCHITECTURE_LINES_MAX {
        findings.add(
            path,
            1,
            format!("{lines} lines, the limit is {ARCHITECTURE_LINES_MAX}; say less, or link"),
        );
    }
    for (line, place) in mentions(text) {
        if !repo.path(place).exists() {
            findings.add(
                path,
                line,
                format!("`{place}` does not exist; mend the path or the sentence"),
            );
        }
    }
    for (at, folder) in words::machine_paths(text) {
        findings.add(
            path,
            source::line_of(text, at),
            format!("`{folder}` exists on some machines only"),
        );
    }
}

/// The places in this repository that a document names, in backticks or as a link, each with its line; of a pattern
/// or a placeholder only what comes before it.
fn mentions(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let spans = line.split('`').skip(1).step_by(2).filter_map(our_path);
            found.extend(spans.chain(links(line)).map(|place| (at + 1, place)));
        }
    }
    found
}

fn our_path(span: &str) -> Option<&str> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
    let path = span.split_once(':').map_or(span, |(path, _)| path);
    let (first, _) = path.split_once('/')?;
    (OURS.contains(&first) && path.chars().all(is_path)).then(|| fixed_part(path))
}

/// The folders in front of the first part with a `*` or of capital letters only, as in `crates/X/src`.
fn fixed_part(path: &str) -> &str {
    let open = |part: &&str| {
        let stem = part.split('.').next().unwrap_or(part);
        part.contains('*')
            || (!stem.is_empty()
                && stem.chars().all(|c| c.is_ascii_uppercase())
                && !part.ends_with(".md"))
    };
    let mut end = 0;
    for part in path.split('/').take_while(|part| !open(part)) {
        end += part.len() + 1;
    }
    path[..end.min(path.len())].trim_end_matches('/')
}

/// Targets of links to files of this repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets =
        line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets
        .filter(|target| !target.contains(':') && !target.starts_with('#'))
        .map(|target| target.split_once('#').map_or(target, |(file, _)| file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_repository_are_mentions() {
        let text = "\
See `crates/rollout/src/machine.rs:12` and [the tool](xtask/src/main.rs#top), not `grit.yaml` or `a/b`.
Each `crates/X/tests/it` and `crates/*/src`; `xtask/plants/NAME.patch`; [out](https://example.org), [here](#there).
```sh
ls `crates/none`
```
";
        let expected = [
            (1, "crates/rollout/src/machine.rs"),
            (1, "xtask/src/main.rs"),
            (2, "crates"),
            (2, "crates"),
            (2, "xtask/plants"),
        ];
        assert_eq!(mentions(text), expected);
    }
}
