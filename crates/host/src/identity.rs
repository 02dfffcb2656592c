use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// More than most files below `/proc/PID` have.
const PROC_BYTES: usize = 4096;

/// One process, told apart from every other that had or will have its pid.
///
/// Pids are used again within hours on a busy machine; the start time tells two users of one pid
/// apart within a boot, the boot id across boots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessId {
    pub pid: u32,
    /// Clock ticks from boot to start: field 22 of `/proc/PID/stat`, see `proc_pid_stat(5)`.
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

impl ProcessId {
    /// The live process with this pid; `None` if there is none or only its zombie.
    pub fn of(pid: u32) -> io::Result<Option<Self>> {
        let live = Stat::read(pid)?.filter(Stat::is_live);
        live.map(|stat| stat.identity()).transpose()
    }

    /// The calling process.
    pub fn own() -> io::Result<Self> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "/proc does not show this process");
        Self::of(std::process::id())?.ok_or_else(none)
    }

    /// Whether exactly this process still runs; a zombie does not. An error means unknown, which
    /// is neither yes nor no.
    pub fn is_alive(&self) -> io::Result<bool> {
        Ok(self.stat()?.is_some_and(|stat| stat.is_live()))
    }

    /// Its stat, also as a zombie; `None` once it is reaped or its pid is another's.
    pub(crate) fn stat(&self) -> io::Result<Option<Stat>> {
        if self.boot_id != boot_id()? {
            return Ok(None);
        }
        let same = |stat: &Stat| stat.start_time == self.start_time;
        Ok(Stat::read(self.pid)?.filter(same))
    }

    /// The kernel's form of the pid; `None` for a number that no process can have.
    pub(crate) fn raw(&self) -> Option<Pid> {
        raw_pid(self.pid)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start_time)
    }
}

/// Pid 1 is left out: a signal to group 1 or session 1 is never what anyone here means.
pub(crate) fn raw_pid(pid: u32) -> Option<Pid> {
    let pid = i32::try_from(pid).ok().filter(|&pid| pid > 1)?;
    Pid::from_raw(pid)
}

pub(crate) fn boot_id() -> io::Result<&'static str> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(known) = BOOT_ID.get() {
        return Ok(known);
    }
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT_ID.get_or_init(|| read.trim().to_owned()))
}

/// The part of `/proc/PID/stat` that identity and membership need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub pid: u32,
    pub state: u8,
    pub group: u32,
    pub session: u32,
    pub threads: u32,
    pub start_time: u64,
    /// Address where the environment ends; 0 while the process changes from one program to the next,
    /// and then its environment reads as empty.
    pub env_end: u64,
}

impl Stat {
    /// `None` if there is no such process.
    pub fn read(pid: u32) -> io::Result<Option<Self>> {
        match read_proc(pid, "stat") {
            Ok(bytes) => Self::parse(&bytes).map(Some).ok_or_else(malformed),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The command's name, in parentheses, may hold anything, parentheses and spaces included:
    /// fields are counted from the last one that closes.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let close = bytes.iter().rposition(|&b| b == b')')?;
        let pid = std::str::from_utf8(bytes.split(|&b| b == b' ').next()?).ok()?;
        let rest = std::str::from_utf8(&bytes[close + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field N of proc_pid_stat(5) is at N - 3: pid and name are before the parenthesis.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            pid: pid.parse().ok()?,
            state: *field(3)?.as_bytes().first()?,
            // Kernel threads have group and session 0; -1 stands for none in an exiting process.
            group: field(5)?.parse().unwrap_or(0),
            session: field(6)?.parse().unwrap_or(0),
            threads: field(20)?.parse().ok()?,
            start_time: field(22)?.parse().ok()?,
            env_end: field(51)?.parse().ok()?,
        })
    }

    /// A process whose first thread has ended shows as a zombie while its other threads run.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x') || (self.state == b'Z' && self.threads > 1)
    }

    pub fn is_stopped(&self) -> bool {
        self.state == b'T'
    }

    pub fn identity(&self) -> io::Result<ProcessId> {
        Ok(ProcessId { pid: self.pid, start_time: self.start_time, boot_id: boot_id()?.to_owned() })
    }
}

/// What the kernel says of a process, in one call where it is not much: such a file has no length to
/// ask for before.
pub(crate) fn read_proc(pid: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PROC_BYTES);
    let file = File::open(format!("/proc/{pid}/{name}"))?;
    file.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether reading under `/proc/PID` failed because the process is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed /proc/PID/stat")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAIL: &str = "7 42 43 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 98765 1000 10 25 26 27 28 \
        29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 777 52";

    #[test]
    fn own_identity_is_alive_and_a_wrong_one_is_not() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive().unwrap());
        let other_start = ProcessId { start_time: own.start_time + 1, ..own.clone() };
        assert!(!other_start.is_alive().unwrap());
        let other_boot = ProcessId { boot_id: "another".into(), ..own };
        assert!(!other_boot.is_alive().unwrap());
        assert_eq!(ProcessId::of(u32::MAX).unwrap(), None);
    }

    #[test]
    fn zombie_with_live_threads_is_live() {
        let stat = |state: &str, threads: &str| {
            let tail = TAIL.replacen("20 0 3", &format!("20 0 {threads}"), 1);
            Stat::parse(format!("9 (x) {state} {tail}").as_bytes()).unwrap()
        };
        assert!(stat("S", "1").is_live());
        assert!(stat("Z", "2").is_live());
        assert!(!stat("Z", "1").is_live());
        assert!(!stat("X", "1").is_live());
    }

    proptest! {
        #[test]
        fn any_command_name_parses(name in proptest::collection::vec(any::<u8>(), 0..16)) {
            let mut bytes = b"9 (".to_vec();
            bytes.extend(name);
            bytes.extend(format!(") S {TAIL}").into_bytes());
            let stat = Stat::parse(&bytes).unwrap();
            let expected = Stat {
                pid: 9,
                state: b'S',
                group: 42,
                session: 43,
                threads: 3,
                start_time: 98765,
                env_end: 777,
            };
            prop_assert_eq!(stat, expected);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Stat::parse(&bytes);
        }
    }
}
