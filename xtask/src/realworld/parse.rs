use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};

use crate::repo::Repo;

/// Parses every workflow of the folder that `source`, one package's, is in, and shows each that is refused; whether at
/// least 99 % parse.
///
/// # Errors
/// There is none, or the parser does not start.
pub fn downloads(repo: &Repo, source: &Path) -> Result<bool> {
    let registry = source.parent().context("a package lies in a folder")?;
    let files = workflows(registry)?;
    let mut command = repo.cargo(&["run", "-q", "-p", "grit-dialect", "--example", "parse"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start the parser")?;
    let mut input = child.stdin.take().context("the parser has an input")?;
    let listed = files.iter().map(|file| format!("{}\n", file.display())).collect::<String>();
    // What it says is read only afterwards, so somebody else must write.
    let writer = std::thread::spawn(move || input.write_all(listed.as_bytes()));
    let told = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("writing to the parser broke off"))??;
    let said = String::from_utf8_lossy(&told.stdout);
    println!("{} workflow files of published packages:\n{}", files.len(), said.trim_end());
    let (parsed, failed) = counts(&said).context("the parser did not count")?;
    ensure!(parsed + failed == files.len() as u64, "the parser left files out");
    Ok(failed * 100 <= files.len() as u64)
}

fn counts(said: &str) -> Option<(u64, u64)> {
    let line = said.lines().rev().find_map(|line| line.strip_prefix("parsed "))?;
    let (parsed, rest) = line.split_once(", failed ")?;
    Some((parsed.parse().ok()?, rest.split_once(',')?.0.parse().ok()?))
}

fn workflows(registry: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for package in fs::read_dir(registry)? {
        found.extend(of(&package?.path()));
    }
    ensure!(!found.is_empty(), "no package in {} has a workflow", registry.display());
    found.sort();
    Ok(found)
}

/// The workflows of one package.
pub fn of(package: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(package.join(".github/workflows")) else { return Vec::new() };
    let yaml = |path: &PathBuf| path.extension().is_some_and(|e| e == "yml" || e == "yaml");
    let mut found: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(yaml).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_last_line_is_read() {
        let said = "a.yml:1:1: error\nparsed 179, failed 1, of the parsed 9 with warnings\n";
        assert_eq!(counts(said), Some((179, 1)));
        assert_eq!(counts("nothing"), None);
    }
}
