//! The deterministic simulation: the real reactor in a world of fakes, faults and people.
//!
//! `--seed N` is where it begins, `--seeds COUNT` how many it runs; the first violation ends it with
//! the line that replays it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that reports")]

mod simulation;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use simulation::{Outcome, Tally, simulate};

/// From so many seeds on everything must have occurred.
const ENOUGH: u64 = 200;
/// How much of its trace a violation shows.
const TRACE_LINES: usize = 40;

fn main() -> ExitCode {
    let Some(wanted) = Wanted::read() else {
        println!("usage: sim [--seed N] [--seeds COUNT] [--trace LINES]");
        return ExitCode::from(2);
    };
    match all(&wanted) {
        Ok(tally) => report(&wanted, &tally),
        Err(seed) => {
            let outcome = simulate(seed, wanted.trace.unwrap_or(TRACE_LINES));
            outcome.trace.iter().for_each(|line| println!("{line}"));
            println!("violation at seed {seed}: {}", outcome.violation.unwrap_or_default());
            println!("replay: cargo xtask sim --seed {seed}");
            ExitCode::FAILURE
        }
    }
}

/// Worlds know nothing of each other, so each core simulates its own.
///
/// # Errors
/// The first seed in whose world a promise was broken.
fn all(wanted: &Wanted) -> Result<Tally, u64> {
    let (next, end) = (AtomicU64::new(wanted.first), wanted.first + wanted.count);
    let (sender, outcomes) = mpsc::channel();
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..cores {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in seeds.take_while(|seed| *seed < end) {
                    let outcome = simulate(seed, wanted.trace.unwrap_or(0));
                    let broken = outcome.violation.is_some();
                    if sender.send((seed, outcome)).is_err() || broken {
                        // Lower seeds that are under way still end.
                        next.store(end, Ordering::Relaxed);
                        return;
                    }
                }
            });
        }
        drop(sender);
        merge(wanted, outcomes)
    })
}

fn merge(wanted: &Wanted, outcomes: mpsc::Receiver<(u64, Outcome)>) -> Result<Tally, u64> {
    let (mut tally, mut broken) = (Tally::default(), None);
    for (seed, outcome) in outcomes {
        if outcome.violation.is_some() {
            broken = broken.or(Some(seed)).map(|first: u64| first.min(seed));
        } else if wanted.count == 1 {
            outcome.trace.iter().for_each(|line| println!("{line}"));
            println!("seed {seed}: digest {:016x}", outcome.digest);
        }
        tally.add(outcome.tally);
    }
    broken.map_or(Ok(tally), Err)
}

fn report(wanted: &Wanted, tally: &Tally) -> ExitCode {
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
    /// The last lines of the trace, whatever comes of it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_history_to_the_byte() {
        let (first, again) = (simulate(7, 200), simulate(7, 200));
        assert_eq!(first.digest, again.digest);
        assert_eq!(first.trace, again.trace);
        assert_ne!(first.digest, simulate(8, 0).digest);
    }
}
