//! A disk that is full: for real, page by page, and at every single call that takes room.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    calls::{self, Point},
    world::{Deed, Template, World},
};

/// What a clone of the template needs, and room to work.
const DISK: &str = "4m";
const PAGE: usize = 4096;
/// So many free pages are enough for every command.
const PAGES_MAX: usize = 400;
/// A command that had room has it with so many pages more as well.
const PAGES_AFTER: usize = 2;
/// Exit code of a command whose environment failed it.
const ENVIRONMENT: i32 = 5;
/// Nothing hangs because there is no room.
const RUN_MAX: &str = "60";
/// So often a call is tried at which the refusal met what is no file: which thread it meets is chance.
const TRIES: usize = 5;
const TAKING_ROOM: &[&str] =
    &["openat", "mkdir", "mkdirat", "link", "linkat", "rename", "renameat2", "write", "fsync"];

pub fn check(template: &Template, deed: Deed) -> Result<Vec<String>> {
    let mut wrong = filled(template, deed)?;
    wrong.extend(refused(template, deed)?);
    Ok(wrong)
}

/// With no page free, with one, with two, until there is room.
fn filled(template: &Template, deed: Deed) -> Result<Vec<String>> {
    let (mut wrong, mut full, mut done) = (Vec::new(), 0, 0);
    for pages in 0..PAGES_MAX {
        let mut world = template.copy()?;
        let disk = Disk::under(&world, "ours")?;
        world.enter(disk.0.id());
        let before = world.events("ours")?;
        let script = "cat /dev/zero > filler 2>/dev/null; exec truncate --size=-$0 filler";
        let room = (pages * PAGE).to_string();
        let filled = world.command("sh", "ours").args(["-c", script, &room]).status()?;
        ensure!(filled.success(), "the disk cannot be filled");
        let output = world.grit("ours", deed.args())?;
        std::fs::metadata(world.path("team.git")).context("the remote")?;
        world.command("rm", "ours").arg("filler").status()?;
        let told = format!("{} with {pages} pages free", deed.name());
        match output.status.code() {
            Some(0) => done += 1,
            Some(ENVIRONMENT) => full += 1,
            other => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                wrong.push(format!("{told}: exit {other:?}: {said}"));
            }
        }
        goes_on(&world, deed, &before, output.status.success(), &told, &mut wrong);
        if done > PAGES_AFTER {
            println!(
                "full disk, {:<8} {full} times refused, room with {} pages",
                deed.name(),
                pages - PAGES_AFTER
            );
            return Ok(wrong);
        }
    }
    bail!("{}: {PAGES_MAX} pages are not enough", deed.name())
}

/// Each call of `grit` itself that takes room, refused as on a full disk.
fn refused(template: &Template, deed: Deed) -> Result<Vec<String>> {
    let points = calls::points(template, deed)?;
    let taking = points.iter().filter(|point| {
        point.child.is_none() && point.writes && TAKING_ROOM.contains(&point.call.as_str())
    });
    let (mut wrong, mut codes, mut missed) = (Vec::new(), BTreeMap::new(), Vec::new());
    for point in taking {
        let tried = (0..TRIES).find_map(|_| without_room(template, deed, point).transpose());
        let Some((world, before, output)) = tried.transpose()? else {
            missed.push(format!("{} {}", point.call, point.nth));
            continue;
        };
        let told = format!("{} with no room at {} {}", deed.name(), point.call, point.nth);
        let code = output.status.code().unwrap_or(-1);
        *codes.entry(code).or_insert(0) += 1;
        if ![0, ENVIRONMENT].contains(&code) {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            wrong.push(format!("{told}: exit {code}: {said}"));
        }
        goes_on(&world, deed, &before, code == 0, &told, &mut wrong);
    }
    println!("no room at a call, {:<8} times by exit code: {codes:?}", deed.name());
    if !missed.is_empty() {
        println!("  not met, for what is no file was written to there: {}", missed.join(", "));
    }
    Ok(wrong)
}

/// The command with one call refused; none where that call was of no file.
fn without_room<'a>(
    template: &'a Template,
    deed: Deed,
    Point { call, nth, .. }: &Point,
) -> Result<Option<(World<'a>, BTreeSet<String>, Output)>> {
    let world = template.copy()?;
    let before = world.events("ours")?;
    let trace = world.path("trace");
    let mut traced = world.command("timeout", "ours");
    traced.args(["--signal=KILL", RUN_MAX, "strace"]);
    traced.args(["-f", "-qq", "-y", "-s", "0", "-e", &format!("trace={call}"), "-o"]).arg(&trace);
    traced.args(["-e", &format!("inject={call}:error=ENOSPC:when={nth}")]);
    let output = traced.arg(world.program()).args(deed.args()).output()?;
    let trace = std::fs::read_to_string(trace)?;
    let is_file = |line: &str| !line.contains("<anon_inode:") && !line.contains("<pipe:");
    let met = trace.lines().filter(|line| line.ends_with("(INJECTED)")).all(is_file);
    Ok(met.then_some((world, before, output)))
}

/// Nothing that was there is gone, and with room again the next command works.
fn goes_on(
    world: &World<'_>,
    deed: Deed,
    before: &BTreeSet<String>,
    done: bool,
    told: &str,
    wrong: &mut Vec<String>,
) {
    let look = || -> Result<()> {
        let now = world.events("ours")?;
        ensure!(now.is_superset(before), "what was there is gone");
        ensure!(
            !done || deed == Deed::Acquire || now.len() > before.len(),
            "acknowledged and lost"
        );
        match (deed, done) {
            (Deed::Acquire, true) => {
                world.done("ours", &["lock", "release", super::world::RESOURCE])?
            }
            _ => String::new(),
        };
        let held =
            deed == Deed::Acquire && world.grit("ours", deed.args())?.status.code() == Some(4);
        if held {
            // It was granted, and what was to be told could not be.
            world.done("ours", &["lock", "release", super::world::RESOURCE])?;
        }
        if deed != Deed::Acquire || held {
            world.done("ours", deed.args())?;
        }
        world.done("ours", &["verify"])?;
        world.git("ours", &["fsck", "--strict", "--no-dangling"])?;
        world.git("team.git", &["fsck", "--strict", "--no-dangling"])?;
        Ok(())
    };
    if let Err(error) = look() {
        let line = format!("{told}: {error:#}");
        println!("{line}");
        wrong.push(line);
    }
}

/// A small file system over one folder, seen only from within.
struct Disk(Child);

impl Disk {
    fn under(world: &World<'_>, folder: &str) -> Result<Self> {
        let path = world.path(folder);
        let kept = world.path("kept");
        // What the folder holds is carried over to the disk.
        let script = r#"cp -a "$0" "$1" && mount -t tmpfs -o size="$2" tmpfs "$0" && cp -a "$1/." "$0/" && echo there && exec sleep 1000"#;
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command.arg(&path).arg(&kept).arg(DISK).stdout(Stdio::piped());
        let mut child = command.spawn().context("start unshare")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let disk = Self(child);
        ensure!(line == "there\n", "no small disk can be made here");
        Ok(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
