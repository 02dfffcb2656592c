use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::marker::Marker;

/// What to run, and in what surroundings. Standard input is always empty.
#[derive(Clone, Debug)]
pub struct Spec {
    pub(crate) command: Vec<OsString>,
    pub(crate) cwd: PathBuf,
    pub(crate) env: BTreeMap<OsString, OsString>,
    pub(crate) output: Output,
    pub(crate) limits: Limits,
    pub(crate) marker: Marker,
    pub(crate) synced: bool,
}

/// Where standard output and standard error go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Discard,
    /// Both are appended to one file in the order in which they are written. For what outlives
    /// the controller.
    File(PathBuf),
    /// Each is appended to its own file.
    Files {
        stdout: PathBuf,
        stderr: PathBuf,
    },
    /// Both go into one pipe, read through [`Launched::take_output`](crate::Launched::take_output).
    /// Its end comes when the last process that holds it ends, which a child in the background may
    /// put off: read with a deadline after the exit. A command that writes after the reader's death
    /// is ended by SIGPIPE.
    Pipe,
}

/// Upper bounds on one process, each inherited by its children. `None` leaves the controller's own.
/// A bound above the controller's hard limit fails the launch unless it is privileged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Open file descriptors (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Address space in bytes (`RLIMIT_AS`), which is more than resident memory.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the user, all sessions together (`RLIMIT_NPROC`); root is exempt.
    pub processes: Option<u64>,
    /// Size of a core file in bytes (`RLIMIT_CORE`). The default, 0, writes none.
    pub core_bytes: u64,
}

/// A spec that no launch can carry out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    #[error("command is empty")]
    NoCommand,
    #[error("`{0}` holds a NUL byte")]
    Nul(String),
    #[error("`{0}` is no name for an environment variable")]
    EnvName(String),
    #[error("command and environment are longer than the system takes")]
    TooLong,
}

impl Spec {
    /// `program` with a slash is a path, relative to the working folder; without one it is looked
    /// up in the `PATH` of the environment given here.
    pub fn new(program: impl Into<OsString>, marker: Marker) -> Self {
        Self {
            command: vec![program.into()],
            cwd: PathBuf::from("/"),
            env: BTreeMap::new(),
            output: Output::Discard,
            limits: Limits::default(),
            marker,
            synced: false,
        }
    }

    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.command.push(arg.into());
        self
    }

    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.extend(args.into_iter().map(Into::into));
        self
    }

    /// Working folder; `/` unless set.
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// Adds one variable. The environment is exactly what is added, and the marker; nothing is
    /// inherited, `PATH` neither.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Adds variables; see [`Spec::env`].
    pub fn envs<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter();
        self.env.extend(variables.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// [`Output::Discard`] unless set.
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Syncs the record to disk before the command starts. For instances, whose records are kept
    /// beside other durable facts; a step's record means nothing after a power cut, and a sync
    /// costs it milliseconds.
    pub fn synced(mut self) -> Self {
        self.synced = true;
        self
    }

    /// The variables with the marker, which wins over one of the same name.
    pub(crate) fn full_env(&self) -> BTreeMap<OsString, OsString> {
        let mut env = self.env.clone();
        env.insert(self.marker.key().into(), self.marker.value().into());
        env
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidSpec> {
        if self.command.first().is_none_or(|program| program.is_empty()) {
            return Err(InvalidSpec::NoCommand);
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(InvalidSpec::EnvName(shown(name)));
            }
            // The value may be a secret: only the name is shown.
            if has_nul(name) || has_nul(value) {
                return Err(InvalidSpec::Nul(shown(name)));
            }
        }
        let mut paths = self.output.paths().into_iter().flatten();
        let nul = self.command.iter().find(|part| has_nul(part)).cloned();
        let nul = nul.or_else(|| paths.find(|path| has_nul(path)).map(OsString::from));
        let nul = nul.or_else(|| has_nul(self.cwd.as_os_str()).then(|| self.cwd.clone().into()));
        nul.map_or(Ok(()), |part| Err(InvalidSpec::Nul(shown(&part))))
    }
}

impl Output {
    /// Files of standard output and standard error.
    pub(crate) fn paths(&self) -> [Option<PathBuf>; 2] {
        match self {
            Self::Discard | Self::Pipe => [None, None],
            Self::File(path) => [Some(path.clone()), Some(path.clone())],
            Self::Files { stdout, stderr } => [Some(stdout.clone()), Some(stderr.clone())],
        }
    }
}

fn has_nul(text: impl AsRef<OsStr>) -> bool {
    text.as_ref().as_bytes().contains(&0)
}

fn shown(text: &OsStr) -> String {
    text.to_string_lossy().replace('\0', "\u{2400}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(program: &str) -> Spec {
        Spec::new(program, Marker::new("GRIT_JOB", "job_1").unwrap())
    }

    #[test]
    fn refuses_what_exec_could_not_take() {
        assert_eq!(spec("").validate(), Err(InvalidSpec::NoCommand));
        let nul = |text: &str| Err(InvalidSpec::Nul(text.into()));
        assert_eq!(spec("x").arg("a\0b").validate(), nul("a\u{2400}b"));
        assert_eq!(spec("x").env("TOKEN", "s3cret\0").validate(), nul("TOKEN"));
        assert_eq!(spec("x").cwd("/\0").validate(), nul("/\u{2400}"));
        let log = Output::File("/l\0g".into());
        assert_eq!(spec("x").output(log).validate(), nul("/l\u{2400}g"));
        for name in ["", "A=B", "="] {
            let expected = Err(InvalidSpec::EnvName(name.into()));
            assert_eq!(spec("x").env(name, "v").validate(), expected);
        }
        assert_eq!(spec("x").env("A", "v=w").arg("").validate(), Ok(()));
    }

    #[test]
    fn marker_wins_over_a_variable_of_its_name() {
        let env = spec("x").env("GRIT_JOB", "job_2").full_env();
        assert_eq!(env[OsStr::new("GRIT_JOB")], "job_1");
    }
}
