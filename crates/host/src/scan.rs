use std::io;
use std::time::Duration;

use crate::identity::{ProcessId, Stat, is_gone, read_proc};
use crate::marker::Marker;

/// How long a process may be between two programs, without an environment to read.
const EXEC_LOOKS: u32 = 100;
const EXEC_PAUSE: Duration = Duration::from_millis(1);

/// A process that carries a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    pub process: ProcessId,
    /// The session that it is in: the pid of the session's first process.
    pub session: u32,
    /// The marker's value.
    pub value: String,
}

/// The live processes in session `sid`. The number alone proves nothing about whose they are; see
/// [`Session::members`](crate::Session::members) for that.
pub fn session_members(sid: u32) -> io::Result<Vec<ProcessId>> {
    let stats = live_processes()?.into_iter();
    stats.filter(|stat| stat.session == sid).map(|stat| stat.identity()).collect()
}

/// The live processes, the caller left out, whose environment had `key` with a value that starts
/// with `value_prefix` when they were started. Reads every process that the caller may read;
/// blocks for milliseconds.
///
/// An orphan is a marked process with no record.
pub fn find_marked(key: &str, value_prefix: &str) -> io::Result<Vec<Marked>> {
    let mut found = Vec::new();
    for stat in live_processes()? {
        let value = environ(stat.pid).and_then(|environ| {
            let value = value_of(&environ, key)?;
            value.starts_with(value_prefix).then(|| value.to_owned())
        });
        if let Some(value) = value {
            found.push(Marked { process: stat.identity()?, session: stat.session, value });
        }
    }
    Ok(found)
}

/// All live processes but the calling one and kernel threads.
pub(crate) fn live_processes() -> io::Result<Vec<Stat>> {
    Ok(processes()?.0.into_iter().filter(Stat::is_live).collect())
}

/// All processes and zombies but the calling one and kernel threads; and whether some ended between
/// being listed and being read, so that a child may have been missed that such a one left behind.
pub(crate) fn processes() -> io::Result<(Vec<Stat>, bool)> {
    let own = std::process::id();
    let (mut stats, mut some_ended) = (Vec::new(), false);
    for pid in listed()?.into_iter().filter(|&pid| pid != own) {
        match Stat::read(pid) {
            Ok(Some(stat)) => stats.extend((stat.session != 0).then_some(stat)),
            Ok(None) => some_ended = true,
            // Another user's process on a hardened /proc is none of ours.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok((stats, some_ended))
}

/// Newest first: a young process may be about to fork and end, an old one hardly is.
fn listed() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    pids.sort_unstable_by(|a, b| b.cmp(a));
    Ok(pids)
}

/// `None` if that cannot be told: the process is ending, or was given no environment.
pub(crate) fn carries(pid: u32, marker: &Marker) -> Option<bool> {
    let environ = environ(pid).filter(|environ| !environ.is_empty())?;
    Some(value_of(&environ, marker.key()) == Some(marker.value()))
}

/// `None` for a process that is gone or not ours to read: in neither case is it one of ours.
fn environ(pid: u32) -> Option<Vec<u8>> {
    let mut environ = read_environ(pid)?;
    for _ in 0..EXEC_LOOKS {
        let in_exec = |stat: Stat| stat.is_live() && stat.env_end == 0;
        if !environ.is_empty() || !Stat::read(pid).ok().flatten().is_some_and(in_exec) {
            break;
        }
        std::thread::sleep(EXEC_PAUSE);
        environ = read_environ(pid)?;
    }
    Some(environ)
}

fn read_environ(pid: u32) -> Option<Vec<u8>> {
    match read_proc(pid, "environ") {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let expected = is_gone(&error) || error.kind() == io::ErrorKind::PermissionDenied;
            if !expected {
                tracing::warn!(pid, %error, "environment of a process cannot be read");
            }
            None
        }
    }
}

fn value_of<'e>(environ: &'e [u8], key: &str) -> Option<&'e str> {
    let value = environ
        .split(|&b| b == 0)
        .find_map(|entry| entry.strip_prefix(key.as_bytes())?.strip_prefix(b"=".as_slice()))?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_takes_the_whole_key() {
        let environ = b"XGRIT_JOB=no\0GRIT_JOBS=no\0GRIT_JOB=a=b\0GRIT_JOB=second\0";
        assert_eq!(value_of(environ, "GRIT_JOB"), Some("a=b"));
        assert_eq!(value_of(environ, "GRIT"), None);
        assert_eq!(value_of(b"", "GRIT_JOB"), None);
        assert_eq!(value_of(b"GRIT_JOB=\xff\0", "GRIT_JOB"), None);
    }
}
