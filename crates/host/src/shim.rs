//! The shim: a short life of our own binary between the controller and the command.
//!
//! Its order of work is the promise of this crate: session, *record*, files, folder, limits, exec.
//! A record precedes every effect of the command. A shim whose controller dies before hearing of
//! the record leaves no record and starts nothing: there is never a running command that a
//! controller which reads the records would not find.
//!
//! The binary calls [`run_if_asked`] before anything else: no runtime, no threads, no output.
//! Another crate's tests need such a binary too, since a test harness cannot be one: three lines
//! under `src/bin/`, launched as `Shim::at(env!("CARGO_BIN_EXE_grit-target-shim"))`.
//!
//! ```
//! fn main() -> std::process::ExitCode {
//!     grit_host::shim::run_if_asked().unwrap_or(std::process::ExitCode::from(2))
//! }
//! ```

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit, setsid};

use crate::durable;
use crate::identity::ProcessId;
use crate::order::{Answer, Order, Stage};
use crate::record;
use crate::session::Session;
use crate::spec::Limits;

/// The hidden first argument that makes the binary a shim.
pub const VERB: &str = "__exec";

/// As in `env(1)` and shells: 125 failed before the command, 126 not executable, 127 not found.
const EXIT_SHIM: u8 = 125;
const EXIT_NOT_EXECUTABLE: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

/// A program just written may still be open for writing in a sibling that forked meanwhile and has
/// not yet reached its own exec; that takes milliseconds.
const BUSY_TRIES: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The program that is started as the shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shim {
    program: PathBuf,
}

impl Shim {
    /// The running binary itself, which must call [`run_if_asked`]. It stays the same version even
    /// when the file on disk was replaced or deleted.
    pub fn this_binary() -> Self {
        Self { program: PathBuf::from("/proc/self/exe") }
    }

    /// Another binary that calls [`run_if_asked`].
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

/// Does the shim's work if the first argument is [`VERB`], and returns only if that failed; `None`
/// if the binary was called for anything else.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let asked = args.next().is_some_and(|first| first == VERB);
    asked.then(|| run(args))
}

/// The shim's work, with the arguments after [`VERB`]. Becomes the command, or returns 125 (failed
/// before it), 126 (not executable) or 127 (not found).
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(order) = Order::from_args(args) else {
        return ExitCode::from(EXIT_SHIM);
    };
    match answers().and_then(|mut answers| follow(&order, &mut answers)) {
        Ok(code) => ExitCode::from(code),
        // Nobody listens any more: what is not started needs no explanation.
        Err(_) => ExitCode::from(EXIT_SHIM),
    }
}

/// An error here is one of talking to the launching process, and means that it is gone.
fn follow(order: &Order, answers: &mut File) -> io::Result<u8> {
    Answer::Ready.send(answers)?;
    let session = match record_self(order) {
        Ok(session) => session,
        Err(failure) => return failure.report(answers),
    };
    let told =
        Answer::Recorded { pid: session.leader().pid, start_time: session.leader().start_time };
    if let Err(gone) = told.send(answers) {
        discard(&order.record);
        return Err(gone);
    }
    let failure = become_command(order);
    discard(&order.record);
    failure.report(answers)
}

fn record_self(order: &Order) -> Result<Session, Failure> {
    setsid().map_err(|errno| Failure::at(Stage::Session)(errno.into()))?;
    let own = ProcessId::own().map_err(Failure::at(Stage::Session))?;
    let session = Session::new(own, order.marker.clone());
    record::write(&order.record, &session, order.synced).map_err(Failure::at(Stage::Record))?;
    Ok(session)
}

fn become_command(order: &Order) -> Failure {
    // Built before the limits, which may leave no memory for it.
    let mut command = Command::new(&order.command[0]);
    command.args(&order.command[1..]);
    if let Err(failure) = prepare(order) {
        return failure;
    }
    let mut error = command.exec();
    for _ in 0..BUSY_TRIES {
        if Errno::from_io_error(&error) != Some(Errno::TXTBSY) {
            break;
        }
        std::thread::sleep(BUSY_PAUSE);
        error = command.exec();
    }
    Failure::at(Stage::Exec)(error)
}

fn prepare(order: &Order) -> Result<(), Failure> {
    let [stdout, stderr] = &order.output;
    if let Some(path) = stdout {
        let stdout = append(path).and_then(|log| Ok(rustix::stdio::dup2_stdout(log)?));
        stdout.map_err(Failure::at(Stage::Stdout))?;
    }
    if let Some(path) = stderr {
        let stderr = append(path).and_then(|log| Ok(rustix::stdio::dup2_stderr(log)?));
        stderr.map_err(Failure::at(Stage::Stderr))?;
    }
    std::env::set_current_dir(&order.cwd).map_err(Failure::at(Stage::Cwd))?;
    limit(order.limits)
}

fn limit(limits: Limits) -> Result<(), Failure> {
    let Limits { open_files, memory_bytes, processes, core_bytes } = limits;
    let all = [
        (Stage::Core, Resource::Core, Some(core_bytes)),
        (Stage::Processes, Resource::Nproc, processes),
        (Stage::OpenFiles, Resource::Nofile, open_files),
        (Stage::Memory, Resource::As, memory_bytes),
    ];
    for (stage, resource, limit) in all {
        let Some(limit) = limit else { continue };
        let rlimit = Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(resource, rlimit).map_err(|errno| Failure::at(stage)(errno.into()))?;
    }
    Ok(())
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(durable::FILE_MODE);
    options.open(path)
}

/// Standard input is the pipe to the launching process; the command must get neither it nor its
/// copy, whose closing by exec is the last answer.
fn answers() -> io::Result<File> {
    let answers = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(File::from(answers))
}

/// Our own record, of a command that will not run. Left behind, it reads as not alive.
fn discard(record: &Path) {
    let _ = std::fs::remove_file(record);
}

struct Failure {
    stage: Stage,
    error: io::Error,
}

impl Failure {
    fn at(stage: Stage) -> impl Fn(io::Error) -> Self {
        move |error| Self { stage, error }
    }

    fn report(&self, answers: &mut File) -> io::Result<u8> {
        let failed =
            Answer::Failed { stage: self.stage, errno: self.error.raw_os_error().unwrap_or(0) };
        failed.send(answers)?;
        Ok(match (self.stage, self.error.kind()) {
            (Stage::Exec, io::ErrorKind::NotFound) => EXIT_NOT_FOUND,
            (Stage::Exec, _) => EXIT_NOT_EXECUTABLE,
            _ => EXIT_SHIM,
        })
    }
}
