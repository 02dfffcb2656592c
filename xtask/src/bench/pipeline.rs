//! `grit run` beside plain `sh`, wrkflw and gitlab-ci-local: the same steps, alternating.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{ended, median, millis};
use crate::repo::Repo;

const WRKFLW: &str = "0.8.0";
/// As later ones do not, it runs with Node 20; it needs rsync.
const GITLAB_CI_LOCAL: &str = "4.61.0";
/// What a step costs is a hundredth of what this many cost more than one.
const STEPS: usize = 100;
const JOBS: usize = 20;
const MANY_JOBS: usize = 1_000;
/// Below what is kept of one step's log.
const LOG_MB: usize = 60;
const SECRETS: usize = 50;
/// A tree as large as a build's folder.
const FILES: usize = 1_500;
const FILE_BYTES: usize = 100 << 10;

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub rounds: u64,
    /// Programs that are there already; none: `grit` is built, the others are installed into a temporary folder.
    pub binary: Option<PathBuf>,
    pub wrkflw: Option<PathBuf>,
    pub gitlab_ci_local: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 9, binary: None, wrkflw: None, gitlab_ci_local: None }
    }
}

/// # Errors
/// A program is missing, or a pipeline does not succeed: then nothing was measured.
pub fn run(repo: &Repo, settings: &Settings) -> Result<ExitCode> {
    let place = tempfile::tempdir().context("make a temporary folder")?;
    let peers = Peers::find(settings, place.path())?;
    let bench = Bench {
        grit: repo.grit(settings.binary.as_deref())?,
        peers,
        place: place.path().canonicalize()?,
        rounds: usize::try_from(settings.rounds)?,
    };
    println!("{:<30} {:>9} {:>9} {:>9} {:>9}", "medians", "sh", "grit", "wrkflw", "gcl");
    bench.first_step()?;
    bench.per_step()?;
    bench.new_file()?;
    bench.jobs()?;
    bench.many_jobs()?;
    bench.masking()?;
    bench.cache()?;
    Ok(ExitCode::SUCCESS)
}

struct Peers {
    wrkflw: PathBuf,
    gitlab_ci_local: PathBuf,
}

impl Peers {
    fn find(settings: &Settings, place: &Path) -> Result<Self> {
        let wrkflw = match &settings.wrkflw {
            Some(path) => path.clone(),
            None => {
                let root = place.join("wrkflw");
                let mut cargo = Command::new("cargo");
                cargo.args(["install", "--quiet", "wrkflw", "--version", WRKFLW, "--root"]);
                ended(cargo.arg(&root).env("CARGO_TARGET_DIR", place.join("target")))?;
                root.join("bin/wrkflw")
            }
        };
        let gitlab_ci_local = match &settings.gitlab_ci_local {
            Some(path) => path.clone(),
            None => {
                let root = place.join("gcl");
                fs::create_dir_all(&root)?;
                let package = format!("gitlab-ci-local@{GITLAB_CI_LOCAL}");
                ended(
                    Command::new("npm")
                        .args(["install", "--silent", "--prefix"])
                        .arg(&root)
                        .arg(package),
                )?;
                root.join("node_modules/.bin/gitlab-ci-local")
            }
        };
        let absolute =
            |path: PathBuf| path.canonicalize().with_context(|| path.display().to_string());
        Ok(Self { wrkflw: absolute(wrkflw)?, gitlab_ci_local: absolute(gitlab_ci_local)? })
    }
}

/// Jobs in all the words that it is measured in.
struct Jobs<'a> {
    jobs: usize,
    steps: usize,
    script: &'a str,
}

impl Jobs<'_> {
    fn github(&self) -> String {
        let step = format!("      - run: {}\n", self.script);
        let job = |n| {
            format!("  j{n}:\n    runs-on: ubuntu-latest\n    steps:\n{}", step.repeat(self.steps))
        };
        let jobs: String = (0..self.jobs).map(job).collect();
        format!("name: bench\non: push\njobs:\n{jobs}")
    }

    fn gitlab(&self) -> String {
        let line = format!("    - {}\n", self.script);
        (0..self.jobs).map(|n| format!("j{n}:\n  script:\n{}", line.repeat(self.steps))).collect()
    }
}

struct Bench {
    grit: PathBuf,
    peers: Peers,
    place: PathBuf,
    rounds: usize,
}

/// One of the programs, in the order of the columns.
#[derive(Clone, Copy)]
enum Side {
    Sh,
    Grit,
    Wrkflw,
    GitlabCiLocal,
}

const SIDES: [Side; 4] = [Side::Sh, Side::Grit, Side::Wrkflw, Side::GitlabCiLocal];

impl Bench {
    /// From the start of the process to the first word of the first step.
    fn first_step(&self) -> Result<()> {
        let mark = self.place.join("mark");
        let script = format!("date +%s%N > {}", mark.display());
        let folder = self.repository("first", &Jobs { jobs: 1, steps: 1, script: &script })?;
        let told = self.each(SIDES, |side| {
            let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
            self.whole(side, &folder, &script)?;
            let at: u128 = fs::read_to_string(&mark)?.trim().parse()?;
            Ok(at.saturating_sub(began) as f64 / 1e6)
        })?;
        line("to the first step, ms", &told);
        Ok(())
    }

    /// What a hundred steps cost, each.
    fn per_step(&self) -> Result<()> {
        let one = self.repository("one", &Jobs { jobs: 1, steps: 1, script: "exit 0" })?;
        let many =
            self.repository("many", &Jobs { jobs: 1, steps: STEPS + 1, script: "exit 0" })?;
        let times = |count: usize| format!("for n in $(seq {count}); do sh -c true; done");
        let told = self.each(SIDES, |side| {
            let few = self.whole(side, &one, &times(1))?;
            Ok((self.whole(side, &many, &times(STEPS + 1))? - few) / STEPS as f64)
        })?;
        line("a step, ms", &told);
        Ok(())
    }

    /// What the file system takes for a file, of which every step of Grit has nine: some take a hundred times as long
    /// as others.
    fn new_file(&self) -> Result<()> {
        let folder = self.place.join("files");
        fs::create_dir(&folder)?;
        let began = Instant::now();
        for number in 0..STEPS {
            fs::File::create_new(folder.join(number.to_string()))?;
        }
        let each = began.elapsed().as_secs_f64() * 1e3 / STEPS as f64;
        println!("{:<30} {each:>9.3}", "a new file there, ms");
        Ok(())
    }

    fn jobs(&self) -> Result<()> {
        let folder = self.repository("jobs", &Jobs { jobs: JOBS, steps: 1, script: "echo hi" })?;
        let script = format!("for n in $(seq {JOBS}); do sh -c 'echo hi'; done");
        let told = self.each(SIDES, |side| self.whole(side, &folder, &script))?;
        line(&format!("{JOBS} jobs, ms"), &told);
        Ok(())
    }

    /// Read, planned and run to its end, with every job skipped by its condition.
    fn many_jobs(&self) -> Result<()> {
        let folder = self.place.join("plan");
        let job = |n| {
            format!(
                "  j{n}:\n    if: github.actor == 'nobody'\n    runs-on: ubuntu-latest\n    steps:\n      - run: \"true\"\n"
            )
        };
        let jobs: String = (0..MANY_JOBS).map(job).collect();
        self.write(&folder, &format!("name: plan\non: push\njobs:\n{jobs}"), "")?;
        let told = self.each([Side::Grit], |side| self.whole(side, &folder, ""))?;
        println!("{:<30} {:>9} {:>9.1}", format!("{MANY_JOBS} jobs planned, ms"), "-", told[0]);
        Ok(())
    }

    /// A step that tells much, with secrets to be masked in it, beside the same into a file.
    fn masking(&self) -> Result<()> {
        let folder = self.place.join("mask");
        let said = "a line of a build that tells where it is, and now and then what nobody may see";
        let script = format!("yes '{said}' | head -c {}", LOG_MB << 20);
        self.write(&folder, &Jobs { jobs: 1, steps: 1, script: &script }.github(), "")?;
        let secret = |n| format!("SECRET_{n}=very-secret-{n:04}-{}\n", n * 7919);
        let secrets = self.place.join("secrets");
        fs::write(&secrets, (0..SECRETS).map(secret).collect::<String>())?;
        let rate = |ms: f64| (LOG_MB << 20) as f64 / 1e6 / (ms / 1e3);
        let told = self.each([Side::Sh, Side::Grit], |side| match side {
            Side::Sh => {
                self.whole(side, &folder, &format!("{{ {script}; }} | cat > log")).map(rate)
            }
            _ => {
                let view = self.grit_view(&folder, &["--secrets", &secrets.to_string_lossy()])?;
                Ok(rate(step_millis(&view["jobs"][0]["steps"][0])?))
            }
        })?;
        println!(
            "{:<30} {:>9.0} {:>9.0}",
            format!("log, {SECRETS} secrets, MB/s"),
            told[0],
            told[1]
        );
        Ok(())
    }

    /// `actions/cache/restore` of a tree beside `zstd -d | tar x` of the same.
    fn cache(&self) -> Result<()> {
        let folder = self.place.join("cache");
        let tree = folder.join("tree");
        fs::create_dir_all(&tree)?;
        for number in 0..FILES {
            let text = format!("{number} {} ", number * 31).repeat(FILE_BYTES / 4);
            fs::write(tree.join(number.to_string()), &text.as_bytes()[..FILE_BYTES])?;
        }
        let step = |verb: &str| {
            format!(
                "      - uses: actions/cache/{verb}@v4\n        with: {{ path: tree, key: k }}\n"
            )
        };
        let workflow = format!(
            "name: cache\non: push\njobs:\n  save:\n    runs-on: ubuntu-latest\n    steps:\n      \
             - run: cp -R {} tree\n{}  restore:\n    needs: save\n    runs-on: ubuntu-latest\n    steps:\n{}",
            tree.display(),
            step("save"),
            step("restore")
        );
        self.write(&folder, &workflow, "tree\n")?;
        let archive = self.place.join("tree.zst");
        ended(
            Command::new("sh")
                .args(["-c", "tar c tree | zstd -q -o \"$0\""])
                .arg(&archive)
                .current_dir(&folder),
        )?;
        let bytes = (FILES * FILE_BYTES) as f64 / 1e6;
        let told = self.each([Side::Sh, Side::Grit], |side| match side {
            Side::Sh => {
                let into = tempfile::tempdir_in(&self.place)?;
                let script = format!("zstd -qdc {} | tar x", archive.display());
                Ok(bytes / (self.whole(side, into.path(), &script)? / 1e3))
            }
            _ => {
                // Nothing is kept from the round before: each saves, and restores what it saved.
                let view = self.grit_view(&folder, &[])?;
                let jobs = view["jobs"].as_array().context("jobs")?;
                let restore = jobs.iter().find(|job| job["key"] == "restore").context("restore")?;
                Ok(bytes / (step_millis(&restore["steps"][0])? / 1e3))
            }
        })?;
        println!(
            "{:<30} {:>9.0} {:>9.0}   (sh: zstd -d | tar x)",
            "cache restored, MB/s", told[0], told[1]
        );
        Ok(())
    }

    fn repository(&self, name: &str, jobs: &Jobs<'_>) -> Result<PathBuf> {
        let folder = self.place.join(name);
        self.write(&folder, &jobs.github(), "")?;
        fs::write(folder.join(".gitlab-ci.yml"), jobs.gitlab())?;
        commit(&folder)?;
        Ok(folder)
    }

    fn write(&self, folder: &Path, workflow: &str, ignored: &str) -> Result<()> {
        fs::create_dir_all(folder.join(".github/workflows"))?;
        fs::write(folder.join(".github/workflows/bench.yml"), workflow)?;
        fs::write(folder.join(".gitignore"), ignored)?;
        ended(Command::new("git").args(["init", "--quiet", "--initial-branch=main"]).arg(folder))?;
        commit(folder)
    }

    /// The whole process, in milliseconds; `script` is what `sh` does in place of the pipeline.
    fn whole(&self, side: Side, folder: &Path, script: &str) -> Result<f64> {
        let mut command = match side {
            Side::Sh => command(Path::new("sh"), folder, &["-c", script]),
            Side::Grit => command(&self.grit, folder, &["run"]),
            Side::Wrkflw => {
                let words = ["run", "-r", "emulation", ".github/workflows/bench.yml"];
                command(&self.peers.wrkflw, folder, &words)
            }
            Side::GitlabCiLocal => {
                let words = ["--shell-executor-no-image", "--force-shell-executor"];
                command(&self.peers.gitlab_ci_local, folder, &words)
            }
        };
        let began = Instant::now();
        ended(&mut command)?;
        Ok(millis(began.elapsed()))
    }

    fn grit_view(&self, folder: &Path, words: &[&str]) -> Result<Value> {
        let words = [&["run", "--json"], words].concat();
        let told = ended(&mut command(&self.grit, folder, &words))?;
        let mut document: Value = serde_json::from_str(&told)?;
        ensure!(document["data"][0]["status"] == "success", "the pipeline fails: {told}");
        Ok(document["data"][0].take())
    }

    /// The medians of the sides, which take turns.
    fn each<const N: usize>(
        &self,
        sides: [Side; N],
        measure: impl Fn(Side) -> Result<f64>,
    ) -> Result<Vec<f64>> {
        let mut figures = vec![Vec::new(); N];
        for _ in 0..self.rounds {
            for (figures, side) in figures.iter_mut().zip(sides) {
                figures.push(measure(side)?);
            }
        }
        Ok(figures.into_iter().map(median).collect())
    }
}

fn commit(folder: &Path) -> Result<()> {
    let words =
        ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"];
    ended(Command::new("git").arg("-C").arg(folder).args(["add", "--all"]))?;
    let mut commit = Command::new("git");
    commit.arg("-C").arg(folder).args(words);
    ended(commit.args(["commit", "--quiet", "--allow-empty", "--message=bench"])).map(drop)
}

fn command(program: &Path, folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).stdin(Stdio::null());
    command
}

/// From a step's start to its end, as the run tells it.
fn step_millis(step: &Value) -> Result<f64> {
    let at =
        |key: &str| step[key].as_f64().with_context(|| format!("a step has no `{key}`: {step}"));
    Ok(at("ended")? - at("started")?)
}

fn line(what: &str, told: &[f64]) {
    let cells: String = told.iter().map(|figure| format!(" {figure:>9.1}")).collect();
    println!("{what:<30}{cells}");
}
