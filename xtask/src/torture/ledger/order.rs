//! What one command makes durable, in which order: everything under the clone's own git folder.

use anyhow::{Result, ensure};
use grit_testkit::order::{CALLS, Call, too_early};

use super::world::{Deed, Template};

/// A command's answer: an id, or the word of what was done.
const ANSWER_LEN_MIN: usize = 4;

pub fn check(template: &Template, deed: Deed) -> Result<Vec<String>> {
    let world = template.copy()?;
    let trace = world.path("trace");
    let mut traced = world.command("strace", "ours");
    traced.args(["-f", "-y", "-s", "300", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace);
    let output = traced.arg(world.program()).args(deed.args()).output()?;
    ensure!(output.status.success(), "`grit {}` under strace fails", deed.args().join(" "));
    let text = std::fs::read_to_string(&trace)?;
    let ours = world.path("ours/.git").display().to_string();
    let answers = |told: &str| told.len() >= ANSWER_LEN_MIN;
    let calls: Vec<Call> = text
        .lines()
        .filter_map(|line| Call::read(line, answers))
        .filter(|call| concerns(call, &ours))
        .collect();
    let count = |wanted: fn(&Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
    let syncs = count(|call| matches!(call, Call::Sync(_)));
    let names = count(|call| matches!(call, Call::Rename(..) | Call::Link(..)));
    let answers = count(|call| matches!(call, Call::Acknowledge));
    println!("order of {:<8} {syncs} syncs, {names} names, {answers} answers", deed.name());
    ensure!(syncs > 0 && names > 0, "{}: the calls go by other names here", deed.name());
    // Whatever it tells, it has ended with success.
    let all = [&calls[..], &[Call::Acknowledge]].concat();
    Ok(too_early(&all).into_iter().map(|what| format!("{}: {what}", deed.name())).collect())
}

/// The index is a cache: it may be lost at any moment.
fn concerns(call: &Call, git_dir: &str) -> bool {
    let is_ours = |path: &str| path.starts_with(git_dir) && !path.contains("/grit/index");
    match call {
        Call::Sync(path) | Call::Folder(path) => is_ours(path),
        Call::Link(_, to) | Call::Rename(_, to) => is_ours(to),
        Call::Acknowledge => true,
    }
}
