//! The example repository, with seconds for minutes.

use std::path::{Path, PathBuf};

use grit_git::Git;

use crate::cli::args::Fault;
use crate::exit::Failure;

/// The fault begins after so many requests of an instance. At 5 % it gets ten a second for two
/// seconds, at 20 % forty: it is healthy at the one, and not at the other.
const FAULT_AFTER: u32 = 30;
/// What is ten minutes at each step. The longest is at 20 %, where something goes wrong: whatever
/// finds it finds it there.
const PAUSES: [&str; 3] = ["duration: 2s", "duration: 5s", "duration: 2s"];
/// The analysis looks each second, and the third bad look is one too many: the guard, if it can see
/// the fault, is faster.
const ANALYSIS: &str = "        interval: 1s\n        minRequests: 3\n        failureLimit: 2\n";
const GUARD: &str = "      guard: { errorRate: 20, window: 2s, minRequests: 20 }\n";
const NO_GUARD: &str = "      guard: off\n";

/// Whether a release is watched by the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    On,
    Off,
}

/// A clone of the shop in which releases are made.
pub struct Shop {
    folder: PathBuf,
}

impl Shop {
    /// Writes the shop into `folder`, and makes a repository of it.
    pub fn make(folder: PathBuf, hosted: &Path) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::because("the example cannot be written", &error);
        crate::example::write(&folder).map_err(failed)?;
        let config = folder.join("grit.yaml");
        let text = std::fs::read_to_string(&config).map_err(failed)?;
        std::fs::write(&config, hurried(&text)).map_err(failed)?;
        let shop = Self { folder };
        shop.git(Git::new("init").flag("--quiet").option("--initial-branch=", "main"))?;
        shop.git(Git::new("remote").flag("add").operand("origin").operand(hosted))?;
        Ok(shop)
    }

    /// Commits what was changed, as a version.
    pub fn commit(&self, version: &str) -> Result<(), Failure> {
        self.git(Git::new("add").flag("--all"))?;
        let author = ["user.name=Demo", "user.email=demo@localhost", "commit.gpgsign=false"];
        let commit = author.into_iter().fold(Git::new("commit"), Git::setting);
        self.git(commit.flag("--quiet").option("--message=", format!("api: version {version}")))?;
        self.git(Git::new("tag").operand(format!("v{version}")))
    }

    /// Gives the api another version, a fault, and a guard or none.
    pub fn release(&self, version: &str, fault: Fault, guard: Guard) -> Result<(), Failure> {
        let api = self.folder.join("services/api");
        let failed =
            |error: std::io::Error| Failure::because("the release cannot be written", &error);
        std::fs::write(api.join("VERSION"), format!("{version}\n")).map_err(failed)?;
        let path = api.join("shop.conf");
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let text = text
            .replace("fault = none", &format!("fault = {}", name(fault)))
            .replace("fault.after = 0", &format!("fault.after = {FAULT_AFTER}"));
        std::fs::write(&path, text).map_err(failed)?;
        let path = self.folder.join("grit.yaml");
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        std::fs::write(&path, guarded(&text, guard)).map_err(failed)?;
        self.commit(version)
    }

    /// Pushes the branch and the tag, as whoever owns the token.
    pub async fn push(&self, version: &str, token: &str) -> Result<(), Failure> {
        let push = Git::new("push").worktree(&self.folder).flag("--quiet");
        let tag = format!("refs/tags/v{version}");
        let push = push.operand("origin").operand("HEAD:refs/heads/main").operand(tag);
        let mut command = tokio::process::Command::from(push.into_command());
        command.env("GRIT_TOKEN", token).stdin(std::process::Stdio::null());
        let output = command.output().await;
        let output = output.map_err(|error| Failure::because("git cannot be started", &error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::environment(format!("the push was refused: {said}")))
    }

    fn git(&self, git: Git) -> Result<(), Failure> {
        let done = git.worktree(&self.folder).run();
        done.map(drop).map_err(|error| crate::cli::git_failure(&error))
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::None => "none",
        Fault::Errors => "errors",
        Fault::Latency => "latency",
        Fault::Hang => "hang",
        Fault::Crash => "crash",
    }
}

/// Seconds for minutes.
fn hurried(text: &str) -> String {
    let quick = "strategies:\n  quick: { rolling: { soak: 500ms } }\n";
    let text = text
        .replace("strategy: rolling", "strategy: quick")
        .replace("strategies:\n", quick)
        .replace("        interval: 10s\n        failureLimit: 1\n", ANALYSIS)
        .replace(GUARD, &format!("{GUARD}      soak: 1s\n"))
        .replace("interval: 500ms", "interval: 200ms")
        .replace("      replicas: 2\n", "      replicas: 2\n      requestTimeout: 1s\n");
    PAUSES.iter().fold(text, |text, pause| text.replacen("duration: 10m", pause, 1))
}

fn guarded(text: &str, guard: Guard) -> String {
    match guard {
        Guard::On => text.replace(NO_GUARD, GUARD),
        Guard::Off => text.replace(GUARD, NO_GUARD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_diag::Source;

    #[test]
    fn the_hurried_configuration_is_one_and_says_what_it_should() {
        let text = include_str!("../../../../examples/shop/grit.yaml");
        let mut hurried = hurried(text);
        for guard in [Guard::On, Guard::Off, Guard::On] {
            hurried = guarded(&hurried, guard);
            let source = Source::new("grit.yaml", hurried.clone());
            let (config, findings) = grit_rollout::config::parse(&source);
            assert!(findings.is_empty(), "{}\n{hurried}", grit_diag::render::plain(&findings));
            let config = config.unwrap();
            let production = config.environment(&"production".parse().unwrap()).unwrap();
            assert_eq!(production.strategy.guard().is_some(), guard == Guard::On);
            assert_eq!(production.strategy.soak(), std::time::Duration::from_secs(1));
            let analysis = production.strategy.analysis().unwrap();
            assert_eq!(analysis.interval, std::time::Duration::from_secs(1));
            assert_eq!(analysis.failure_limit, 2);
            assert_eq!(PAUSES.map(|pause| hurried.contains(pause)), [true; 3]);
            let staging = config.environment(&"staging".parse().unwrap()).unwrap();
            assert_eq!(staging.strategy.soak(), std::time::Duration::from_millis(500));
        }
    }
}
