//! What ends a command in time when whoever watches it cannot.
//!
//! `grit lock run` may be killed, or stopped and continued an hour later, and what it runs would
//! go on under a lease that is somebody else's by then. So a process of its own knows the deadline,
//! and nothing else: `grit __deadline` reads lines from standard input, ends the group at the
//! deadline, and ends it at once when its input ends without a word.

use std::io::BufRead;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::time::{ClockId, clock_gettime};

use crate::exit::{Exit, Failure};

/// The clock is asked this often: a timer does not count while the machine sleeps.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// From SIGTERM to SIGKILL for the command of one who died.
const ORPHAN_GRACE: Duration = Duration::from_secs(2);

/// What is told, one per line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Which group it is, by the number of its leader.
    Group(i32),
    /// When it must be gone, and how long before it is asked to go; milliseconds since boot.
    Deadline { asked: u64, gone: u64 },
    /// It is over, and all is well.
    Done,
}

impl Word {
    pub fn line(self) -> String {
        match self {
            Self::Group(leader) => format!("group {leader}\n"),
            Self::Deadline { asked, gone } => format!("deadline {asked} {gone}\n"),
            Self::Done => "done\n".to_owned(),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let word = match words.next()? {
            "group" => Self::Group(words.next()?.parse().ok().filter(|leader| *leader > 1)?),
            "deadline" => Self::Deadline {
                asked: words.next()?.parse().ok()?,
                gone: words.next()?.parse().ok()?,
            },
            "done" => Self::Done,
            _ => return None,
        };
        words.next().is_none().then_some(word)
    }
}

/// Milliseconds since boot, sleep included; never set.
pub fn counted() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

pub fn run() -> Result<Exit, Failure> {
    let (sender, words) = mpsc::channel();
    // It ends with the input, or with the process.
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Some(word) = Word::parse(&line)
                && sender.send(word).is_err()
            {
                break;
            }
        }
    });
    let (mut group, mut deadline) = (None, None);
    loop {
        match words.recv_timeout(LOOK_EVERY) {
            Ok(Word::Group(leader)) => group = Pid::from_raw(leader),
            Ok(Word::Deadline { asked, gone }) => deadline = Some((asked, gone)),
            Ok(Word::Done) => return Ok(Exit::Done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                end(group, Signal::TERM);
                thread::sleep(ORPHAN_GRACE);
                end(group, Signal::KILL);
                return Ok(Exit::Conflict);
            }
        }
        match deadline {
            Some((_, gone)) if counted() >= gone => {
                end(group, Signal::KILL);
                return Ok(Exit::Conflict);
            }
            Some((asked, gone)) if counted() >= asked => {
                end(group, Signal::TERM);
                // Asked once; what is left of the time is for its clean-up.
                deadline = Some((u64::MAX, gone));
            }
            _ => {}
        }
    }
}

/// Gone already is as good.
fn end(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_nothing_else_does() {
        for word in [Word::Group(7), Word::Deadline { asked: 1, gone: 2 }, Word::Done] {
            assert_eq!(Word::parse(&word.line()), Some(word));
        }
        for line in ["", "group", "group 0", "group 1", "group -5", "group 7 8", "deadline 1", "go"]
        {
            assert_eq!(Word::parse(line), None, "{line}");
        }
    }
}
