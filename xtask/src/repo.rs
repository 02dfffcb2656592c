use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::shell;

/// The checkout that `cargo xtask` was started in.
pub struct Repo {
    root: PathBuf,
}

impl Repo {
    /// # Errors
    /// Neither Cargo nor the current folder leads to the workspace.
    pub fn find() -> Result<Self> {
        // At run time, not at compile time: a scratch worktree shares the build folder, and a path compiled in would
        // lead from one checkout into the other.
        let start = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(manifest) => PathBuf::from(manifest),
            None => env::current_dir().context("where am I")?,
        };
        for folder in start.ancestors() {
            if folder.join("xtask/Cargo.toml").is_file() && folder.join("Cargo.toml").is_file() {
                return Ok(Self { root: folder.to_path_buf() });
            }
        }
        bail!("{} is not in a checkout of Grit", start.display())
    }

    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The text of one file; `None` when there is no such file.
    pub fn read(&self, relative: &str) -> Result<Option<String>> {
        match fs::read_to_string(self.path(relative)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {relative}")),
        }
    }

    /// `cargo ARGS` at the root, with the same toolchain as this program.
    pub fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args).current_dir(&self.root);
        command
    }

    /// `git ARGS` at the root.
    pub fn git(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(args).current_dir(&self.root);
        command
    }

    /// The files under `folder` that end in `.EXTENSION`, relative to the root, in order; build output is left out.
    pub fn files(&self, folder: &str, extension: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let top = self.path(folder);
        if top.is_dir() {
            self.collect(&top, extension, &mut found)?;
        }
        found.sort();
        Ok(found)
    }

    fn collect(&self, folder: &Path, extension: &str, found: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if !matches!(entry.file_name().to_str(), Some("target" | ".git")) {
                    self.collect(&path, extension, found)?;
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                let relative = path.strip_prefix(&self.root).unwrap_or(&path);
                found.push(relative.to_string_lossy().into_owned());
            }
        }
        Ok(())
    }

    /// The `grit` to try: the one given, else this checkout's, built for release.
    pub fn grit(&self, given: Option<&Path>) -> Result<PathBuf> {
        if let Some(binary) = given {
            return binary.canonicalize().with_context(|| format!("find {}", binary.display()));
        }
        println!("building grit (release)");
        if !shell::shown(&mut self.cargo(&["build", "--release", "--package=grit"]))? {
            bail!("grit does not build");
        }
        Ok(self.metadata()?.target_directory.join("release/grit"))
    }

    /// The `grit` that the tests use, too.
    pub fn debug_grit(&self) -> Result<PathBuf> {
        if !shell::shown(&mut self.cargo(&["build", "--quiet", "--package=grit"]))? {
            bail!("grit does not build");
        }
        Ok(self.metadata()?.target_directory.join("debug/grit"))
    }

    /// What Cargo says of the workspace's own crates.
    pub fn metadata(&self) -> Result<Metadata> {
        let output = self
            .cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"])
            .output()
            .context("start cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("read the output of cargo metadata")
    }
}

#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    pub target_directory: PathBuf,
}

#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub struct Dependency {
    pub name: String,
    /// `None` for `[dependencies]`, else `dev` or `build`.
    pub kind: Option<String>,
}
