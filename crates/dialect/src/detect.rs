use grit_diag::{Diagnostics, Source};
use grit_pipeline::plan::{Dialect, Plan};

use crate::github;

/// A file that holds a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// From the root of the repository.
    pub path: String,
    pub dialect: Dialect,
}

/// The pipelines among the paths of a repository, in their order.
pub fn detect<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<Detected> {
    let detected = |path: &str| {
        is_github(path).then(|| Detected { path: path.to_owned(), dialect: Dialect::Github })
    };
    paths.into_iter().filter_map(detected).collect()
}

fn is_github(path: &str) -> bool {
    let name = path.strip_prefix(".github/workflows/");
    name.is_some_and(|name| {
        !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"))
    })
}

/// Reads a pipeline, whatever its dialect.
pub fn read(detected: &Detected, text: &str) -> (Option<Plan>, Diagnostics) {
    match detected.dialect {
        Dialect::Github => github::read_source(&Source::new(detected.path.as_str(), text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_stand_in_their_folder() {
        let paths = [
            ".github/workflows/ci.yml",
            ".github/workflows/release.yaml",
            ".github/workflows/deep/er.yml",
            ".github/workflows/readme.md",
            ".github/dependabot.yml",
            "x/.github/workflows/ci.yml",
        ];
        let found: Vec<String> = detect(paths).into_iter().map(|found| found.path).collect();
        assert_eq!(found, paths[..2]);
    }
}
