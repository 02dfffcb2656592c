//! The machine's Docker: logging in, emulation, builders.

use std::fs;
use std::path::{Path, PathBuf};

use grit_pipeline::Conclusion;

use super::{Given, Inputs, Stop, probe};
use crate::host::blocking;
use crate::host::step::Attempt;

/// The password comes on the standard input, so that no list of processes shows it.
const LOGIN: &str =
    r#"printf '%s' "$GRIT_PASSWORD" | docker login --username "$1" --password-stdin ${2:+"$2"}"#;

/// What an architecture is called where the kernel keeps its emulators.
const EMULATORS: &[(&str, &str)] = &[
    ("linux/arm64", "qemu-aarch64"),
    ("linux/amd64", "qemu-x86_64"),
    ("linux/arm/v7", "qemu-arm"),
    ("linux/arm/v6", "qemu-arm"),
    ("linux/386", "qemu-i386"),
    ("linux/ppc64le", "qemu-ppc64le"),
    ("linux/s390x", "qemu-s390x"),
    ("linux/riscv64", "qemu-riscv64"),
];

/// Docker, which the machine must have, or the job's container.
pub(super) async fn program(at: &Attempt) -> Result<PathBuf, Stop> {
    let found = at.find("docker").await;
    found.ok_or_else(|| match at.job.inside() {
        Some(_) => Stop::Refused(at.not_installed("docker")),
        None => Stop::Refused(format!("{}: apt-get install docker.io", at.not_installed("docker"))),
    })
}

/// `docker/login-action`: what it stores is the job's, and ends with it.
pub(super) async fn login(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    program(at).await?;
    let (Some(user), Some(password)) = (inputs.get("username"), inputs.get("password")) else {
        return Err("docker/login-action needs `username` and `password`".to_owned().into());
    };
    let registry = inputs.get("registry").unwrap_or_default();
    if user.starts_with('-') || registry.starts_with('-') {
        return Err("a user or a registry does not begin with `-`".to_owned().into());
    }
    let words = ["sh", "-c", LOGIN, "sh", user, registry].map(str::to_owned).to_vec();
    let mut extra = vec![("GRIT_PASSWORD", password.to_owned())];
    if at.variable("DOCKER_CONFIG").is_empty() {
        let folder = at.job.folder.temp().join("docker");
        let (to, home) = (folder.clone(), at.home());
        let made = blocking(move || own_config(&to, &home)).await;
        made.map_err(|error| format!("create {}: {error}", folder.display()))?;
        let folder = folder.display().to_string();
        given.set("DOCKER_CONFIG", folder.clone());
        extra.push(("DOCKER_CONFIG", folder));
    }
    Ok(at.execute(words, &extra).await?)
}

/// Credentials of a job do not stay with the user that Grit runs as; plugins are found all the same.
fn own_config(folder: &Path, home: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let (plugins, link) = (home.join(".docker/cli-plugins"), folder.join("cli-plugins"));
    if plugins.is_dir() && fs::symlink_metadata(&link).is_err() {
        std::os::unix::fs::symlink(plugins, link)?;
    }
    Ok(())
}

/// What is undone after the job's last step.
pub(super) async fn post(
    at: &Attempt,
    action: &str,
    inputs: &Inputs<'_>,
) -> Result<Conclusion, Stop> {
    let builder = at.variable("STATE_builder").to_owned();
    let words: Vec<&str> = match action {
        "docker/login-action" if inputs.get("logout") != Some("false") => {
            ["docker", "logout"].into_iter().chain(inputs.get("registry")).collect()
        }
        "docker/setup-buildx-action" if !builder.is_empty() => {
            vec!["docker", "buildx", "rm", "--force", &builder]
        }
        _ => return Ok(Conclusion::Exited(0)),
    };
    let words = words.into_iter().map(str::to_owned).collect();
    Ok(at.execute(words, &[]).await?)
}

/// `docker/setup-qemu-action`: what the kernel does not emulate yet is registered by Docker.
pub(super) async fn qemu(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let asked = inputs.list("platforms");
    let is_all = asked.is_empty() || asked.iter().any(|platform| platform == "all");
    let there = blocking(emulated).await;
    let full = |platform: &String| match platform.contains('/') {
        true => platform.clone(),
        false => format!("linux/{platform}"),
    };
    let missing: Vec<String> =
        asked.iter().map(full).filter(|platform| !there.contains(platform)).collect();
    given.output("platforms", there.join(","));
    let is_there = if is_all { there.len() > 2 } else { missing.is_empty() };
    if is_there {
        at.say(&format!("This machine runs {}.", there.join(", "))).await?;
        return Ok(Conclusion::Exited(0));
    }
    program(at).await?;
    let image = inputs.or("image", "docker.io/tonistiigi/binfmt:latest");
    let install = if is_all { "all".to_owned() } else { asked.join(",") };
    let words = ["docker", "run", "--rm", "--privileged", image, "--install", &install];
    let ended = at.execute(words.map(str::to_owned).to_vec(), &[]).await?;
    match ended {
        Conclusion::Exited(0) => given.output("platforms", blocking(emulated).await.join(",")),
        Conclusion::Exited(_) if is_all => {
            let text = "no emulator could be registered: images are built for this machine alone";
            at.announce("warning", "setup-qemu", text).await?;
            return Ok(Conclusion::Exited(0));
        }
        Conclusion::Exited(_) => {
            return Err(format!(
                "{} cannot be run on this machine: apt-get install qemu-user-static binfmt-support",
                missing.join(", ")
            )
            .into());
        }
        _ => {}
    }
    Ok(ended)
}

fn emulated() -> Vec<String> {
    let folder = Path::new("/proc/sys/fs/binfmt_misc");
    let is_there = |file: &str| {
        fs::read_to_string(folder.join(file)).is_ok_and(|text| text.starts_with("enabled"))
    };
    let own = match std::env::consts::ARCH {
        "aarch64" => "linux/arm64",
        _ => "linux/amd64",
    };
    let others = EMULATORS.iter().filter(|(_, file)| is_there(file)).map(|(name, _)| *name);
    let mut all: Vec<String> = std::iter::once(own).chain(others).map(str::to_owned).collect();
    all.dedup();
    all
}

/// `docker/setup-buildx-action`.
pub(super) async fn buildx(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let docker = program(at).await?;
    if probe::said(at, &docker, &["buildx", "version"]).await.is_none() {
        let how = "`docker buildx` is not installed: apt-get install docker-buildx";
        return Err(how.to_owned().into());
    }
    let driver = inputs.or("driver", "docker-container");
    given.output("driver", driver);
    if driver == "docker" {
        given.output("name", "default");
        at.say("The builder of the Docker engine is used.").await?;
        return Ok(Conclusion::Exited(0));
    }
    let own = format!("grit-{}-{}", at.spec.job, at.spec.index);
    let name = inputs.get("name").unwrap_or(&own).to_owned();
    let mut words: Vec<String> =
        ["docker", "buildx", "create", "--name", &name, "--driver", driver]
            .map(str::to_owned)
            .to_vec();
    let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    inputs.list("driver-opts").iter().for_each(|option| add("--driver-opt", option));
    for (flag, input) in [
        ("--buildkitd-flags", "buildkitd-flags"),
        ("--buildkitd-config", "buildkitd-config"),
        ("--platform", "platforms"),
    ] {
        if let Some(value) = inputs.get(input) {
            add(flag, value);
        }
    }
    if inputs.get("use") != Some("false") {
        words.push("--use".to_owned());
    }
    words.push("--bootstrap".to_owned());
    words.extend(inputs.get("endpoint").filter(|it| !it.starts_with('-')).map(str::to_owned));
    given.output("name", name.clone());
    if inputs.get("cleanup") != Some("false") {
        given.state.insert("builder".to_owned(), name);
    }
    match at.execute(words, &[]).await? {
        Conclusion::Exited(code) if code != 0 => Err(format!(
            "no builder of the driver `{driver}` could be made; `driver: docker` uses the engine's own"
        )
        .into()),
        ended => Ok(ended),
    }
}
