//! Layers fall strictly along every dependency, and the pure layers depend on few crates from outside.

use anyhow::Result;

use crate::{
    layers::{self, Floor},
    repo::{Metadata, Package, Repo},
};

use super::Findings;

/// What the pure layers may depend on besides each other: data in, data out, no runtime and no IO.
const PURE_DEPENDENCIES: &[&str] = &[
    "aes-gcm",
    "annotate-snippets",
    "base64",
    "hex",
    "indexmap",
    "jiff",
    "quick-xml",
    "regex",
    "saphyr",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "ulid",
];

const TABLE: &str = "xtask/src/layers.rs";

pub fn check(repo: &Repo, metadata: &Metadata, findings: &mut Findings) -> Result<()> {
    for package in &metadata.packages {
        let manifest =
            package.manifest_path.strip_prefix(repo.root()).unwrap_or(&package.manifest_path);
        let path = manifest.to_string_lossy().into_owned();
        let text = repo.read(&path)?.unwrap_or_default();
        check_package(package, &path, &text, findings);
        check_crate_root(repo, &path, findings)?;
    }
    for (name, _) in layers::FLOORS {
        if metadata.packages.iter().all(|package| package.name != *name) {
            findings.add(TABLE, 1, format!("there is no crate `{name}`; remove it from FLOORS"));
        }
    }
    Ok(())
}

fn check_package(package: &Package, path: &str, manifest: &str, findings: &mut Findings) {
    let Some(floor) = layers::floor(&package.name) else {
        let message = format!("`{}` stands on no layer; add it to FLOORS in {TABLE}", package.name);
        findings.add(path, 1, message);
        return;
    };
    if floor != Floor::Tool && !inherits_lints(manifest) {
        findings.add(
            path,
            1,
            "the house's lints are not on; add `[lints]` with `workspace = true`",
        );
    }
    let direct =
        package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
    for dependency in direct {
        let line = line_naming(manifest, &dependency.name);
        match layers::floor(&dependency.name) {
            Some(below) if !layers::may_depend(floor, below) => {
                findings.add(path, line, refusal(&package.name, floor, &dependency.name, below));
            }
            None if layers::is_pure(floor)
                && !PURE_DEPENDENCIES.contains(&dependency.name.as_str()) =>
            {
                findings.add(path, line, stranger(&package.name, &dependency.name));
            }
            Some(_) | None => {}
        }
    }
}

/// A lib.rs begins with what the crate is for.
fn check_crate_root(repo: &Repo, manifest: &str, findings: &mut Findings) -> Result<()> {
    let path = manifest.replace("Cargo.toml", "src/lib.rs");
    if let Some(text) = repo.read(&path)?
        && !text.starts_with("//!")
    {
        findings.add(
            &path,
            1,
            "begin with `//!`: what the crate is for, and what it leaves to others",
        );
    }
    Ok(())
}

fn inherits_lints(manifest: &str) -> bool {
    let section = manifest.split("\n[").find(|section| section.starts_with("lints]"));
    section.is_some_and(|section| section.lines().any(|line| line.trim() == "workspace = true"))
}

fn line_naming(manifest: &str, dependency: &str) -> usize {
    let names = |line: &str| {
        line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(names).map_or(1, |line| line + 1)
}

fn refusal(name: &str, floor: Floor, dependency: &str, below: Floor) -> String {
    let place = |floor| match floor {
        Floor::Layer(layer) => format!("layer {layer}"),
        Floor::TestKit => "the test kit".into(),
        Floor::Tool => "outside the house".into(),
    };
    let remedy = match below {
        Floor::TestKit => "list it under [dev-dependencies]",
        Floor::Layer(_) | Floor::Tool => {
            "move what both need to a lower layer, or define a port here and implement it there"
        }
    };
    format!(
        "{name} ({}) must not depend on {dependency} ({}); {remedy}",
        place(floor),
        place(below)
    )
}

fn stranger(name: &str, dependency: &str) -> String {
    format!(
        "{name} only decides, and `{dependency}` is not among what layers 0 to 3 may use; do without, or add it to PURE_DEPENDENCIES in xtask/src/tidy/graph.rs when it is free of IO"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Dependency;

    const LINTS: &str = "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n";

    fn findings(name: &str, manifest: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let package = Package {
            name: name.into(),
            manifest_path: "Cargo.toml".into(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).into(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
        };
        let mut findings = Findings::default();
        check_package(&package, "crates/x/Cargo.toml", manifest, &mut findings);
        findings.lines()
    }

    #[test]
    fn falling_layers_and_listed_strangers_pass() {
        assert!(
            findings("grit-rollout", LINTS, &[("grit-types", None), ("serde", None)]).is_empty()
        );
        assert!(
            findings("grit-edge", LINTS, &[("tokio", None), ("grit-testkit", Some("dev"))])
                .is_empty()
        );
        assert!(findings("grit-types", LINTS, &[("tempfile", Some("dev"))]).is_empty());
    }

    #[test]
    fn each_breach_is_one_finding_at_its_line() {
        let manifest = format!("{LINTS}\n[dependencies]\ngrit-issues.workspace = true\n");
        let found = findings("grit-rollout", &manifest, &[("grit-issues", None)]);
        assert!(found[0].starts_with("crates/x/Cargo.toml:8: grit-rollout (layer 2) must not depend on grit-issues (layer 2)"), "{found:?}");
        for (name, dependency, kind) in [
            ("grit-types", "tokio", None),
            ("grit-ledger", "cc", Some("build")),
            ("grit-ledger", "grit-control", None),
            ("grit-edge", "grit-testkit", None),
            ("grit-testkit", "grit-git", None),
            ("xtask", "grit-types", None),
        ] {
            assert_eq!(
                findings(name, LINTS, &[(dependency, kind)]).len(),
                1,
                "{name} on {dependency}"
            );
        }
    }

    #[test]
    fn unknown_crates_and_missing_lints_are_refused() {
        assert_eq!(findings("grit-surprise", LINTS, &[]).len(), 1);
        assert_eq!(findings("grit-edge", "[package]\nname = \"x\"\n", &[]).len(), 1);
    }
}
