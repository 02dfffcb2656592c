use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// How a program that was given a limit ended.
pub struct Ended {
    /// `None`: the limit came first.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// What is asked to end has so long before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a program in a process group of its own, which ends when the limit comes. What it writes goes to files in
/// `folder`, not to pipes, which what it leaves behind would hold open.
pub fn limited(command: &mut Command, folder: &Path, limit: Duration) -> Result<Ended> {
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    let began = Instant::now();
    let mut child = command.process_group(0).spawn().with_context(|| format!("start {program}"))?;
    let mut status = wait(&mut child, limit)?;
    if status.is_none() {
        stop(&mut child)?;
    } else if let Some(late) = child.try_wait()? {
        status = Some(late);
    }
    let took = began.elapsed();
    let text =
        |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Ended { status, stdout: text(&out)?, stderr: text(&err)?, took })
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= end => return Ok(None),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn stop(child: &mut Child) -> Result<()> {
    let group = format!("-{}", child.id());
    let send = |signal: &str| Command::new("kill").args([signal, "--", &group]).output();
    send("-TERM")?;
    if wait(child, GRACE)?.is_none() {
        send("-KILL")?;
        child.wait()?;
    }
    Ok(())
}

/// Without what Cargo and rustup set for this program: both sides find the machine's own toolchain.
pub fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("CARGO") && text != "CARGO_HOME";
        if ours || text.starts_with("RUSTUP_TOOLCHAIN") || text.starts_with("RUSTFLAGS") {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_over_its_limit_ends_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 600 & echo $!; wait"]);
        let ended = limited(&mut command, folder.path(), Duration::from_millis(500)).unwrap();
        assert!(ended.status.is_none());
        let child = ended.stdout.lines().last().unwrap().to_owned();
        let is_there = || {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let end = Instant::now() + Duration::from_secs(10);
        while is_there() {
            assert!(Instant::now() < end, "process {child} outlives its limit");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
