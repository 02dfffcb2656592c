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

/// How much of its trace a violation shows.
const TRACE_LINES: usize = 40;

fn main() -> ExitCode {
    let Some(wanted) = Wanted::read() else {
        println!("usage: sim [--seed N] [--seeds COUNT] [--trace LINES]");
        return ExitCode::from(2);
    };
    let mut tally = Tally::default();
    for seed in wanted.first..wanted.first + wanted.count {
        let outcome = simulate(seed, wanted.trace.unwrap_or(TRACE_LINES));
        if outcome.violation.is_some() || wanted.trace.is_some() {
            outcome.trace.iter().for_each(|line| println!("{line}"));
        }
        if let Some(violation) = outcome.violation {
            println!("violation at seed {seed}: {violation}");
            println!("replay: cargo xtask sim --seed {seed}");
            return ExitCode::FAILURE;
        }
        if wanted.count == 1 {
            println!("seed {seed}: digest {:016x}", outcome.digest);
        }
        tally.add(outcome.tally);
    }
    println!("{tally}");
    let gaps = if wanted.count >= ENOUGH { tally.gaps() } else { vec![] };
    gaps.iter().for_each(|gap| println!("gap: {gap}"));
    let (events, faults) = (tally.events, tally.faults());
    println!("sim: {} seeds, {events} events, {faults} faults, 0 violations", wanted.count);
    if gaps.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Wanted {
    first: u64,
    count: u64,
    /// The last lines of each trace, whatever comes of it.
    trace: Option<usize>,
}

impl Wanted {
    fn read() -> Option<Self> {
        let mut wanted = Self { first: 1, count: 1, trace: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value: u64 = words.next()?.parse().ok()?;
            match word.as_str() {
                "--seed" => wanted.first = value,
                "--seeds" => wanted.count = value,
                "--trace" => wanted.trace = Some(usize::try_from(value).ok()?),
                _ => return None,
            }
        }
        Some(wanted)
    }
}
