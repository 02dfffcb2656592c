use std::fmt;

use crate::{bench, plant, realworld, sim, tools, torture};

pub const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--without TOOL]...         everything, in order, up to the first failure; what CI runs
  tidy                             layers, sizes, forbidden words and dependencies, documents
  plant NAME | --all | --list      does the guard see the bug planted by xtask/plants/NAME.patch?
        [--verify-clean]           run the check without the bug as well; it must pass
  sim [--seed N] [--seeds COUNT] [--trace LINES]
                                   deterministic simulation, COUNT seeds from N on
  cases NAME | --all               the collected cases in the folder that GRIT_CASES names
  bench edge [--rounds N]          the edge beside nginx and haproxy: CPU per request, throughput, p99
        [--seconds S]              of load on each in each round
        [--binary PATH]            a `grit` that is there already, instead of this checkout's
  bench weights [--changes N]      weight changes under load: what is lost, and how true the split is
        [--rate PER_SECOND] [--binary PATH]
  bench tracker [--issues N]       the tracker beside grite, with 1,000 issues and with N
        [--rounds N] [--binary PATH] [--grite PATH]
  bench pipeline [--rounds N]      `grit run` beside sh, wrkflw and gitlab-ci-local: first step, steps, jobs, log, cache
        [--binary PATH] [--wrkflw PATH] [--gitlab-ci-local PATH]
  torture controller | edge        kills `grit serve`, or the edge, at seeded random moments under load
  torture runs                     kills `grit serve` while it runs 20 jobs
        [--kills K] [--seed S]
        [--binary PATH]
  torture locks [--rounds N]       contenders for named locks: killed, stopped, with wrong clocks, a remote that
        [--arenas N] [--races N]   drops replies or is away; then `repo:` against `deploy:`
        [--seed S] [--binary PATH]
  torture sync [--clones N]        clones that create alone and sync at once; CI jobs; processes in one clone
        [--events N] [--runners N] [--binary PATH]
  torture ledger [--every-call]    create, sync and acquire, killed at their file system calls; their order; full disks
        [--only kills|order|full] [--jobs N] [--binary PATH]
  realworld [--crates N]           40 published packages' own workflows, every job that this machine can run, and a
        [--only NAME]... [--django] Django project: under `grit run` and by hand
        [--jobs N] [--minutes N] [--binary PATH]";

/// What the words after `cargo xtask` ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Test { without: Vec<String> },
    Tidy,
    Plant(plant::Request),
    Sim(sim::Seeds),
    Cases(Which),
    Bench(bench::Request),
    Torture(torture::Request),
    TortureLedger(torture::ledger::Settings),
    TortureLocks(torture::locks::Settings),
    TortureSync(torture::sync::Settings),
    Realworld(realworld::Settings),
}

/// One of a kind by name, or all there are.
#[derive(Debug, PartialEq, Eq)]
pub enum Which {
    All,
    One(String),
}

/// The words do not parse; the text names the first that does not.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// # Errors
/// The first word that has no meaning where it stands.
pub fn parse(words: &[String]) -> Result<Command, UsageError> {
    let Some((name, rest)) = words.split_first() else {
        return Err(UsageError("no command given".into()));
    };
    let mut rest = Words(rest.iter());
    match name.as_str() {
        "help" | "--help" | "-h" => Ok(Command::Help),
        "test" => test(&mut rest),
        "tidy" => rest.end().map(|()| Command::Tidy),
        "plant" => plant(&mut rest),
        "sim" => sim(&mut rest),
        "cases" => cases(&mut rest),
        "bench" => bench(&mut rest),
        "torture" => torture(&mut rest),
        "realworld" => realworld(&mut rest),
        other => Err(UsageError(format!("no command `{other}`"))),
    }
}

/// The words after the command, taken from the front.
struct Words<'a>(std::slice::Iter<'a, String>);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.0.next().map(String::as_str)
    }

    fn value(&mut self, option: &str) -> Result<&'a str, UsageError> {
        self.next().ok_or_else(|| UsageError(format!("`{option}` needs a value")))
    }

    fn number(&mut self, option: &str) -> Result<u64, UsageError> {
        let word = self.value(option)?;
        word.parse()
            .map_err(|_| UsageError(format!("`{option}` needs a whole number, not `{word}`")))
    }

    /// A number of things of which there must be one.
    fn positive(&mut self, option: &str) -> Result<u64, UsageError> {
        match self.number(option)? {
            0 => Err(UsageError(format!("`{option}` needs at least 1"))),
            number => Ok(number),
        }
    }

    fn end(&mut self) -> Result<(), UsageError> {
        self.next().map_or(Ok(()), |word| Err(unexpected(word)))
    }
}

fn unexpected(word: &str) -> UsageError {
    UsageError(format!("unexpected `{word}`"))
}

fn test(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut without = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--without" => without.push(tool(words.value(word)?)?),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Test { without })
}

fn tool(name: &str) -> Result<String, UsageError> {
    if tools::TOOLS.iter().any(|tool| tool.name == name) {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = tools::TOOLS.iter().map(|tool| tool.name).collect();
    Err(UsageError(format!("no tool `{name}`; there are {}", known.join(", "))))
}

fn plant(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let (mut which, mut list, mut verify_clean) = (None, false, false);
    while let Some(word) = words.next() {
        match word {
            "--list" => list = true,
            "--verify-clean" => verify_clean = true,
            "--all" if which.is_none() => which = Some(Which::All),
            name if which.is_none() && is_name(name) => which = Some(Which::One(name.to_owned())),
            other => return Err(unexpected(other)),
        }
    }
    match (which, list, verify_clean) {
        (None, true, false) => Ok(Command::Plant(plant::Request::List)),
        (Some(which), false, _) => Ok(Command::Plant(plant::Request::Try { which, verify_clean })),
        _ => Err(UsageError("`plant` needs one of NAME, --all, --list".into())),
    }
}

fn sim(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut seeds = sim::Seeds::default();
    while let Some(word) = words.next() {
        match word {
            "--seed" => seeds.first = Some(words.number(word)?),
            "--seeds" => seeds.count = Some(words.number(word)?),
            "--trace" => seeds.trace = Some(words.number(word)?),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Sim(seeds))
}

fn cases(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let which = match words.value("cases")? {
        "--all" => Which::All,
        name if is_name(name) => Which::One(name.to_owned()),
        other => return Err(unexpected(other)),
    };
    words.end().map(|()| Command::Cases(which))
}

fn bench(words: &mut Words<'_>) -> Result<Command, UsageError> {
    match words.value("bench")? {
        "edge" => bench_edge(words),
        "weights" => bench_weights(words),
        "tracker" => bench_tracker(words),
        "pipeline" => bench_pipeline(words),
        other => Err(UsageError(format!(
            "no benchmark `{other}`; there are edge, weights, tracker and pipeline"
        ))),
    }
}

fn bench_edge(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = bench::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--rounds" => settings.rounds = words.positive(word)?,
            "--seconds" => settings.seconds = words.positive(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Bench(bench::Request::Edge(settings)))
}

fn bench_tracker(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = bench::tracker::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--issues" => settings.issues = words.positive(word)?,
            "--rounds" => settings.rounds = words.positive(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            "--grite" => settings.grite = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Bench(bench::Request::Tracker(settings)))
}

fn bench_pipeline(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = bench::pipeline::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--rounds" => settings.rounds = words.positive(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            "--wrkflw" => settings.wrkflw = Some(words.value(word)?.into()),
            "--gitlab-ci-local" => settings.gitlab_ci_local = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Bench(bench::Request::Pipeline(settings)))
}

fn bench_weights(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = bench::weights::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--changes" => settings.changes = words.positive(word)?,
            "--rate" => settings.rate = words.positive(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Bench(bench::Request::Weights(settings)))
}

fn torture(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let victim = match words.value("torture")? {
        "controller" => torture::Victim::Controller,
        "edge" => torture::Victim::Edge,
        "runs" => torture::Victim::Runs,
        "ledger" => return torture_ledger(words),
        "locks" => return torture_locks(words),
        "sync" => return torture_sync(words),
        other => return Err(unexpected(other)),
    };
    let mut request = torture::Request { victim, kills: 100, seed: 1, binary: None };
    while let Some(word) = words.next() {
        match word {
            "--kills" => request.kills = words.positive(word)?,
            "--seed" => request.seed = words.number(word)?,
            "--binary" => request.binary = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Torture(request))
}

fn torture_ledger(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = torture::ledger::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--every-call" => settings.every_call = true,
            "--only" => {
                let name = words.value(word)?;
                let part = torture::ledger::Part::named(name);
                settings.only = Some(part.ok_or_else(|| unexpected(name))?);
            }
            "--jobs" => settings.jobs = words.positive(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::TortureLedger(settings))
}

fn torture_locks(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = torture::locks::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--rounds" => settings.rounds = words.positive(word)?,
            "--arenas" => settings.arenas = words.positive(word)?,
            "--races" => settings.races = words.number(word)?,
            "--seed" => settings.seed = words.number(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::TortureLocks(settings))
}

fn torture_sync(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = torture::sync::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--clones" => settings.clones = words.positive(word)?,
            "--events" => settings.events = words.positive(word)?,
            "--runners" => settings.runners = words.positive(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::TortureSync(settings))
}

fn realworld(words: &mut Words<'_>) -> Result<Command, UsageError> {
    let mut settings = realworld::Settings::default();
    while let Some(word) = words.next() {
        match word {
            "--crates" => settings.crates = Some(words.positive(word)?),
            "--only" => settings.only.push(words.value(word)?.into()),
            "--django" => settings.django = true,
            "--jobs" => settings.jobs = words.positive(word)?,
            "--minutes" => settings.minutes = words.positive(word)?,
            "--binary" => settings.binary = Some(words.value(word)?.into()),
            other => return Err(unexpected(other)),
        }
    }
    Ok(Command::Realworld(settings))
}

/// Names become file names, so they have no separators and no leading dash or dot.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphanumeric())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn commands_parse() {
        assert_eq!(parsed("tidy"), Ok(Command::Tidy));
        assert_eq!(
            parsed("test --without strace"),
            Ok(Command::Test { without: vec!["strace".into()] })
        );
        assert_eq!(parsed("cases --all"), Ok(Command::Cases(Which::All)));
        assert_eq!(
            parsed("sim --seed 7 --seeds 1000"),
            Ok(Command::Sim(sim::Seeds { first: Some(7), count: Some(1000), trace: None }))
        );
        assert_eq!(
            parsed("plant guard-off --verify-clean"),
            Ok(Command::Plant(plant::Request::Try {
                which: Which::One("guard-off".into()),
                verify_clean: true
            }))
        );
        let settings =
            bench::Settings { rounds: 3, seconds: 2, binary: Some("target/old/grit".into()) };
        assert_eq!(
            parsed("bench edge --rounds 3 --binary target/old/grit"),
            Ok(Command::Bench(bench::Request::Edge(settings)))
        );
        let request = torture::Request {
            victim: torture::Victim::Controller,
            kills: 3,
            seed: 1,
            binary: None,
        };
        assert_eq!(parsed("torture controller --kills 3"), Ok(Command::Torture(request)));
        assert_eq!(parsed("realworld"), Ok(Command::Realworld(realworld::Settings::default())));
        let only = vec!["http".into(), "either".into()];
        let settings = realworld::Settings { only, jobs: 2, ..realworld::Settings::default() };
        assert_eq!(
            parsed("realworld --only http --only either --jobs 2"),
            Ok(Command::Realworld(settings))
        );
    }

    #[test]
    fn words_without_meaning_are_refused() {
        for line in [
            "",
            "tset",
            "tidy now",
            "test --without emacs",
            "test --without",
            "plant",
            "plant --list --all",
            "plant ../../etc/passwd",
            "sim --seed many",
            "sim --seed -1",
            "cases",
            "cases dora flags",
            "bench",
            "bench nginx",
            "bench edge --rounds 0",
            "bench weights --rate 0",
            "bench edge --seconds 1.5",
            "torture",
            "torture everyone",
            "torture edge --kills 0",
            "realworld itoa",
            "realworld --crates 0",
        ] {
            assert!(parsed(line).is_err(), "`{line}` must not parse");
        }
    }
}
