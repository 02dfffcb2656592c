//! Lock files that git left behind when it was killed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A living git holds the lock of a ref for milliseconds.
const YOUNG: Duration = Duration::from_secs(2);
/// No ref update takes this long, whoever is still running.
const OLD: Duration = Duration::from_secs(600);
/// What process start times, counted from a boot time in whole seconds, may be off.
const SLACK: Duration = Duration::from_secs(2);

/// Whether nobody who lives can have made this lock file, which git did not mark with its owner.
///
/// Such a file is abandoned when it is older than two seconds and no git process is running that
/// is as old as it is; or, where processes cannot be seen, when it is older than ten minutes.
pub(crate) fn is_abandoned(lock: &Path) -> io::Result<bool> {
    let made = fs::symlink_metadata(lock)?.modified()?;
    let age = SystemTime::now().duration_since(made).unwrap_or_default();
    if age < YOUNG {
        return Ok(false);
    }
    Ok(age > OLD || !git_ran_at(made).unwrap_or(true))
}

/// Whether a living git process was already running at `time`; an error where that is unknown.
fn git_ran_at(time: SystemTime) -> io::Result<bool> {
    let booted = boot_time()?;
    let latest = time + SLACK;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // Not a process, or one that ended meanwhile.
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        if !name.starts_with("git") {
            continue;
        }
        let started = started_after_boot(&stat).map(|after| booted + after);
        if started.is_none_or(|started| started <= latest) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn boot_time() -> io::Result<SystemTime> {
    let stat = fs::read_to_string("/proc/stat")?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "));
    let seconds = seconds.and_then(|text| text.trim().parse().ok());
    let seconds = seconds.ok_or_else(|| io::Error::other("no boot time in /proc/stat"))?;
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Field 22 of proc_pid_stat(5). The second field is a name and may hold spaces and brackets.
fn started_after_boot(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(ticks.saturating_mul(1_000) / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 0 0";
        let per_second = rustix::param::clock_ticks_per_second();
        let expected = Duration::from_millis(500_000 / per_second);
        assert_eq!(started_after_boot(stat), Some(expected));
        assert_eq!(started_after_boot("7 (git"), None);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        let started = boot_time().unwrap() + started_after_boot(&own).unwrap();
        assert!(started <= SystemTime::now() + SLACK);
    }
}
