//! `setup-node`, `setup-go`, `setup-dotnet`, `setup-ruby` and their like: the version that is asked
//! for, where it is on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use grit_pipeline::Conclusion;
use grit_pipeline::builtin::file::asked_in;
use grit_pipeline::builtin::version::{Asked, Tool, Version};

use super::places::{Found, Places, arch, is_shared, tool_caches};
use super::{Given, Inputs, Stop, cached, probe};
use crate::host::blocking;
use crate::host::step::Attempt;
use crate::host::tool::not_installed;

/// What an action about one tool is called, takes and gives.
struct Setup {
    tool: Tool,
    name: &'static str,
    input: &'static str,
    file_input: &'static str,
    /// Read where neither is given.
    files: &'static [&'static str],
    output: &'static str,
    /// Programs that come with it.
    companions: &'static [&'static str],
}

const NODE: Setup = Setup {
    tool: Tool::Node,
    name: "node",
    input: "node-version",
    file_input: "node-version-file",
    files: &[],
    output: "node-version",
    companions: &["node", "npm", "npx", "corepack"],
};

const GO: Setup = Setup {
    tool: Tool::Go,
    name: "go",
    input: "go-version",
    file_input: "go-version-file",
    files: &[],
    output: "go-version",
    companions: &["go", "gofmt"],
};

const RUBY: Setup = Setup {
    tool: Tool::Ruby,
    name: "ruby",
    input: "ruby-version",
    file_input: "",
    files: &[".ruby-version", ".tool-versions"],
    output: "ruby-prefix",
    companions: &["ruby", "gem", "bundle", "bundler", "irb", "rake", "erb", "rdoc", "ri"],
};

/// `bundler-cache`: the gems of the folder, installed below it.
const BUNDLE: &str = "cd \"$1\"
bundle config set --local path vendor/bundle
if [ \"$2\" = true ]; then bundle config set --local deployment true; fi
bundle install --jobs 4";

/// Actions for one program, and the input that asks for its version.
const OTHERS: &[(&str, &str, &str)] = &[
    ("pnpm/action-setup", "pnpm", "version"),
    ("oven-sh/setup-bun", "bun", "bun-version"),
    ("denoland/setup-deno", "deno", "deno-version"),
    ("astral-sh/setup-uv", "uv", "version"),
    ("azure/setup-helm", "helm", "version"),
    ("azure/setup-kubectl", "kubectl", "version"),
    ("hashicorp/setup-terraform", "terraform", "terraform_version"),
    ("sigstore/cosign-installer", "cosign", "cosign-release"),
    ("bufbuild/buf-setup-action", "buf", "version"),
    ("golangci/golangci-lint-action", "golangci-lint", "version"),
];

/// Node, Go and Ruby.
pub(super) async fn run(
    at: &Attempt,
    tool: Tool,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let setup = match tool {
        Tool::Go => &GO,
        Tool::Ruby => &RUBY,
        _ => &NODE,
    };
    let Some(asked) = asked(at, setup, inputs).await?.into_iter().next() else {
        return without_version(at, setup, given).await;
    };
    let found = choose(at, tool, setup.name, &asked).await?;
    adopt(at, setup.companions, &found, given).await?;
    let version = found.version.to_string();
    match tool {
        Tool::Go => {
            given.output(setup.output, version.clone());
            go(at, &found, given).await;
        }
        Tool::Ruby => {
            given.output(setup.output, found.home.display().to_string());
            given.output("ruby-version", version.clone());
            ruby(at, inputs, given).await?;
        }
        _ => {
            given.output(setup.output, format!("v{version}"));
            node(at, inputs, given).await?;
        }
    }
    given.output("cache-hit", "false");
    at.say(&format!("{} {version} is used: {}", setup.name, found.program.display())).await?;
    Ok(Conclusion::Exited(0))
}

/// Without a version whatever is on the `PATH` is meant.
async fn without_version(
    at: &Attempt,
    setup: &Setup,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let program = at.find(setup.name).await.ok_or_else(|| at.not_installed(setup.name))?;
    let places = Places::of(setup.tool);
    let said = probe::said(at, &program, places.version).await.unwrap_or_default();
    let version = probe::version_in(&said).map(|version| version.to_string()).unwrap_or_default();
    let prefix = if setup.tool == Tool::Node { "v" } else { "" };
    given.output(setup.output, format!("{prefix}{version}"));
    at.say(&format!(
        "No version is asked for: {} {version} of {} is used: {}",
        setup.name,
        at.whose(),
        program.display()
    ))
    .await?;
    Ok(Conclusion::Exited(0))
}

/// The versions that the inputs or the files of the workspace ask for.
async fn asked(at: &Attempt, setup: &Setup, inputs: &Inputs<'_>) -> Result<Vec<Asked>, Stop> {
    let mut texts = inputs.lines(setup.input);
    if setup.tool == Tool::Ruby && texts.first().is_some_and(|text| text == "default") {
        texts.clear();
    }
    if texts.is_empty() {
        texts = from_files(at, setup.tool, inputs.get(setup.file_input), setup.files).await?;
    }
    parse(setup.tool, &texts)
}

pub(super) fn parse(tool: Tool, texts: &[String]) -> Result<Vec<Asked>, Stop> {
    Ok(texts.iter().map(|text| Asked::parse(tool, text)).collect::<Result<_, _>>()?)
}

/// What a file that is named asks for, else the first of `defaults` that is there.
pub(super) async fn from_files(
    at: &Attempt,
    tool: Tool,
    named: Option<&str>,
    defaults: &[&str],
) -> Result<Vec<String>, Stop> {
    if let Some(name) = named {
        let text = at.text_of(name).await?;
        let text =
            text.ok_or_else(|| format!("the version file `{name}` is not in the workspace"))?;
        let asked = asked_in(tool, name, &text);
        return match asked.is_empty() {
            true => Err(format!("`{name}` names no version").into()),
            false => Ok(asked),
        };
    }
    for name in defaults {
        if let Some(text) = at.text_of(name).await? {
            let asked = asked_in(tool, name, &text);
            if !asked.is_empty() {
                at.say(&format!("`{name}` asks for {}.", asked.join(", "))).await?;
                return Ok(asked);
            }
        }
    }
    Ok(Vec::new())
}

/// The highest version that is there of those that are asked for; never another one.
pub(super) async fn choose(
    at: &Attempt,
    tool: Tool,
    name: &str,
    asked: &Asked,
) -> Result<Found, Stop> {
    let found = Places::of(tool).found(at).await;
    let picked = asked.pick(found.iter().map(|found| &found.version)).cloned();
    let Some(version) = picked else {
        return Err(absent(at, tool, name, asked, &found).into());
    };
    if asked.is_newest() {
        let text = format!(
            "{name} {version} is the newest of {}; \
            whether a newer one is published is not looked up",
            at.whose()
        );
        at.announce("notice", "Toolchain", &text).await?;
    }
    let is_shim =
        |found: &Found| found.program.components().any(|part| part.as_os_str() == "shims");
    let mut of_version: Vec<Found> =
        found.into_iter().filter(|found| found.version == version).collect();
    // A shim decides by the folder that it is called in.
    of_version.sort_by_key(is_shim);
    let first = of_version.into_iter().next();
    first.ok_or_else(|| Stop::Refused(format!("{name} {version} is gone")))
}

/// What there is, and how to get what is asked for.
pub(super) fn absent(
    at: &Attempt,
    tool: Tool,
    name: &str,
    asked: &Asked,
    found: &[Found],
) -> String {
    let mut versions: Vec<&Version> = found.iter().map(|found| &found.version).collect();
    versions.sort_unstable();
    versions.dedup();
    let there = match versions.is_empty() {
        true => format!("{} has none", at.whose()),
        false => {
            let list: Vec<String> = versions.iter().map(ToString::to_string).collect();
            format!("{} has {}", at.whose(), list.join(", "))
        }
    };
    let text = asked.text();
    if at.job.inside().is_some() {
        return format!(
            "{name} {text} is asked for, and {there}. No other version is used in its place: take an \
             image that has it"
        );
    }
    let plain = text.trim_start_matches(|c: char| !c.is_ascii_digit()).trim_end_matches(".x");
    let how = match tool {
        Tool::Node => format!("`nvm install {text}`"),
        Tool::Python => format!("`pyenv install {plain}` or `uv python install {plain}`"),
        Tool::Go => format!("`go install golang.org/dl/go{plain}@latest && go{plain} download`"),
        Tool::Ruby => format!("`rbenv install {plain}`"),
        Tool::Java => format!("`apt-get install openjdk-{plain}-jdk`"),
        Tool::Dotnet => format!("`dotnet-install.sh --channel {plain}`"),
        Tool::Other => not_installed(name),
    };
    let cached = Places::of(tool).cached;
    let kept = match (cached, tool) {
        ("", _) => String::new(),
        (_, Tool::Java) => String::new(),
        _ => {
            let [_, machine] = tool_caches(at);
            let (root, arch) = (machine.display(), arch());
            format!(", or {root}/{cached}/VERSION/{arch} with {arch}.complete beside it")
        }
    };
    format!(
        "{name} {text} is asked for, and {there}. No other version is used in its place: {how}{kept}"
    )
}

/// Puts the version before all others. A folder that holds much else is not put there, but a folder
/// with the programs alone.
pub(super) async fn adopt(
    at: &Attempt,
    companions: &[&str],
    found: &Found,
    given: &mut Given,
) -> Result<(), Stop> {
    let folder = found.program.parent().unwrap_or(Path::new("/")).to_owned();
    let name = found.program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_named = companions.contains(&name);
    if !is_shared(&folder) && is_named {
        given.path.push(folder.display().to_string());
        return Ok(());
    }
    let links = at.job.folder.temp().join(format!("tools-{}", at.spec.index));
    let others = companions.get(1..).unwrap_or_default();
    let mut targets: Vec<(String, PathBuf)> = companions
        .first()
        .map(|name| ((*name).to_owned(), found.program.clone()))
        .into_iter()
        .collect();
    let there = at.programs_in(&folder, others).await.into_iter();
    targets.extend(there.map(|name| (name.clone(), folder.join(name))));
    let to = links.clone();
    let linked = blocking(move || link(&targets, &to)).await;
    linked.map_err(|error| Stop::Refused(format!("link {}: {error}", links.display())))?;
    given.path.push(links.display().to_string());
    Ok(())
}

/// Each program under its name.
fn link(targets: &[(String, PathBuf)], to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for (name, target) in targets {
        let link = to.join(name);
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(target, link)?;
        }
    }
    Ok(())
}

async fn go(at: &Attempt, found: &Found, given: &mut Given) {
    let root = probe::said(at, &found.program, &["env", "GOROOT"]).await;
    let root = root.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    given.set("GOROOT", root.unwrap_or_else(|| found.home.display().to_string()));
    let path = probe::said(at, &found.program, &["env", "GOPATH"]).await;
    if let Some(path) = path.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
        given.path.push(format!("{path}/bin"));
    }
}

/// The registry that packages come from, and the file that says so.
async fn node(at: &Attempt, inputs: &Inputs<'_>, given: &mut Given) -> Result<(), Stop> {
    let Some(registry) = inputs.get("registry-url") else { return Ok(()) };
    let registry = format!("{}/", registry.trim_end_matches('/'));
    let host = registry.split_once(':').map_or(&*registry, |(_, rest)| rest);
    let scope = inputs.get("scope").map(|scope| format!("@{}:", scope.trim_start_matches('@')));
    let auth = inputs.is_on("always-auth");
    let text = format!(
        "{host}:_authToken=${{NODE_AUTH_TOKEN}}\n{}registry={registry}\nalways-auth={auth}\n",
        scope.unwrap_or_default()
    );
    let file = at.job.folder.temp().join(".npmrc");
    let written = fs::write(&file, text);
    written.map_err(|error| format!("write {}: {error}", file.display()))?;
    given.set("NPM_CONFIG_USERCONFIG", file.display().to_string());
    let token = at.variable("NODE_AUTH_TOKEN");
    given.set("NODE_AUTH_TOKEN", if token.is_empty() { "XXXXX-XXXXX-XXXXX-XXXXX" } else { token });
    Ok(())
}

/// `bundler-cache`: the gems are installed, as the action does.
async fn ruby(at: &Attempt, inputs: &Inputs<'_>, given: &Given) -> Result<(), Stop> {
    if !inputs.is_on("bundler-cache") {
        return Ok(());
    }
    let folder = inputs.or("working-directory", ".").trim_end_matches('/').to_owned();
    let Some(gems) = gems(at, inputs, given, &folder).await? else {
        let text = "There is no Gemfile: `bundle install` is not done, and nothing is kept.";
        return Ok(at.say(text).await?);
    };
    let restored = cached::take(at, &gems.wanted).await?;
    let path = given.path.iter().fold(String::new(), |path, folder| path + folder + ":");
    let path = path + at.variable("PATH");
    let words = ["sh", "-e", "-c", BUNDLE, "sh", &folder, gems.deployment];
    match at.execute(words.map(str::to_owned).to_vec(), &[("PATH", path)]).await? {
        Conclusion::Exited(0) => {}
        _ => return Err("`bundle install` failed".to_owned().into()),
    }
    if restored.matched.as_ref() != Some(&gems.wanted.key) {
        cached::keep(at, &gems.wanted.key, &gems.wanted.paths).await?;
    }
    Ok(())
}

/// Where gems go and by which key they are kept.
struct Gems {
    wanted: cached::Wanted,
    /// `true`: what the lock file says, and nothing else.
    deployment: &'static str,
}

async fn gems(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &Given,
    folder: &str,
) -> Result<Option<Gems>, Stop> {
    let mut files = vec![("Gemfile".to_owned(), "Gemfile.lock".to_owned())];
    files.push(("gems.rb".to_owned(), "gems.locked".to_owned()));
    let named = at.variable("BUNDLE_GEMFILE");
    if !named.is_empty() {
        files = vec![(named.to_owned(), format!("{named}.lock"))];
    }
    let below =
        |name: &str| if folder == "." { name.to_owned() } else { format!("{folder}/{name}") };
    let mut found = None;
    for (gemfile, lock) in files {
        if cached::hashed(at, vec![below(&gemfile)]).await?.is_some() {
            found = Some((gemfile, lock));
            break;
        }
    }
    let Some((gemfile, lock)) = found else { return Ok(None) };
    let hash = cached::hashed(at, vec![below(&lock)]).await?;
    let version = given.outputs.get("ruby-version").cloned().unwrap_or_default();
    let prefix = format!(
        "setup-ruby-bundler-cache-v6-{}-{}-ruby-{version}-wd-{folder}-{}-{gemfile}",
        cached::os(at),
        arch(),
        inputs.or("cache-version", "0")
    );
    let deployment = if hash.is_some() { "true" } else { "false" };
    let (paths, restore_keys) = (vec![below("vendor/bundle")], vec![prefix.clone()]);
    let key = format!("{prefix}-{}", hash.unwrap_or_default());
    Ok(Some(Gems { wanted: cached::Wanted { paths, key, restore_keys }, deployment }))
}

/// .NET has its versions side by side, and one program for all.
pub(super) async fn dotnet(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let mut texts = inputs.lines("dotnet-version");
    if texts.is_empty() {
        texts =
            from_files(at, Tool::Dotnet, inputs.get("global-json-file"), &["global.json"]).await?;
    }
    let asked = parse(Tool::Dotnet, &texts)?;
    let program = at.find("dotnet").await;
    let sdks = match &program {
        Some(program) => probe::said(at, program, &["--list-sdks"]).await.unwrap_or_default(),
        None => String::new(),
    };
    let mut found = Vec::new();
    for line in sdks.lines() {
        let Some(version) = line.split_whitespace().next().and_then(Version::parse) else {
            continue;
        };
        let folder = line.split(['[', ']']).nth(1).map(PathBuf::from).unwrap_or_default();
        let home = folder.parent().unwrap_or(Path::new("/")).to_owned();
        let program = program.clone().unwrap_or_default();
        found.push(Found { version, program, home });
    }
    for asked in &asked {
        let picked = asked.pick(found.iter().map(|found| &found.version));
        let picked = picked.ok_or_else(|| absent(at, Tool::Dotnet, "dotnet", asked, &found))?;
        at.say(&format!("dotnet {picked} is used for {}.", asked.text())).await?;
        given.output("dotnet-version", picked.to_string());
        let home = found.iter().find(|found| found.version == *picked).map(|found| &found.home);
        if let Some(home) = home {
            given.set("DOTNET_ROOT", home.display().to_string());
        }
    }
    if program.is_none() {
        return Err(at.not_installed("dotnet").into());
    }
    given.output("cache-hit", "false");
    Ok(Conclusion::Exited(0))
}

/// Actions that put one program on the path.
pub(super) async fn other(
    at: &Attempt,
    action: &str,
    reference: &str,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    if action == "taiki-e/install-action" {
        return install(at, reference, inputs).await;
    }
    let known = OTHERS.iter().find(|(name, ..)| *name == action);
    let (_, program, input) = known.ok_or_else(|| format!("`{action}` is not known"))?;
    let asked = match inputs.get(input).filter(|text| !matches!(*text, "latest" | "stable")) {
        // `v2.x` and an answer of a file are the same to these.
        Some(text) => Some(Asked::parse(Tool::Other, text.trim_start_matches('v'))?),
        None => None,
    };
    let version = one_program(at, program, asked.as_ref()).await?;
    for name in [input, &format!("{program}-version")[..]] {
        given.output(name, version.clone());
    }
    if let (&"uv", Some(python)) = (program, inputs.get("python-version")) {
        given.set("UV_PYTHON", python);
    }
    Ok(Conclusion::Exited(0))
}

/// The program of the `PATH`, if it is of the version that is asked for.
async fn one_program(at: &Attempt, program: &str, asked: Option<&Asked>) -> Result<String, Stop> {
    let path = at.find(program).await.ok_or_else(|| at.not_installed(program))?;
    let mut said = None;
    for args in [&["--version"][..], &["version", "--client"], &["version"]] {
        said = probe::said(at, &path, args).await;
        if said.as_deref().and_then(probe::version_in).is_some() {
            break;
        }
    }
    let version = said.as_deref().and_then(probe::version_in);
    if let Some(asked) = asked {
        let Some(version) = &version else {
            return Err(format!(
                "{program} does not tell its version; {} is asked for",
                asked.text()
            )
            .into());
        };
        if !asked.admits(version) {
            let home = PathBuf::from("/");
            let found = [Found { version: version.clone(), program: path, home }];
            return Err(absent(at, Tool::Other, program, asked, &found).into());
        }
    }
    let version = version.map(|version| version.to_string()).unwrap_or_default();
    let whose = at.whose();
    at.say(&format!("{program} {version} of {whose} is used: {}", path.display())).await?;
    Ok(version)
}

/// The tool is the action's version (`@nextest`), or an input; `name@version`, several of them.
async fn install(at: &Attempt, reference: &str, inputs: &Inputs<'_>) -> Result<Conclusion, Stop> {
    let mut wanted = inputs.list("tool");
    if wanted.is_empty() {
        wanted.push(reference.to_owned());
    }
    for tool in &wanted {
        let (name, version) =
            tool.split_once('@').map_or((&**tool, None), |(name, v)| (name, Some(v)));
        let program = match name {
            "nextest" => "cargo-nextest",
            name => name,
        };
        if program.is_empty() || program.contains(['/', '\0']) {
            return Err(format!("`{tool}` is no name of a program").into());
        }
        let version = version.filter(|version| *version != "latest");
        let asked = version.map(|version| Asked::parse(Tool::Other, version)).transpose()?;
        one_program(at, program, asked.as_ref()).await?;
    }
    Ok(Conclusion::Exited(0))
}
