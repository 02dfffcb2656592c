//! What one command makes durable, in which order: everything under the clone's own git folder.

use std::fs::File;

use anyhow::{Result, ensure};
use grit_testkit::order::{CALLS, Call, too_early, whole};

use super::world::{Deed, Template};

/// A command's answer: an id, or the word of what was done.
const ANSWER_LEN_MIN: usize = 4;

pub fn check(template: &Template, deed: Deed) -> Result<Vec<String>> {
    let world = template.copy()?;
    let (trace, answer) = (world.path("trace"), world.path("answer"));
    let mut traced = world.command("strace", "ours");
    traced.args(["-f", "-y", "-s", "300", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace);
    traced.arg(world.program()).args(deed.args()).stdout(File::create(&answer)?);
    let status = traced.status()?;
    ensure!(status.success(), "`grit {}` under strace fails", deed.args().join(" "));
    let text = std::fs::read_to_string(&trace)?;
    let ours = world.path("ours/.git").display().to_string();
    let answers = |told: &str| told.len() >= ANSWER_LEN_MIN;
    // What the runs of git tell, they tell to `grit`: nobody else has it yet.
    let (anybody, us) = ("write(1<", format!("write(1<{}>", answer.display()));
    let calls: Vec<Call> = whole(&text)
        .iter()
        .filter(|line| !line.contains(anybody) || line.contains(&us))
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

/// What may be lost at any moment, or come up without what it names, as the next command makes it anew: the index, what
/// was seen of locks since the machine started, and what is known of a remote.
const ANEW: &[&str] = &["/grit/index", "/grit/leases/sight.json", "/refs/grit/remotes/"];

fn concerns(call: &Call, git_dir: &str) -> bool {
    let is_kept = |path: &str| !ANEW.iter().any(|anew| path.contains(anew));
    let is_ours = |path: &str| path.starts_with(git_dir) && is_kept(path);
    match call {
        Call::Sync(path) | Call::Folder(path) => is_ours(path),
        Call::Link(_, to) | Call::Rename(_, to) => is_ours(to),
        Call::Acknowledge => true,
    }
}
