//! `cache:` of the setup actions: what a package manager fetched, for later jobs.
//!
//! Keys and places are those of the actions themselves, the places asked from the tools. What lies
//! outside the job's own folders belongs to whoever runs the job: where there is something already, it
//! is used as it is, nothing is put over it, and it is not kept.

use std::path::{Path, PathBuf};

use grit_pipeline::keep::CACHE_KEY;

use super::{Given, Inputs, Stop, places, probe};
use crate::host::cache::{self, Shelf};
use crate::host::environment::Variables;
use crate::host::ground::Ground;
use crate::host::step::Attempt;
use crate::host::{blocking, chain, unseal};

/// Left for what keeps it, beside [`CACHE_KEY`].
const PATHS: &str = "CACHE_PATHS";
const MATCHED: &str = "CACHE_MATCHED_KEY";
/// It is not kept, and why.
const WHY_NOT: &str = "CACHE_NOT_KEPT";

/// What tools leave in their folder by being asked where it is.
const TRACES: [&str; 2] = ["_logs", "_update-notifier-last-checked"];

/// What is kept by which key.
pub(super) struct Wanted {
    pub paths: Vec<String>,
    pub key: String,
    pub restore_keys: Vec<String>,
}

/// What became of it.
pub(super) struct Restored {
    /// The key that it was kept by.
    pub matched: Option<String>,
    why_not: Option<String>,
}

/// Restores what the action of this name keeps, if it is told to.
pub(super) async fn restore(
    at: &Attempt,
    action: &str,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<(), Stop> {
    let wanted = match action {
        "actions/setup-node" => node(at, inputs, given).await?,
        "actions/setup-python" => python(at, inputs, given).await?,
        "actions/setup-java" => java(at, inputs).await?,
        "actions/setup-dotnet" => dotnet(at, inputs, given).await?,
        // The action says what is missing, and goes on.
        "actions/setup-go" => match go(at, inputs, given).await {
            Err(Stop::Refused(why)) => {
                let text = format!("Restore cache failed: {why}");
                at.announce("warning", "setup-go", &text).await?;
                None
            }
            wanted => wanted?,
        },
        _ => None,
    };
    let Some(wanted) = wanted else { return Ok(()) };
    let restored = take(at, &wanted).await?;
    let exact = restored.matched.as_ref() == Some(&wanted.key);
    // Only Node's takes a part of the key for a hit.
    let hit = exact || (action == "actions/setup-node" && restored.matched.is_some());
    given.output("cache-hit", hit.to_string());
    given.output("cache-primary-key", wanted.key.clone());
    given.output("cache-matched-key", restored.matched.clone().unwrap_or_default());
    for (name, value) in [
        (CACHE_KEY, Some(wanted.key)),
        (PATHS, Some(wanted.paths.join("\n"))),
        (MATCHED, restored.matched),
        (WHY_NOT, restored.why_not),
    ] {
        given.state.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(())
}

/// After the job's last step: keeps what is there now, by the key of then.
pub(super) async fn save(at: &Attempt) -> Result<(), Stop> {
    let left = |name: &str| at.variable(&format!("STATE_{name}")).to_owned();
    let (key, paths) = (left(CACHE_KEY), left(PATHS));
    if key.is_empty() {
        return Ok(());
    }
    if left(MATCHED) == key {
        return Ok(at.say(&format!("The cache `{key}` is there: it is not kept again.")).await?);
    }
    let why = left(WHY_NOT);
    if !why.is_empty() {
        return Ok(at.say(&why).await?);
    }
    let paths: Vec<String> = paths.lines().map(str::to_owned).collect();
    keep(at, &key, &paths).await
}

/// Whatever comes of it fails no step.
pub(super) async fn keep(at: &Attempt, key: &str, paths: &[String]) -> Result<(), Stop> {
    let paths = cache::own(at, paths).await?;
    let (shelf, key) = (Shelf::of(at, &paths), key.to_owned());
    let saved = blocking(move || shelf.save(&key, &paths)).await;
    let said = saved.unwrap_or_else(|error| format!("The cache is not kept: {}", chain(&error)));
    Ok(at.say(&said).await?)
}

/// Restores the newest that fits; a cache never fails a step by itself.
pub(super) async fn take(at: &Attempt, wanted: &Wanted) -> Result<Restored, Stop> {
    let keys: Vec<String> =
        std::iter::once(&wanted.key).chain(&wanted.restore_keys).cloned().collect();
    if let Some(why) = cache::refused(at, &keys) {
        return Err(why.into());
    }
    let paths = cache::own(at, &wanted.paths).await?;
    let why_not = in_use(at, &paths).await;
    let (shelf, lookup_only) = (Shelf::of(at, &paths), why_not.is_some());
    let asked = keys.clone();
    let found = blocking(move || shelf.restore(&asked, lookup_only)).await;
    let (matched, said) = match found {
        Ok(Some(key)) if lookup_only => (Some(key), why_not.clone().unwrap_or_default()),
        Ok(Some(key)) => (Some(key.clone()), format!("Cache restored from key: {key}")),
        Ok(None) => (None, format!("Cache not found for input keys: {}", keys.join(", "))),
        Err(error) => (None, format!("The cache is not used: {}", chain(&error))),
    };
    at.say(&said).await?;
    Ok(Restored { matched, why_not })
}

/// Why the machine's own folders stay as they are: there is something in them.
async fn in_use(at: &Attempt, paths: &[String]) -> Option<String> {
    let ground = Ground::of(at);
    let is_own =
        |path: &Path| path.starts_with(&ground.workspace) || path.starts_with(&ground.temp);
    let places: Vec<PathBuf> = paths
        .iter()
        .filter(|path| !path.starts_with('!'))
        .map(|path| ground.path(path))
        .filter(|path| !is_own(path))
        .collect();
    let found = blocking(move || places.into_iter().find(|place| holds_something(place))).await?;
    Some(format!(
        "{} is this machine's own, and there is something in it: it is used as it is, and not kept.",
        found.display()
    ))
}

fn holds_something(folder: &Path) -> bool {
    places::entries(folder).iter().any(|entry| !TRACES.contains(&places::name(entry)))
}

/// `npm`, `yarn`, `pnpm`.
async fn node(at: &Attempt, inputs: &Inputs<'_>, given: &Given) -> Result<Option<Wanted>, Stop> {
    let Some(manager) = inputs.get("cache") else { return Ok(None) };
    let locks: &[&str] = match manager {
        "npm" => &["package-lock.json", "npm-shrinkwrap.json", "yarn.lock"],
        "pnpm" => &["pnpm-lock.yaml"],
        "yarn" => &["yarn.lock"],
        other => return Err(format!("Caching for '{other}' is not supported").into()),
    };
    let hash = of_locks(at, inputs, locks).await?;
    let place = match manager {
        "npm" => place(at, given, "npm", &["config", "get", "cache"]).await?,
        "pnpm" => place(at, given, "pnpm", &["store", "path", "--silent"]).await?,
        _ => match first_line(at, given, "yarn", &["--version"]).await?.starts_with("1.") {
            true => place(at, given, "yarn", &["cache", "dir"]).await?,
            false => place(at, given, "yarn", &["config", "get", "cacheFolder"]).await?,
        },
    };
    let prefix = format!("node-cache-{}-{}-{manager}", os(at), places::arch());
    let key = format!("{prefix}-{hash}");
    Ok(Some(Wanted { paths: vec![place], key, restore_keys: vec![prefix] }))
}

/// `pip`, `pipenv`, `poetry`.
async fn python(at: &Attempt, inputs: &Inputs<'_>, given: &Given) -> Result<Option<Wanted>, Stop> {
    let Some(manager) = inputs.get("cache") else { return Ok(None) };
    let patterns: &[&str] = match manager {
        "pip" => &["**/requirements.txt"],
        "pipenv" => &["**/Pipfile.lock"],
        "poetry" => &["**/poetry.lock"],
        other => return Err(format!("Caching for '{other}' is not supported").into()),
    };
    let mut hash = of_files(at, inputs, patterns).await?;
    if hash.is_none() && manager == "pip" && inputs.get("cache-dependency-path").is_none() {
        hash = hashed(at, vec!["**/pyproject.toml".to_owned()]).await?;
    }
    let fallback = if manager == "pip" { &["**/pyproject.toml"][..] } else { &[] };
    let named = [patterns, fallback].concat().join(" or ");
    let hash = hash.ok_or_else(|| no_file(at, inputs.or("cache-dependency-path", &named)))?;
    let paths = match manager {
        "pip" => vec![place(at, given, "pip", &["cache", "dir"]).await?],
        "pipenv" => vec![match at.variable("WORKON_HOME") {
            "" => "~/.local/share/virtualenvs".to_owned(),
            folder => folder.to_owned(),
        }],
        _ => poetry(at, given).await?,
    };
    let version = given.outputs.get("python-version").cloned().unwrap_or_default();
    let tool = if manager == "poetry" { "poetry-v2" } else { manager };
    let prefix = format!("setup-python-{}-{}-python-{version}-{tool}", os(at), places::arch());
    let key = format!("{prefix}-{hash}");
    let restore_keys = if manager == "pip" { vec![prefix] } else { vec![] };
    Ok(Some(Wanted { paths, key, restore_keys }))
}

async fn poetry(at: &Attempt, given: &Given) -> Result<Vec<String>, Stop> {
    let folder = place(at, given, "poetry", &["config", "cache-dir"]).await?;
    let own = first_line(at, given, "poetry", &["config", "virtualenvs.path"]).await?;
    let own = own.trim_matches(['"', '\'']).replace("{cache-dir}", &folder);
    let within = first_line(at, given, "poetry", &["config", "virtualenvs.in-project"]).await?;
    let within = (within == "true").then(|| ".venv".to_owned());
    Ok([folder, own].into_iter().filter(|path| !path.is_empty()).chain(within).collect())
}

/// `maven`, `gradle`, `sbt`.
async fn java(at: &Attempt, inputs: &Inputs<'_>) -> Result<Option<Wanted>, Stop> {
    let Some(manager) = inputs.get("cache") else { return Ok(None) };
    let (patterns, paths): (&[&str], &[&str]) = match manager {
        "maven" => (
            &["**/pom.xml", "**/.mvn/wrapper/maven-wrapper.properties", "**/.mvn/extensions.xml"],
            &["~/.m2/repository", "~/.m2/wrapper/dists"],
        ),
        "gradle" => (
            &[
                "**/*.gradle*",
                "**/gradle-wrapper.properties",
                "buildSrc/**/Versions.kt",
                "buildSrc/**/Dependencies.kt",
                "gradle/*.versions.toml",
                "**/versions.properties",
            ],
            &["~/.gradle/caches", "~/.gradle/wrapper"],
        ),
        "sbt" => (
            &[
                "**/*.sbt",
                "**/project/build.properties",
                "**/project/**.scala",
                "**/project/**.sbt",
            ],
            &["~/.ivy2/cache", "~/.sbt", "~/.cache/coursier", "!~/.sbt/*.lock"],
        ),
        other => return Err(format!("unknown package manager specified: {other}").into()),
    };
    let hash = of_files(at, inputs, patterns).await?;
    let hash =
        hash.ok_or_else(|| no_file(at, inputs.or("cache-dependency-path", &patterns.join(","))))?;
    let key = format!("setup-java-{}-{}-{manager}-{hash}", os(at), places::arch());
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    Ok(Some(Wanted { paths, key, restore_keys: vec![] }))
}

/// On unless it is told not to.
async fn go(at: &Attempt, inputs: &Inputs<'_>, given: &Given) -> Result<Option<Wanted>, Stop> {
    if inputs.get("cache").is_some_and(|cache| cache.eq_ignore_ascii_case("false")) {
        return Ok(None);
    }
    let hash = match inputs.get("cache-dependency-path") {
        Some(_) => of_files(at, inputs, &[]).await?.ok_or_else(unresolved)?,
        None => {
            let found = hashed(at, vec!["go.sum".to_owned()]).await?;
            found.ok_or_else(|| {
                let root = at.job.folder.workspace();
                format!(
                    "Dependencies file is not found in {}. Supported file pattern: go.sum",
                    root.display()
                )
            })?
        }
    };
    let paths = vec![
        place(at, given, "go", &["env", "GOMODCACHE"]).await?,
        place(at, given, "go", &["env", "GOCACHE"]).await?,
    ];
    let version = given.outputs.get("go-version").cloned().unwrap_or_default();
    let key = format!("setup-go-{}-{}-go-{version}-{hash}", os(at), places::arch());
    Ok(Some(Wanted { paths, key, restore_keys: vec![] }))
}

async fn dotnet(at: &Attempt, inputs: &Inputs<'_>, given: &Given) -> Result<Option<Wanted>, Stop> {
    if !inputs.is_on("cache") {
        return Ok(None);
    }
    let hash = of_locks(at, inputs, &["packages.lock.json"]).await?;
    let args = ["nuget", "locals", "global-packages", "--list", "--force-english-output"];
    let said = first_line(at, given, "dotnet", &args).await?;
    let folder = said.rsplit("global-packages:").next().unwrap_or_default().trim();
    if !Path::new(folder).is_absolute() {
        return Err("Could not get global packages folder path of NuGet".to_owned().into());
    }
    let key = format!("dotnet-cache-{}-{}-{hash}", os(at), places::arch());
    Ok(Some(Wanted { paths: vec![folder.to_owned()], key, restore_keys: vec![] }))
}

/// Of the files that are named, else of the first of `locks` that lies in the root.
async fn of_locks(at: &Attempt, inputs: &Inputs<'_>, locks: &[&str]) -> Result<String, Stop> {
    if inputs.get("cache-dependency-path").is_some() {
        return Ok(of_files(at, inputs, &[]).await?.ok_or_else(unresolved)?);
    }
    for lock in locks {
        if let Some(hash) = hashed(at, vec![(*lock).to_owned()]).await? {
            return Ok(hash);
        }
    }
    let root = at.job.folder.workspace();
    Err(format!(
        "Dependencies lock file is not found in {}. Supported file patterns: {}",
        root.display(),
        locks.join(",")
    )
    .into())
}

fn unresolved() -> String {
    "Some specified paths were not resolved, unable to cache dependencies.".to_owned()
}

fn no_file(at: &Attempt, patterns: &str) -> String {
    let patterns = patterns.lines().collect::<Vec<_>>().join(",");
    format!(
        "No file in {} matched to [{patterns}], make sure you have checked out the target repository",
        at.job.folder.workspace().display()
    )
}

/// The digest of the files that `cache-dependency-path` names, else of those that match.
async fn of_files(
    at: &Attempt,
    inputs: &Inputs<'_>,
    patterns: &[&str],
) -> Result<Option<String>, Stop> {
    let mut named = inputs.lines("cache-dependency-path");
    if named.is_empty() {
        named = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    }
    hashed(at, named).await
}

/// As `hashFiles` has it; nothing where no file matches.
pub(super) async fn hashed(at: &Attempt, patterns: Vec<String>) -> Result<Option<String>, Stop> {
    let root = at.job.folder.workspace();
    let below = format!("{}/", root.display());
    let patterns: Vec<String> =
        patterns.iter().map(|pattern| pattern.replacen(&below, "", 1)).collect();
    let hash = blocking(move || unseal::hash_files(&root, &patterns)).await;
    let hash = hash.map_err(|error| format!("the files of a key cannot be read: {error}"))?;
    Ok(Some(hash).filter(|hash| !hash.is_empty()))
}

/// The folder that the tool says.
async fn place(at: &Attempt, given: &Given, program: &str, args: &[&str]) -> Result<String, Stop> {
    let said = first_line(at, given, program, args).await?;
    let path = Ground::of(at).named(said.trim_matches(['"', '\'']));
    if said.is_empty() || said == "undefined" || !path.is_absolute() {
        return Err(format!("Could not get cache folder path for {program}").into());
    }
    Ok(path.display().to_string())
}

/// The first line that the program says, in the version that was just set up.
async fn first_line(
    at: &Attempt,
    given: &Given,
    program: &str,
    args: &[&str],
) -> Result<String, Stop> {
    let variables = variables(at, given);
    let path = at.find_with(program, &variables).await;
    let path = path.ok_or_else(|| at.not_installed(program))?;
    let said = probe::heard(at, &path, args, &variables).await;
    let said = said.ok_or_else(|| format!("`{program} {}` failed", args.join(" ")))?;
    Ok(said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned())
}

fn variables(at: &Attempt, given: &Given) -> Variables {
    let mut all = at.variables.clone();
    all.extend(given.env.iter().map(|(name, value)| (name.into(), value.into())));
    let folders = given.path.iter().map(String::as_str);
    let path: Vec<&str> = folders.chain([at.variable("PATH")]).collect();
    all.insert("PATH".into(), path.join(":").into());
    all
}

pub(super) fn os(at: &Attempt) -> &str {
    let os = at.variable("RUNNER_OS");
    if os.is_empty() { "Linux" } else { os }
}
