//! The house's own tool, started as `cargo xtask`: tests, tidiness, planted bugs, simulation, cases,
//! benchmarks, torture, published packages.
//!
//! It drives the workspace from outside, through `cargo`, `git` and the built binaries, and depends on
//! no crate of it. One file per subcommand; [`cli`] says which there are.

mod bench;
mod cases;
mod cli;
mod layers;
mod load;
mod plant;
mod realworld;
mod repo;
mod shell;
mod sim;
mod test;
mod tidy;
mod tools;
mod torture;

use std::process::ExitCode;

use cli::Command;
use repo::Repo;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match cli::parse(&words) {
        Ok(command) => run(command).unwrap_or_else(|error| {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }),
        Err(usage) => {
            eprintln!("xtask: {usage}\n\n{}", cli::USAGE);
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let repo = Repo::find()?;
    match command {
        Command::Help => {
            println!("{}", cli::USAGE);
            Ok(ExitCode::SUCCESS)
        }
        Command::Test { without } => Ok(test::run(&repo, &without)),
        Command::Tidy => tidy::run(&repo),
        Command::Plant(what) => plant::run(&repo, &what),
        Command::Sim(seeds) => sim::run(&repo, &seeds),
        Command::Cases(which) => cases::run(&repo, &which),
        Command::Bench(request) => bench::run(&repo, &request),
        Command::Torture(request) => torture::run(&repo, &request),
        Command::TortureLedger(settings) => torture::ledger::run(&repo, &settings),
        Command::TortureLocks(settings) => torture::locks::run(&repo, &settings),
        Command::TortureSync(settings) => torture::sync::run(&repo, &settings),
        Command::Realworld(settings) => realworld::run(&repo, &settings),
    }
}
