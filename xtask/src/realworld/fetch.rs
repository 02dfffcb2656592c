//! Packages through Cargo, and repositories made of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{list::Package, process::clean};

/// Each package's folder among Cargo's downloads, in the order of the list.
pub fn all(folder: &Path, packages: &[Package]) -> Result<Vec<PathBuf>> {
    let project = folder.join("wants");
    fs::create_dir_all(&project)?;
    let wanted: String = packages
        .iter()
        .map(|package| format!("{} = \"={}\"\n", package.name, package.version))
        .collect();
    let manifest = format!(
        "[package]\nname = \"wants\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n\
         [dependencies]\n{wanted}"
    );
    fs::write(project.join("Cargo.toml"), manifest)?;
    fs::write(project.join("lib.rs"), "")?;
    fetch(&project)?;
    let output = clean("cargo")
        .args(["metadata", "--format-version=1", "--offline"])
        .current_dir(&project)
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    packages.iter().map(|package| place(&metadata, &package.name, &package.version)).collect()
}

fn place(metadata: &Value, name: &str, version: &str) -> Result<PathBuf> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut found = packages.filter(|one| one["name"] == name && one["version"] == version);
    let manifest = found.next().and_then(|one| one["manifest_path"].as_str());
    let folder = manifest.and_then(|manifest| Path::new(manifest).parent());
    folder.map(Path::to_owned).with_context(|| format!("cargo did not fetch {name} {version}"))
}

/// A git repository with the package in one commit, and everything that its tests need downloaded.
pub fn repository(source: &Path, into: &Path) -> Result<()> {
    done(Command::new("cp").arg("-R").arg(source).arg(into))?;
    fetch(into)?;
    commit(into, "As published")
}

/// Makes a folder a repository with one commit of everything in it.
pub fn commit(folder: &Path, message: &str) -> Result<()> {
    let who = ["-c", "user.name=xtask", "-c", "user.email=xtask@localhost"];
    for words in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all", "--force"],
        &["-c", "commit.gpgsign=false", "commit", "--quiet", "--message", message],
    ] {
        done(Command::new("git").args(who).args(words).current_dir(folder))?;
    }
    Ok(())
}

/// As it was committed, and nothing else.
pub fn restore(folder: &Path) -> Result<()> {
    for words in [&["reset", "--quiet", "--hard"][..], &["clean", "-ffdxq"]] {
        done(Command::new("git").args(words).current_dir(folder))?;
    }
    Ok(())
}

fn fetch(project: &Path) -> Result<()> {
    let mut cargo = clean("cargo");
    // What builds a package is its own affair, and may not be here.
    cargo.env("RUSTUP_TOOLCHAIN", "stable");
    done(cargo.args(["fetch", "--quiet"]).current_dir(project))
}

/// # Errors
/// It does not start, or does not exit 0; then with what it said.
pub fn done(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("start {:?}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(())
}
