//! Which file system calls a command and the runs of git below it make.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::world::{Deed, Template};

/// Everything that names a file, and what changes one through a handle.
pub const CALLS: &str =
    "%file,fsync,fdatasync,write,pwrite64,writev,ftruncate,flock,fchmod,fallocate,copy_file_range";

/// Which of them change something by their name alone; `openat` does where it makes a file.
const WRITING: &[&str] = &[
    "copy_file_range",
    "fallocate",
    "fchmod",
    "fdatasync",
    "flock",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "symlink",
    "symlinkat",
    "truncate",
    "unlink",
    "unlinkat",
    "utimensat",
    "write",
    "writev",
];

/// Where to kill: the process that makes a call the nth time, as it begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The number of a run of git, the remote's included; none: `grit` itself.
    pub child: Option<usize>,
    pub call: String,
    pub nth: usize,
    /// Whether the call changes something.
    pub writes: bool,
}

impl fmt::Display for Point {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { child, call, nth, .. } = self;
        match child {
            Some(child) => write!(out, "{call} {nth} of git run {child}"),
            None => write!(out, "{call} {nth} of grit"),
        }
    }
}

pub fn processes(points: &[Point]) -> usize {
    points.iter().map(|point| point.child).collect::<BTreeSet<_>>().len()
}

/// Every call of one command.
pub fn points(template: &Template, deed: Deed) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    let world = template.copy()?;
    let trace = world.path("trace");
    let mut traced = world.command("strace", "ours");
    traced.args(["-f", "-qq", "-y", "-s", "0", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace);
    let output = traced.arg(world.program()).args(deed.args()).output()?;
    ensure!(output.status.success(), "`grit {}` under strace fails", deed.args().join(" "));
    points.extend(of_grit(&fs::read_to_string(&trace)?));
    let world = template.copy()?;
    let runs = world.path("runs");
    fs::create_dir(&runs)?;
    let mut command = world.command(world.program(), "ours");
    command.env("TORTURE_COUNT", &runs).env("TORTURE_TRACE", CALLS);
    let output = command.args(deed.args()).output()?;
    ensure!(output.status.success(), "`grit {}` with git traced fails", deed.args().join(" "));
    points.extend(of_runs(&runs)?);
    Ok(points)
}

/// Of `grit` and its threads: what its children do begins with another program.
fn of_grit(trace: &str) -> Vec<Point> {
    let mut by_task: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut order = Vec::new();
    for line in trace.lines() {
        let Some((task, call)) = line.split_once(' ') else { continue };
        if !by_task.contains_key(task) {
            order.push(task);
        }
        by_task.entry(task).or_default().push(call.trim_start());
    }
    let own = order.iter().enumerate().filter(|(number, task)| {
        *number == 0 || !by_task[*task].iter().any(|call| call.starts_with("execve("))
    });
    // Two threads' nth calls are one point: whichever comes first is killed there.
    let points: BTreeSet<Point> =
        own.flat_map(|(_, task)| of_task(None, by_task[task].iter().copied())).collect();
    points.into_iter().collect()
}

fn of_runs(runs: &Path) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    for child in 0.. {
        let folder = runs.join(child.to_string());
        if !folder.is_dir() {
            break;
        }
        let trace = fs::read_to_string(folder.join("trace")).context("a run without a trace")?;
        points.extend(of_task(Some(child), trace.lines()));
    }
    Ok(points)
}

fn of_task<'a>(child: Option<usize>, lines: impl Iterator<Item = &'a str>) -> Vec<Point> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for line in lines {
        // Signals, ends, and the second halves of calls.
        let Some((call, rest)) = line.split_once('(') else { continue };
        if !call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let nth = seen.entry(call).or_default();
        *nth += 1;
        // What wakes a thread is no file, though it is written to.
        let is_file = !rest.contains("<anon_inode:");
        let writes = is_file && WRITING.contains(&call)
            || (call.starts_with("open") && rest.contains("O_CREAT"));
        points.push(Point { child, call: call.to_owned(), nth: *nth, writes });
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_from_children() {
        let trace = "\
10 execve(\"\"..., 0x1, 0x2) = 0
10 openat(AT_FDCWD, \"\"..., O_RDONLY) = 3
11 openat(AT_FDCWD, \"\"..., O_WRONLY|O_CREAT) = 3
12 access(\"\"..., F_OK) = 0
12 execve(\"\"..., 0x1, 0x2) = 0
12 unlink(\"\"...) = 0
11 fsync(3 <unfinished ...>
11 <... fsync resumed>) = 0
10 --- SIGCHLD {si_signo=SIGCHLD} ---
";
        let points: Vec<String> = of_grit(trace).iter().map(Point::to_string).collect();
        assert_eq!(
            points,
            ["execve 1 of grit", "fsync 1 of grit", "openat 1 of grit", "openat 1 of grit"]
        );
    }
}
