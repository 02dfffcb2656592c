use std::path::Path;

use grit_pipeline::Conclusion;
use grit_pipeline::builtin::file::{Toolchain, rust_toolchain};
use grit_pipeline::builtin::version::{Asked, Tool, Version};

use super::{Given, Inputs, Stop, probe};
use crate::host::step::Attempt;

const FILES: [&str; 2] = ["rust-toolchain.toml", "rust-toolchain"];

/// The Rust toolchain actions. What is asked for is used by name; rustup of this machine gets it
/// where it is missing, and nothing else stands in for it.
pub(super) async fn run(
    at: &Attempt,
    action: &str,
    reference: &str,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let (wanted, is_from_file) = wanted(at, action, reference, inputs).await?;
    check(&wanted)?;
    match at.find("rustup").await {
        Some(rustup) => {
            let name = by_rustup(at, &rustup, &wanted).await?;
            let overrides = action != "dtolnay/rust-toolchain" || !has_file(at).await?;
            if overrides && !is_from_file {
                given.set("RUSTUP_TOOLCHAIN", name.clone());
            }
            tell(at, &name, given).await?;
        }
        None => {
            without_rustup(at, &wanted).await?;
            tell(at, &wanted.channel, given).await?;
        }
    }
    environment(at, action, inputs, given);
    Ok(Conclusion::Exited(0))
}

/// What is asked for, and whether by a file, which rustup obeys by itself.
async fn wanted(
    at: &Attempt,
    action: &str,
    reference: &str,
    inputs: &Inputs<'_>,
) -> Result<(Toolchain, bool), Stop> {
    let given = inputs.get("toolchain").or_else(|| inputs.get("channel"));
    let by_reference =
        (action == "dtolnay/rust-toolchain" && is_channel(reference)).then_some(reference);
    let mut wanted = Toolchain {
        channel: given.or(by_reference).unwrap_or_default().to_owned(),
        components: inputs.list("components"),
        targets: inputs.list("targets"),
    };
    wanted.targets.extend(inputs.list("target"));
    let spaced = |list: Vec<String>| {
        list.iter().flat_map(|item| item.split_whitespace()).map(str::to_owned).collect()
    };
    (wanted.components, wanted.targets) = (spaced(wanted.components), spaced(wanted.targets));
    if !wanted.channel.is_empty() {
        return Ok((wanted, false));
    }
    for name in FILES {
        if let Some(found) = at.text_of(name).await?.as_deref().and_then(rust_toolchain) {
            at.say(&format!("`{name}` asks for {}.", found.channel)).await?;
            wanted.channel = found.channel;
            wanted.components.extend(found.components);
            wanted.targets.extend(found.targets);
            return Ok((wanted, true));
        }
    }
    if action == "dtolnay/rust-toolchain" && reference == "master" {
        return Err("dtolnay/rust-toolchain@master needs `toolchain`".to_owned().into());
    }
    wanted.channel = "stable".to_owned();
    Ok((wanted, false))
}

fn is_channel(reference: &str) -> bool {
    ["stable", "beta", "nightly"].iter().any(|channel| reference.starts_with(channel))
        || (reference.contains('.') && Version::parse(reference).is_some())
}

async fn has_file(at: &Attempt) -> Result<bool, Stop> {
    for name in FILES {
        if at.text_of(name).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Names become arguments.
fn check(wanted: &Toolchain) -> Result<(), Stop> {
    let is_name = |name: &String| {
        !name.is_empty()
            && !name.starts_with('-')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let mut names = wanted.components.iter().chain(&wanted.targets).chain([&wanted.channel]);
    match names.find(|name| !is_name(name)) {
        None => Ok(()),
        Some(name) if name.contains(' ') => {
            Err(format!("`{name}` depends on what is released when: name the version of Rust")
                .into())
        }
        Some(name) => Err(format!("`{name}` is no name of a toolchain or of a part of one").into()),
    }
}

/// Answers with the toolchain's name, as rustup knows it.
async fn by_rustup(at: &Attempt, rustup: &Path, wanted: &Toolchain) -> Result<String, Stop> {
    let there = installed(at, rustup).await;
    let Some(name) = chosen(at, wanted, &there).await else {
        return install(at, wanted, &there).await;
    };
    let parts = [("component", &wanted.components), ("target", &wanted.targets)];
    for (kind, parts) in parts {
        let listed = [kind, "list", "--installed", "--toolchain", &name];
        let listed = probe::said(at, rustup, &listed).await.unwrap_or_default();
        let is_there = |part: &&String| {
            let beginning = format!("{part}-");
            listed.lines().any(|line| line.trim() == **part || line.starts_with(&beginning))
        };
        let missing: Vec<&String> = parts.iter().filter(|part| !is_there(part)).collect();
        if missing.is_empty() {
            continue;
        }
        let mut words = ["rustup", kind, "add", "--toolchain", &name].map(str::to_owned).to_vec();
        words.extend(missing.iter().map(|part| (*part).clone()));
        if at.execute(words, &[]).await? != Conclusion::Exited(0) {
            let missing: Vec<&str> = missing.iter().map(|part| part.as_str()).collect();
            let missing = missing.join(", ");
            return Err(format!(
                "{missing} of toolchain {name} is not there, and rustup could not add it: \
                 `rustup {kind} add --toolchain {name} {missing}`"
            )
            .into());
        }
    }
    Ok(name)
}

async fn installed(at: &Attempt, rustup: &Path) -> Vec<String> {
    let listed = probe::said(at, rustup, &["toolchain", "list"]).await.unwrap_or_default();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// By name; a number also where an installed one is of that version.
async fn chosen(at: &Attempt, wanted: &Toolchain, there: &[String]) -> Option<String> {
    let channel = &wanted.channel;
    let host = format!("-{}-", std::env::consts::ARCH);
    let is_named = |name: &&String| {
        let rest = name.strip_prefix(channel.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(&host))
    };
    if let Some(name) = there.iter().find(is_named) {
        return Some(name.clone());
    }
    let asked = Asked::parse(Tool::Other, channel).ok()?;
    for name in there {
        let number = name.split('-').next().unwrap_or_default();
        let version = match Version::parse(number) {
            Some(version) => Some(version),
            // What `stable` means today may be the version that is asked for.
            None if number == "stable" => rustc_version(at, Some(name)).await,
            None => None,
        };
        if version.is_some_and(|version| asked.admits(&version)) {
            return Some(name.clone());
        }
    }
    None
}

async fn install(at: &Attempt, wanted: &Toolchain, there: &[String]) -> Result<String, Stop> {
    let channel = &wanted.channel;
    let words =
        ["rustup", "toolchain", "install", channel, "--profile", "minimal", "--no-self-update"];
    let mut words = words.map(str::to_owned).to_vec();
    for (flag, parts) in [("--component", &wanted.components), ("--target", &wanted.targets)] {
        words.extend(parts.iter().flat_map(|part| [flag.to_owned(), part.clone()]));
    }
    at.say(&format!("Rust {channel} is not on this machine: rustup is asked for it.")).await?;
    if at.execute(words, &[]).await? == Conclusion::Exited(0) {
        return Ok(channel.clone());
    }
    Err(format!(
        "Rust {channel} is asked for, and this machine has {}. No other version is used in its \
         place: `rustup toolchain install {channel}`",
        if there.is_empty() { "none".to_owned() } else { there.join(", ") }
    )
    .into())
}

/// A compiler of the system, which is of one version.
async fn without_rustup(at: &Attempt, wanted: &Toolchain) -> Result<(), Stop> {
    let version = rustc_version(at, None).await.ok_or_else(|| at.not_installed("rustc"))?;
    let channel = &wanted.channel;
    let is_it = match channel.as_str() {
        "stable" => version.pre().is_empty(),
        "beta" | "nightly" => version.pre().starts_with(channel.as_str()),
        number => Asked::parse(Tool::Other, number).is_ok_and(|asked| asked.admits(&version)),
    };
    let mut missing = wanted.targets.first();
    for part in wanted.components.iter().rev() {
        let program = if part == "clippy" { "cargo-clippy" } else { part };
        if at.find(program).await.is_none() {
            missing = Some(part);
        }
    }
    match missing {
        None if is_it => Ok(()),
        Some(part) if is_it => Err(format!(
            "`{part}` is asked for, and this machine has no rustup to add it: https://rustup.rs"
        )
        .into()),
        _ => Err(format!(
            "Rust {channel} is asked for, and this machine has {version} and no rustup. No other \
             version is used in its place: https://rustup.rs"
        )
        .into()),
    }
}

async fn rustc_version(at: &Attempt, toolchain: Option<&str>) -> Option<Version> {
    let rustc = at.find("rustc").await?;
    let plus = toolchain.map(|name| format!("+{name}"));
    let args: Vec<&str> = plus.as_deref().into_iter().chain(["--version"]).collect();
    probe::version_in(&probe::said(at, &rustc, &args).await?)
}

async fn tell(at: &Attempt, name: &str, given: &mut Given) -> Result<(), Stop> {
    let rustc = at.find("rustc").await.ok_or_else(|| at.not_installed("rustc"))?;
    let plus = given.env.get("RUSTUP_TOOLCHAIN").map(|name| format!("+{name}"));
    let args: Vec<&str> = plus.as_deref().into_iter().chain(["-vV"]).collect();
    let said = probe::said(at, &rustc, &args).await;
    let said = said.ok_or_else(|| format!("the compiler of {name} does not start"))?;
    let field = |name: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().trim().to_owned()
    };
    let (date, hash) = (field("commit-date:").replace('-', ""), field("commit-hash:"));
    given.output("cachekey", format!("{date}{}", hash.get(..12).unwrap_or_default()));
    given.output("name", name);
    given.output("toolchain", name);
    given.output("rustc-version", field("release:"));
    given.output("rustc", field("release:"));
    at.say(&format!("{} is used.", said.lines().next().unwrap_or(name))).await?;
    Ok(())
}

fn environment(at: &Attempt, action: &str, inputs: &Inputs<'_>, given: &mut Given) {
    let mut unless_set = |name: &str, value: &str| {
        if at.variable(name).is_empty() {
            given.set(name, value);
        }
    };
    unless_set("CARGO_TERM_COLOR", "always");
    if action == "actions-rs/toolchain" {
        return;
    }
    unless_set("CARGO_INCREMENTAL", "0");
    if action == "actions-rust-lang/setup-rust-toolchain" {
        unless_set("CARGO_PROFILE_DEV_DEBUG", "0");
        let flags = inputs.0.get("rustflags").map_or("-D warnings", |flags| flags.trim());
        if !flags.is_empty() {
            unless_set("RUSTFLAGS", flags);
        }
    }
}
