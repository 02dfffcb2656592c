//! Running one hook on its files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::config::Hook;

/// The names of files that one command gets, together, in bytes.
const NAMES_BYTES_MAX: usize = 100 << 10;
/// Fewer files than this are not shared out.
const BATCH_MIN: usize = 4;
/// So much of what a hook says is kept, in bytes.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a hook's program is started.
pub struct Program {
    pub words: Vec<String>,
    /// Folders before PATH.
    pub path: Vec<PathBuf>,
    pub variables: BTreeMap<String, OsString>,
}

/// What a hook came to.
#[derive(Debug, Default)]
pub struct Done {
    /// The worst of its commands.
    pub code: i32,
    pub output: Vec<u8>,
    pub interrupted: bool,
}

/// Runs the hook in as many commands as its files need, several at once where it allows that.
pub fn run(
    hook: &Hook,
    program: &Program,
    files: &[String],
    folder: &Path,
    ended: &AtomicBool,
) -> Done {
    let given: &[String] = if hook.pass_filenames { files } else { &[] };
    let batches = batches(given, if hook.require_serial { 1 } else { cores() });
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Done)>> = Mutex::default();
    let workers = if hook.require_serial { 1 } else { cores().min(batches.len()) };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(batch) = batches.get(at)
                {
                    let done = one(hook, program, batch, folder, ended);
                    let interrupted = done.interrupted;
                    if let Ok(mut results) = results.lock() {
                        results.push((at, done));
                    }
                    if interrupted {
                        break;
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(at, _)| *at);
    let mut all = Done::default();
    for (_, done) in results {
        all.code = all.code.max(done.code);
        all.interrupted |= done.interrupted;
        all.output.extend(done.output);
    }
    all.output.truncate(OUTPUT_BYTES_MAX);
    all
}

fn one(
    hook: &Hook,
    program: &Program,
    files: &[String],
    folder: &Path,
    ended: &AtomicBool,
) -> Done {
    let failed = |text: String| Done { code: 1, output: text.into_bytes(), interrupted: false };
    let words = program.words.iter().chain(&hook.args).chain(files);
    let words: Vec<&String> = words.collect();
    let Some((first, rest)) = words.split_first() else {
        return failed("the hook's entry is empty\n".to_owned());
    };
    let (mut reader, writer) = match std::io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return failed(format!("{error}\n")),
    };
    let both = writer.try_clone().map(|both| (Stdio::from(both), Stdio::from(writer)));
    let (out, err) = match both {
        Ok(both) => both,
        Err(error) => return failed(format!("{error}\n")),
    };
    let mut command = Command::new(first);
    command.args(rest).current_dir(folder).envs(&program.variables).env("PRE_COMMIT", "1");
    command.env("PATH", path(&program.path));
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    let spawned = command.spawn();
    // Its copies of the pipe would keep it open.
    drop(command);
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return failed(format!("Executable `{first}` cannot be run: {error}\n")),
    };
    let read = std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read) = reader.read(&mut buffer)
            && read > 0
        {
            let room = OUTPUT_BYTES_MAX - kept.len();
            kept.extend_from_slice(&buffer[..read.min(room)]);
        }
        kept
    });
    let (code, interrupted) = wait(&mut child, ended);
    Done { code, output: read.join().unwrap_or_default(), interrupted }
}

/// Its exit status; ended when somebody asks for that, with everything it started in its group.
fn wait(child: &mut Child, ended: &AtomicBool) -> (i32, bool) {
    use std::os::unix::process::ExitStatusExt;
    let mut asked = 0;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                end(child, Signal::KILL);
                return (code, asked > 0);
            }
            Ok(None) if ended.load(Ordering::Relaxed) => {
                // A hook that does not go is killed.
                end(child, if asked < 100 { Signal::TERM } else { Signal::KILL });
                asked += 1;
            }
            Ok(None) => {}
            Err(_) => return (1, asked > 0),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn end(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Nobody is left in it: as good.
        let _ = kill_process_group(group, signal);
    }
}

fn path(folders: &[PathBuf]) -> OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().cloned().chain(std::env::split_paths(&inherited));
    std::env::join_paths(all).unwrap_or(inherited)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Shared out evenly, no share larger than a command line may be; at least one, which may be empty.
fn batches(files: &[String], shares: usize) -> Vec<Vec<String>> {
    let size = files.len().div_ceil(shares.max(1)).max(BATCH_MIN);
    let mut batches = vec![Vec::new()];
    let mut bytes = 0;
    for file in files {
        let last = batches.last_mut().map_or(0, |batch: &mut Vec<String>| batch.len());
        if last > 0 && (last == size || bytes + file.len() > NAMES_BYTES_MAX) {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes += file.len() + 1;
        if let Some(batch) = batches.last_mut() {
            batch.push(file.clone());
        }
    }
    batches
}

/// Words as a shell splits them: quotes and backslashes, nothing else.
pub fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let split = |text: &str| words(text).map(|words| words.join("|"));
        assert_eq!(split("a 'b c' \"d \\\" e\" f\\ g ''").unwrap(), "a|b c|d \" e|f g|");
        assert_eq!(split("a 'b"), None);
    }

    #[test]
    fn files_are_shared_out_and_none_is_lost() {
        let files: Vec<String> = (0..1000).map(|n| format!("{n}-{}", "x".repeat(300))).collect();
        for shares in [1, 2, 7] {
            let batches = batches(&files, shares);
            assert_eq!(batches.concat(), files);
            assert!(batches.len() >= shares);
            let bytes =
                |batch: &Vec<String>| batch.iter().map(|file| file.len() + 1).sum::<usize>();
            assert!(batches.iter().all(|batch| bytes(batch) <= NAMES_BYTES_MAX + 400));
        }
        assert_eq!(batches(&[], 4), [Vec::<String>::new()]);
    }
}
