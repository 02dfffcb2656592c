//! Programs that tests call, and where they come from.

use std::{env, process::Command};

use anyhow::{Result, bail};

use crate::shell;

/// A program that the build or a test needs.
pub struct Tool {
    pub name: &'static str,
    /// Arguments with which it exits 0 when it is there; without any, being found is enough.
    pub probe: &'static [&'static str],
    pub source: Source,
    pub why: &'static str,
}

/// Where a missing tool comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This package of Debian.
    Debian(&'static str),
    /// A line that a person types.
    Typed(&'static str),
}

/// Every tool; a test that needs `NAME` has `needs_NAME` in its path, with `_` for `-`, so that `--without NAME` can leave it out.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "rustc",
        probe: &["--version"],
        source: Source::Typed("curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"),
        why: "the demo's shop is compiled from source by its own pipeline",
    },
    Tool {
        name: "cc",
        probe: &["--version"],
        source: Source::Debian("build-essential"),
        why: "SQLite is compiled from source",
    },
    Tool {
        name: "git",
        probe: &["--version"],
        source: Source::Debian("git"),
        why: "fetch, push and serving go through the git command",
    },
    Tool {
        name: "curl",
        probe: &["--version"],
        source: Source::Debian("curl"),
        why: "an HTTP client that is not ours asks the edge and the server",
    },
    Tool {
        name: "ssh-keygen",
        probe: &[],
        source: Source::Debian("openssh-client"),
        why: "git verifies signatures with it, and its ssh-agent holds keys that sign",
    },
    Tool {
        name: "openssl",
        probe: &["version"],
        source: Source::Debian("openssl"),
        why: "makes the certificate of a git remote that wants a password",
    },
    Tool {
        name: "python3",
        probe: &["--version"],
        source: Source::Debian("python3"),
        why: "serves that remote",
    },
    Tool {
        name: "node",
        probe: &["--version"],
        source: Source::Debian("nodejs"),
        why: "runs actions and hooks that are written for it",
    },
    Tool {
        name: "pip",
        probe: &["download", "--quiet", "--no-deps", "--dest", "target/pip", "codespell==2.3.0"],
        source: Source::Typed("pip config set global.index-url URL   # of a registry that answers"),
        why: "installs hooks from the registry of Python's packages",
    },
    Tool {
        name: "npm",
        probe: &["view", "prettier@3.1.0", "version"],
        source: Source::Typed("npm config set registry URL   # of a registry that answers"),
        why: "installs hooks from the registry of Node's packages",
    },
    Tool {
        name: "strace",
        probe: &["-V"],
        source: Source::Debian("strace"),
        why: "proves fsync before rename before acknowledgement, and injects disk faults",
    },
    Tool {
        name: "docker",
        probe: &["--version"],
        source: Source::Debian("docker.io"),
        why: "steps of jobs build and push images with it",
    },
    Tool {
        name: "dockerd",
        probe: &["--version"],
        source: Source::Debian("docker.io"),
        why: "the engine of jobs in containers, of services and of container actions",
    },
    Tool {
        name: "busybox",
        probe: &["true"],
        source: Source::Debian("busybox-static"),
        why: "the one program in the images of those tests",
    },
    Tool {
        name: "docker-registry",
        probe: &["--version"],
        source: Source::Debian("docker-registry"),
        why: "what a job's images are pushed to",
    },
    Tool {
        name: "pg_lsclusters",
        probe: &[],
        source: Source::Debian("postgresql"),
        why: "its PostgreSQL is put into the image of a service",
    },
    Tool {
        name: "setpriv",
        probe: &["--version"],
        source: Source::Debian("util-linux"),
        why: "takes from root the right to write everywhere",
    },
    Tool {
        name: "unshare",
        probe: &["--mount", "--map-root-user", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        source: Source::Typed("sysctl -w kernel.unprivileged_userns_clone=1   # or as root"),
        why: "gives a test a small disk of its own, which fills up",
    },
];

/// Makes sure that every tool is there, except those in `without`; installs what is missing when it may.
///
/// # Errors
/// A tool is missing and cannot be installed from here; the text is what to type.
pub fn ensure(without: &[String]) -> Result<()> {
    let wanted = TOOLS.iter().filter(|tool| !without.iter().any(|name| name == tool.name));
    let still = provide(wanted)?;
    if still.is_empty() {
        return Ok(());
    }
    let each: Vec<String> = still.iter().map(|tool| format!("--without {}", tool.name)).collect();
    bail!("{}\nor go without: cargo xtask test {}", advice(&still), each.join(" "))
}

/// The same for tools that tests do not need, and without which there is no going on.
///
/// # Errors
/// As [`ensure`].
pub fn need(tools: &'static [Tool]) -> Result<()> {
    let still = provide(tools.iter())?;
    if still.is_empty() { Ok(()) } else { bail!("{}", advice(&still)) }
}

/// Installs what is missing when it may; what is missing still.
fn provide(wanted: impl Iterator<Item = &'static Tool>) -> Result<Vec<&'static Tool>> {
    let missing: Vec<&Tool> = wanted.filter(|tool| !is_there(tool)).collect();
    for tool in &missing {
        println!("tools: {} is missing ({})", tool.name, tool.why);
    }
    let packages: Vec<&str> = missing.iter().filter_map(|tool| package(tool.source)).collect();
    if !packages.is_empty() && may_install() {
        install(&packages)?;
    }
    Ok(missing.into_iter().filter(|tool| !is_there(tool)).collect())
}

fn is_there(tool: &Tool) -> bool {
    match tool.probe {
        [] => shell::quiet("sh", &["-c", "command -v \"$0\"", tool.name]),
        probe => shell::is_quiet_success(command(tool.name).args(probe)),
    }
}

/// The tool, found where Debian keeps servers as well: their folder is not in everybody's PATH.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default()));
    command
}

fn package(source: Source) -> Option<&'static str> {
    match source {
        Source::Debian(package) => Some(package),
        Source::Typed(_) => None,
    }
}

fn may_install() -> bool {
    let root =
        Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0");
    root && shell::quiet("apt-get", &["--version"])
}

fn install(packages: &[&str]) -> Result<()> {
    for step in [&["update", "-qq"][..], &["install", "-qq", "--yes", "--no-install-recommends"]] {
        let mut command = Command::new("apt-get");
        // A server is wanted as a program: in run level 1 Debian does not start it as a service.
        command.args(step).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        if step[0] == "install" {
            command.args(packages);
            println!("tools: installing {} from Debian", packages.join(" "));
        } else {
            println!("tools: apt-get update");
        }
        // A failure shows in the probe that follows, which knows what is still missing.
        shell::shown(&mut command)?;
    }
    Ok(())
}

fn advice(missing: &[&Tool]) -> String {
    let packages: Vec<&str> = missing.iter().filter_map(|tool| package(tool.source)).collect();
    let mut lines = Vec::new();
    if !packages.is_empty() {
        lines.push(format!("sudo apt-get install -y {}", packages.join(" ")));
    }
    lines.extend(missing.iter().filter_map(|tool| match tool.source {
        Source::Debian(_) => None,
        Source::Typed(line) => Some(line.to_owned()),
    }));
    let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
    format!("{} missing; type:\n  {}", names.join(", "), lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Tool = Tool {
        name: "no-such-program-anywhere",
        probe: &["--version"],
        source: Source::Debian("none"),
        why: "a test",
    };

    #[test]
    fn a_missing_tool_is_noticed_and_the_line_to_type_named() {
        assert!(!is_there(&ABSENT));
        let advice = advice(&[&ABSENT]);
        assert!(advice.contains("sudo apt-get install -y none"), "{advice}");
        assert!(advice.contains("no-such-program-anywhere missing"), "{advice}");
        assert!(!is_there(&Tool { probe: &[], ..ABSENT }));
    }

    #[test]
    fn this_build_had_a_compiler() {
        assert!(is_there(&TOOLS[0]), "rustc compiled this test");
        assert!(is_there(&Tool { name: "rustc", probe: &[], ..ABSENT }));
    }
}
