use grit_issues::{
    Attachment, Command, Dependency, DependencyKind, Fate, Line, Link, Priority, history,
};
use grit_types::{Digest, IssueId};

use crate::world::{Clone_, sync};

/// Lines with names instead of ids.
fn lines(clone: &Clone_, issue: &IssueId) -> (Vec<Line>, String) {
    let found = history(issue, &clone.events);
    let mut text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for (at, event) in grit_ledger::merge(clone.events.iter().cloned()).iter().enumerate() {
        text = text.replace(event.id().short(), &format!("E{at}"));
    }
    (found, text)
}

#[test]
fn every_past_title_and_every_loser_is_told() {
    let (mut alice, mut bob) = (Clone_::new("alice", 0), Clone_::new("bob", 500));
    let issue = alice.create("one", "", &["bug", "ci"]);
    sync(&mut alice, &mut bob);
    alice.run(&issue, Command::Retitle("two by alice".into()));
    bob.run(&issue, Command::Retitle("two by bob\nin two lines\u{1b}[2J".into()));
    sync(&mut alice, &mut bob);
    alice.run(&issue, Command::Retitle("three".into()));
    sync(&mut alice, &mut bob);
    alice.run(&issue, Command::Close { reason: "done".into() });
    bob.run(&issue, Command::SetPriority(Some(Priority::High)));
    bob.run(&issue, Command::Retitle("four".into()));
    alice.run(&issue, Command::Retitle("also four".into()));
    sync(&mut alice, &mut bob);
    let (found, text) = lines(&alice, &issue);
    insta::assert_snapshot!(text, @r"
    2026-01-02T03:04:06.000Z alice created “one” with “bug”, “ci”
    2026-01-02T03:04:07.000Z alice changed the title to “two by alice” (was “one”) (lost to E2)
    2026-01-02T03:04:07.500Z bob changed the title to “two by bob\nin two lines\u{1b}[2J” (was “one”)
    2026-01-02T03:04:08.000Z alice changed the title to “three” (was “two by bob\nin two lines\u{1b}[2J”)
    2026-01-02T03:04:09.000Z alice closed it: “done”
    2026-01-02T03:04:09.500Z bob set the priority to “high”
    2026-01-02T03:04:10.000Z alice changed the title to “also four” (was “three”) (lost to E7)
    2026-01-02T03:04:10.500Z bob changed the title to “four” (was “three”)
    ");
    assert_eq!(found[2].after.as_deref(), Some("two by bob\nin two lines\u{1b}[2J"));
    let fates: Vec<_> =
        found.iter().filter(|line| line.kind == "issue.retitled").map(|line| &line.fate).collect();
    assert!(matches!(fates[0], Some(Fate::Lost(to)) if *to == found[2].id));
    assert!(matches!(fates[1], Some(Fate::Replaced(by)) if *by == found[3].id));
    let shows =
        found.iter().filter(|line| line.fate == Some(Fate::Shows) && line.kind == "issue.retitled");
    let shown: Vec<_> = shows.filter_map(|line| line.after.clone()).collect();
    assert_eq!(shown, [alice.issue(&issue).title.clone()]);
    assert_eq!(lines(&bob, &issue).1, text);
}

#[test]
fn each_kind_has_its_line() {
    let mut clone = Clone_::new("alice", 0);
    let other = clone.create("other", "", &[]);
    let issue = clone.create("one", "- [ ] smoke tests\n", &[]);
    let text = |text: &str| text.to_owned();
    let link = Link { url: text("https://example.com/"), title: String::new() };
    let attachment = Attachment {
        name: text("log.txt"),
        media_type: text("text/plain"),
        size: 3,
        digest: Digest::of(b"abc"),
    };
    let on = Dependency { kind: DependencyKind::DependsOn, on: other.clone() };
    clone.run(&issue, Command::Comment(text("first\nline")));
    let comment = clone.issue(&issue).comments[0].id.to_string();
    for command in [
        Command::EditComment { comment: comment.clone(), body: text("edited") },
        Command::DeleteComment { comment },
        Command::EditBody(text("- [ ] smoke tests\nmore\n")),
        Command::Check { item: text("1") },
        Command::Uncheck { item: text("smoke") },
        Command::Close { reason: String::new() },
        Command::Reopen,
        Command::AddLabel(text("bug")),
        Command::RemoveLabel(text("bug")),
        Command::Assign("bob".parse().unwrap()),
        Command::Unassign("bob".parse().unwrap()),
        Command::SetMilestone(Some(text("v2"))),
        Command::SetMilestone(None),
        Command::SetPriority(Some(Priority::Low)),
        Command::SetDue("2026-12-01".parse().ok()),
        Command::SetDue(None),
        Command::AddLink(link.clone()),
        Command::RemoveLink { url: link.url },
        Command::Attach(attachment),
        Command::Detach { name: text("log.txt") },
        Command::Depend(on.clone()),
        Command::Undepend(on),
    ] {
        clone.run(&issue, command);
    }
    let (found, told) = lines(&clone, &issue);
    assert!(found.iter().all(|line| !line.what.is_empty()));
    insta::assert_snapshot!(told, @r"
    2026-01-02T03:04:07.000Z alice created “one”
    2026-01-02T03:04:08.000Z alice commented “first\nline”
    2026-01-02T03:04:09.000Z alice edited the comment E2 to “edited” (was “first\nline”)
    2026-01-02T03:04:10.000Z alice deleted the comment E2 (was “edited”)
    2026-01-02T03:04:11.000Z alice edited the body
    2026-01-02T03:04:12.000Z alice checked “smoke tests”
    2026-01-02T03:04:13.000Z alice unchecked “smoke tests”
    2026-01-02T03:04:14.000Z alice closed it
    2026-01-02T03:04:15.000Z alice reopened it
    2026-01-02T03:04:16.000Z alice added the label “bug”
    2026-01-02T03:04:17.000Z alice took the label “bug” off
    2026-01-02T03:04:18.000Z alice assigned it to bob
    2026-01-02T03:04:19.000Z alice unassigned bob
    2026-01-02T03:04:20.000Z alice set the milestone to “v2”
    2026-01-02T03:04:21.000Z alice took the milestone away (was “v2”)
    2026-01-02T03:04:22.000Z alice set the priority to “low”
    2026-01-02T03:04:23.000Z alice set the due day to “2026-12-01”
    2026-01-02T03:04:24.000Z alice took the due day away (was “2026-12-01”)
    2026-01-02T03:04:25.000Z alice added the link “https://example.com/”
    2026-01-02T03:04:26.000Z alice took the link “https://example.com/” off
    2026-01-02T03:04:27.000Z alice attached “log.txt” (3 bytes, ba7816bf8f01)
    2026-01-02T03:04:28.000Z alice took the attachment “log.txt” off
    2026-01-02T03:04:29.000Z alice added depends-on E0
    2026-01-02T03:04:30.000Z alice removed depends-on E0
    ");
    assert_eq!(history(&other, &clone.events).len(), 1);
}
