use grit_issues::{
    Attachment, Command, Creation, Dependency, DependencyKind, Draft, Event, Link, Refusal,
    TITLE_BYTES_MAX, create, decide, decide_each, remove_query, save_query,
};
use grit_types::{Digest, IssueId};

use crate::world::Clone_;

const BODY: &str = "## Pre-release\n- [ ] All PRs merged\n- [x] Version bumped\n\n## Release\n- [ ] Tag created\n- [ ] Tag pushed\n- [ ] All PRs merged\n";

fn one() -> (Clone_, IssueId) {
    let mut clone = Clone_::new("alice", 0);
    let issue = clone.create("Release v2.0.0", BODY, &["release"]);
    (clone, issue)
}

fn check(item: &str) -> Command {
    Command::Check { item: item.to_owned() }
}

fn link(url: &str) -> Command {
    Command::AddLink(Link { url: url.to_owned(), title: String::new() })
}

fn attach(name: &str, media_type: &str, size: u64) -> Command {
    let (name, media_type) = (name.to_owned(), media_type.to_owned());
    Command::Attach(Attachment { name, media_type, size, digest: Digest::of(b"x") })
}

#[test]
fn what_is_so_already_needs_no_event() {
    let (mut clone, issue) = one();
    let commands = |clone: &Clone_, commands: &[Command]| clone.decide(&issue, commands).unwrap();
    let text = |text: &str| text.to_owned();
    for first in [
        Command::Close { reason: text("done") },
        Command::AddLabel(text("v2.0.0")),
        Command::Assign("bob".parse().unwrap()),
        Command::SetMilestone(Some(text("v2"))),
        Command::SetDue("2026-12-01".parse().ok()),
        link("https://example.com/run/1"),
        attach("log.txt", "text/plain", 1),
        check("1"),
        Command::Retitle(text("Release v2")),
        Command::EditBody(text("- [ ] x")),
    ] {
        clone.run(&issue, first.clone());
        let again = commands(&clone, std::slice::from_ref(&first));
        assert_eq!(again.already.len(), 1, "{first:?}");
        assert_eq!(again.events, [], "{first:?}");
    }
    let nothing = commands(
        &clone,
        &[
            Command::RemoveLabel(text("bug")),
            Command::Unassign("carol".parse().unwrap()),
            Command::RemoveLink { url: text("https://example.com/") },
            Command::Detach { name: text("x") },
            Command::SetPriority(None),
            Command::Uncheck { item: text("x") },
        ],
    );
    insta::assert_snapshot!(nothing.already.join("\n"), @r"
    it is not labelled `bug`
    it is not assigned to carol
    it has no such link
    nothing of that name is attached
    the priority is that already
    `x` is open already
    ");
    assert!(nothing.events.is_empty());
}

#[test]
fn several_commands_are_one_decision() {
    let (clone, issue) = one();
    let commands =
        [Command::AddLabel("a".into()), Command::AddLabel("a".into()), check("2"), check("1")];
    let decision = clone.decide(&issue, &commands).unwrap();
    let kinds: Vec<String> =
        decision.events.iter().map(|event| grit_ledger::split(event).unwrap().0).collect();
    assert_eq!(kinds, ["issue.labelled", "issue.item_checked"]);
    assert_eq!(decision.already, ["`Version bumped` is checked already"]);
    let with_a_bad_one = [Command::AddLabel("a".into()), check("99")];
    assert!(clone.decide(&issue, &with_a_bad_one).is_err());
}

#[test]
fn an_item_is_meant_by_number_text_or_part_of_it() {
    let (clone, issue) = one();
    let meant = |item: &str| match &clone.decide(&issue, &[check(item)]).unwrap().events[..] {
        [Event::ItemChecked { item, .. }] => format!("{}#{}", item.text, item.ordinal),
        other => panic!("{other:?}"),
    };
    assert_eq!(meant("1"), "All PRs merged#1");
    assert_eq!(meant("#5"), "All PRs merged#2");
    assert_eq!(meant("tag CREATED"), "Tag created#1");
    assert_eq!(meant("pushed"), "Tag pushed#1");
}

#[test]
fn what_is_refused_says_why() {
    let (clone, issue) = one();
    let told = |command: Command| {
        let error = clone.decide(&issue, &[command]).unwrap_err();
        grit_types::chain(&error)
    };
    let text = |text: &str| text.to_owned();
    let refusals: Vec<String> = [
        Command::Retitle(text(" \n")),
        Command::Retitle("x".repeat(TITLE_BYTES_MAX + 1)),
        Command::Comment(text("")),
        Command::EditComment { comment: text("abcdef"), body: text("x") },
        Command::DeleteComment { comment: text("ab") },
        Command::AddLabel(text("")),
        Command::AddLabel(text(" a")),
        Command::AddLabel(text("a\u{1b}[2J")),
        Command::SetMilestone(Some(text("a\u{202e}b"))),
        link("javascript:alert(1)"),
        link("https://"),
        link("https://a b"),
        attach("../x", "text/plain", 1),
        attach("x", "text", 1),
        attach("x", "text/plain", 1 << 30),
        check("6"),
        check("All PRs merged"),
        check("all prs"),
        check("Tag craeted"),
        check(""),
        Command::Depend(Dependency { kind: DependencyKind::Related, on: issue.clone() }),
    ]
    .into_iter()
    .map(told)
    .collect();
    insta::assert_snapshot!(refusals.join("\n"), @r"
    the title is empty
    the title has 65537 bytes, more than 65536
    the comment is empty
    no such comment: no id begins with `abcdef`
    no such comment: `ab` is too short: type at least 4 characters of the id
    the label is empty
    the label ` a` must not begin or end with white space
    the label `a\u{1b}[2J` must not contain control characters
    the milestone `a\u{202e}b` must not contain control characters
    the link `javascript:alert(1)` must begin with `https://`, `http://`, `ssh://` or `mailto:`
    the link `https://` leads nowhere
    the link `https://a b` must not contain white space
    the attachment `../x` is no plain file name
    the media type `text` is not one such as `text/plain`
    the attachment has 1073741824 bytes, more than 33554432
    none of the 5 items is `6`
    `All PRs merged` may be any of the items 1 (All PRs merged), 5 (All PRs merged)
    `all prs` may be any of the items 1 (All PRs merged), 5 (All PRs merged)
    none of the 5 items is `Tag craeted`; did you mean `Tag created`?
    the item is empty
    an issue cannot depend on itself
    ");
}

#[test]
fn a_circle_is_refused_by_name_also_within_one_wish() {
    let mut clone = Clone_::new("alice", 0);
    let ids: Vec<IssueId> = ["a", "b", "c"].map(|title| clone.create(title, "", &[])).into();
    let on = |kind, on: &IssueId| Command::Depend(Dependency { kind, on: on.clone() });
    clone.run(&ids[0], on(DependencyKind::DependsOn, &ids[1]));
    clone.run(&ids[1], on(DependencyKind::DependsOn, &ids[2]));
    clone.run(&ids[2], on(DependencyKind::Related, &ids[0]));
    let refused = clone.try_run(&ids[2], on(DependencyKind::DependsOn, &ids[0])).unwrap_err();
    let circle = vec![ids[2].clone(), ids[0].clone(), ids[1].clone()];
    assert_eq!(refused, Refusal::Cycle(circle));
    let short = |at: usize| ids[at].short();
    let told = format!(
        "that would close a circle: {} → {} → {} → {} (each needs the next)",
        short(2),
        short(0),
        short(1),
        short(2)
    );
    assert_eq!(refused.to_string(), told);
    assert!(clone.try_run(&ids[0], on(DependencyKind::Blocks, &ids[2])).is_err());
    let fresh = clone.create("d", "", &[]);
    let both = [on(DependencyKind::DependsOn, &ids[0]), on(DependencyKind::Blocks, &ids[0])];
    assert!(matches!(clone.decide(&fresh, &both), Err(Refusal::Cycle(_))));
}

#[test]
fn many_issues_are_decided_on_each_for_itself() {
    let mut clone = Clone_::new("alice", 0);
    let ids: Vec<IssueId> = ["a", "b", "c"].map(|title| clone.create(title, "", &[])).into();
    clone.run(&ids[0], Command::AddLabel("archived".into()));
    let records: Vec<_> = ids.iter().map(|id| clone.issues.record(id).unwrap()).collect();
    let dependencies = clone.issues.dependencies();
    let labelled =
        decide_each(records.clone(), &[Command::AddLabel("archived".into())], &dependencies);
    let events = |decided: &[(IssueId, Result<grit_issues::Decision, Refusal>)]| -> Vec<usize> {
        decided.iter().map(|(_, one)| one.as_ref().map_or(99, |one| one.events.len())).collect()
    };
    assert_eq!(events(&labelled), [0, 1, 1]);
    // b and c cannot both wait for a while a waits for b.
    let on = Dependency { kind: DependencyKind::DependsOn, on: ids[1].clone() };
    let chained = decide_each(records, &[Command::Depend(on)], &dependencies);
    assert_eq!(events(&chained), [1, 99, 1]);
}

#[test]
fn the_same_key_is_the_same_issue() {
    let mut clone = Clone_::new("ci", 0);
    let draft = |title: &str| Draft {
        title: title.into(),
        key: Some("ci-1234".into()),
        ..Draft::default()
    };
    let first = clone.draft(draft("CI Failure"));
    let known = clone.issues.by_key("ci-1234").map(|issue| issue.id.clone());
    assert_eq!(create(draft("again"), known.as_ref()), Ok(Creation::Existing(first.clone())));
    assert!(clone.issues.by_key("ci-1235").is_none());
    // Two clones made one each: the earlier is meant from then on.
    let mut other = Clone_::new("ci2", 500);
    let second = other.draft(draft("CI Failure"));
    other.pull(&clone);
    assert_eq!(other.issues.by_key("ci-1234").unwrap().id, first);
    assert_ne!(first, second);
    assert!(create(Draft::default(), None).is_err());
}

#[test]
fn an_alert_that_comes_back_is_known_by_its_fingerprint() {
    let mut clone = Clone_::new("alerts", 0);
    let draft = Draft { title: "Alert".into(), fingerprint: Some("f1".into()), ..Draft::default() };
    let old = clone.draft(draft.clone());
    clone.run(&old, Command::Close { reason: "resolved".into() });
    assert_eq!(clone.issues.by_fingerprint("f1").unwrap().id, old);
    let new = clone.draft(draft);
    clone.run(&new, Command::Close { reason: String::new() });
    assert_eq!(clone.issues.by_fingerprint("f1").unwrap().id, new);
    clone.run(&old, Command::Reopen);
    assert_eq!(clone.issues.by_fingerprint("f1").unwrap().id, old);
}

#[test]
fn nothing_is_decided_on_an_issue_that_did_not_come() {
    let (clone, issue) = one();
    let mut later = grit_issues::Issues::default();
    let mut other = clone.clone();
    other.run(&issue, Command::Comment("x".into()));
    later.apply(other.events.last().unwrap());
    let record = later.record(&issue).unwrap();
    let refused = decide(record, &[Command::Reopen], &later.dependencies()).unwrap_err();
    assert_eq!(refused, Refusal::NotHere(issue));
}

#[test]
fn queries_are_saved_read_and_removed() {
    let mut clone = Clone_::new("alice", 0);
    let save =
        |clone: &Clone_, name: &str, text: &str| save_query(clone.issues.queries(), name, text);
    let told = |name: &str, text: &str, clone: &Clone_| {
        grit_types::chain(&save(clone, name, text).unwrap_err())
    };
    for (name, text) in [("ci", "label:ci-failure"), ("mine", "@ci assignee:@me")] {
        let decision = save(&clone, name, text).unwrap();
        clone.append(&decision.events[0]);
    }
    assert_eq!(save(&clone, "ci", "label:ci-failure").unwrap().already, ["`@ci` is that already"]);
    let refused = [
        told("me", "is:open", &clone),
        told("Not A Name", "is:open", &clone),
        told("x", "is:opne", &clone),
        told("ci", "is:open OR @mine", &clone),
    ];
    insta::assert_snapshot!(refused.join("\n"), @r"
    the query's name `me` stands for whoever asks
    the query's name `Not A Name` must be 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit
    the saved query cannot be read: column 4: `opne` is nothing that `is:` knows; did you mean `open`?
    the saved query cannot be read: column 12: in the saved query `@mine`: column 1: in the saved query `@ci`: column 12: the saved query `@mine` asks for itself
    ");
    let gone = remove_query(clone.issues.queries(), "ci");
    clone.append(&gone.events[0]);
    assert_eq!(clone.issues.queries().text("ci"), None);
    assert_eq!(clone.issues.queries().texts().len(), 1);
    assert_eq!(remove_query(clone.issues.queries(), "ci").events, []);
}

#[test]
fn hostile_titles_are_kept_exactly() {
    let mut clone = Clone_::new("alice", 0);
    let long = "x".repeat(10_000);
    for title in
        ["-rf", "two\nlines\r\n", "\u{1b}[2J\u{0}", "\u{202e}gpj", long.as_str(), " spaced "]
    {
        let issue = clone.create(title, title, &[]);
        assert_eq!(clone.issue(&issue).title, title);
        assert_eq!(clone.issue(&issue).body, title);
        let line = grit_issues::shown(title, 80);
        assert!(line.chars().count() <= 80 && !line.chars().any(char::is_control), "{line}");
    }
}
