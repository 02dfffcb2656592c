//! Where versions of a tool lie on a machine: the `PATH`, the tool cache of a runner, and where
//! version managers keep theirs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use grit_pipeline::builtin::version::{Tool, Version};

use super::super::blocking;
use super::super::container::Inside;
use super::super::programs::is_program;
use super::super::step::Attempt;
use super::probe;

/// So many programs are asked for their version.
const PROGRAMS_MAX: usize = 60;
/// Where a runner keeps tools, unless `RUNNER_TOOL_CACHE` says where.
const TOOL_CACHE_DEFAULT: &str = "/opt/hostedtoolcache";
/// Folders of which everything is on the `PATH` already, and much else with it.
const SHARED: [&str; 6] =
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Tells programs of a container, each with what it is without links: of names between colons, of one
/// that has a number behind it, from the `PATH`, a tool cache for that kind of machine, and folders
/// with a folder for each version.
const LOOK: &str = r#"
names=$1 stem=$2 cached=$3 arch=$4; shift 4
IFS=:
tell() {
  [ -f "$1" ] && [ -x "$1" ] || return
  echo "$1"
  readlink -f "$1" 2>/dev/null || echo "$1"
}
look() {
  for name in $names; do tell "$1/$name"; done
  [ -n "$stem" ] || return
  for file in "$1/$stem"[0-9.]*; do
    case ${file##*/"$stem"} in *[!0-9.]*) ;; *) tell "$file" ;; esac
  done
}
for folder in $PATH; do case $folder in /*) look "$folder" ;; esac; done
for folder; do for bin in "$folder"/*/bin; do look "$bin"; done; done
if [ -n "$cached" ]; then
  for complete in $cached/*/"$arch.complete"; do
    look "${complete%.complete}/bin"
    look "${complete%.complete}"
  done
fi
exit 0
"#;

/// One version of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub version: Version,
    pub program: PathBuf,
    /// What it lies in: `/opt/hostedtoolcache/node/20.1.0/x64`.
    pub home: PathBuf,
}

/// Where to look for a tool.
pub(super) struct Places {
    /// Of the program, the first the one that is put in place of others.
    pub programs: &'static [&'static str],
    /// In the tool cache.
    pub cached: &'static str,
    /// Folders below the home folder, each with a folder for a version with `bin` in it.
    pub managed: &'static [&'static str],
    /// Folders of the system, the same.
    pub system: &'static [&'static str],
    pub version: &'static [&'static str],
}

impl Places {
    pub fn of(tool: Tool) -> Self {
        let (programs, cached): (&'static [&'static str], _) = match tool {
            Tool::Node => (&["node"], "node"),
            Tool::Python => (&["python3", "python"], "Python"),
            Tool::Go => (&["go"], "go"),
            Tool::Ruby => (&["ruby"], "Ruby"),
            Tool::Java => (&["java"], "Java_"),
            Tool::Dotnet => (&["dotnet"], "dotnet"),
            Tool::Other => (&[], ""),
        };
        let managed: &'static [&'static str] = match tool {
            Tool::Node => &[
                ".nvm/versions/node",
                ".asdf/installs/nodejs",
                ".local/share/mise/installs/node",
                ".volta/tools/image/node",
            ],
            Tool::Python => &[
                ".pyenv/versions",
                ".local/share/uv/python",
                ".asdf/installs/python",
                ".local/share/mise/installs/python",
            ],
            Tool::Go => &["sdk", ".asdf/installs/golang", ".local/share/mise/installs/go"],
            Tool::Ruby => &[
                ".rbenv/versions",
                ".rubies",
                ".asdf/installs/ruby",
                ".local/share/mise/installs/ruby",
            ],
            Tool::Java => &[
                ".sdkman/candidates/java",
                ".asdf/installs/java",
                ".local/share/mise/installs/java",
            ],
            Tool::Dotnet | Tool::Other => &[],
        };
        let system: &'static [&'static str] = match tool {
            Tool::Go => &["/usr/local", "/usr/lib"],
            Tool::Java => &["/usr/lib/jvm"],
            Tool::Ruby => &["/opt/rubies"],
            _ => &[],
        };
        let version: &'static [&'static str] = match tool {
            Tool::Python => &["-c", "import platform; print(platform.python_version())"],
            Tool::Ruby => &["-e", "print RUBY_VERSION"],
            Tool::Go => &["version"],
            Tool::Java => &["-version"],
            _ => &["--version"],
        };
        Self { programs, cached, managed, system, version }
    }

    /// Everything that there is.
    pub async fn found(&self, at: &Attempt) -> Vec<Found> {
        let (mut found, programs) = match at.job.inside() {
            Some(inside) => (Vec::new(), self.programs_inside(at, inside).await),
            None => (self.in_tool_cache(at).await, self.programs_there(at).await),
        };
        for (program, real) in programs.into_iter().take(PROGRAMS_MAX) {
            let version = match of_folder(&program) {
                Some(version) => Some(version),
                None => self.ask(at, &program).await,
            };
            let Some(version) = version else { continue };
            let home = real.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
            if !found.iter().any(|other| other.program == program) {
                found.push(Found { version, program, home });
            }
        }
        found
    }

    async fn ask(&self, at: &Attempt, program: &Path) -> Option<Version> {
        let said = probe::said(at, program, self.version).await?;
        match self.programs.first() {
            Some(&"java") => java_version(&said),
            _ => probe::version_in(&said),
        }
    }

    /// A version is there when it is marked as complete, as the runner's own toolkit has it.
    async fn in_tool_cache(&self, at: &Attempt) -> Vec<Found> {
        let (roots, cached) = (tool_caches(at), self.cached);
        let (arch, programs) = (arch(), self.programs);
        if cached.is_empty() {
            return Vec::new();
        }
        blocking(move || {
            let tools = roots.iter().flat_map(|root| entries(root));
            let tools = tools.filter(|tool| match cached.ends_with('_') {
                true => name(tool).starts_with(cached),
                false => name(tool) == cached,
            });
            let versions = tools.flat_map(|tool| entries(&tool));
            let found = versions.filter_map(|folder| {
                // Java's folders have the build behind the version.
                let told = name(&folder).trim_start_matches('v');
                let told = if cached == "Java_" { told.split('-').next()? } else { told };
                let version = Version::parse(told)?;
                let home = folder.join(arch);
                folder.join(format!("{arch}.complete")).is_file().then_some(())?;
                let bins = [home.join("bin"), home.clone()];
                let mut programs =
                    bins.iter().flat_map(|bin| programs.iter().map(|name| bin.join(name)));
                Some(Found { version, program: programs.find(|path| is_program(path))?, home })
            });
            found.collect()
        })
        .await
    }

    /// Programs of the job's container, and what they are without links.
    async fn programs_inside(&self, at: &Attempt, inside: &Inside) -> Vec<(PathBuf, PathBuf)> {
        let stem = self.programs.first().filter(|name| matches!(**name, "python3" | "ruby"));
        let (names, arch) = (self.programs.join(":"), arch());
        let cached = match self.cached {
            "" => String::new(),
            name if name.ends_with('_') => format!("{TOOL_CACHE_DEFAULT}/{name}*"),
            name => format!("{TOOL_CACHE_DEFAULT}/{name}"),
        };
        let managed = self
            .managed
            .iter()
            .flat_map(|folder| ["/root", "/github/home"].map(|home| format!("{home}/{folder}")));
        let folders: Vec<String> =
            self.system.iter().map(|folder| (*folder).to_owned()).chain(managed).collect();
        let mut words = vec![names.as_str(), stem.map_or("", |stem| stem), &cached, arch];
        words.extend(folders.iter().map(String::as_str));
        let said = at.shell(inside, LOOK, &words).await.unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let mut seen = BTreeSet::new();
        let pairs =
            lines.chunks_exact(2).map(|pair| (PathBuf::from(pair[0]), PathBuf::from(pair[1])));
        pairs
            .filter(|(program, real)| seen.insert((real.clone(), name(program).to_owned())))
            .collect()
    }

    /// Programs that must be asked which version they are, and what they are without links.
    async fn programs_there(&self, at: &Attempt) -> Vec<(PathBuf, PathBuf)> {
        let path = at.variables.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_default();
        let mut homes: Vec<PathBuf> = self.system.iter().map(PathBuf::from).collect();
        homes.extend(self.managed.iter().map(|folder| at.home().join(folder)));
        let names = self.programs;
        blocking(move || {
            let kept = homes.iter().flat_map(|home| entries(home)).map(|home| home.join("bin"));
            let kept: Vec<PathBuf> = kept.filter(|bin| !in_folder(bin, names).is_empty()).collect();
            let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
            // Shims stand for what a manager keeps, and that is looked at itself.
            folders.retain(|folder| kept.is_empty() || name(folder) != "shims");
            folders.extend(kept);
            let (mut seen, mut programs) = (BTreeSet::new(), Vec::new());
            for folder in folders.iter().filter(|folder| folder.is_absolute()) {
                for program in in_folder(folder, names) {
                    // A shim is one file under many names, and each name is another version.
                    let real = program.canonicalize().unwrap_or_else(|_| program.clone());
                    if seen.insert((real.clone(), name(&program).to_owned())) {
                        programs.push((program, real));
                    }
                }
            }
            programs
        })
        .await
    }
}

/// As the folder of a version in the tool cache has it.
pub(super) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86" => "x86",
        _ => "x64",
    }
}

/// The job's own tool cache, and that of the machine.
pub(super) fn tool_caches(at: &Attempt) -> [PathBuf; 2] {
    let own = PathBuf::from(at.variable("RUNNER_TOOL_CACHE"));
    let machine = at.shared.inherited.tool_cache();
    [own, machine.map_or_else(|| PathBuf::from(TOOL_CACHE_DEFAULT), Path::to_owned)]
}

/// Whether a folder holds the programs of the whole system.
pub(super) fn is_shared(folder: &Path) -> bool {
    SHARED.iter().any(|shared| Path::new(shared) == folder)
}

/// `python3` is there as `python3.11` as well; so is `ruby3.2`.
fn in_folder(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let exact = names.iter().map(|name| folder.join(name)).filter(|path| is_program(path));
    let stem = names.first().copied().unwrap_or_default();
    let numbered = |path: &PathBuf| {
        let rest = name(path).strip_prefix(stem).unwrap_or_default();
        let digits = rest.trim_start_matches('.');
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let mut found: Vec<PathBuf> = exact.collect();
    if matches!(stem, "python3" | "ruby") {
        let mut others: Vec<_> = entries(folder);
        others.retain(|path| numbered(path) && is_program(path));
        found.extend(others);
    }
    found
}

/// A manager's folder of a version is named after it: `.pyenv/versions/3.12.1/bin/python3`.
fn of_folder(program: &Path) -> Option<Version> {
    let home = name(program.parent()?.parent()?);
    let plain = home.trim_start_matches("go").trim_start_matches('v');
    let is_whole = plain.matches('.').count() == 2;
    let is_number = plain.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_whole && is_number { Version::parse(plain) } else { None }
}

fn java_version(said: &str) -> Option<Version> {
    let (_, rest) = said.split_once('"')?;
    Version::of_java(rest.split('"').next()?)
}

pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths
}

pub(super) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
