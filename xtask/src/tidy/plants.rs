//! Plants that can still be planted: a guard whose bug fits nowhere any more is not proved.

use anyhow::{Context, Result};

use super::Findings;
use crate::{plant::FOLDER, repo::Repo};

/// # Errors
/// The folder cannot be read, or git does not start.
pub fn check(repo: &Repo, findings: &mut Findings) -> Result<()> {
    for path in repo.files(FOLDER, "patch")? {
        let mut git = repo.git(&["apply", "--check", "--whitespace=nowarn", "--", &path]);
        let output = git.output().context("start git apply")?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let why = stderr.lines().next().unwrap_or("no reason given");
            findings.add(&path, 1, format!("the plant fits nowhere; make it anew ({why})"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_plant_that_fits_nowhere_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let patch = |old: &str| {
            format!(
                "# check: true\n# why: x\n\n--- a/code.rs\n+++ b/code.rs\n@@ -1 +1 @@\n-{old}\n+bug\n"
            )
        };
        write("code.rs", "guard\n");
        write("xtask/plants/fits.patch", &patch("guard"));
        write("xtask/plants/stale.patch", &patch("what was there before"));
        let repo = Repo::at(folder.path());
        let mut findings = Findings::default();
        check(&repo, &mut findings).unwrap();
        let lines = findings.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("xtask/plants/stale.patch:1: the plant fits nowhere"));
    }
}
