//! The deterministic simulation: the real reactor in a world of fakes, faults and people.
//!
//! `--seed N` is where it begins, `--seeds COUNT` how many it runs; the first violation ends it with
//! the line that replays it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that reports")]

mod simulation;

use std::process::ExitCode;

use simulation::{Tally, simulate};

/// From so many seeds on everything must have occurred.
const ENOUGH: u64 = 200;

fn main() -> ExitCode {
    let (first, count) = match arguments() {
        Some(arguments) => arguments,
        None => {
            println!("usage: sim [--seed N] [--seeds COUNT]");
            return ExitCode::from(2);
        }
    };
    let mut tally = Tally::default();
    for seed in first..first + count {
        let outcome = simulate(seed);
        if let Some(violation) = outcome.violation {
            outcome_line(&violation.trace);
            println!("violation at seed {seed}: {}", violation.what);
            println!("replay: cargo xtask sim --seed {seed}");
            return ExitCode::FAILURE;
        }
        if count == 1 {
            println!("seed {seed}: digest {:016x}", outcome.digest);
        }
        tally.add(outcome.tally);
    }
    println!("{tally}");
    let gaps = if count >= ENOUGH { tally.gaps() } else { vec![] };
    gaps.iter().for_each(|gap| println!("gap: {gap}"));
    let (events, faults) = (tally.events, tally.faults());
    println!("sim: {count} seeds, {events} events, {faults} faults, 0 violations");
    if gaps.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn outcome_line(trace: &[String]) {
    for line in trace {
        println!("{line}");
    }
}

fn arguments() -> Option<(u64, u64)> {
    let (mut seed, mut seeds) = (1, 1);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?.parse().ok()?;
        match word.as_str() {
            "--seed" => seed = value,
            "--seeds" => seeds = value,
            _ => return None,
        }
    }
    Some((seed, seeds))
}
