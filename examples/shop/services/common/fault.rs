//! The fault switch: makes a healthy service misbehave on purpose, so that a
//! rollout has something to catch.
//!
//! It is set in `shop.conf`, which travels inside the artifact: a faulty
//! release is a commit like any other. Counting is per process and
//! deterministic; `/health` is never counted and never touched.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const LATENCY_MS_MAX: u64 = 60_000;

/// What the switch does once it is active.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// 500 to every `ratio`-th request.
    Errors {
        ratio: u64,
    },
    /// Every answer comes this much later.
    Latency(Duration),
    /// No answer at all; the connection stays open.
    Hang,
    /// The process ends at once.
    Crash,
}

/// What one request has to suffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Serve,
    Fail,
    Delay(Duration),
    Hang,
    Crash,
}

/// A fault, and the number of requests that are served well before it starts.
#[derive(Debug)]
pub struct Switch {
    fault: Fault,
    after: u64,
    seen: AtomicU64,
}

impl Switch {
    /// Reads `key = value` lines; `#` starts a comment line. Refuses what it
    /// does not know, so that a typo cannot pass for a healthy release.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        let mut seen = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |problem| ConfigError { line: index + 1, problem };
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| refuse(format!("expected `key = value`, found `{line}`")))?;
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(refuse(format!("`{key}` is set twice")));
            }
            seen.push(key);
            settings.set(key, value).map_err(refuse)?;
        }
        Ok(settings.switch())
    }

    /// Counts one request (other than `/health`) and says what happens to it.
    pub fn next(&self) -> Verdict {
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(late) = number.checked_sub(self.after).filter(|&late| late > 0) else {
            return Verdict::Serve;
        };
        match self.fault {
            Fault::None => Verdict::Serve,
            Fault::Errors { ratio } if late % ratio == 0 => Verdict::Fail,
            Fault::Errors { .. } => Verdict::Serve,
            Fault::Latency(delay) => Verdict::Delay(delay),
            Fault::Hang => Verdict::Hang,
            Fault::Crash => Verdict::Crash,
        }
    }

    /// One line for the log at start; `None` when the switch is off.
    pub fn describe(&self) -> Option<String> {
        let what = match self.fault {
            Fault::None => return None,
            Fault::Errors { ratio } => format!("500 to one request in {ratio}"),
            Fault::Latency(delay) => format!("every answer {} ms late", delay.as_millis()),
            Fault::Hang => "no answers".to_owned(),
            Fault::Crash => "the process ends".to_owned(),
        };
        Some(format!("fault switch is on: {what} after {} requests", self.after))
    }
}

/// Why `shop.conf` was refused.
#[derive(Debug, PartialEq)]
pub struct ConfigError {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

struct Settings {
    fault: String,
    after: u64,
    ratio: u64,
    latency_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fault: "none".to_owned(), after: 0, ratio: 3, latency_ms: 800 }
    }
}

impl Settings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "fault" if ["none", "errors", "latency", "hang", "crash"].contains(&value) => {
                self.fault = value.to_owned()
            }
            "fault" => {
                return Err(format!(
                    "unknown fault `{value}`: expected none, errors, latency, hang or crash"
                ));
            }
            "fault.after" => self.after = number(key, value, 0..=u64::MAX)?,
            "fault.ratio" => self.ratio = number(key, value, 1..=u64::MAX)?,
            "fault.latency_ms" => self.latency_ms = number(key, value, 0..=LATENCY_MS_MAX)?,
            _ => {
                let known = "fault, fault.after, fault.ratio or fault.latency_ms";
                return Err(format!("unknown key `{key}`: expected {known}"));
            }
        }
        Ok(())
    }

    fn switch(self) -> Switch {
        let fault = match self.fault.as_str() {
            "errors" => Fault::Errors { ratio: self.ratio },
            "latency" => Fault::Latency(Duration::from_millis(self.latency_ms)),
            "hang" => Fault::Hang,
            "crash" => Fault::Crash,
            _ => Fault::None,
        };
        Switch { fault, after: self.after, seen: AtomicU64::new(0) }
    }
}

fn number(key: &str, value: &str, allowed: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let parsed = value.parse().ok().filter(|n| allowed.contains(n));
    parsed.ok_or_else(|| match *allowed.end() {
        u64::MAX => {
            format!("`{key}` must be a whole number from {} on, found `{value}`", allowed.start())
        }
        end => format!(
            "`{key}` must be a whole number from {} to {end}, found `{value}`",
            allowed.start()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(config: &str, count: usize) -> Vec<Verdict> {
        let switch = Switch::parse(config).unwrap();
        (0..count).map(|_| switch.next()).collect()
    }

    #[test]
    fn an_empty_file_is_a_healthy_service() {
        assert_eq!(verdicts("# nothing\n\n", 2), [Verdict::Serve; 2]);
        assert_eq!(Switch::parse("fault = none").unwrap().describe(), None);
    }

    #[test]
    fn errors_hit_one_in_ratio_after_the_first_requests() {
        use Verdict::{Fail, Serve};
        let seen = verdicts("fault = errors\nfault.after = 2\nfault.ratio = 3", 8);
        assert_eq!(seen, [Serve, Serve, Serve, Serve, Fail, Serve, Serve, Fail]);
    }

    #[test]
    fn the_other_faults_hit_every_request_after_the_first() {
        let delay = Verdict::Delay(Duration::from_millis(40));
        assert_eq!(
            verdicts("fault=latency\nfault.latency_ms=40\nfault.after=1", 3),
            [Verdict::Serve, delay, delay]
        );
        assert_eq!(verdicts("fault = hang", 2), [Verdict::Hang; 2]);
        assert_eq!(verdicts("fault = crash\nfault.after = 1", 2), [Verdict::Serve, Verdict::Crash]);
    }

    #[test]
    fn what_is_unknown_is_refused_with_its_line() {
        let cases = [
            ("fault = none\nfalt.after = 3", 2, "unknown key `falt.after`"),
            ("fault = slow", 1, "unknown fault `slow`"),
            ("\nfault.after = soon", 2, "must be a whole number"),
            ("fault.ratio = 0", 1, "from 1 on"),
            ("fault.latency_ms = 60001", 1, "from 0 to 60000"),
            ("fault", 1, "expected `key = value`"),
            ("fault = none\nfault = hang", 2, "set twice"),
        ];
        for (text, line, problem) in cases {
            let error = Switch::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}");
            assert!(error.problem.contains(problem), "{text:?}: {}", error.problem);
        }
    }
}
