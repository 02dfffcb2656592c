use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use anyhow::{Context, Result};

/// What of Rust this machine has.
pub struct Machine {
    /// Of each toolchain, by its whole name, the components.
    toolchains: BTreeMap<String, Vec<String>>,
}

impl Machine {
    /// # Errors
    /// There is no rustup.
    pub fn look() -> Result<Self> {
        let mut toolchains = BTreeMap::new();
        for line in rustup(&["toolchain", "list"])?.lines() {
            let Some(name) = line.split_whitespace().next() else { continue };
            let parts = rustup(&["component", "list", "--installed", "--toolchain", name])?;
            toolchains.insert(name.to_owned(), parts.lines().map(str::to_owned).collect());
        }
        Ok(Self { toolchains })
    }

    /// The whole name of a toolchain that a workflow names.
    pub fn toolchain(&self, wanted: &str) -> Option<&str> {
        let mut names = self.toolchains.keys().map(String::as_str);
        names.find(|name| {
            let Some(rest) = name.strip_prefix(wanted) else { return false };
            let is_minor = wanted.starts_with(|c: char| c.is_ascii_digit())
                && wanted.matches('.').count() == 1;
            rest.is_empty() || rest.starts_with('-') || is_minor && rest.starts_with('.')
        })
    }

    /// Whether a toolchain, by its whole name, has a component or a target.
    pub fn has_part(&self, toolchain: &str, part: &str) -> bool {
        let Some(parts) = self.toolchains.get(toolchain) else { return false };
        let part = part.trim_end_matches("-preview");
        let target = format!("rust-std-{part}");
        let is = |one: &String| {
            *one == part
                || *one == target
                || one.strip_prefix(part).is_some_and(|rest| rest.starts_with('-'))
        };
        parts.iter().any(is)
    }

    #[cfg(test)]
    pub fn of(toolchains: &[(&str, &[&str])]) -> Self {
        let owned = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect();
        let toolchains = toolchains.iter().map(|(name, parts)| ((*name).to_owned(), owned(parts)));
        Self { toolchains: toolchains.collect() }
    }
}

/// The toolchain that a package wants whatever its workflows say.
pub fn pinned(package: &Path) -> Option<String> {
    let read = |name: &str| fs::read_to_string(package.join(name)).ok();
    let text = read("rust-toolchain.toml").or_else(|| read("rust-toolchain"))?;
    let named = text.lines().find_map(|line| line.trim().strip_prefix("channel"));
    let channel = match named {
        Some(value) => value.trim_start().strip_prefix('=')?,
        // The older form is the name alone.
        None => text.as_str(),
    };
    let channel = channel.split('#').next().unwrap_or_default();
    Some(channel.trim().trim_matches(['"', '\'']).to_owned())
}

/// Whether a program is on the `PATH`.
pub fn has_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .any(|folder: std::path::PathBuf| Path::new(&folder).join(name).is_file())
}

fn rustup(words: &[&str]) -> Result<String> {
    let output = Command::new("rustup").args(words).output().context("start rustup")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_pins_is_read_in_both_forms() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(pinned(folder.path()), None);
        fs::write(folder.path().join("rust-toolchain"), "1.60.0\n").unwrap();
        assert_eq!(pinned(folder.path()).unwrap(), "1.60.0");
        let text = "[toolchain]\nchannel = \"1.85.0\" # MSRV\ncomponents = [\"clippy\"]\n";
        fs::write(folder.path().join("rust-toolchain.toml"), text).unwrap();
        assert_eq!(pinned(folder.path()).unwrap(), "1.85.0");
    }

    #[test]
    fn toolchains_and_their_parts_are_found_by_the_names_of_workflows() {
        let triple = "x86_64-unknown-linux-gnu";
        let stable = format!("stable-{triple}");
        let numbered = format!("1.95.0-{triple}");
        let machine = Machine::of(&[
            (&stable, &["clippy-x86_64-unknown-linux-gnu", "rust-std-x86_64-unknown-linux-gnu"]),
            (&numbered, &[]),
        ]);
        assert_eq!(machine.toolchain("stable"), Some(stable.as_str()));
        assert_eq!(machine.toolchain("1.95"), Some(numbered.as_str()));
        assert_eq!(machine.toolchain("1.9"), None);
        assert_eq!(machine.toolchain("nightly"), None);
        assert!(machine.has_part(&stable, "clippy") && machine.has_part(&stable, triple));
        assert!(!machine.has_part(&stable, "miri") && !machine.has_part(&numbered, "clippy"));
    }
}
