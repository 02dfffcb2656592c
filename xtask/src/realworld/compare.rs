use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{
    fetch,
    list::{ByHand, Package},
    machine::{self, Machine},
    parse,
    planned::{self, Job},
    process::{Ended, clean, limited},
    reason::{Reason, why_not},
    score::{End, Outcome, Ran, Score, Tests, named},
};

/// What one worker has to itself: both sides build into one folder, so that what a package needs is compiled once.
pub struct Place {
    binary: PathBuf,
    folder: PathBuf,
    limit: Duration,
}

impl Place {
    /// # Errors
    /// A folder cannot be made.
    pub fn make(binary: &Path, folder: &Path, limit: Duration) -> Result<Self> {
        let folder = folder.to_owned();
        for name in [".cargo", "home", "tmp"] {
            fs::create_dir_all(folder.join(name))?;
        }
        // Cargo reads this from above the folders of both sides, and no variable has to reach them.
        let config = format!("[build]\ntarget-dir = \"{}\"\n", folder.join("target").display());
        fs::write(folder.join(".cargo/config.toml"), config)?;
        Ok(Self { binary: binary.to_owned(), folder, limit })
    }

    fn grit(&self, words: &[&str], checkout: &Path) -> Command {
        let mut command = clean(&self.binary);
        command.args(words).current_dir(checkout);
        self.surround(&mut command);
        command.env("TMPDIR", self.folder.join("tmp"));
        command
    }

    /// A home folder that workflows may write to, beside the machine's own Cargo and rustup.
    fn surround(&self, command: &mut Command) {
        let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, env::var_os(name).unwrap_or_else(|| home.join(folder).into()));
        }
        command.env("HOME", self.folder.join("home")).env("RUSTUP_AUTO_INSTALL", "0");
    }

    /// Nothing of one package is left for the next.
    fn clear(&self) -> Result<()> {
        for name in ["target", "checkout", "hand", "tmp", "home", "logs", "data"] {
            let folder = self.folder.join(name);
            if folder.exists() {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("remove {}", folder.display()))?;
            }
        }
        Ok(["home", "tmp"].iter().try_for_each(|name| fs::create_dir(self.folder.join(name)))?)
    }
}

/// Every job of a package's workflows: those that can run here on both sides.
pub fn package(
    at: &Place,
    machine: &Machine,
    package: &Package,
    source: &Path,
    told: &dyn Fn(&Score),
) -> Result<Vec<Score>> {
    let checkout = at.folder.join("checkout");
    fetch::repository(source, &checkout)?;
    fetch::done(Command::new("cp").arg("-R").arg(&checkout).arg(at.folder.join("hand")))?;
    let (jobs, mut scores) = jobs(at, &checkout)?;
    scores.iter().for_each(told);
    for job in &jobs {
        let outcome = outcome(at, machine, package, &jobs, job)?;
        let score = Score { job: named(&job.file, &job.key, &job.matrix), outcome };
        told(&score);
        scores.push(score);
    }
    at.clear()?;
    Ok(scores)
}

/// The jobs of all workflows, and the workflows that Grit makes no jobs of.
fn jobs(at: &Place, checkout: &Path) -> Result<(Vec<Job>, Vec<Score>)> {
    let (mut jobs, mut unplanned) = (Vec::new(), Vec::new());
    for path in parse::of(checkout) {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ask = |what: &str| -> Result<(Value, String)> {
            let output = at
                .grit(&["run", "-W", &file, what, "--json"], checkout)
                .output()
                .context("start grit")?;
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Ok((serde_json::from_slice(&output.stdout).unwrap_or_default(), said))
        };
        let ((plan, _), (dry, said)) = (ask("--plan")?, ask("--dry-run")?);
        let found = planned::jobs(&file, &plan, &dry, checkout);
        if found.is_empty() {
            let why = said.lines().next().unwrap_or_default().to_owned();
            unplanned.push(Score { job: file, outcome: Outcome::NotRun(Reason::Unplanned(why)) });
        }
        jobs.extend(found);
    }
    Ok((jobs, unplanned))
}

fn outcome(
    at: &Place,
    machine: &Machine,
    package: &Package,
    all: &[Job],
    job: &Job,
) -> Result<Outcome> {
    if let Some(reason) = why_not(job, all, machine) {
        return Ok(Outcome::NotRun(reason));
    }
    let pinned = machine::pinned(&at.folder.join("checkout"));
    if let Some(channel) = pinned.filter(|channel| machine.toolchain(channel).is_none()) {
        return Ok(Outcome::NotRun(Reason::Toolchain(channel)));
    }
    let is_it =
        |hand: &&ByHand| hand.file == job.file && hand.job == job.key && hand.matrix == job.matrix;
    let Some(listed) = package.by_hand.iter().find(is_it) else {
        let name = named(&job.file, &job.key, &job.matrix);
        return Ok(Outcome::NotRun(Reason::Unlisted(format!("{} {name}", package.name))));
    };
    let hand = by_hand(at, listed)?;
    Ok(Outcome::Ran { ours: by_grit(at, job)?, hand })
}

fn by_hand(at: &Place, hand: &ByHand) -> Result<Ran> {
    let checkout = at.folder.join("hand");
    fetch::restore(&checkout)?;
    let mut command = clean("bash");
    command.args(["-e", "-c", &hand.script]).current_dir(&checkout).env("CI", "true");
    at.surround(&mut command);
    for (name, value) in &hand.matrix {
        command.env(name.replace('-', "_"), value);
    }
    let ended = limited(&mut command, &at.folder, at.limit)?;
    let tests = Tests::count(&ended.stdout);
    let end = end(&ended);
    Ok(Ran { end, tests, took: ended.took, said: ended.stderr })
}

fn by_grit(at: &Place, job: &Job) -> Result<Ran> {
    let logs = at.folder.join("logs");
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    let mut command = at
        .grit(&["run", "--json", "-W", &job.file, "--job", &job.key], &at.folder.join("checkout"));
    for (name, value) in &job.matrix {
        command.arg("--matrix").arg(format!("{name}:{value}"));
    }
    command.arg("--data").arg(at.folder.join("data")).arg("--logs").arg(&logs);
    let ended = limited(&mut command, &at.folder, at.limit)?;
    let (took, said) = (ended.took, ended.stderr.clone());
    if ended.status.is_none() {
        return Ok(Ran { end: End::Late, tests: Tests::count(&log(&logs, "")?), took, said });
    }
    let report: Value = serde_json::from_str(&ended.stdout).with_context(|| said.clone())?;
    let (id, end) =
        told(&report, job).with_context(|| format!("grit says nothing of the job: {said}"))?;
    Ok(Ran { end, tests: Tests::count(&log(&logs, &id)?), took, said })
}

fn end(ended: &Ended) -> End {
    match ended.status {
        None => End::Late,
        Some(status) if status.success() => End::Green,
        Some(_) => End::Red,
    }
}

/// The job's own id and end, of all that were run with it.
fn told(report: &Value, job: &Job) -> Result<(String, End)> {
    let runs = report["data"].as_array().into_iter().flatten();
    let mut jobs = runs.filter_map(|run| run["jobs"].as_array()).flatten();
    let one = jobs
        .find(|one| one["key"] == job.key.as_str() && planned::matrix(&one["matrix"]) == job.matrix)
        .context("it is not among the jobs")?;
    let end = match one["ending"].as_str() {
        Some("success") => End::Green,
        Some("failure") => End::Red,
        other => bail!("it ended as {other:?}: {}", one["why"]),
    };
    Ok((one["job"].as_str().unwrap_or_default().to_owned(), end))
}

/// What the steps of a job wrote, which lies as RUN/JOB/STEP.log.
pub fn log(logs: &Path, job: &str) -> Result<String> {
    let mut whole = String::new();
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    for run in folders(logs) {
        for folder in
            folders(&run.path()).filter(|one| one.file_name().to_string_lossy().starts_with(job))
        {
            let mut steps: Vec<PathBuf> = folders(&folder.path()).map(|step| step.path()).collect();
            steps.sort();
            for step in steps.iter().filter(|step| step.extension().is_some_and(|e| e == "log")) {
                whole.push_str(&String::from_utf8_lossy(&fs::read(step)?));
                whole.push('\n');
            }
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realworld::list::Matrix;
    use serde_json::json;

    #[test]
    fn of_several_jobs_the_one_with_the_same_combination_is_read() {
        let report = json!({"data": [{"jobs": [
            {"key": "needed", "job": "job_1", "ending": "success"},
            {"key": "test", "job": "job_2", "ending": "success", "matrix": {"rust": "stable"}},
            {"key": "test", "job": "job_3", "ending": "failure", "matrix": {"rust": "stable", "bench": true}},
        ]}]});
        let job = |values: &[(&str, &str)]| Job {
            file: "ci.yml".into(),
            key: "test".into(),
            matrix: values
                .iter()
                .map(|&(name, value)| (name.into(), value.into()))
                .collect::<Matrix>(),
            needs: Vec::new(),
            labels: Vec::new(),
            has_container: false,
            called: None,
            skipped: None,
            steps: Vec::new(),
        };
        let of = |values: &[(&str, &str)]| told(&report, &job(values));
        assert_eq!(of(&[("rust", "stable")]).unwrap(), ("job_2".into(), End::Green));
        assert_eq!(
            of(&[("rust", "stable"), ("bench", "true")]).unwrap(),
            ("job_3".into(), End::Red)
        );
        assert!(of(&[]).is_err());
    }

    #[test]
    fn only_the_jobs_own_log_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (job, text) in [("job_1", "one"), ("job_2", "two")] {
            let at = folder.path().join("run_1").join(job);
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("0.log"), text).unwrap();
        }
        assert_eq!(log(folder.path(), "job_2").unwrap(), "two\n");
    }
}
