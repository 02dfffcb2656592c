//! What the launching process and the shim say to each other: an order as arguments, answers as
//! lines through a pipe. Both ends are the same binary, so there is no version.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::marker::Marker;
use crate::spec::{Limits, Spec};

/// What the shim does before it becomes `command`. The environment is not part of it: the shim is
/// started with the command's own, so that no secret is in an argument or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub record: PathBuf,
    pub synced: bool,
    pub marker: Marker,
    pub cwd: PathBuf,
    /// Files for standard output and standard error; `None` keeps what the shim was given.
    pub output: [Option<PathBuf>; 2],
    pub limits: Limits,
    pub command: Vec<OsString>,
}

impl Order {
    /// Paths become absolute here: the shim changes its folder.
    pub fn new(spec: &Spec, record: PathBuf) -> io::Result<Self> {
        let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
        let [stdout, stderr] = spec.output.paths();
        Ok(Self {
            record,
            synced: spec.synced,
            marker: spec.marker.clone(),
            cwd: std::path::absolute(&spec.cwd)?,
            output: [absolute(stdout)?, absolute(stderr)?],
            limits: spec.limits,
            command: spec.command.clone(),
        })
    }

    pub fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: &OsStr| {
            args.extend([OsString::from(name), value.to_owned()]);
        };
        option("--record", self.record.as_os_str());
        option("--synced", OsStr::new(if self.synced { "1" } else { "0" }));
        option("--marker-key", OsStr::new(self.marker.key()));
        option("--marker-value", OsStr::new(self.marker.value()));
        option("--cwd", self.cwd.as_os_str());
        for (name, path) in ["--stdout", "--stderr"].into_iter().zip(&self.output) {
            if let Some(path) = path {
                option(name, path.as_os_str());
            }
        }
        for (name, limit) in LIMIT_OPTIONS.into_iter().zip(limit_values(self.limits)) {
            if let Some(limit) = limit {
                option(name, OsStr::new(&limit.to_string()));
            }
        }
        args.push("--".into());
        args.extend(self.command.iter().cloned());
        args
    }

    /// `None` for anything that [`Order::to_args`] does not write.
    pub fn from_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut given = Given::default();
        loop {
            let name = args.next()?;
            if name == "--" {
                break;
            }
            given.take(name.to_str()?, args.next()?)?;
        }
        let command: Vec<OsString> = args.collect();
        Some(Self {
            record: given.record?,
            synced: given.synced?,
            marker: Marker::new(given.marker_key?, given.marker_value?).ok()?,
            cwd: given.cwd?,
            output: [given.stdout, given.stderr],
            limits: given.limits,
            command: (!command.is_empty()).then_some(command)?,
        })
    }
}

const LIMIT_OPTIONS: [&str; 4] = ["--open-files", "--memory", "--processes", "--core"];

fn limit_values(limits: Limits) -> [Option<u64>; 4] {
    let Limits { open_files, memory_bytes, processes, core_bytes } = limits;
    [open_files, memory_bytes, processes, Some(core_bytes)]
}

#[derive(Default)]
struct Given {
    record: Option<PathBuf>,
    synced: Option<bool>,
    marker_key: Option<String>,
    marker_value: Option<String>,
    cwd: Option<PathBuf>,
    stdout: Option<PathBuf>,
    stderr: Option<PathBuf>,
    limits: Limits,
}

impl Given {
    fn take(&mut self, name: &str, value: OsString) -> Option<()> {
        let number = || value.to_str()?.parse::<u64>().ok();
        match name {
            "--record" => self.record = Some(value.into()),
            "--synced" => self.synced = Some(value == "1"),
            "--marker-key" => self.marker_key = Some(value.into_string().ok()?),
            "--marker-value" => self.marker_value = Some(value.into_string().ok()?),
            "--cwd" => self.cwd = Some(value.into()),
            "--stdout" => self.stdout = Some(value.into()),
            "--stderr" => self.stderr = Some(value.into()),
            "--open-files" => self.limits.open_files = Some(number()?),
            "--memory" => self.limits.memory_bytes = Some(number()?),
            "--processes" => self.limits.processes = Some(number()?),
            "--core" => self.limits.core_bytes = number()?,
            _ => return None,
        }
        Some(())
    }
}

/// A step of the shim that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Session,
    Record,
    Stdout,
    Stderr,
    Cwd,
    OpenFiles,
    Memory,
    Processes,
    Core,
    Exec,
}

const STAGES: [(Stage, &str); 10] = [
    (Stage::Session, "session"),
    (Stage::Record, "record"),
    (Stage::Stdout, "stdout"),
    (Stage::Stderr, "stderr"),
    (Stage::Cwd, "cwd"),
    (Stage::OpenFiles, "open-files"),
    (Stage::Memory, "memory"),
    (Stage::Processes, "processes"),
    (Stage::Core, "core"),
    (Stage::Exec, "exec"),
];

/// A line from the shim. The end of the stream after `Recorded` means: the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The shim is there. Nothing is recorded unless somebody still listens.
    Ready,
    Recorded {
        pid: u32,
        start_time: u64,
    },
    /// `errno` 0 stands for an error without one.
    Failed {
        stage: Stage,
        errno: i32,
    },
}

/// Longest stream of answers, in bytes.
pub(crate) const ANSWERS_LEN_MAX: u64 = 1024;

impl Answer {
    /// Allocates nothing: under a memory limit that the command was given, nothing may be left.
    pub fn send(self, to: &mut impl Write) -> io::Result<()> {
        let mut line = [0; 80];
        let mut rest = &mut line[..];
        match self {
            Self::Ready => writeln!(rest, "ready")?,
            Self::Recorded { pid, start_time } => writeln!(rest, "recorded {pid} {start_time}")?,
            Self::Failed { stage, errno } => {
                let word = STAGES.iter().find(|(known, _)| *known == stage);
                writeln!(rest, "failed {} {errno}", word.map_or("", |(_, word)| word))?;
            }
        }
        let unused = rest.len();
        to.write_all(&line[..line.len() - unused])
    }

    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ready"] => Some(Self::Ready),
            ["recorded", pid, start_time] => Some(Self::Recorded {
                pid: pid.parse().ok()?,
                start_time: start_time.parse().ok()?,
            }),
            ["failed", word, errno] => Some(Self::Failed {
                stage: STAGES.iter().find(|(_, known)| known == word)?.0,
                errno: errno.parse().ok()?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = OsString> {
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(OsString::from_vec)
    }

    fn order() -> impl Strategy<Value = Order> {
        let path = || text().prop_map(PathBuf::from);
        let option = || proptest::option::of(path());
        let limit = || proptest::option::of(any::<u64>());
        let limits = (limit(), limit(), limit(), any::<u64>()).prop_map(
            |(open_files, memory_bytes, processes, core_bytes)| Limits {
                open_files,
                memory_bytes,
                processes,
                core_bytes,
            },
        );
        let command = proptest::collection::vec(text(), 1..4);
        let output = (option(), option());
        (path(), any::<bool>(), "[a-z]{1,9}", path(), output, limits, command).prop_map(
            |(record, synced, value, cwd, (stdout, stderr), limits, command)| Order {
                record,
                synced,
                marker: Marker::new("GRIT_INSTANCE", value).unwrap(),
                cwd,
                output: [stdout, stderr],
                limits,
                command,
            },
        )
    }

    proptest! {
        #[test]
        fn arguments_carry_the_whole_order(order in order()) {
            prop_assert_eq!(Order::from_args(order.to_args().into_iter()), Some(order));
        }

        #[test]
        fn other_arguments_are_no_order(args in proptest::collection::vec(text(), 0..6)) {
            prop_assert_eq!(Order::from_args(args.into_iter()), None);
        }

        #[test]
        fn answers_arrive_as_sent(pid: u32, start_time: u64, at in 0..STAGES.len(), errno: i32) {
            let failed = Answer::Failed { stage: STAGES[at].0, errno };
            for answer in [Answer::Ready, Answer::Recorded { pid, start_time }, failed] {
                let mut sent = Vec::new();
                answer.send(&mut sent).unwrap();
                let line = String::from_utf8(sent).unwrap();
                prop_assert_eq!(Answer::parse(line.strip_suffix('\n').unwrap()), Some(answer));
            }
        }
    }
}
