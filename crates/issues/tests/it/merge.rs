use std::collections::BTreeSet;

use grit_issues::{
    Attachment, Command, Dependency, DependencyKind, Draft, Event, Fate, Field, Issue, Issues,
    Link, Priority, Record, State, Subject, far_ahead, history, remove_query, save_query,
};
use grit_ledger::Hlc;
use grit_types::{Digest, EventId, IssueId, Timestamp};
use proptest::prelude::*;

use crate::world::{Clone_, DAY, START, envelope, sync};

fn retitle(title: &str) -> Command {
    Command::Retitle(title.to_owned())
}

/// Two clones with the same issue.
fn pair(skew: i64) -> (Clone_, Clone_, IssueId) {
    let (mut alice, mut bob) = (Clone_::new("alice", 0), Clone_::new("bob", skew));
    let issue = alice.create("first", "- [ ] one\n- [ ] two\n", &["bug"]);
    sync(&mut alice, &mut bob);
    (alice, bob, issue)
}

#[test]
fn a_later_edit_beats_a_clock_one_day_ahead() {
    let (mut alice, mut bob, issue) = pair(DAY);
    bob.run(&issue, retitle("from tomorrow"));
    alice.pull(&bob);
    alice.run(&issue, retitle("corrected"));
    sync(&mut alice, &mut bob);
    assert_eq!(bob.issue(&issue).title, "corrected");
    assert!(bob.issue(&issue).conflicts.is_empty());
}

#[test]
fn an_edit_that_has_seen_tomorrow_wins_even_under_yesterdays_clock() {
    let created =
        envelope("alice", Hlc { millis: START, count: 0 }, &Event::created("a", "", [""; 0]));
    let issue = created.id();
    let title = |title: &str, replaces: &[&EventId]| Event::Retitled {
        issue: issue.clone(),
        title: title.to_owned(),
        replaces: replaces.iter().map(|id| (*id).clone()).collect(),
    };
    let ahead = envelope("bob", Hlc { millis: START + DAY, count: 0 }, &title("b", &[&issue]));
    let behind =
        envelope("carol", Hlc { millis: START - DAY, count: 0 }, &title("c", &[&ahead.id()]));
    let issues = Issues::fold(&[behind.clone(), ahead.clone(), created.clone()]);
    assert_eq!(issues.get(&issue).unwrap().title, "c");
    let now = Timestamp::from_millis(START);
    let flagged = far_ahead([&created, &ahead, &behind], now);
    assert_eq!(flagged.len(), 1);
    assert_eq!((flagged[0].by.as_str(), flagged[0].ahead.as_secs()), ("bob", 86_400));
    assert!(far_ahead([&ahead], Timestamp::from_millis(START + DAY)).is_empty());
}

#[test]
fn a_close_from_tomorrow_can_be_undone_today() {
    let (mut alice, mut bob, issue) = pair(DAY);
    bob.run(&issue, Command::Close { reason: "done".to_owned() });
    alice.pull(&bob);
    assert_eq!(alice.issue(&issue).closed.as_ref().unwrap().reason, "done");
    alice.run(&issue, Command::Reopen);
    sync(&mut alice, &mut bob);
    assert_eq!(bob.issue(&issue).state, State::Open);
}

#[test]
fn of_concurrent_edits_one_shows_and_the_other_is_kept_until_somebody_settles_it() {
    let (mut alice, mut bob, issue) = pair(0);
    bob.wait(60_000);
    alice.run(&issue, retitle("alice's"));
    bob.run(&issue, retitle("bob's"));
    sync(&mut alice, &mut bob);
    let seen = alice.issue(&issue);
    assert_eq!(seen.title, "bob's");
    assert_eq!((seen.conflicts.len(), seen.conflicts[0].value.as_str()), (1, "alice's"));
    alice.run(&issue, retitle("bob's"));
    assert!(alice.issue(&issue).conflicts.is_empty());
    assert_eq!(alice.try_run(&issue, retitle("bob's")), Ok(0));
}

#[test]
fn a_label_added_meanwhile_survives_its_removal() {
    let (mut alice, mut bob, issue) = pair(0);
    alice.run(&issue, Command::RemoveLabel("bug".to_owned()));
    bob.run(&issue, Command::RemoveLabel("bug".to_owned()));
    bob.run(&issue, Command::AddLabel("bug".to_owned()));
    sync(&mut alice, &mut bob);
    assert_eq!(alice.issue(&issue).labels, ["bug".to_owned()].into());
    alice.run(&issue, Command::RemoveLabel("bug".to_owned()));
    sync(&mut alice, &mut bob);
    assert!(bob.issue(&issue).labels.is_empty());
}

#[test]
fn checks_and_edits_of_the_body_do_not_undo_each_other() {
    let (mut alice, mut bob, issue) = pair(0);
    bob.wait(60_000);
    let check = |item: &str| Command::Check { item: item.to_owned() };
    alice.run(&issue, check("one"));
    alice.run(&issue, Command::EditBody("# New\n- [x] one\n- [ ] two\n- [ ] three\n".to_owned()));
    bob.run(&issue, check("two"));
    bob.run(&issue, Command::EditBody("- [ ] zero\n- [ ] one\n- [x] two\n".to_owned()));
    sync(&mut alice, &mut bob);
    // Bob's text shows, and he did not know of the check of `one`.
    assert_eq!(alice.issue(&issue).body, "- [ ] zero\n- [x] one\n- [x] two\n");
    assert_eq!(alice.issue(&issue).progress.unwrap().to_string(), "2/3");
    bob.run(&issue, Command::EditBody("- [ ] one\n- [x] two\n".to_owned()));
    bob.run(&issue, Command::Uncheck { item: "2".to_owned() });
    sync(&mut alice, &mut bob);
    assert_eq!(alice.issue(&issue).body, "- [ ] one\n- [ ] two\n");
}

#[test]
fn events_that_come_before_their_issue_wait_for_it() {
    let (alice, _, issue) = {
        let (mut alice, bob, issue) = pair(0);
        alice.run(&issue, Command::Comment("hello".to_owned()));
        (alice, bob, issue)
    };
    let mut issues = Issues::default();
    issues.apply(&alice.events[1]);
    assert!(issues.get(&issue).is_none() && issues.record(&issue).is_some());
    assert!(issues.find(&issue.as_str()[..8]).is_err());
    issues.apply(&alice.events[0]);
    assert_eq!(issues, alice.issues);
}

#[test]
fn what_cannot_be_read_is_passed_over() {
    let (alice, _, issue) = pair(0);
    let mut events = alice.events.clone();
    let mut newer = events[0].clone();
    newer.kind = "issue.teleported".to_owned();
    let mut broken = events[0].clone();
    broken.kind = "issue.closed".to_owned();
    broken.data = serde_json::json!({ "issue": issue, "reason": 7 });
    for event in [&newer, &broken] {
        let applied = Issues::default().apply(event);
        assert!(matches!(applied, grit_issues::Applied::Unreadable(_)), "{applied:?}");
    }
    events.extend([newer, broken]);
    assert_eq!(Issues::fold(&events), alice.issues);
}

/// What happens in a history, chosen by numbers.
#[derive(Clone, Debug)]
enum Op {
    Create {
        at: usize,
    },
    Do {
        at: usize,
        issue: usize,
        what: u8,
        value: u8,
    },
    /// An event as an older Grit wrote it, or a hostile one: nothing is replaced, or anything.
    Raw {
        at: usize,
        issue: usize,
        what: u8,
        seen: usize,
    },
    Query {
        at: usize,
        value: u8,
    },
    Pull {
        at: usize,
        from: usize,
    },
}

const CLONES: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let at = 0..CLONES;
    prop_oneof![
        1 => at.clone().prop_map(|at| Op::Create { at }),
        8 => (at.clone(), 0..4usize, 0..18u8, 0..4u8)
            .prop_map(|(at, issue, what, value)| Op::Do { at, issue, what, value }),
        1 => (at.clone(), 0..4usize, 0..4u8, 0..8usize)
            .prop_map(|(at, issue, what, seen)| Op::Raw { at, issue, what, seen }),
        1 => (at.clone(), 0..4u8).prop_map(|(at, value)| Op::Query { at, value }),
        4 => (at.clone(), at).prop_map(|(at, from)| Op::Pull { at, from }),
    ]
}

/// Clones whose clocks are right, a day ahead, and an hour behind.
fn play(ops: &[Op]) -> Vec<Clone_> {
    let mut clones =
        vec![Clone_::new("alice", 0), Clone_::new("bob", DAY), Clone_::new("carol", -3_600_000)];
    let first = clones[0].create("first", "- [ ] a\n- [x] b\n- [ ] a\n", &["x", "y"]);
    let (head, tail) = clones.split_at_mut(1);
    tail.iter_mut().for_each(|clone| clone.pull(&head[0]));
    assert!(clones[2].issues.get(&first).is_some());
    for op in ops {
        step(&mut clones, op);
    }
    clones
}

fn step(clones: &mut [Clone_], op: &Op) {
    match *op {
        Op::Create { at } => {
            let labels = ["x".to_owned()].into();
            let title = format!("issue {}", clones[at].events.len());
            clones[at].draft(Draft { title, labels, ..Draft::default() });
        }
        Op::Do { at, issue, what, value } => {
            let clone = &mut clones[at];
            let ids: Vec<IssueId> = clone.issues.all().map(|issue| issue.id.clone()).collect();
            let issue = &ids[issue % ids.len()];
            let command = command(clone, issue, &ids, what, value);
            // A refusal changes nothing.
            let _ = clone.try_run(issue, command);
        }
        Op::Raw { at, issue, what, seen } => raw(&mut clones[at], issue, what, seen),
        Op::Query { at, value } => {
            let name = format!("q{}", value % 2);
            let queries = clones[at].issues.queries();
            let decision = match value {
                0 => remove_query(queries, &name),
                _ => save_query(queries, &name, &format!("label:x{value}")).unwrap(),
            };
            for event in &decision.events {
                clones[at].append(event);
            }
        }
        Op::Pull { at, from } => {
            let from = clones[from].clone();
            clones[at].pull(&from);
        }
    }
}

fn command(clone: &Clone_, issue: &IssueId, ids: &[IssueId], what: u8, value: u8) -> Command {
    let text = format!("v{value}");
    let number = usize::from(value);
    let seen = clone.issue(issue);
    let comment = seen.comments.get(number % seen.comments.len().max(1));
    let comment = comment.map_or_else(|| "none".to_owned(), |comment| comment.id.to_string());
    let bodies = ["- [ ] a\n", "- [x] a\n- [ ] a\n- [ ] c\n", "```\n- [ ] a\n```", "no list"];
    let item = format!("{}", number + 1);
    let due = format!("2026-0{}-01", number + 1).parse().unwrap();
    let link = Link { url: format!("https://example.com/{text}"), title: String::new() };
    let attachment = Attachment {
        name: text.clone(),
        media_type: "text/plain".to_owned(),
        size: 1,
        digest: Digest::of(text.as_bytes()),
    };
    let kind = DependencyKind::ALL[number % 3];
    let dependency = Dependency { kind, on: ids[number % ids.len()].clone() };
    let person: grit_types::Principal = format!("p{value}").parse().unwrap();
    match (what, value.is_multiple_of(2)) {
        (0, _) => Command::Retitle(text),
        (1, _) => Command::EditBody(bodies[number].to_owned()),
        (2 | 3, _) => Command::Comment(text),
        (4, _) => Command::EditComment { comment, body: text },
        (5, _) => Command::DeleteComment { comment },
        (6, _) => Command::Close { reason: if value == 0 { String::new() } else { text } },
        (7, _) => Command::Reopen,
        (8, _) => Command::AddLabel(text),
        (9, true) => Command::RemoveLabel("x".to_owned()),
        (9, false) => Command::RemoveLabel(text),
        (10, true) => Command::Assign(person),
        (10, false) => Command::Unassign("p0".parse().unwrap()),
        (11, _) => Command::SetMilestone((value > 0).then_some(text)),
        (12, _) => Command::SetPriority(Priority::ALL.get(number).copied()),
        (13, _) => Command::SetDue((value > 0).then_some(due)),
        (14, true) => Command::AddLink(link),
        (14, false) => Command::RemoveLink { url: "https://example.com/v0".to_owned() },
        (15, true) => Command::Attach(attachment),
        (15, false) => Command::Detach { name: "v0".to_owned() },
        (16, true) => Command::Depend(dependency),
        (16, false) => Command::Undepend(dependency),
        (_, true) => Command::Check { item },
        (_, false) => Command::Uncheck { item },
    }
}

fn raw(clone: &mut Clone_, issue: usize, what: u8, seen: usize) {
    let ids: Vec<EventId> = clone.events.iter().map(grit_ledger::Event::id).collect();
    let issues: Vec<IssueId> = clone.issues.all().map(|issue| issue.id.clone()).collect();
    let issue = issues[issue % issues.len()].clone();
    let any: BTreeSet<EventId> = ids.iter().rev().take(seen).cloned().collect();
    let comment = ids[seen % ids.len()].clone();
    clone.append(&match what {
        0 => Event::Closed {
            issue,
            reason: String::new(),
            replaces: BTreeSet::new(),
            imported: None,
        },
        1 => Event::Reopened { issue, replaces: any },
        2 => Event::CommentEdited { issue, comment, body: "raw".to_owned(), replaces: any },
        _ => Event::Retitled { issue, title: format!("raw {seen}"), replaces: any },
    });
}

/// All events of all clones, each once.
fn union(clones: &[Clone_]) -> Vec<grit_ledger::Event> {
    grit_ledger::merge(clones.iter().flat_map(|clone| clone.events.iter().cloned()))
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_gives_the_same(
        ops in proptest::collection::vec(op(), 1..30),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let events = union(&play(&ops));
        let expected = Issues::fold(&events);
        let mut order = events.clone();
        for (at, pick) in picks.iter().enumerate() {
            let (a, b) = (at % order.len(), pick.index(order.len()));
            order.swap(a, b);
        }
        order.extend(again.iter().map(|pick| pick.get(&events).clone()));
        let mut one_by_one = Issues::default();
        for event in &order {
            one_by_one.apply(event);
        }
        prop_assert_eq!(&one_by_one, &expected);
        for event in &events {
            let applied = one_by_one.apply(event);
            prop_assert!(matches!(applied, grit_issues::Applied::Known), "{:?}", applied);
        }
    }

    #[test]
    fn any_portions_merged_in_any_way_give_the_same(
        ops in proptest::collection::vec(op(), 1..30),
        shares in proptest::collection::vec(0u8..8, 64),
    ) {
        let clones = play(&ops);
        let events = union(&clones);
        let expected = Issues::fold(&events);
        let mut portions = vec![Issues::default(); 3];
        for (event, share) in events.iter().zip(shares.iter().cycle()) {
            // Every event is in one portion at least, some in several.
            for (at, portion) in portions.iter_mut().enumerate() {
                if (share + 1) >> at & 1 == 1 || usize::from(share % 3) == at {
                    portion.apply(event);
                }
            }
        }
        let mut left = portions[0].clone();
        left.merge(portions[1].clone());
        left.merge(portions[2].clone());
        let mut right = portions[2].clone();
        right.merge(portions[1].clone());
        right.merge(portions[0].clone());
        right.merge(left.clone());
        prop_assert_eq!(&left, &expected);
        prop_assert_eq!(&right, &expected);
        let mut of_clones = clones[0].issues.clone();
        for clone in &clones {
            of_clones.merge(clone.issues.clone());
        }
        prop_assert_eq!(&of_clones, &expected);
    }

    #[test]
    fn a_record_is_a_row_that_reads_back(ops in proptest::collection::vec(op(), 1..30)) {
        for record in Issues::fold(&union(&play(&ops))).records() {
            let row = serde_json::to_string(record).unwrap();
            let back: Record = serde_json::from_str(&row).unwrap();
            prop_assert_eq!(&back, record);
            prop_assert_eq!(back.issue(), record.issue());
            let seen = serde_json::to_string(&record.issue()).unwrap();
            let back: Option<Issue> = serde_json::from_str(&seen).unwrap();
            prop_assert_eq!(back, record.issue());
        }
    }

    #[test]
    fn history_and_state_agree_on_what_shows(ops in proptest::collection::vec(op(), 1..30)) {
        let events = union(&play(&ops));
        for issue in Issues::fold(&events).all() {
            let lines = history(&issue.id, &events);
            let own = events.iter().filter(|event| {
                let payload = Event::read(event).unwrap().unwrap();
                matches!(payload.subject(), Subject::Issue(of) if *of == issue.id)
            });
            prop_assert_eq!(lines.len(), own.count() + 1);
            let titles = lines.iter().filter(|line| line.kind == "issue.retitled");
            let shows: Vec<_> =
                titles.filter(|line| line.fate == Some(Fate::Shows)).filter_map(|line| line.after.as_ref()).collect();
            prop_assert!(shows.len() <= 1);
            for title in shows {
                prop_assert_eq!(title, &issue.title);
            }
            let lost = issue.conflicts.iter().filter(|one| one.field == Field::Title);
            for conflict in lost {
                let fate = lines.iter().find(|line| line.id == conflict.id).map(|line| &line.fate);
                prop_assert!(conflict.id == issue.id || matches!(fate, Some(Some(Fate::Lost(_)))), "{:?}", fate);
            }
        }
    }

    #[test]
    fn whoever_has_seen_everything_has_the_last_word(ops in proptest::collection::vec(op(), 1..30)) {
        let mut clones = play(&ops);
        let (last, others) = clones.split_last_mut().unwrap();
        others.iter().for_each(|other| last.pull(other));
        let ids: Vec<IssueId> = last.issues.all().map(|issue| issue.id.clone()).collect();
        for id in &ids {
            let body = "- [ ] a\n- [x] a\n- [ ] last\n".to_owned();
            last.try_run(id, retitle("the last word")).unwrap();
            last.try_run(id, Command::EditBody(body)).unwrap();
            last.try_run(id, Command::Close { reason: String::new() }).unwrap();
            last.try_run(id, Command::SetPriority(Some(Priority::Low))).unwrap();
            for label in last.issue(id).labels.clone() {
                last.run(id, Command::RemoveLabel(label));
            }
            for comment in last.issue(id).comments.clone() {
                last.run(id, Command::DeleteComment { comment: comment.id.to_string() });
            }
        }
        for other in others {
            other.pull(last);
            prop_assert_eq!(&other.issues, &last.issues);
        }
        for issue in last.issues.all() {
            prop_assert_eq!(&issue.title, "the last word");
            prop_assert_eq!(&issue.body, "- [ ] a\n- [x] a\n- [ ] last\n");
            prop_assert_eq!((issue.state, issue.priority), (State::Closed, Some(Priority::Low)));
            prop_assert!(issue.labels.is_empty() && issue.comments.is_empty());
            // Deletions of comments and closings are not repeated to settle them.
            let settled = ["title", "body", "priority", "item"];
            let open = issue.conflicts.iter().any(|one| settled.contains(&one.field.as_str()));
            prop_assert!(!open, "{:?}", issue.conflicts);
        }
    }
}
