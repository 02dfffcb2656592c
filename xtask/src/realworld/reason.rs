//! Why a job does not run on this machine: told from what its author wrote, before anything is run.

use std::fmt;

use super::{
    machine::{Machine, has_program},
    planned::{Job, Step},
};

/// The order is that of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    System(String),
    Toolchain(String),
    Part(String),
    Action(String),
    Called(String),
    Tool(String),
    Machine(String),
    Network(String),
    Container,
    Condition,
    Needs,
    Unplanned(String),
    /// It could run; but no command of it runs tests.
    NoTest,
    /// It ran, and there was no test in it.
    Empty,
    /// It could run; but nobody wrote down what it comes to by hand.
    Unlisted(String),
}

impl Reason {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::System(_) => "another system",
            Self::Toolchain(_) => "toolchain not installed",
            Self::Part(_) => "component or target not installed",
            Self::Action(_) => "action from the network",
            Self::Called(_) => "workflow from the network",
            Self::Tool(_) => "tool not installed",
            Self::Machine(_) => "would change this machine",
            Self::Network(_) => "needs a service",
            Self::Container => "needs an image from the network",
            Self::Condition => "its own condition",
            Self::Needs => "needs a job that does not run here",
            Self::Unplanned(_) => "workflow is not planned",
            Self::NoTest => "no command runs tests",
            Self::Empty => "ran, and no test was executed",
            Self::Unlisted(_) => "no command by hand is listed",
        }
    }

    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::System(what) | Self::Toolchain(what) | Self::Part(what) | Self::Action(what) => {
                Some(what)
            }
            Self::Called(what) | Self::Tool(what) | Self::Machine(what) | Self::Network(what) => {
                Some(what)
            }
            Self::Unplanned(what) | Self::Unlisted(what) => Some(what),
            Self::Container | Self::Condition | Self::Needs | Self::NoTest | Self::Empty => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail() {
            Some(detail) => write!(f, "{}: {detail}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// Actions that Grit does itself.
const BUILT_IN: &[&str] = &[
    "actions/cache",
    "actions/checkout",
    "actions/download-artifact",
    "actions/github-script",
    "actions/setup-node",
    "actions/setup-python",
    "actions/upload-artifact",
    "actions-rs/toolchain",
    "actions-rust-lang/setup-rust-toolchain",
    "codecov/codecov-action",
    "dtolnay/rust-toolchain",
    "moonrepo/setup-rust",
    "Swatinem/rust-cache",
    "taiki-e/install-action",
];

/// Of Cargo itself; every other one is a program of its own.
const OF_CARGO: &[&str] = &[
    "add",
    "b",
    "bench",
    "build",
    "c",
    "check",
    "clean",
    "clippy",
    "d",
    "doc",
    "fetch",
    "fix",
    "fmt",
    "generate-lockfile",
    "init",
    "install",
    "login",
    "metadata",
    "new",
    "package",
    "publish",
    "r",
    "remove",
    "run",
    "rustc",
    "rustdoc",
    "search",
    "t",
    "test",
    "tree",
    "uninstall",
    "update",
    "vendor",
    "version",
];

/// `None`: it runs here, and runs tests.
pub fn why_not(job: &Job, all: &[Job], machine: &Machine) -> Option<Reason> {
    if let Some(reason) = own(job, machine) {
        return Some(reason);
    }
    let is_hard = |need: &&String| {
        let mut them = all.iter().filter(|other| other.file == job.file && other.key == **need);
        them.any(|other| {
            why_not(other, all, machine).is_some_and(|reason| reason != Reason::NoTest)
        })
    };
    if job.needs.iter().any(|need| is_hard(&need)) {
        return Some(Reason::Needs);
    }
    let runs_tests =
        |step: &Step| matches!(step, Step::Run(script) if commands(script).any(|it| is_test(&it)));
    (!job.steps.iter().any(runs_tests)).then_some(Reason::NoTest)
}

fn own(job: &Job, machine: &Machine) -> Option<Reason> {
    let label = job.labels.first().map_or("", String::as_str);
    if job.called.is_none() && (!label.starts_with("ubuntu") || label.contains("arm")) {
        return Some(Reason::System(label.to_owned()));
    }
    if let Some(called) = &job.called {
        return Some(Reason::Called(called.clone()));
    }
    if job.has_container {
        return Some(Reason::Container);
    }
    if job.skipped.is_some() {
        return Some(Reason::Condition);
    }
    let reason = |step: &Step| match step {
        Step::Uses { action, with } => of_action(action, with, machine),
        Step::Run(script) => of_script(script, machine),
    };
    job.steps.iter().find_map(reason)
}

fn of_action(action: &str, with: &[(String, String)], machine: &Machine) -> Option<Reason> {
    if action.starts_with("./") {
        return None;
    }
    let (name, version) = action.split_once('@').unwrap_or((action, ""));
    let owner: Vec<&str> = name.splitn(3, '/').take(2).collect();
    if !BUILT_IN.contains(&owner.join("/").as_str()) {
        return Some(Reason::Action(name.to_owned()));
    }
    let value = |wanted: &str| {
        with.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    match name {
        "taiki-e/install-action" => {
            let tool = value("tool").unwrap_or(version);
            let program = tool.split(['@', ',']).next().unwrap_or_default();
            let is_there = has_program(program) || has_program(&format!("cargo-{program}"));
            (!is_there).then(|| Reason::Tool(program.to_owned()))
        }
        "dtolnay/rust-toolchain"
        | "actions-rs/toolchain"
        | "actions-rust-lang/setup-rust-toolchain" => {
            let default = if name.starts_with("dtolnay") { version } else { "stable" };
            of_toolchain(value("toolchain").unwrap_or(default), value, machine)
        }
        _ => None,
    }
}

fn of_toolchain<'a>(
    wanted: &str,
    value: impl Fn(&str) -> Option<&'a str>,
    machine: &Machine,
) -> Option<Reason> {
    let Some(toolchain) = machine.toolchain(wanted) else {
        return Some(Reason::Toolchain(wanted.to_owned()));
    };
    let parts = ["component", "components", "target", "targets"].into_iter().filter_map(value);
    let mut parts = parts.flat_map(|parts| parts.split([',', ' ', '\n'])).map(str::trim);
    let missing = parts.find(|part| !part.is_empty() && !machine.has_part(toolchain, part))?;
    Some(Reason::Part(missing.to_owned()))
}

fn of_script(script: &str, machine: &Machine) -> Option<Reason> {
    commands(script).find_map(|words| of_command(&words, machine))
}

fn of_command(words: &[&str], machine: &Machine) -> Option<Reason> {
    let [program, rest @ ..] = words else { return None };
    let said = || words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    match *program {
        "rustup" if !matches!(rest, ["show" | "which" | "--version", ..]) => {
            Some(Reason::Machine(said()))
        }
        "sudo" | "apt" | "apt-get" | "apk" | "brew" | "pip" | "npm" => {
            Some(Reason::Machine((*program).to_owned()))
        }
        "curl" | "wget" | "gh" => Some(Reason::Network((*program).to_owned())),
        "git" if matches!(rest, ["clone" | "push" | "fetch" | "pull", ..]) => {
            Some(Reason::Network(said()))
        }
        "cargo" => of_cargo(rest, machine),
        _ => None,
    }
}

fn of_cargo(words: &[&str], machine: &Machine) -> Option<Reason> {
    let (toolchain, command) = subcommand(words);
    let missing = toolchain.filter(|name| machine.toolchain(name).is_none());
    if let Some(name) = missing {
        return Some(Reason::Toolchain(name.to_owned()));
    }
    match command? {
        "install" => Some(Reason::Machine("cargo install".to_owned())),
        "publish" | "login" | "add" => Some(Reason::Network(format!("cargo {}", command?))),
        "miri" => {
            let there = toolchain.and_then(|name| machine.toolchain(name));
            let has = there.is_some_and(|name| machine.has_part(name, "miri"));
            (!has).then(|| Reason::Tool("cargo miri".to_owned()))
        }
        name if OF_CARGO.contains(&name) || name.starts_with('$') => None,
        name => {
            (!has_program(&format!("cargo-{name}"))).then(|| Reason::Tool(format!("cargo {name}")))
        }
    }
}

fn is_test(words: &[&str]) -> bool {
    let ["cargo", rest @ ..] = words else { return false };
    matches!(subcommand(rest).1, Some("test" | "t" | "nextest")) && !rest.contains(&"--no-run")
}

/// The toolchain and the subcommand of a call of Cargo.
fn subcommand<'a>(words: &[&'a str]) -> (Option<&'a str>, Option<&'a str>) {
    let (mut toolchain, mut words) = (None, words.iter().copied());
    while let Some(word) = words.next() {
        match word {
            "-Z" | "--config" | "--color" => {
                words.next();
            }
            word if word.starts_with('+') => toolchain = Some(&word[1..]),
            word if word.starts_with('-') => {}
            word => return (toolchain, Some(word)),
        }
    }
    (toolchain, None)
}

/// The simple commands of a script, roughly: each begins a line or stands behind `&&`, `||`, `;`, `|`, `(`, `then`, `do` or
/// values of variables.
fn commands(script: &str) -> impl Iterator<Item = Vec<&str>> {
    let is_value = |word: &&str| {
        let name = word.split_once('=').map(|(name, _)| name).unwrap_or_default();
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain || matches!(*word, "then" | "do" | "else" | "if" | "!" | "time" | "exec" | "env")
    };
    let lines = script.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .flat_map(|line| line.split(['&', '|', ';', '(']))
        .map(move |part| part.split_whitespace().skip_while(is_value).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realworld::list::Matrix;

    fn job(label: &str, steps: Vec<Step>) -> Job {
        Job {
            file: "ci.yml".into(),
            key: "test".into(),
            matrix: Matrix::new(),
            needs: Vec::new(),
            labels: vec![label.into()],
            has_container: false,
            called: None,
            skipped: None,
            steps,
        }
    }

    fn toolchain(name: &str, part: &str) -> Step {
        let with = vec![("toolchain".into(), name.into()), ("components".into(), part.into())];
        Step::Uses { action: "dtolnay/rust-toolchain@master".into(), with }
    }

    #[test]
    fn a_job_is_told_why_it_does_not_run_here() {
        let machine = Machine::of(&[(
            "stable-x86_64-unknown-linux-gnu",
            &["clippy-x86_64-unknown-linux-gnu"],
        )]);
        let why = |label: &str, steps: Vec<Step>| {
            let all = [job(label, steps)];
            why_not(&all[0], &all, &machine)
        };
        let run = |script: &str| Step::Run(script.to_owned());
        let here = |steps: Vec<Step>| why("ubuntu-latest", steps);
        assert_eq!(
            here(vec![toolchain("stable", "clippy"), run("A=1 cargo +stable -v test --all")]),
            None
        );
        assert_eq!(why("macos-14", vec![]), Some(Reason::System("macos-14".into())));
        assert_eq!(here(vec![toolchain("1.60.0", "")]), Some(Reason::Toolchain("1.60.0".into())));
        assert_eq!(here(vec![toolchain("stable", "miri")]), Some(Reason::Part("miri".into())));
        assert_eq!(here(vec![run("cd x && cargo build\ncargo doc --test")]), Some(Reason::NoTest));
        assert_eq!(
            here(vec![run("rustup default nightly")]),
            Some(Reason::Machine("rustup default".into()))
        );
        assert_eq!(
            here(vec![run("cargo no-such-tool test")]),
            Some(Reason::Tool("cargo no-such-tool".into()))
        );
        assert_eq!(here(vec![run("cargo +beta test")]), Some(Reason::Toolchain("beta".into())));
        let uses = Step::Uses { action: "some/body/part@v1".into(), with: vec![] };
        assert_eq!(here(vec![uses]), Some(Reason::Action("some/body/part".into())));
    }

    #[test]
    fn a_job_waits_for_what_it_needs() {
        let machine = Machine::of(&[]);
        let mut needed = job("windows-latest", vec![]);
        needed.key = "first".into();
        let mut second = job("ubuntu-latest", vec![Step::Run("cargo test".into())]);
        second.needs = vec!["first".into()];
        let all = [needed, second];
        assert_eq!(why_not(&all[1], &all, &machine), Some(Reason::Needs));
    }
}
