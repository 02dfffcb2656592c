//! Everything, in order, up to the first failure. The last line is `P passed, F failed`, alone.

use std::process::ExitCode;

use crate::{
    cases::{self, Outcome},
    cli::Which,
    layers,
    repo::Repo,
    shell, tidy, tools,
};

/// What every step is given.
struct Job<'a> {
    repo: &'a Repo,
    without: &'a [String],
}

/// What has been seen so far.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    /// What was left out, each with the reason.
    not_run: Vec<String>,
    cases_not_run: bool,
}

/// A step that failed, and what to type to see it again.
struct Failure {
    why: Option<anyhow::Error>,
    repeat: String,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { why: Some(error), repeat: "cargo xtask test".into() }
    }
}

/// As many as it takes for everything that it knows to occur.
const SIM_SEEDS: u64 = 200;

type Step = fn(&Job<'_>, &mut Tally) -> Result<(), Failure>;

const STEPS: &[(&str, Step)] = &[
    ("fmt", fmt),
    ("tidy", tidy),
    ("tools", find_tools),
    ("clippy", clippy),
    ("clippy, pure layers", clippy_pure),
    ("build", build),
    ("README commands", readme),
    ("tests", tests),
    ("simulation", simulate),
    ("cases", run_cases),
];

/// Prints what each step shows, then what failed, what did not run, and the count.
pub fn run(repo: &Repo, without: &[String]) -> ExitCode {
    let job = Job { repo, without };
    let mut tally = Tally::default();
    let mut steps = STEPS.iter();
    let stopped = steps.by_ref().find_map(|(name, step)| {
        println!("== {name}");
        step(&job, &mut tally).err().map(|failure| (*name, failure))
    });
    let skipped: Vec<&str> = steps.map(|(name, _)| *name).collect();
    close(tally, stopped, &skipped)
}

/// The last lines: what failed, what did not run, the count.
fn close(mut tally: Tally, stopped: Option<(&str, Failure)>, skipped: &[&str]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    if let Some((name, failure)) = stopped {
        code = ExitCode::FAILURE;
        tally.failed = tally.failed.max(1);
        if let Some(why) = failure.why {
            println!("{why:#}");
        }
        println!("\nFAILED at {name}; again: {}", failure.repeat);
        if !skipped.is_empty() {
            tally.not_run.push(format!("{} (stopped at {name})", skipped.join(", ")));
        }
    }
    for what in &tally.not_run {
        println!("not run: {what}");
    }
    if tally.cases_not_run {
        println!("{}", cases::NOT_RUN);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    code
}

fn verdict(ok: bool, repeat: &str) -> Result<(), Failure> {
    if ok { Ok(()) } else { Err(Failure { why: None, repeat: repeat.into() }) }
}

fn cargo(job: &Job<'_>, args: &[&str], repeat: &str) -> Result<(), Failure> {
    verdict(shell::shown(&mut job.repo.cargo(args))?, repeat)
}

fn fmt(job: &Job<'_>, _: &mut Tally) -> Result<(), Failure> {
    cargo(job, &["fmt", "--all", "--check"], "cargo fmt --all")
}

fn tidy(job: &Job<'_>, _: &mut Tally) -> Result<(), Failure> {
    verdict(tidy::check(job.repo)?.report(), "cargo xtask tidy")
}

fn find_tools(job: &Job<'_>, tally: &mut Tally) -> Result<(), Failure> {
    tools::ensure(job.without)?;
    let left_out = |name: &String| format!("tests that need {name} (--without {name})");
    tally.not_run.extend(job.without.iter().map(left_out));
    Ok(())
}

fn clippy(job: &Job<'_>, _: &mut Tally) -> Result<(), Failure> {
    let args = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    cargo(job, &args, "cargo clippy --workspace --all-targets -- -D warnings")
}

/// The bans of clippy.toml, for the crates that only decide. Tests may open files, so only the libraries are asked.
fn clippy_pure(job: &Job<'_>, _: &mut Tally) -> Result<(), Failure> {
    let mut args = vec!["clippy", "--lib", "--quiet"];
    args.extend(layers::pure_crates().flat_map(|name| ["-p", name]));
    args.extend(["--", "-D", "clippy::disallowed_methods", "-D", "clippy::disallowed_types"]);
    cargo(job, &args, &format!("cargo {}", args.join(" ")))
}

fn build(job: &Job<'_>, _: &mut Tally) -> Result<(), Failure> {
    cargo(job, &["build", "--quiet", "--package=grit"], "cargo build -p grit")
}

fn readme(job: &Job<'_>, _: &mut Tally) -> Result<(), Failure> {
    let mut findings = tidy::Findings::default();
    tidy::readme_commands(job.repo, &mut findings)?;
    verdict(findings.report(), "cargo xtask tidy")
}

fn tests(job: &Job<'_>, tally: &mut Tally) -> Result<(), Failure> {
    let mut args = vec!["test".to_owned(), "--workspace".into(), "--no-fail-fast".into()];
    if !job.without.is_empty() {
        args.push("--".into());
        args.extend(job.without.iter().flat_map(|name| ["--skip".into(), path_of(name)]));
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let told = shell::tee(&mut job.repo.cargo(&words))?;
    let counts = counts(&told.stdout);
    tally.passed += counts.passed;
    tally.failed += counts.failed;
    if counts.ignored > 0 {
        tally.not_run.push(format!("{} ignored tests", counts.ignored));
    }
    let ok = told.status.success() && counts.failed == 0 && counts.passed > 0;
    verdict(ok, &format!("cargo {}", args.join(" ")))
}

/// What the paths of tests that need this tool contain.
fn path_of(tool: &str) -> String {
    format!("needs_{}", tool.replace('-', "_"))
}

/// The profile that the tests were built with: a release build would take longer than it saves.
fn simulate(job: &Job<'_>, _: &mut Tally) -> Result<(), Failure> {
    let seeds = SIM_SEEDS.to_string();
    let args =
        ["run", "--quiet", "--package=grit-control", "--example=sim", "--", "--seeds", &seeds];
    cargo(job, &args, &format!("cargo xtask sim --seeds {seeds}"))
}

fn run_cases(job: &Job<'_>, tally: &mut Tally) -> Result<(), Failure> {
    match cases::try_suites(job.repo, &Which::All)? {
        Outcome::NotRun => {
            tally.cases_not_run = true;
            Ok(())
        }
        Outcome::Ran { score, red, unread } => {
            tally.passed += score.passed;
            tally.failed += score.failed;
            if score.skipped > 0 {
                tally.not_run.push(format!("{} cases on skip lists", score.skipped));
            }
            if !unread.is_empty() {
                tally.not_run.push(format!("cases without an engine: {}", unread.join(", ")));
            }
            verdict(
                red.is_empty(),
                &format!("cargo xtask cases {}", red.first().unwrap_or(&"--all")),
            )
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// The sum of all `test result:` lines.
fn counts(stdout: &str) -> Counts {
    let mut sum = Counts::default();
    for line in stdout.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        for part in line.split([';', '.']) {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => sum.passed += number,
                "failed" => sum.failed += number,
                "ignored" => sum.ignored += number,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_are_summed() {
        let stdout = "\
running 3 tests
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 12.34s
";
        assert_eq!(counts(stdout), Counts { passed: 13, failed: 2, ignored: 1 });
    }

    #[test]
    fn a_tool_is_in_the_path_of_a_test_as_rust_can_write_it() {
        assert_eq!(path_of("setpriv"), "needs_setpriv");
        assert_eq!(path_of("ssh-keygen"), "needs_ssh_keygen");
    }

    #[test]
    fn a_stop_is_never_green() {
        let stopped = Some(("fmt", Failure { why: None, repeat: "cargo fmt --all".into() }));
        assert_eq!(close(Tally::default(), stopped, &["tests"]), ExitCode::FAILURE);
        assert_eq!(close(Tally { passed: 1, ..Tally::default() }, None, &[]), ExitCode::SUCCESS);
    }
}
