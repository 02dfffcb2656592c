//! Getting what a hook is run with: its repository, its packages, its interpreter.
//!
//! Everything is kept below the git folder that all working trees share, under a digest of what it
//! was made from, and is whole or not there: it is made aside and renamed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grit_git::{Git, Repository};
use grit_types::Digest;

use super::config::{Given, Hook, MANIFEST, Origin, manifest};
use super::exec::{Program, words};
use super::known;

/// Where a repository keeps bare mirrors of repositories of hooks, as OWNER/REPO.git.
const MIRRORS: &str = ".grit/hooks";

/// Where the files of a set of hooks are.
#[derive(Clone, Debug)]
pub enum Place {
    /// The repository itself.
    Here,
    /// A checkout of theirs, at a commit.
    Checkout { folder: PathBuf, commit: String },
    /// A package of their language's registry.
    Package { name: String, version: String },
}

/// Where things are looked for and kept.
pub struct Store {
    repository: Repository,
    worktree: PathBuf,
    folder: PathBuf,
}

impl Store {
    pub fn new(repository: Repository, worktree: PathBuf) -> Self {
        let folder = repository.common_dir().join("grit").join("hooks");
        Self { repository, worktree, folder }
    }

    /// The place of a set of hooks, and what they say of themselves.
    pub fn find(&self, origin: &Origin, hooks: &[Given]) -> Result<(Place, Vec<Given>), String> {
        let (url, rev) = match origin {
            Origin::Local => return Ok((Place::Here, Vec::new())),
            Origin::Meta => {
                return Err("hooks of `repo: meta` are not done by this version".to_owned());
            }
            Origin::Remote { url, rev } => (url, rev),
        };
        let why = match self.checkout(url, rev) {
            Ok((folder, commit)) => {
                let text = fs::read_to_string(folder.join(MANIFEST));
                let text = text.map_err(|error| format!("{url}: {MANIFEST}: {error}"))?;
                let given = manifest(&text).map_err(|error| format!("{url}: {error}"))?;
                return Ok((Place::Checkout { folder, commit }, given));
            }
            Err(why) => why,
        };
        let package = known::package(url).ok_or(why)?;
        let given: Option<Vec<Given>> = hooks.iter().map(|hook| package.hook(&hook.id)).collect();
        let given =
            given.ok_or_else(|| format!("{url} has a hook that is not known without it"))?;
        let version = rev.trim_start_matches('v').to_owned();
        Ok((Place::Package { name: package.name.to_owned(), version }, given))
    }

    /// From a mirror, else from the address itself, unless the repository's configuration says
    /// `grit.hookNetwork false`.
    fn checkout(&self, url: &str, rev: &str) -> Result<(PathBuf, String), String> {
        let to = self.folder.join("repos").join(key(&[url, rev]));
        if let Ok(commit) = fs::read_to_string(to.join(".grit-commit")) {
            return Ok((to, commit));
        }
        let mirror = self.mirror(url)?;
        let allowed = self.setting("grit.hookNetwork")?.is_none_or(|value| value != "false");
        let from: OsString = match mirror {
            Some(mirror) => mirror.into(),
            None if allowed => url.into(),
            None => {
                return Err(format!("there is no mirror of {url}, and the network is not allowed"));
            }
        };
        let aside = self.aside()?;
        let clone = Git::new("clone").flag("--quiet").flag("--no-checkout").flag("--template=");
        let failed = |error: grit_git::GitError| format!("{url}: {}", grit_types::chain(&error));
        clone.operand(&from).operand(aside.path().join("r")).run().map_err(failed)?;
        let folder = aside.path().join("r");
        let cloned = Repository::open(&folder).map_err(failed)?;
        let commit = cloned.resolve(rev).map_err(failed)?;
        let commit = commit.ok_or_else(|| format!("{url} has no `{rev}`"))?;
        let checkout = Git::new("checkout").worktree(&folder).flag("--quiet").flag("--detach");
        checkout.commit(&commit).run().map_err(failed)?;
        let told = |error: std::io::Error| format!("{url}: {error}");
        fs::write(folder.join(".grit-commit"), commit.as_str()).map_err(told)?;
        self.take(&folder, &to)?;
        Ok((to, commit.to_string()))
    }

    /// `OWNER/REPO.git` in the folder that `grit.hookMirror` names, else in the repository's own.
    fn mirror(&self, url: &str) -> Result<Option<PathBuf>, String> {
        let path = url.trim_end_matches('/').trim_end_matches(".git");
        let mut parts = path.rsplit(['/', ':']);
        let (repo, owner) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !name(repo) || !name(owner) {
            return Ok(None);
        }
        let named = self.setting("grit.hookMirror")?.map(|folder| self.worktree.join(folder));
        let folders = named.into_iter().chain([self.worktree.join(MIRRORS)]);
        let found = folders.map(|folder| folder.join(owner).join(format!("{repo}.git")));
        Ok(found.into_iter().find(|path| path.is_dir()))
    }

    fn setting(&self, name: &str) -> Result<Option<String>, String> {
        self.repository.setting(name).map_err(|error| grit_types::chain(&error))
    }

    /// How the hook is started, with everything that it needs made first.
    pub fn program(&self, hook: &Hook, place: &Place) -> Result<Program, String> {
        let split = || {
            let words = words(&hook.entry).filter(|words| !words.is_empty());
            words.ok_or_else(|| {
                format!("the entry of `{}` cannot be split: {}", hook.id, hook.entry)
            })
        };
        let plain =
            |words: Vec<String>| Program { words, path: Vec::new(), variables: BTreeMap::new() };
        match hook.language.as_str() {
            "system" | "unsupported" => Ok(plain(split()?)),
            "script" | "unsupported_script" => {
                let mut words = split()?;
                let folder = match place {
                    Place::Checkout { folder, .. } => folder,
                    Place::Here | Place::Package { .. } => &self.worktree,
                };
                words[0] = folder.join(&words[0]).to_string_lossy().into_owned();
                Ok(plain(words))
            }
            language @ ("python" | "node" | "rust") => {
                let made = self.environment(language, hook, place)?;
                Ok(Program { words: split()?, ..made })
            }
            other => Err(format!(
                "the hook `{}` is of the language `{other}`, which is not done by this version; \
                 done are system, script, python, node, rust, pygrep and fail",
                hook.id
            )),
        }
    }

    /// Programs in a folder of their own.
    fn environment(&self, language: &str, hook: &Hook, place: &Place) -> Result<Program, String> {
        let source = match place {
            Place::Here => String::new(),
            Place::Checkout { commit, .. } => commit.clone(),
            Place::Package { name, version } => format!("{name} {version}"),
        };
        let tool = match language {
            "python" => "python3",
            "node" => "node",
            _ => "cargo",
        };
        let version = said(Command::new(tool).arg("--version"))
            .map_err(|why| format!("the hook `{}` needs `{tool}`: {why}", hook.id))?;
        let dependencies = hook.dependencies.join("\n");
        let folder =
            self.folder.join("env").join(key(&[language, &source, &dependencies, &version]));
        if !folder.join(".grit-whole").is_file() {
            let aside = folder.with_extension("part");
            let _ = fs::remove_dir_all(&aside);
            let _ = fs::remove_dir_all(&folder);
            // A virtual environment knows its own path, so it is made where it stays.
            let made = fs::create_dir_all(&folder).map_err(|error| error.to_string());
            made.and_then(|()| make(language, hook, place, &folder)).map_err(|why| {
                let _ = fs::remove_dir_all(&folder);
                format!("the hook `{}` cannot be installed: {why}", hook.id)
            })?;
            let whole = fs::write(folder.join(".grit-whole"), "");
            whole.map_err(|error| error.to_string())?;
        }
        let mut variables = BTreeMap::new();
        if language == "python" {
            variables.insert("VIRTUAL_ENV".to_owned(), folder.clone().into());
        }
        if language == "node" {
            variables.insert("NODE_PATH".to_owned(), folder.join("lib/node_modules").into());
        }
        Ok(Program { words: Vec::new(), path: vec![folder.join("bin")], variables })
    }

    fn aside(&self) -> Result<tempfile::TempDir, String> {
        fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        let aside = tempfile::Builder::new().prefix(".part-").tempdir_in(&self.folder);
        aside.map_err(|error| error.to_string())
    }

    fn take(&self, from: &Path, to: &Path) -> Result<(), String> {
        let above = to.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(above).map_err(|error| error.to_string())?;
        match fs::rename(from, to) {
            Ok(()) => Ok(()),
            // Another run was faster.
            Err(_) if to.is_dir() => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn key(parts: &[&str]) -> String {
    Digest::of(parts.join("\0").as_bytes()).hex().chars().take(32).collect()
}

fn make(language: &str, hook: &Hook, place: &Place, folder: &Path) -> Result<(), String> {
    let own: Vec<OsString> = match (language, place) {
        (_, Place::Here) => Vec::new(),
        (_, Place::Checkout { folder, .. }) => vec![folder.into()],
        ("python", Place::Package { name, version }) => vec![format!("{name}=={version}").into()],
        (_, Place::Package { name, version }) => vec![format!("{name}@{version}").into()],
    };
    let dependencies = hook.dependencies.iter().map(OsString::from);
    let wanted: Vec<OsString> = own.into_iter().chain(dependencies).collect();
    if let Some(flag) = wanted.iter().find(|word| word.to_string_lossy().starts_with('-')) {
        return Err(format!("`{}` is no package", flag.to_string_lossy()));
    }
    match language {
        "python" => {
            said(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
            if !wanted.is_empty() {
                let pip = folder.join("bin/pip");
                said(
                    Command::new(pip)
                        .args(["install", "--quiet", "--disable-pip-version-check"])
                        .args(&wanted),
                )?;
            }
        }
        "node" if !wanted.is_empty() => {
            let mut npm = Command::new("npm");
            npm.args([
                "install",
                "--global",
                "--install-links",
                "--no-fund",
                "--no-audit",
                "--prefix",
            ]);
            said(npm.arg(folder).args(&wanted))?;
        }
        "rust" => rust(hook, place, folder)?,
        _ => {}
    }
    Ok(())
}

/// `cli:NAME[:VERSION]` are programs; the hook's own repository is one.
fn rust(hook: &Hook, place: &Place, folder: &Path) -> Result<(), String> {
    let install = || {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--bins", "--locked", "--root"]).arg(folder);
        cargo
    };
    if let Place::Checkout { folder, .. } = place {
        said(install().arg("--path").arg(folder))?;
    }
    for dependency in &hook.dependencies {
        let Some(program) = dependency.strip_prefix("cli:") else {
            return Err(format!(
                "`{dependency}`: only programs (`cli:NAME:VERSION`) are installed"
            ));
        };
        let (name, version) = program.split_once(':').unwrap_or((program, ""));
        let mut cargo = install();
        if !version.is_empty() {
            cargo.args(["--version", version]);
        }
        said(cargo.arg(name))?;
    }
    Ok(())
}

/// What a command says; its first and last words where it fails.
fn said(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let (err, out) = (text(&output.stderr), text(&output.stdout));
    let lines: Vec<&str> = err.lines().chain(out.lines()).collect();
    let telling = match lines.len() {
        0..=8 => lines,
        all => [&lines[..4], &["…"], &lines[all - 4..]].concat(),
    };
    Err(telling.join("\n"))
}
