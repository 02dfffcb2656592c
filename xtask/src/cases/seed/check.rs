//! What must be so after a script, judged by what its calls asked for.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    calls::Call,
    model::{self, Issues},
    report::Report,
    script::Simple,
};

/// What `grit` ends with where somebody else has the lock.
pub const CONFLICT: i32 = 4;

/// Every command of the text was called at least as often as it is written, and each call succeeded.
pub fn called(report: &mut Report, commands: &[Simple], calls: &[Call]) {
    for verb in commands.iter().filter_map(Simple::verb) {
        let times = commands.iter().filter(|other| other.verb() == Some(verb)).count();
        let through =
            commands.iter().any(|one| one.verb() == Some(verb) && one.placeholder().is_some());
        let seen = calls.iter().filter(|call| call.begins(verb)).count();
        let right = if through { seen >= times } else { seen == times };
        let what = format!("calls of `grit {}`", verb.join(" "));
        report.holds(&what, right, &times.to_string(), &seen.to_string());
    }
    for call in calls {
        let seen = format!("{}: {}", call.exit, call.stderr.trim());
        report.holds(&format!("`{}` ends with", call.name()), call.exit == 0, "0", &seen);
    }
}

/// The form of what calls answered.
pub fn answers(report: &mut Report, calls: &[Call], before: &Issues) {
    for (at, call) in calls.iter().enumerate() {
        if call.begins(&["issue", "create"]) {
            report.holds("what a create answers", call.id().is_some(), "one id", &call.stdout);
        }
        if call.begins(&["issue", "list"]) {
            let mut known = before.clone();
            for call in &calls[..at] {
                model::apply(&mut known, call);
            }
            let listed = known.iter().filter(|(_, issue)| model::is_listed(issue, call));
            let expected: BTreeSet<String> = listed.map(|(id, _)| id.clone()).collect();
            let seen = call.ids().map(BTreeSet::from_iter);
            report.equal("what a list answers", &Some(expected), &seen);
        }
    }
}

/// What `xargs` hands on is what the command before it listed: each id, once.
pub fn piped(report: &mut Report, commands: &[Simple], calls: &[Call]) {
    for pair in commands.windows(2) {
        let [first, second] = pair else { continue };
        let (Some(placeholder), Some(words), Some(verb), Some(from)) =
            (second.placeholder(), second.grit(), second.verb(), first.verb())
        else {
            continue;
        };
        let Some(place) = words.iter().position(|word| word == placeholder) else { continue };
        let listed = calls.iter().find(|call| call.begins(from)).and_then(Call::ids);
        let handed = calls.iter().filter(|call| call.begins(verb));
        let handed: Vec<String> = handed.filter_map(|call| call.argv.get(place).cloned()).collect();
        let some = listed.as_ref().is_some_and(|listed| !listed.is_empty());
        report.holds("a list for a pipe", some, "at least one id", &format!("{listed:?}"));
        report.equal("what a pipe hands on", &listed.unwrap_or_default(), &handed);
    }
}

/// Each call's effect is there, and nothing else is.
pub fn effects(report: &mut Report, calls: &[Call], before: &Issues, seen: &Issues) {
    let mut expected = before.clone();
    let about: Vec<Option<String>> =
        calls.iter().map(|call| model::apply(&mut expected, call)).collect();
    for (call, id) in calls.iter().zip(&about) {
        let Some(id) = id else { continue };
        effect(report, call, id, &expected, seen);
    }
    let ids = |issues: &Issues| -> BTreeSet<String> { issues.keys().cloned().collect() };
    report.equal("the issues that there are", &ids(&expected), &ids(seen));
    for (id, issue) in before.iter().filter(|(id, _)| !about.contains(&Some((*id).clone()))) {
        report.equal("an issue that nobody named", &Some(issue), &seen.get(id));
    }
}

fn effect(report: &mut Report, call: &Call, id: &str, expected: &Issues, seen: &Issues) {
    let name = call.name();
    let (Some(expected), Some(seen)) = (expected.get(id), seen.get(id)) else {
        report.holds(&format!("the issue of `{name}`"), false, id, "no such issue");
        return;
    };
    let mut same = |what: &str, expected: &dyn std::fmt::Debug, seen: &dyn std::fmt::Debug| {
        let (expected, seen) = (format!("{expected:?}"), format!("{seen:?}"));
        report.holds(&format!("{what} by `{name}`"), expected == seen, &expected, &seen);
    };
    if call.begins(&["issue", "create"]) {
        same("the title", &expected.title, &seen.title);
        same("the body", &expected.body, &seen.body);
    }
    if call.begins(&["issue", "comment"]) {
        same("the comments", &expected.comments, &seen.comments);
    }
    if call.options("--label").next().is_some() {
        same("the labels", &expected.labels, &seen.labels);
    }
    same("whether it is closed", &expected.is_closed, &seen.is_closed);
}

/// What the other clone saw of each lock right after the call, and that nobody had it a second time.
pub fn locks(report: &mut Report, calls: &[Call]) {
    for call in calls.iter().filter(|call| call.begins(&["lock"])) {
        let resource = call.option("--resource").unwrap_or_default();
        let held = held(call.elsewhere.as_deref().unwrap_or_default());
        let found = held.iter().find(|held| held.resource == resource);
        let seen = format!("{found:?}");
        match call.argv.get(1).map(String::as_str) {
            Some("acquire") => {
                let ttl = call.option("--ttl").and_then(millis);
                let right = found.is_some_and(|held| Some(held.ttl) == ttl && !held.here);
                let expected = format!("`{resource}` held for {ttl:?} ms by this clone");
                report.holds("the lock, in the other clone", right, &expected, &seen);
                report.equal("the same acquire once more", &Some(CONFLICT), &call.again);
                report.equal("the same acquire elsewhere", &Some(CONFLICT), &call.again_elsewhere);
            }
            Some("release") => {
                report.holds("the lock, in the other clone", found.is_none(), "free", &seen);
            }
            _ => {}
        }
    }
}

/// A lock that is held, as a clone sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub resource: String,
    pub ttl: u64,
    /// By this clone.
    pub here: bool,
}

/// From the answer of `grit lock status --json`.
pub fn held(answer: &str) -> Vec<Held> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let locks = answer["data"].as_array().cloned().unwrap_or_default();
    let held = locks.into_iter().filter(|lock| lock["standing"] == "held");
    let read = |lock: Value| {
        let resource = lock["resource"].as_str()?.to_owned();
        Some(Held { resource, ttl: lock["ttl_ms"].as_u64()?, here: lock["here"].as_bool()? })
    };
    held.filter_map(read).collect()
}

/// Those that calls took and did not give back.
pub fn left_held(calls: &[Call]) -> BTreeSet<String> {
    let mut left = BTreeSet::new();
    for call in calls {
        let resource = call.option("--resource").unwrap_or_default().to_owned();
        if call.begins(&["lock", "acquire"]) {
            left.insert(resource);
        } else if call.begins(&["lock", "release"]) {
            left.remove(&resource);
        }
    }
    left
}

/// `90`, `30s`, `15m`, `2h`, `1d`.
fn millis(duration: &str) -> Option<u64> {
    let digits = duration.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &duration[digits.len()..] {
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(digits.parse::<u64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::super::model::Issue;
    use super::super::script;
    use super::*;

    fn call(line: &str, stdout: &str) -> Call {
        let argv = line.split(' ').map(|word| word.replace('_', " ")).collect();
        Call { argv, stdout: stdout.to_owned(), ..Call::default() }
    }

    fn failures(check: impl FnOnce(&mut Report)) -> usize {
        let mut report = Report::default();
        check(&mut report);
        assert_eq!(report.failures.len() as u64, report.score.failed);
        report.failures.len()
    }

    fn story() -> Vec<Call> {
        vec![
            call("issue create --title A_title --body two\nlines\n --label x --label y", "new\n"),
            call("issue comment new --body said", "new\n"),
            call("issue close new", "new\n"),
            call("issue label add old --label z", "old\n"),
        ]
    }

    fn right() -> Issues {
        let mut seen = before();
        for call in story() {
            model::apply(&mut seen, &call);
        }
        seen
    }

    fn before() -> Issues {
        let issue = |title: &str| Issue { title: title.to_owned(), ..Issue::default() };
        Issues::from([("old".to_owned(), issue("old")), ("by".to_owned(), issue("by"))])
    }

    fn wrong(change: impl FnOnce(&mut Issues)) -> usize {
        let mut seen = right();
        change(&mut seen);
        failures(|report| effects(report, &story(), &before(), &seen))
    }

    #[test]
    fn what_is_not_as_asked_fails() {
        assert_eq!(wrong(|_| {}), 0);
        let one = |change: fn(&mut Issue)| wrong(|seen| change(seen.get_mut("new").unwrap())) > 0;
        assert!(one(|new| new.title.push(' ')), "a title");
        assert!(one(|new| _ = new.body.pop()), "a line end of a body");
        assert!(one(|new| _ = new.labels.remove("y")), "a label");
        assert!(one(|new| _ = new.labels.insert("w".into())), "a label too many");
        assert!(one(|new| new.comments.clear()), "a comment");
        assert!(one(|new| new.comments.push("said".into())), "a comment twice");
        assert!(one(|new| new.is_closed = false), "closed");
        assert!(wrong(|seen| _ = seen.remove("new")) > 0, "an issue");
        assert!(wrong(|seen| _ = seen.insert("two".into(), Issue::default())) > 0, "one too many");
        assert!(wrong(|seen| seen.get_mut("by").unwrap().is_closed = true) > 0, "a bystander");
    }

    #[test]
    fn a_pipe_must_hand_on_each_id_once() {
        let commands = script::commands(
            "grit issue list --label x | xargs -I {} grit issue label add {} --label z",
        )
        .unwrap();
        let list = call("issue list --label x", "a\nb\n");
        let add = |id: &str| call(&format!("issue label add {id} --label z"), "");
        let failures = |calls: &[Call]| failures(|report| piped(report, &commands, calls));
        assert_eq!(failures(&[list.clone(), add("a"), add("b")]), 0);
        assert_eq!(failures(&[list.clone(), add("a")]), 1);
        assert_eq!(failures(&[list, add("a"), add("b"), add("b")]), 1);
        assert_eq!(failures(&[call("issue list --label x", "")]), 1);
    }

    #[test]
    fn a_lock_must_be_seen_and_refused_elsewhere() {
        let answer = |standing: &str, ttl: u64| {
            let lock = format!(
                r#"{{"resource":"a:b","standing":"{standing}","ttl_ms":{ttl},"here":false}}"#
            );
            format!(r#"{{"data":[{lock}]}}"#)
        };
        let acquire = Call {
            elsewhere: Some(answer("held", 7_200_000)),
            again: Some(CONFLICT),
            again_elsewhere: Some(CONFLICT),
            ..call("lock acquire --resource a:b --ttl 2h", "")
        };
        let failures = |call: Call| failures(|report| locks(report, &[call]));
        assert_eq!(failures(acquire.clone()), 0);
        assert_eq!(failures(Call { again_elsewhere: Some(0), ..acquire.clone() }), 1);
        assert_eq!(failures(Call { again: Some(0), ..acquire.clone() }), 1);
        assert_eq!(failures(Call { elsewhere: Some(answer("held", 60)), ..acquire.clone() }), 1);
        assert_eq!(failures(Call { elsewhere: Some(answer("free", 7_200_000)), ..acquire }), 1);
        let release = call("lock release --resource a:b", "");
        let held = Call { elsewhere: Some(answer("held", 60)), ..release.clone() };
        assert_eq!(failures(held), 1);
        assert_eq!(failures(Call { elsewhere: Some(answer("free", 60)), ..release }), 0);
    }

    #[test]
    fn a_command_that_never_ran_fails() {
        let commands =
            script::commands("grit issue close $A\ngrit issue close $B\ngrit sync").unwrap();
        let (close, sync) = (call("issue close a", ""), call("sync", ""));
        let failures = |calls: &[Call]| failures(|report| called(report, &commands, calls));
        assert_eq!(failures(&[close.clone(), close.clone(), sync.clone()]), 0);
        assert!(failures(&[close.clone(), sync.clone()]) > 0);
        assert!(failures(&[close.clone(), close.clone()]) > 0);
        assert_eq!(failures(&[close.clone(), Call { exit: 2, ..close }, sync]), 1);
    }
}
