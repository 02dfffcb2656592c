use std::collections::BTreeMap;

use grit_issues::query::{QUERY_BYTES_MAX, parse, words};
use grit_issues::{Attachment, Command, Draft, Issue, Link, Names, Priority, Query};
use grit_types::{Digest, Principal, Timestamp};
use proptest::prelude::*;

use crate::world::{Clone_, DAY, START};

const NOW: Timestamp = Timestamp::from_millis(START + 30 * DAY);

fn query(text: &str) -> Query {
    parse(text, Names::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn told(text: &str) -> String {
    parse(text, Names::default()).unwrap_err().to_string()
}

/// Five issues that differ in all that can be asked for.
fn world() -> Clone_ {
    let mut bob = Clone_::new("bob", 0);
    let old = bob.create(
        "A: test_login timeout",
        "thread panicked: assertion failed",
        &["ci-failure", "test"],
    );
    bob.wait(20 * DAY);
    let mut alice = Clone_::new("alice", 0);
    alice.pull(&bob);
    alice.run(&old, Command::Comment("Flaky test, added retry logic. @carol?".into()));
    alice.run(&old, Command::Close { reason: "won't fix".into() });
    let draft = |title: &str| Draft { title: title.into(), ..Draft::default() };
    alice.draft(Draft {
        body: "- [x] one\n- [ ] two\n".into(),
        labels: ["Release".to_owned(), "good first issue".to_owned()].into(),
        assignees: ["alice".parse().unwrap()].into(),
        milestone: Some("v2".into()),
        priority: Some(Priority::High),
        due: "2026-02-10".parse().ok(),
        ..draft("B: release v2.0.0")
    });
    alice.wait(8 * DAY);
    let alert = alice.draft(Draft {
        key: Some("ci-9".into()),
        template: Some("alert".into()),
        fingerprint: Some("f9".into()),
        priority: Some(Priority::Critical),
        due: "2026-01-15".parse().ok(),
        ..draft("C: 構築失敗")
    });
    let attachment = Attachment {
        name: "log".into(),
        media_type: "text/plain".into(),
        size: 1,
        digest: Digest::of(b"x"),
    };
    alice.run(&alert, Command::Attach(attachment));
    let link = Link { url: "https://example.com/".into(), title: String::new() };
    alice.run(&alert, Command::AddLink(link));
    alice.draft(Draft {
        labels: ["ci-failure".to_owned(), "archived".to_owned()].into(),
        priority: Some(Priority::Low),
        ..draft("D: over \"quoted\" text")
    });
    let last = alice.create("E: the last", "", &["a,b"]);
    alice.run(&last, Command::Comment("one".into()));
    alice.run(&last, Command::Comment("two".into()));
    alice
}

/// The first letters of the titles that a query finds, in its order.
fn found(clone: &Clone_, text: &str) -> String {
    let issues = clone.issues.select(&query(text), NOW);
    issues.iter().map(|issue| issue.title.chars().next().unwrap()).collect()
}

#[test]
fn each_part_finds_what_it_says() {
    let clone = world();
    for (text, expected) in [
        ("", "EDCBA"),
        ("is:open", "EDCB"),
        ("state:closed", "A"),
        ("state:all", "EDCBA"),
        ("state:all OR is:open", "EDCBA"),
        ("is:overdue", "C"),
        ("label:ci-failure", "DA"),
        ("label:RELEASE", "B"),
        ("label:\"good first issue\"", "B"),
        ("label:\"a,b\"", "E"),
        ("label:test,archived", "DA"),
        ("label:ci-failure -label:archived", "A"),
        ("-label:ci-failure,release", "EC"),
        ("author:bob", "A"),
        ("assignee:alice", "B"),
        ("assignee:@alice", "B"),
        ("mentions:carol", "A"),
        ("commenter:alice", "EA"),
        ("milestone:V2", "B"),
        ("priority:high", "B"),
        ("priority:>=high", "CB"),
        ("priority:<high", "D"),
        ("priority:low,p0", "DC"),
        ("created:>7d", "BA"),
        ("created:<7d", "EDC"),
        ("created:2d", "EDC"),
        ("created:<1d", ""),
        ("created:>=2w", "A"),
        ("created:2026-01-02", "A"),
        ("created:2026-01-03..2026-01-22", "B"),
        ("created:>2026-01-22", "EDC"),
        ("created:<=2026-01-02T03:04:06Z", "A"),
        ("updated:>9d", "BA"),
        ("closed:>9d", "A"),
        ("due:<7d", "C"),
        ("due:>7d", "B"),
        ("due:<2026-12-01", "CB"),
        ("due:2026-02-10", "B"),
        ("no:assignee", "EDCA"),
        ("no:label", "C"),
        ("has:checklist", "B"),
        ("has:attachments", "C"),
        ("has:link has:due", "C"),
        ("no:comment", "DCB"),
        ("has:dependency", ""),
        ("key:ci-9", "C"),
        ("template:ALERT", "C"),
        ("fingerprint:f9 is:open", "C"),
        ("timeout", "A"),
        ("time", "A"),
        ("\"time\"", ""),
        ("\"test login\"", "A"),
        ("login_time", "A"),
        ("\"retry logic\"", "A"),
        ("-timeout text", "D"),
        ("失敗", "C"),
        ("\\\"quoted", "D"),
        ("title:release", "B"),
        ("body:panicked", "A"),
        ("comment:\"won't fix\"", "A"),
        ("title:retry", ""),
        ("label:archived OR milestone:v2 priority:high", "DB"),
        ("(label:archived OR milestone:v2) priority:low", "D"),
        ("is:open AND -(label:archived OR priority:critical)", "EB"),
        ("sort:created-asc", "ABCDE"),
        ("sort:priority", "CBDEA"),
        ("sort:priority-asc", "DBCEA"),
        ("sort:due", "CBEDA"),
        ("sort:title-desc is:open", "EDCB"),
        ("sort:comments,title", "AEBCD"),
        ("is:open sort:updated-asc", "BCDE"),
    ] {
        assert_eq!(found(&clone, text), expected, "{text}");
    }
}

#[test]
fn the_beginning_of_an_id_is_found() {
    let clone = world();
    let first = clone.issues.all().next().unwrap();
    let text = format!("id:{}", first.id.short().to_uppercase());
    assert_eq!(found(&clone, &text), "E");
}

#[test]
fn saved_queries_stand_for_their_text() {
    let clone = world();
    let saved: BTreeMap<String, String> = [
        ("ci", "label:ci-failure OR label:release sort:created-asc"),
        ("mine", "@ci assignee:@me"),
        ("round", "@about"),
        ("about", "is:open @round"),
        ("broken", "is:opne"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .into();
    let me: Principal = "alice".parse().unwrap();
    let names = Names { saved: Some(&saved), me: Some(&me) };
    let found = |text: &str| {
        let issues = clone.issues.select(&parse(text, names).unwrap(), NOW);
        issues.iter().map(|issue| &issue.title[..1]).collect::<String>()
    };
    assert_eq!(found("@ci"), "ABD");
    assert_eq!(found("@ci is:open"), "BD");
    assert_eq!(found("@mine"), "B");
    assert_eq!(found("-@ci sort:title"), "CE");
    assert_eq!(found("-@ci"), "EC");
    assert_eq!(found("@ci sort:title-desc"), "DBA");
    let refused: Vec<String> = ["is:open @ic", "@round", "@broken is:open", "@nothing-like-it"]
        .map(|text| parse(text, names).unwrap_err().to_string())
        .into();
    insta::assert_snapshot!(refused.join("\n"), @r"
    column 9: no query is saved as `@ic`; there is `@about`, `@broken`, `@ci`, `@mine`, `@round`
    column 1: in the saved query `@round`: column 1: in the saved query `@about`: column 9: the saved query `@round` asks for itself
    column 1: in the saved query `@broken`: column 4: `opne` is nothing that `is:` knows; did you mean `open`?
    column 1: no query is saved as `@nothing-like-it`; there is `@about`, `@broken`, `@ci`, `@mine`, `@round`
    ");
}

#[test]
fn what_is_no_query_says_where_and_what_to_write() {
    let texts = [
        "lable:x",
        "is:open foo:bar",
        "is:opne",
        "is:",
        "label:a,",
        "é -",
        "--x",
        "is:open -sort:title",
        "-(is:open sort:title)",
        "(is:open",
        "is:open)",
        "()",
        "OR is:open",
        "is:open OR",
        "is:open OR OR is:closed",
        "label:\"x",
        "priority:>=hihg",
        "created:7",
        "due:<yesterday",
        "no:assigne",
        "no:colour",
        "sort:relevance",
        "assignee:@me",
        "@x",
        "***",
        "\"\"",
    ];
    let refused: Vec<String> =
        texts.iter().map(|text| format!("{text}\n    {}", told(text))).collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    lable:x
        column 1: there is no field `lable`; did you mean `label:`?
    is:open foo:bar
        column 9: there is no field `foo`; put text with a colon between quotes
    is:opne
        column 4: `opne` is nothing that `is:` knows; did you mean `open`?
    is:
        column 1: `is:` needs a value; such as `is:open`
    label:a,
        column 1: `label:` needs a value; such as `label:ci-failure`
    é -
        column 3: `-` turns nothing around; write it before a part: `-label:archived`
    --x
        column 1: `-` turns nothing around; write it before a part: `-label:archived`
    is:open -sort:title
        column 9: an order cannot be turned around; write `sort:updated-asc`
    -(is:open sort:title)
        column 1: an order cannot be turned around; write `sort:updated-asc`
    (is:open
        column 1: `(` is never closed
    is:open)
        column 8: `)` closes nothing
    ()
        column 1: there is nothing between the parentheses
    OR is:open
        column 1: `OR` needs a part on both sides
    is:open OR
        column 11: `OR` needs a part on both sides
    is:open OR OR is:closed
        column 12: `OR` needs a part on both sides
    label:"x
        column 7: the quote is never closed
    priority:>=hihg
        column 10: `>=hihg` is nothing that `priority:` knows; did you mean `high`?
    created:7
        column 9: `7` is no time; write `created:<7d`, `created:>=2026-12-01` or `created:2026-12-01..2026-12-24`
    due:<yesterday
        column 5: `<yesterday` is no time; write `due:<7d`, `due:>=2026-12-01` or `due:2026-12-01..2026-12-24`
    no:assigne
        column 4: `assigne` is nothing that `no:` knows; did you mean `assignee`?
    no:colour
        column 4: `colour` is nothing that `no:` knows; it knows `assignee`, `label`, `milestone`, `priority`, `due`, `comment`, `checklist`, `link`, `attachment`, `dependency`
    sort:relevance
        column 6: `relevance` is nothing that `sort:` knows; it knows `created`, `updated`, `priority`, `comments`, `due`, `title`
    assignee:@me
        column 10: nobody is known as `@me` here
    @x
        column 1: no query is saved as `@x`; there are no saved queries
    ***
        column 1: there is no letter and no digit to look for
    ""
        column 1: there is no letter and no digit to look for
    "#);
}

#[test]
fn a_query_has_a_limit() {
    assert!(told(&"x ".repeat(QUERY_BYTES_MAX)).contains("bytes"));
    assert!(told(&"x ".repeat(2_000)).contains("parts"));
    assert!(told(&"(".repeat(2_000)).contains("too many parentheses"));
    let name = |at: usize| format!("q{at}");
    let saved: BTreeMap<String, String> =
        (0..30).map(|at| (name(at), format!("@{0} @{0}", name(at + 1)))).collect();
    let error = parse("@q0", Names { saved: Some(&saved), me: None }).unwrap_err();
    assert!(error.to_string().contains("too many saved queries"), "{error}");
    let wide: BTreeMap<String, String> = (0..10)
        .map(|at| {
            (
                name(at),
                if at == 9 { "x".to_owned() } else { format!("@{0} ", name(at + 1)).repeat(9) },
            )
        })
        .collect();
    let error = parse("@q0", Names { saved: Some(&wide), me: None }).unwrap_err();
    assert!(error.to_string().contains("parts"), "{error}");
}

#[test]
fn the_tree_is_plain() {
    let read = query("is:open (label:a,\"b c\" OR -priority:>=high) updated:<7d word sort:due");
    insta::assert_debug_snapshot!(read, @r#"
    Query {
        filter: All(
            [
                Test(
                    State(
                        Open,
                    ),
                ),
                Any(
                    [
                        Any(
                            [
                                Test(
                                    Label(
                                        "a",
                                    ),
                                ),
                                Test(
                                    Label(
                                        "b c",
                                    ),
                                ),
                            ],
                        ),
                        Not(
                            Test(
                                Priority(
                                    GreaterOrEqual,
                                    High,
                                ),
                            ),
                        ),
                    ],
                ),
                Test(
                    Updated(
                        Ago(
                            Less,
                            604800s,
                        ),
                    ),
                ),
                Test(
                    Text(
                        None,
                        Phrase {
                            words: [
                                "word",
                            ],
                            is_open: true,
                        },
                    ),
                ),
            ],
        ),
        sort: [
            Sort {
                key: Due,
                descending: false,
            },
        ],
    }
    "#);
}

/// A query that can be read.
fn any_query() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("is:open".to_owned()),
        Just("label:ci-failure,release".to_owned()),
        Just("priority:>=high".to_owned()),
        Just("created:>7d".to_owned()),
        Just("due:<2026-02-01".to_owned()),
        Just("no:assignee".to_owned()),
        Just("test".to_owned()),
        Just("\"the last\"".to_owned()),
    ];
    part.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} {b})")),
            inner.prop_map(|a| format!("-({a})")),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(
        text in "(is:|label:|sort:|due:|[<>=@\"()-]|OR |a|é| |7d|,|\\\\){0,24}",
    ) {
        if let Err(error) = parse(&text, Names::default()) {
            prop_assert!(error.column <= text.chars().count() + 1, "{error}");
            prop_assert!(text.is_char_boundary(error.span.start as usize));
            prop_assert!(error.span.end as usize <= text.len());
        }
    }

    #[test]
    fn parts_combine_as_logic_does(a in any_query(), b in any_query()) {
        let clone = world();
        let holds = |text: &str, issue: &Issue| query(text).matches(issue, NOW);
        for issue in clone.issues.all() {
            let (first, second) = (holds(&a, issue), holds(&b, issue));
            prop_assert_eq!(holds(&format!("{a} {b}"), issue), first && second);
            prop_assert_eq!(holds(&format!("{a} OR {b}"), issue), first || second);
            prop_assert_eq!(holds(&format!("-({a}) {b}"), issue), !first && second);
            prop_assert_eq!(holds(&format!("-({a} OR {b})"), issue), !first && !second);
        }
    }

    #[test]
    fn words_are_found_where_they_stand(before in "[a-z ]{0,20}", word in "[a-z0-9]{1,8}", after in " [a-z ]{0,20}") {
        let text = format!("{before} {word}{after}");
        let phrase = grit_issues::query::Phrase::new(&word, false).unwrap();
        prop_assert!(phrase.is_in(&text));
        prop_assert!(words(&text).any(|one| one == word));
        let own = words(&format!("{before}{after}")).any(|one| one == word);
        prop_assert_eq!(phrase.is_in(&format!("{before}{after}")), own);
    }
}
