//! Crates that must not come in, directly or through others. Their names and the reasons are in deny.toml.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::repo::Repo;

use super::Findings;

const LIST: &str = "deny.toml";

pub fn check(repo: &Repo, findings: &mut Findings) -> Result<()> {
    let list = repo.read(LIST)?.context("deny.toml is missing")?;
    let bans = bans(&list);
    if bans.is_empty() {
        findings.add(LIST, 1, "no ban could be read; write each as `{ crate = \"NAME\", reason = \"WHY\" },` on a line");
    }
    let tree = tree(repo)?;
    for ban in bans.into_iter().filter(|ban| tree.contains(ban.name)) {
        let Ban { name, reason, line } = ban;
        let message = format!(
            "`{name}` has come in ({reason}); see who brings it with `cargo tree -i {name}`"
        );
        findings.add(LIST, line, message);
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Ban<'a> {
    name: &'a str,
    reason: &'a str,
    line: usize,
}

/// The lines of `deny` that ban a crate; those that only ask for a single version are cargo-deny's business.
fn bans(list: &str) -> Vec<Ban<'_>> {
    list.lines()
        .enumerate()
        .filter_map(|(at, line)| {
            let name = quoted(line.trim().strip_prefix("{ crate = ")?)?;
            let reason = quoted(line.split_once("reason = ")?.1)?;
            Some(Ban { name, reason, line: at + 1 })
        })
        .collect()
}

fn quoted(text: &str) -> Option<&str> {
    Some(text.strip_prefix('"')?.split_once('"')?.0)
}

/// The names of all crates that the workspace is built from on this machine.
fn tree(repo: &Repo) -> Result<BTreeSet<String>> {
    let output = repo
        .cargo(&[
            "tree",
            "--workspace",
            "--prefix=none",
            "--format={p}",
            "--no-dedupe",
            "--offline",
        ])
        .output()
        .context("start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_are_read_with_their_reasons() {
        let list = "deny = [\n  # why\n  { crate = \"rsa\", reason = \"leaks\" },\n  { crate = \"tokio\", deny-multiple-versions = true },\n]\n";
        assert_eq!(bans(list), [Ban { name: "rsa", reason: "leaks", line: 3 }]);
    }
}
