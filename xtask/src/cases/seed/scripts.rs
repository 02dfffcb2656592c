use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::Result;

use super::{
    calls::Call,
    check,
    report::Report,
    script::{self, Simple},
    world::{HERE, THERE, World},
};

/// A script from its beginning to its end, with everything as it hopes to find it.
pub fn run(
    grit: &Path,
    shell: &str,
    text: &str,
    commands: &[Simple],
    report: &mut Report,
) -> Result<()> {
    let world = prepared(grit, text, commands)?;
    let before = world.issues(THERE)?;
    let env = environment(text, &script::conditions(commands), true);
    let (told, calls) = world.run(&[shell, &file(&world, text)?], &env)?;
    let seen = format!("{}: {}", told.exit, told.stderr.trim());
    report.holds("the script ends with", told.exit == 0, "0", &seen);
    check::called(report, commands, &calls);
    check::answers(report, &calls, &before);
    check::piped(report, commands, &calls);
    check::locks(report, &calls);
    for name in script::programs(commands) {
        ran_under_lock(report, &world, &name, &calls);
    }
    synced(report, &world, &calls, &before)?;
    for clone in [HERE, THERE] {
        world.surely(clone, &["sync"])?;
    }
    check::effects(report, &calls, &before, &world.issues(THERE)?);
    given_back(report, &world, &calls)
}

/// With a condition that is not met: nothing happens.
pub fn unmet(grit: &Path, text: &str, commands: &[Simple], report: &mut Report) -> Result<()> {
    let conditions = script::conditions(commands);
    if conditions.is_empty() {
        return Ok(());
    }
    report.at.push_str(", with its condition unmet");
    let world = prepared(grit, text, commands)?;
    let before = world.issues(THERE)?;
    let env = environment(text, &conditions, false);
    let (told, calls) = world.run(&["bash", &file(&world, text)?], &env)?;
    report.equal("the script ends with", &0, &told.exit);
    report.equal("the calls", &Vec::new(), &calls);
    for clone in [HERE, THERE] {
        world.surely(clone, &["sync"])?;
    }
    check::effects(report, &calls, &before, &world.issues(THERE)?);
    Ok(())
}

/// With the lock, under whose `if !` it goes on, held by the other clone.
pub fn refused(grit: &Path, text: &str, commands: &[Simple], report: &mut Report) -> Result<()> {
    let Some(refused) = script::when_refused(commands) else { return Ok(()) };
    report.at.push_str(", with its lock held elsewhere");
    let world = prepared(grit, text, commands)?;
    let wanted = commands.iter().filter(|simple| simple.is_refusable());
    let wanted = wanted.filter_map(Simple::grit).next().unwrap_or_default();
    let words: Vec<&str> = wanted.iter().map(String::as_str).collect();
    world.surely(THERE, &words)?;
    let script = file(&world, text)?;
    let env = environment(text, &script::conditions(commands), true);
    let (told, calls) = world.run(&["bash", &script], &env)?;
    report.equal("the script ends with", &refused.exit, &Some(told.exit));
    for line in &refused.says {
        let says = told.stdout.lines().any(|said| said == line);
        report.holds("the script says", says, line, &told.stdout);
    }
    let exits: Vec<i32> = calls.iter().map(|call| call.exit).collect();
    report.equal("the calls' ends", &vec![check::CONFLICT], &exits);
    for name in script::programs(commands) {
        report.holds(&name, world.noted(&name).is_none(), "not run", "it ran");
    }
    let still = check::held(&world.surely(THERE, &["lock", "status", "--json"])?);
    let theirs = still.iter().filter(|held| held.here).count();
    report.equal("locks that the other clone still has", &1, &theirs);
    Ok(())
}

/// A world in which there is what the script expects, and something that it is not about.
pub fn prepared(grit: &Path, text: &str, commands: &[Simple]) -> Result<World> {
    let ids = script::variables(text).into_iter().filter(|name| name.ends_with("_ID"));
    let world = World::make(grit, ids.collect())?;
    let create = |title: &str, labels: &[&str]| -> Result<String> {
        let mut words = vec!["issue", "create", "--title", title];
        words.extend(labels.iter().flat_map(|label| ["--label", label]));
        world.surely(HERE, &words)
    };
    create("not asked about", &["other"])?;
    world.remember(&create("in progress", &["other"])?)?;
    for list in commands.iter().filter_map(Simple::grit).filter(|words| is_list(words)) {
        let call = Call { argv: list.to_vec(), ..Call::default() };
        let labels: Vec<&str> = call.options("--label").collect();
        for title in ["one", "two", "three", "four"] {
            let id = create(title, &labels)?;
            // Some that a state finds and one that it does not; either way around.
            if (title == "four") != (call.option("--state") == Some("closed")) {
                world.surely(HERE, &["issue", "close", &id])?;
            }
        }
        let unlabelled = create("without its labels", &["other"])?;
        world.surely(HERE, &["issue", "close", &unlabelled])?;
    }
    for name in script::programs(commands) {
        world.program(&name)?;
    }
    world.surely(HERE, &["sync", "--push"])?;
    world.surely(THERE, &["sync", "--pull"])?;
    Ok(world)
}

fn is_list(words: &[String]) -> bool {
    matches!(words, [noun, verb, ..] if noun == "issue" && verb == "list")
}

fn file(world: &World, text: &str) -> Result<String> {
    let path = world.path("script");
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// Values for what a script leaves to its reader: hostile where they may be anything, plain where they become a part
/// of a lock's name.
fn environment(text: &str, conditions: &[(String, String)], met: bool) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for name in script::variables(text).into_iter().filter(|name| !name.ends_with("_ID")) {
        let value = match name.starts_with("CI_") {
            true => format!("{name} \"quoted\" $(touch x) `x` \\n 100% --label é"),
            false => name.to_lowercase(),
        };
        env.insert(name, value);
    }
    for (name, value) in conditions {
        env.insert(name.clone(), if met { value.clone() } else { format!("not {value}") });
    }
    env
}

/// What was done before a `sync --push` is at the remote, without another exchange from here.
pub fn synced(
    report: &mut Report,
    world: &World,
    calls: &[Call],
    before: &super::model::Issues,
) -> Result<()> {
    let is_push = |call: &Call| call.begins(&["sync"]) && call.argv.iter().any(|w| w == "--push");
    let Some(last) = calls.iter().rposition(is_push) else { return Ok(()) };
    world.surely(THERE, &["sync", "--pull"])?;
    let at = std::mem::take(&mut report.at);
    report.at = format!("{at}, at the remote after `sync --push`");
    check::effects(report, &calls[..last], before, &world.issues(THERE)?);
    report.at = at;
    Ok(())
}

/// A program of the script ran once, while the other clone saw each of the script's locks held.
fn ran_under_lock(report: &mut Report, world: &World, name: &str, calls: &[Call]) {
    let Some(noted) = world.noted(name) else {
        report.holds(name, false, "run once", "not run");
        return;
    };
    report.equal(&format!("runs of {name}"), &1, &noted.lines().count());
    let resources = |held: Vec<check::Held>| -> BTreeSet<String> {
        held.into_iter().filter(|held| !held.here).map(|held| held.resource).collect()
    };
    let acquired = calls.iter().filter(|call| call.begins(&["lock", "acquire"]));
    let expected = acquired.filter_map(|call| call.option("--resource")).map(str::to_owned);
    report.equal(
        &format!("locks during {name}"),
        &expected.collect(),
        &resources(check::held(&noted)),
    );
}

/// What was released can be had by the other clone, and what was not cannot.
fn given_back(report: &mut Report, world: &World, calls: &[Call]) -> Result<()> {
    let left = check::left_held(calls);
    let seen = check::held(&world.surely(THERE, &["lock", "status", "--json"])?);
    let seen: BTreeSet<String> = seen.into_iter().map(|held| held.resource).collect();
    report.equal("locks that are held in the end", &left, &seen);
    let released = calls.iter().filter(|call| call.begins(&["lock", "release"]));
    for resource in released.filter_map(|call| call.option("--resource")) {
        let told =
            world.grit(THERE, &["lock", "acquire", "--resource", resource, "--ttl", "60s"])?;
        let free = !left.contains(resource);
        report.equal("a released lock, for the other clone", &free, &(told.exit == 0));
        if told.exit == 0 {
            world.surely(THERE, &["lock", "release", "--resource", resource])?;
        }
    }
    Ok(())
}
