//! Medians over rounds, and ratios within them.

use std::fmt::Write as _;

use super::{median, proxies::CANARY_PERCENT, wrk::CONNECTIONS};

/// One proxy in one round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// CPU time of the proxy per request.
    pub cpu_us: f64,
    pub per_second: f64,
    pub p99_ms: f64,
    /// Requests that each upstream saw.
    pub stable: u64,
    pub canary: u64,
    pub failed: u64,
}

type Of = fn(&Reading) -> f64;

/// The line of a round, as it goes: CPU per request of each.
pub fn round_line<const N: usize>(names: [&str; N], readings: &[Reading; N]) -> String {
    let each = names.iter().zip(readings);
    let each: Vec<String> =
        each.map(|(name, reading)| format!("{name} {:.1} µs", reading.cpu_us)).collect();
    each.join(", ")
}

/// Figures of all proxies, then the ratios of the first to each of the others.
pub fn table<const N: usize>(names: [&str; N], rounds: &[[Reading; N]]) -> String {
    let percent = CANARY_PERCENT;
    let mut text = format!(
        "\nmedians, rounds: {}; {}/{percent} over two upstreams, {CONNECTIONS} connections kept alive, one thread each\n\n\
         {:<16}{:>14}{:>14}{:>12}{:>16}{:>14}\n",
        rounds.len(),
        100 - percent,
        "",
        "CPU/request",
        "requests/s",
        "p99",
        "split error",
        "failed"
    );
    for (at, name) in names.iter().enumerate() {
        let of = |value: Of| median(rounds.iter().map(|round| value(&round[at])));
        let failed: u64 = rounds.iter().map(|round| round[at].failed).sum();
        let error = split_error(rounds.iter().map(|round| &round[at]));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<16}{:>11.1} µs{:>14.0}{:>9.2} ms{error:>9.3} points{failed:>14}",
            of(|reading| reading.cpu_us),
            of(|reading| reading.per_second),
            of(|reading| reading.p99_ms)
        );
    }
    for (at, name) in names.iter().enumerate().skip(1) {
        let ratio =
            |value: Of| median(rounds.iter().map(|round| value(&round[0]) / value(&round[at])));
        let _ = writeln!(
            text,
            "{:<16}{:>12.2} ×{:>12.2} ×{:>10.2} ×",
            format!("{} : {name}", names[0]),
            ratio(|reading| reading.cpu_us),
            ratio(|reading| reading.per_second),
            ratio(|reading| reading.p99_ms)
        );
    }
    text
}

/// How far the share of all requests that the second upstream saw is from what it should be, in percentage points.
fn split_error<'a>(readings: impl Iterator<Item = &'a Reading>) -> f64 {
    let (all, canary) = readings.fold((0, 0), |(all, canary), reading| {
        (all + reading.stable + reading.canary, canary + reading.canary)
    });
    (canary as f64 * 100.0 / all as f64 - f64::from(CANARY_PERCENT)).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(cpu_us: f64, canary: u64) -> Reading {
        let (per_second, p99_ms) = (cpu_us * 1_000.0, cpu_us / 10.0);
        Reading { cpu_us, per_second, p99_ms, stable: 1_000 - canary, canary, failed: 1 }
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The machine was busy in the second round; the ratio of the medians would be 1.5.
        let rounds = [
            [reading(11.0, 100), reading(10.0, 90)],
            [reading(33.0, 101), reading(30.0, 90)],
            [reading(15.0, 102), reading(8.0, 90)],
        ];
        let table = table(["ours", "theirs"], &rounds);
        let lines: Vec<&str> = table.lines().skip(3).collect();
        let words: Vec<Vec<&str>> =
            lines.iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["ours", "15.0", "µs", "15000", "1.50", "ms", "0.100", "points", "3"]);
        assert_eq!(words[2][1], "10.0");
        assert_eq!(words[3][..4], ["ours", ":", "theirs", "1.10"]);
    }

    #[test]
    fn a_median_needs_no_middle() {
        assert_eq!(median([3.0, 1.0].into_iter()), 2.0);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }
}
