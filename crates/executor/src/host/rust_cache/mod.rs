//! `Swatinem/rust-cache`: the target folder of a Rust workspace, without what is built anew anyway.

mod clean;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use grit_pipeline::keep::RustCacheSpec;
use grit_pipeline::{Conclusion, RunnerError};
use grit_types::{Digest, Digester};

use super::container::Paths;
use super::ground::Ground;
use super::step::{Attempt, Made};
use super::{blocking, cache};
use crate::store::select::{Walk, select};

/// Variables that change what a compiler makes, by their beginnings.
const COUNTED: [&str; 6] = ["CARGO", "CC", "CFLAGS", "CXX", "CMAKE", "RUST"];

/// Where programs are, which is no part of what they make, and what they need no more.
const NOT_COUNTED: [&str; 3] = ["CARGO_HOME", "RUSTUP_HOME", "CARGO_INCREMENTAL"];

/// Files whose content says what is built.
const MANIFESTS: [&str; 5] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/config.toml"];

/// Of Cargo's home, what is worth keeping.
const HOME_PARTS: [&str; 5] = ["bin", ".crates.toml", ".crates2.json", "registry", "git"];

/// `rustc -vV` takes no longer, unless it first has to be installed, which is another step's work.
const VERSION_TIMEOUT: Duration = Duration::from_secs(120);

/// Restores what fits the compiler, its variables and the lock file; else what fits all but that.
pub(super) async fn restore(
    at: &Attempt,
    spec: &RustCacheSpec,
    made: &mut Made,
) -> Result<Conclusion, RunnerError> {
    let version = match version(at).await {
        Ok(version) => version,
        Err(why) => return at.say(&why).await.map(|()| Conclusion::Exited(1)),
    };
    let general = general(at, spec, &version);
    let (ground, wanted) = (Ground::of(at), spec.clone());
    let lock = match blocking(move || manifests(&ground, &wanted)).await {
        Ok(digest) => digest.hex(),
        Err(error) => {
            let why = format!("The cache is not used: its key cannot be made: {error}");
            return at.say(&why).await.map(|()| Conclusion::Exited(0));
        }
    };
    // What is kept is built by no increments; they would be of no use to others.
    made.env.insert("CARGO_INCREMENTAL".to_owned(), "0".to_owned());
    let keys = vec![format!("{general}-{}", &lock[..8]), general];
    let paths = paths(own_home(at).await, spec);
    let wanted = cache::Wanted { keys, paths: &paths, lookup_only: spec.lookup_only };
    let conclusion = cache::restore(at, wanted, false, made).await?;
    made.outputs.entry("cache-hit".to_owned()).or_insert_with(|| "false".to_owned());
    Ok(conclusion)
}

/// Keeps the target folders with what dependencies were built to, and nothing of the workspace.
pub(super) async fn save(at: &Attempt, spec: &RustCacheSpec) -> Result<Conclusion, RunnerError> {
    let (ground, wanted) = (Ground::of(at), spec.clone());
    if spec.targets && !spec.workspace_crates {
        let cleaned = blocking(move || {
            let folders = wanted.workspaces.iter().map(|(folder, target)| {
                let folder = ground.path(folder);
                (folder.join("Cargo.lock"), folder.join(target))
            });
            // A link of a container may lead to anything of this machine.
            let own = folders.filter(|(_, target)| ground.owns(target));
            own.map(|(lock, target)| clean::target(&target, &lock)).sum::<io::Result<u64>>()
        });
        let said = match cleaned.await {
            Ok(removed) => {
                format!("{removed} folders and files of the workspace's own were removed.")
            }
            Err(error) => format!("The target folder is kept as it is: {error}"),
        };
        at.say(&said).await?;
    }
    let home = own_home(at).await;
    if home.is_none() {
        at.say("Cargo's home is this machine's own: it stays, and is not kept.").await?;
    }
    // The key is that of the step that restored.
    cache::save(at, "", &paths(home, spec)).await
}

fn paths(home: Option<PathBuf>, spec: &RustCacheSpec) -> Vec<String> {
    let join = |(folder, target): &(String, String)| match folder.as_str() {
        "." => target.clone(),
        folder => format!("{folder}/{target}"),
    };
    let targets = spec.workspaces.iter().filter(|_| spec.targets).map(join);
    let mut paths: Vec<String> = targets.chain(spec.directories.clone()).collect();
    if let Some(home) = home {
        paths.extend(HOME_PARTS.map(|part| home.join(part).display().to_string()));
    }
    paths
}

/// Cargo's home, if it is the job's. Only one within the job's own folders is taken and given back:
/// any other is that of the machine's user, who wants nothing of it put back to what it was, or of
/// an image.
async fn own_home(at: &Attempt) -> Option<PathBuf> {
    let (home, ground) = (cargo_home(at).await, Ground::of(at));
    (home.starts_with(&ground.workspace) || home.starts_with(&ground.temp)).then_some(home)
}

async fn cargo_home(at: &Attempt) -> PathBuf {
    if let Some(home) = at.variables.get(OsStr::new("CARGO_HOME")).filter(|home| !home.is_empty()) {
        return PathBuf::from(home);
    }
    if let Some(inside) = at.job.inside() {
        let said = at.shell(inside, "echo \"$CARGO_HOME\"", &[]).await.unwrap_or_default();
        if !said.trim().is_empty() {
            let paths = Paths::of_job(&at.job.folder, &at.job.spec.repo);
            return PathBuf::from(paths.outside(said.trim()));
        }
    }
    Ground::of(at).home.join(".cargo")
}

/// What the compiler says of itself.
async fn version(at: &Attempt) -> Result<String, String> {
    let program = at.find("rustc").await.ok_or_else(|| at.not_installed("rustc"))?;
    let said = at.both(&program, &["-vV"], VERSION_TIMEOUT, &at.variables).await;
    said.map(|(out, _)| out).ok_or_else(|| "`rustc -vV` fails, or does not answer".to_owned())
}

/// All of the key but the digest of the manifests.
fn general(at: &Attempt, spec: &RustCacheSpec, version: &str) -> String {
    let named = |name: &str| at.spec.env.get(name).cloned().unwrap_or_default();
    let mut parts = vec![spec.prefix.clone()];
    if spec.shared_key.is_empty() {
        parts.push(spec.key.clone());
        parts.extend(spec.job_in_key.then(|| named("GITHUB_JOB")));
    } else {
        parts.push(spec.shared_key.clone());
    }
    parts.extend([named("RUNNER_OS"), named("RUNNER_ARCH")]);
    parts.extend(spec.environment_in_key.then(|| environment(at, spec, version)));
    parts.retain(|part| !part.is_empty());
    parts.join("-")
}

fn environment(at: &Attempt, spec: &RustCacheSpec, version: &str) -> String {
    let prefixes: Vec<&str> =
        COUNTED.into_iter().chain(spec.env_vars.iter().map(String::as_str)).collect();
    let counted: BTreeMap<_, _> = at
        .variables
        .iter()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            !NOT_COUNTED.contains(&&*name) && prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    let text = format!("{version}\n{counted:?}");
    Digest::of(text.as_bytes()).hex()[..8].to_owned()
}

/// A digest of every file that says what is built.
fn manifests(ground: &Ground, spec: &RustCacheSpec) -> io::Result<Digest> {
    let mut patterns = Vec::new();
    for (folder, target) in &spec.workspaces {
        patterns.extend(MANIFESTS.map(|name| format!("{folder}/**/{name}")));
        patterns.push(format!("!{folder}/{target}"));
    }
    let selection = select(&patterns, ground.bases(), Walk { follow: false, hidden: true })?;
    let mut digester = Digester::default();
    for path in selection.found.iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(&ground.workspace).unwrap_or(path);
        digester.update(name.as_os_str().as_encoded_bytes());
        digester.update(Digest::of(&fs::read(path)?).hex().as_bytes());
    }
    Ok(digester.finish())
}
