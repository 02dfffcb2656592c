use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;

use super::{
    calls::Call,
    check,
    report::Report,
    script::Simple,
    scripts,
    world::{HERE, THERE, World},
};

const WORKFLOW: &str = "Seeded";
const JOB: &str = "tried";

/// The script of a step: what follows `run: |`, less its indentation.
pub fn run(step: &str) -> Result<String, String> {
    let mut lines = step.lines();
    let key = lines.find(|line| line.trim_start().starts_with("run: |"));
    let key = key.ok_or("a step has no `run: |`")?;
    let outer = indentation(key);
    let inside: Vec<&str> =
        lines.take_while(|line| line.trim().is_empty() || indentation(line) > outer).collect();
    let inner =
        inside.iter().find(|line| !line.trim().is_empty()).map_or(0, |line| indentation(line));
    Ok(inside.iter().map(|line| format!("{}\n", line.get(inner..).unwrap_or_default())).collect())
}

/// The lines of a job's `script:`.
pub fn script(job: &str) -> Result<String, String> {
    let mut lines = job.lines();
    lines.find(|line| line.trim() == "script:").ok_or("a job has no `script:`")?;
    let items = lines.map_while(|line| line.trim_start().strip_prefix("- "));
    let script: String = items.map(|item| format!("{item}\n")).collect();
    if script.is_empty() { Err("a job's script is empty".to_owned()) } else { Ok(script) }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A step as it stands, in a workflow that fails before it; then in one that does not.
pub fn run_step(grit: &Path, step: &str, commands: &[Simple], report: &mut Report) -> Result<()> {
    let world = scripts::prepared(grit, "", commands)?;
    let before = world.issues(THERE)?;
    let calls = workflow(&world, step, 1, report)?;
    check::called(report, commands, &calls);
    check::answers(report, &calls, &before);
    let known = BTreeMap::from([
        ("github.job", JOB.to_owned()),
        ("github.workflow", WORKFLOW.to_owned()),
        ("github.ref_name", "main".to_owned()),
        ("github.sha", world.git(HERE, &["rev-parse", "HEAD"])?),
    ]);
    for (simple, call) in commands.iter().filter(|simple| simple.grit().is_some()).zip(&calls) {
        filled_in(report, simple, call, &known);
    }
    scripts::synced(report, &world, &calls, &before)?;
    world.surely(THERE, &["sync"])?;
    check::effects(report, &calls, &before, &world.issues(THERE)?);

    report.at.push_str(", in a run that does not fail");
    let before = world.issues(THERE)?;
    let calls = workflow(&world, step, 0, report)?;
    report.equal("the calls", &Vec::new(), &calls);
    world.surely(THERE, &["sync"])?;
    check::effects(report, &calls, &before, &world.issues(THERE)?);
    Ok(())
}

/// The step comes after one that ends with `exit`.
fn workflow(world: &World, step: &str, exit: i32, report: &mut Report) -> Result<Vec<Call>> {
    let mut text = format!(
        "name: {WORKFLOW}\non: [push]\njobs:\n  {JOB}:\n    runs-on: ubuntu-latest\n    steps:\n      \
         - uses: actions/checkout@v4\n      - run: exit {exit}\n"
    );
    for line in step.lines() {
        text.push_str(&format!("      {line}\n"));
    }
    let folder = world.path(HERE).join(".github/workflows");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("seeded.yml"), text)?;
    world.commit("a workflow")?;
    let (told, calls) = world.run(&["grit", "run"], &BTreeMap::new())?;
    let (outer, calls): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| call.begins(&["run"]));
    report.equal("times that `grit run` was called", &1, &outer.len());
    let seen = format!("{}: {}", told.exit, told.stderr.trim());
    report.holds("`grit run` ends with", told.exit == exit, &exit.to_string(), &seen);
    Ok(calls)
}

/// Each word is the one written, with every `${{ … }}` replaced by its value.
fn filled_in(report: &mut Report, simple: &Simple, call: &Call, known: &BTreeMap<&str, String>) {
    let words = simple.grit().unwrap_or_default();
    report.equal("the words of a call", &words.len(), &call.argv.len());
    for (written, seen) in words.iter().zip(&call.argv) {
        report.holds("a word of a call", is_filled(written, seen, known), written, seen);
    }
}

fn is_filled(written: &str, seen: &str, known: &BTreeMap<&str, String>) -> bool {
    let Some((before, rest)) = written.split_once("${{") else { return written == seen };
    let Some((name, after)) = rest.split_once("}}") else { return false };
    let Some(seen) = seen.strip_prefix(before) else { return false };
    match known.get(name.trim()) {
        Some(value) => {
            seen.strip_prefix(value.as_str()).is_some_and(|seen| is_filled(after, seen, known))
        }
        // Whatever it is, it is some text on this line.
        None => {
            let line = seen.split('\n').next().unwrap_or_default();
            let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            ends.filter(|end| !line[..*end].contains("${{"))
                .any(|end| is_filled(after, &seen[end..], known))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_taken_out() {
        let step = "- name: x\n  run: |\n    grit a \\\n      --body \"B\n    C\"\n    grit sync\n  if: y\n";
        assert_eq!(run(step).unwrap(), "grit a \\\n  --body \"B\nC\"\ngrit sync\n");
        let job = "job:\n  when: x\n  script:\n    - grit a\n    - grit b\n  stage: c\n";
        assert_eq!(script(job).unwrap(), "grit a\ngrit b\n");
        assert!(run("- name: x\n").is_err());
        assert!(script("a:\n  script:\n").is_err());
    }

    #[test]
    fn expressions_must_be_replaced() {
        let known = BTreeMap::from([("a.b", "right".to_owned())]);
        let check = |written, seen| is_filled(written, seen, &known);
        assert!(check("x ${{ a.b }} [#${{ n }}]", "x right [#12]"));
        assert!(!check("x ${{ a.b }}", "x wrong"));
        assert!(!check("x ${{ a.b }}", "x ${{ a.b }}"));
        assert!(!check("x ${{ n }}", "x ${{ n }}"));
        assert!(!check("x", "y"));
    }
}
