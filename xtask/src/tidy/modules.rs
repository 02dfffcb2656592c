//! A file that no `mod` names is not compiled, and a test in it never runs.

use std::collections::HashMap;

use super::{Findings, source::Source};

pub fn check(sources: &[Source], findings: &mut Findings) {
    let by_path: HashMap<&str, &Source> = sources.iter().map(|s| (s.path.as_str(), s)).collect();
    for source in sources.iter().filter(|source| !source.path.starts_with("examples/")) {
        if is_extra_test_binary(&source.path) {
            findings.add(&source.path, 1, "a second integration binary is a second link; make it a module of tests/it/main.rs");
        } else if !is_root(&source.path) && !is_reached(&source.path, &by_path) {
            let (mut parents, _) = parents(&source.path);
            parents.retain(|parent| by_path.contains_key(parent.as_str()));
            let parent = parents.first().map_or("its parent", String::as_str);
            findings.add(
                &source.path,
                1,
                format!("no `mod` names this file, so it is never compiled; name it in {parent}"),
            );
        }
    }
}

/// Does Cargo compile the file by itself?
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        [.., "main.rs" | "lib.rs" | "build.rs"] | [.., "bin" | "examples" | "benches", _]
    )
}

/// Each file directly in `tests/`, and each folder there with a main.rs, is a binary of its own; one is enough.
fn is_extra_test_binary(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["crates", _, "tests", _] | ["xtask", "tests", _] => true,
        ["crates", _, "tests", folder, "main.rs"] | ["xtask", "tests", folder, "main.rs"] => {
            *folder != "it"
        }
        _ => false,
    }
}

fn is_reached(path: &str, by_path: &HashMap<&str, &Source>) -> bool {
    let (parents, module) = parents(path);
    let declared = |parent: &String| {
        by_path
            .get(parent.as_str())
            .is_some_and(|source| !source.find(&format!("mod {module}")).is_empty())
    };
    parents.iter().any(declared) || is_named_by_path(path, by_path)
}

/// The files that may declare the module in `path`, and its name.
fn parents(path: &str) -> (Vec<String>, &str) {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let (folder, module) = match stem {
        "mod" => folder.rsplit_once('/').unwrap_or(("", folder)),
        _ => (folder, stem),
    };
    let parents = if folder.ends_with("/src") {
        vec![format!("{folder}/lib.rs"), format!("{folder}/main.rs")]
    } else if folder.ends_with("/tests/it") {
        vec![format!("{folder}/main.rs")]
    } else {
        vec![format!("{folder}.rs"), format!("{folder}/mod.rs"), format!("{folder}/main.rs")]
    };
    (parents, module)
}

/// `#[path = "…"]` and `include!("…")` reach a file as well.
fn is_named_by_path(path: &str, by_path: &HashMap<&str, &Source>) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let package = package(path);
    by_path
        .values()
        .filter(|source| self::package(&source.path) == package && source.path != path)
        .any(|source| {
            source.uncommented.lines().any(|line| {
                (line.contains("#[path") || line.contains("include!(")) && line.contains(file)
            })
        })
}

fn package(path: &str) -> &str {
    ["/src/", "/tests/", "/examples/"]
        .iter()
        .filter_map(|part| path.find(part))
        .min()
        .map_or(path, |at| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new((*path).into(), (*text).into())).collect();
        let mut findings = Findings::default();
        check(&sources, &mut findings);
        findings.lines()
    }

    #[test]
    fn files_that_are_named_are_reached() {
        let files = [
            ("crates/x/src/lib.rs", "mod a;\nmod b;\n"),
            ("crates/x/src/a.rs", "mod deep;"),
            ("crates/x/src/a/deep.rs", ""),
            ("crates/x/src/b/mod.rs", "#[path = \"other.rs\"]\nmod renamed;"),
            ("crates/x/src/b/other.rs", ""),
            ("crates/x/src/bin/tool.rs", ""),
            ("crates/x/examples/sim/main.rs", "mod world;"),
            ("crates/x/examples/sim/world.rs", ""),
            ("crates/x/tests/it/main.rs", "mod stores;"),
            ("crates/x/tests/it/stores.rs", ""),
        ];
        assert_eq!(findings(&files), Vec::<String>::new());
    }

    #[test]
    fn a_forgotten_file_is_found() {
        let found = findings(&[
            ("crates/x/src/lib.rs", "// mod a;\nmod ab;\n"),
            ("crates/x/src/a.rs", ""),
            ("crates/x/src/ab.rs", ""),
            ("crates/x/tests/it/main.rs", ""),
            ("crates/x/tests/it/forgotten.rs", ""),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/x/src/a.rs:1: no `mod` names this file"));
        assert!(found[1].ends_with("name it in crates/x/tests/it/main.rs"));
    }

    #[test]
    fn a_second_integration_binary_is_found() {
        let found =
            findings(&[("crates/x/tests/extra.rs", ""), ("crates/x/tests/more/main.rs", "")]);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
