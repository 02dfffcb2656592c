//! The tracker beside grite, which keeps issues in git as well: the same commands, alternating, in two clones of two
//! empty repositories.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use super::{ended, median, millis};
use crate::repo::Repo;

const GRITE: &str = "0.5.3";
/// Issues in the smaller of the two worlds.
const SMALL: usize = 1_000;
/// A figure of creating is the median of so many.
const CREATES: usize = 100;
/// About as long as an event.
const FLOOR_BYTES: usize = 300;

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Issues in the larger world.
    pub issues: u64,
    /// Each list is asked for so often.
    pub rounds: u64,
    /// A `grit` that is there already; none: this checkout's is built.
    pub binary: Option<PathBuf>,
    /// A `grite` that is there already; none: cargo installs one into a temporary folder.
    pub grite: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { issues: 10_000, rounds: 11, binary: None, grite: None }
    }
}

/// # Errors
/// A program is missing, or a command fails: then nothing was measured.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    let place = tempfile::tempdir().context("make a temporary folder")?;
    let grite = match &settings.grite {
        Some(path) => path.clone(),
        None => install(place.path())?,
    };
    let ours = Side::new("grit", repo.grit(settings.binary.as_deref())?, place.path())?;
    let peer = Side::new("grite", fs::canonicalize(grite)?, place.path())?;
    let both = Both { ours, peer, rounds: usize::try_from(settings.rounds)? };
    println!("{:<34} {:>10} {:>10} {:>8}", "medians", "grit", "grite", "ratio");
    both.line("--version", |side| side.timed(&["--version"]))?;
    both.floors()?;
    both.creates(0)?;
    both.objects()?;
    both.fill(CREATES, SMALL)?;
    both.lists(SMALL)?;
    both.exchange()?;
    let many = usize::try_from(settings.issues)?;
    both.fill(SMALL, many)?;
    both.creates(many)?;
    both.lists(many)?;
    both.row("size of .git, MB", |side| Ok(size(&side.clone.join(".git"))? as f64 / 1e6))?;
    Ok(ExitCode::SUCCESS)
}

fn install(place: &Path) -> Result<PathBuf> {
    let root = place.join("root");
    let status = Command::new("cargo")
        .args(["install", "--quiet", "grite", "--version", GRITE, "--root"])
        .arg(&root)
        .env("CARGO_TARGET_DIR", place.join("target"))
        .status()
        .context("start cargo")?;
    ensure!(status.success(), "`cargo install grite` failed");
    Ok(root.join("bin/grite"))
}

/// One of the two programs, and its clone.
struct Side {
    program: PathBuf,
    is_ours: bool,
    home: PathBuf,
    hosted: PathBuf,
    clone: PathBuf,
}

impl Side {
    fn new(name: &str, program: PathBuf, place: &Path) -> Result<Self> {
        let home = place.join(name);
        fs::create_dir_all(&home)?;
        let config =
            "[user]\n\tname = bench\n\temail = bench@localhost\n[init]\n\tdefaultBranch = main\n";
        fs::write(home.join(".gitconfig"), config)?;
        let (hosted, clone) = (home.join("hosted.git"), home.join("clone"));
        let side = Self { program, is_ours: name == "grit", home, hosted, clone };
        side.git(&side.home, &["init", "--quiet", "--bare", "hosted.git"])?;
        side.git(&side.home, &["clone", "--quiet", "hosted.git", "clone"])?;
        side.git(&side.clone, &["commit", "--quiet", "--allow-empty", "--message", "first"])?;
        side.git(&side.clone, &["push", "--quiet", "origin", "main"])?;
        if !side.is_ours {
            side.run(&side.clone, &["init"])?;
        }
        Ok(side)
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env("HOME", &self.home).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env_remove("CI").stdin(Stdio::null());
        command
    }

    fn git(&self, folder: &Path, args: &[&str]) -> Result<()> {
        ended(self.command(Path::new("git"), folder).args(args)).map(drop)
    }

    /// What it answers.
    fn run(&self, folder: &Path, args: &[&str]) -> Result<String> {
        ended(self.command(&self.program, folder).args(args))
    }

    /// In milliseconds, from the start of the process to its end.
    fn timed(&self, args: &[&str]) -> Result<f64> {
        let began = Instant::now();
        self.run(&self.clone, args)?;
        Ok(millis(began.elapsed()))
    }

    /// The same on a terminal, as somebody sees it.
    fn timed_on_a_terminal(&self, line: &str) -> Result<f64> {
        let began = Instant::now();
        let mut script = self.command(Path::new("script"), &self.clone);
        ended(script.args(["-qec", line, "/dev/null"]))?;
        Ok(millis(began.elapsed()))
    }

    /// One small file, written and synced where the clone is.
    fn synced(&self) -> Result<f64> {
        let path = self.home.join("floor");
        let began = Instant::now();
        let mut file = fs::File::create(&path)?;
        file.write_all(&[b'x'; FLOOR_BYTES])?;
        file.sync_all()?;
        let took = millis(began.elapsed());
        fs::remove_file(path)?;
        Ok(took)
    }

    fn create(&self, number: usize) -> Result<f64> {
        let title = format!("Issue {number}: timeout in module {}", number % 97);
        let body = format!("The build of word{} failed.\n\n- [ ] look\n- [ ] mend\n", number % 100);
        let label = format!("area-{}", number % 50);
        self.timed(&["issue", "create", "--title", &title, "--body", &body, "--label", &label])
    }
}

struct Both {
    ours: Side,
    peer: Side,
    rounds: usize,
}

impl Both {
    fn fill(&self, from: usize, to: usize) -> Result<()> {
        let create = |side: &Side| (from..to).try_for_each(|number| side.create(number).map(drop));
        create(&self.ours)?;
        create(&self.peer)
    }

    /// What stands in the figures and is neither program's: a sync to the disk, a terminal.
    fn floors(&self) -> Result<()> {
        self.line("one write and fsync, ms", Side::synced)?;
        self.line("a terminal for nothing, ms", |side| side.timed_on_a_terminal("true"))
    }

    fn creates(&self, there: usize) -> Result<()> {
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for number in there..there + CREATES {
            ours.push(self.ours.create(number)?);
            peer.push(self.peer.create(number)?);
        }
        told(&format!("create at {there}, ms"), median(ours), Some(median(peer)));
        Ok(())
    }

    fn objects(&self) -> Result<()> {
        self.row("loose objects per create", |side| {
            let before = loose(side)?;
            for number in 0..10 {
                side.create(number)?;
            }
            Ok((loose(side)? - before) as f64 / 10.0)
        })
    }

    fn lists(&self, there: usize) -> Result<()> {
        let label = ["issue", "list", "--label", "area-7"];
        self.line(&format!("list --json at {there}, ms"), |side| {
            side.timed(&["issue", "list", "--json"])
        })?;
        self.line(&format!("list, piped, at {there}, ms"), |side| side.timed(&["issue", "list"]))?;
        self.line(&format!("list, terminal, at {there}, ms"), |side| {
            side.timed_on_a_terminal(&format!("{} issue list", side.program.display()))
        })?;
        self.line(&format!("list --label at {there}, ms"), |side| side.timed(&label))?;
        let text = (0..self.rounds)
            .map(|_| self.ours.timed(&["issue", "search", "is:open word42 \"failed\""]))
            .collect::<Result<Vec<f64>>>()?;
        // grite has no full text.
        told(&format!("full text at {there}, ms"), median(text), None);
        Ok(())
    }

    /// Pushes all; then a fresh clone takes and lists all.
    fn exchange(&self) -> Result<()> {
        self.row(&format!("sync --push {SMALL}, ms"), |side| side.timed(&["sync", "--push"]))?;
        let mut listed = Vec::new();
        self.row(&format!("clone, sync, list {SMALL}, ms"), |side| {
            let began = Instant::now();
            side.git(&side.home, &["clone", "--quiet", &side.hosted.to_string_lossy(), "fresh"])?;
            let fresh = side.home.join("fresh");
            if !side.is_ours {
                side.run(&fresh, &["init"])?;
            }
            side.run(&fresh, &["sync", "--pull"])?;
            let answer = side.run(&fresh, &["issue", "list", "--json"])?;
            let took = millis(began.elapsed());
            listed.push(answer.matches("\"title\"").count());
            Ok(took)
        })?;
        println!("{:<34} {:>10} {:>10}", "  issues listed there", listed[0], listed[1]);
        Ok(())
    }

    /// The median of several, alternating.
    fn line(&self, what: &str, measure: impl Fn(&Side) -> Result<f64>) -> Result<()> {
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            ours.push(measure(&self.ours)?);
            peer.push(measure(&self.peer)?);
        }
        told(what, median(ours), Some(median(peer)));
        Ok(())
    }

    /// What is measured once.
    fn row(&self, what: &str, mut measure: impl FnMut(&Side) -> Result<f64>) -> Result<()> {
        let ours = measure(&self.ours)?;
        told(what, ours, Some(measure(&self.peer)?));
        Ok(())
    }
}

fn told(what: &str, ours: f64, peer: Option<f64>) {
    match peer {
        Some(peer) => println!("{what:<34} {ours:>10.1} {peer:>10.1} {:>8.2}", ours / peer),
        None => println!("{what:<34} {ours:>10.1} {:>10} {:>8}", "-", "-"),
    }
}

fn loose(side: &Side) -> Result<usize> {
    let told = ended(side.command(Path::new("git"), &side.clone).args(["count-objects"]))?;
    told.split_whitespace().next().unwrap_or_default().parse().context("git count-objects")
}

/// Of all files below, in bytes.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { size(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
