//! Issues of other trackers, and ours in forms that stay.

use std::collections::BTreeMap;

use grit_issues::exchange::{
    Foreign, Found, ImportError, VIA, bugs, document, gitea, github, gitlab, grite, markdown,
    native, plan,
};
use grit_issues::{Attachment, Command, Event, Issue, Issues, State};
use grit_ledger::HlcClock;
use grit_types::{Digest, Principal, Timestamp};
use proptest::prelude::*;

use crate::world::{Clone_, START, envelope};

/// What an import of `found` leaves, after what is there.
fn import(events: &mut Vec<grit_ledger::Event>, found: &[Foreign]) -> usize {
    let mut clock = HlcClock::default();
    events.iter().for_each(|event| clock.see(event.hlc));
    let mut stamp = |payload: &Event| {
        let mut event = envelope(
            "importer",
            clock.tick(Timestamp::from_millis(START + 1_000_000_000)),
            payload,
        );
        event.actor.via = format!("{VIA}test");
        event
    };
    let here = Issues::fold(events);
    let mut before = Issues::default();
    before.extend(events.iter().filter(|event| event.actor.via.starts_with(VIA)));
    let plan = plan(found, &here, &before, &mut stamp).unwrap();
    let count = plan.events.len();
    events.extend(plan.events);
    count
}

fn only(events: &[grit_ledger::Event]) -> Issue {
    let issues = Issues::fold(events);
    let all: Vec<&Issue> = issues.all().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

const GH: &str = r#"[{"number":12,"title":"It leaks","body":"Since\r\nMonday","state":"CLOSED",
  "stateReason":"COMPLETED","url":"https://github.com/o/r/issues/12","author":{"login":"alice"},
  "labels":[{"name":"bug"}],"assignees":[{"login":"dependabot[bot]"}],"milestone":{"title":"v2"},
  "createdAt":"2026-01-02T03:04:05Z","closedAt":"2026-01-03T00:00:00Z",
  "comments":[{"id":"IC_x","author":{"login":"bob"},"body":"Me too","createdAt":"2026-01-02T04:00:00Z",
    "url":"https://github.com/o/r/issues/12#issuecomment-99"}]}]"#;

const REST: &str = r#"[{"number":12,"title":"It leaks","body":"Since\nMonday","state":"closed",
  "state_reason":"completed","url":"https://api.github.com/repos/o/r/issues/12",
  "html_url":"https://github.com/o/r/issues/12","repository_url":"https://api.github.com/repos/o/r",
  "user":{"login":"alice"},"labels":[{"name":"bug"}],"assignees":[{"login":"dependabot[bot]"}],
  "milestone":{"title":"v2"},"comments":1,"created_at":"2026-01-02T03:04:05Z",
  "closed_at":"2026-01-03T00:00:00Z"},
 {"number":13,"title":"A change","pull_request":{"url":"x"},"state":"open"}]
 [[{"id":99,"issue_url":"https://api.github.com/repos/o/r/issues/12","body":"Me too",
  "html_url":"https://github.com/o/r/issues/12#issuecomment-99","user":{"login":"bob"},
  "created_at":"2026-01-02T04:00:00Z"}]]"#;

#[test]
fn both_of_githubs_forms_are_the_same_issue() {
    let (gh, rest) = (github::read(GH, None).unwrap(), github::read(REST, None).unwrap());
    assert_eq!(gh.issues, rest.issues);
    assert_eq!(rest.left_out, ["1 pull requests"]);
    let mut events = Vec::new();
    assert_eq!(import(&mut events, &gh.issues), 3);
    let issue = only(&events);
    assert_eq!((issue.author.as_str(), issue.body.as_str()), ("alice", "Since\nMonday"));
    assert_eq!(issue.created_at.rfc3339(), "2026-01-02T03:04:05.000Z");
    assert_eq!(issue.updated_at.rfc3339(), "2026-01-03T00:00:00.000Z");
    assert_eq!(issue.key.as_deref(), Some("github:o/r#12"));
    assert_eq!(issue.assignees.first().unwrap().as_str(), "dependabot-bot");
    let closed = issue.closed.unwrap();
    assert_eq!(
        (closed.reason.as_str(), closed.at.rfc3339().as_str()),
        ("completed", "2026-01-03T00:00:00.000Z")
    );
    let comment = &issue.comments[0];
    assert_eq!((comment.author.as_str(), comment.body.as_str()), ("bob", "Me too"));
    assert_eq!(issue.comments.len(), 1, "a reason that was imported is no comment");
    assert_eq!(import(&mut events, &rest.issues), 0, "it is here already");
}

#[test]
fn what_changed_there_comes_and_what_changed_here_stays() {
    let mut events = Vec::new();
    import(&mut events, &github::read(GH, None).unwrap().issues);
    // Here somebody retitles it, takes a label off and deletes a comment.
    let mut here = Clone_::new("carol", 2_000_000_000);
    here.issues = Issues::fold(&events);
    let issue = only(&events);
    let comment = issue.comments[0].id.to_string();
    for command in [
        Command::Retitle("It leaks badly".into()),
        Command::RemoveLabel("bug".into()),
        Command::DeleteComment { comment },
        Command::AddLabel("water".into()),
    ] {
        here.run(&issue.id, command);
    }
    events.extend(here.events);
    assert_eq!(import(&mut events, &github::read(GH, None).unwrap().issues), 0);
    // There it is reopened, relabelled, and spoken of again.
    let later = GH
        .replace("CLOSED", "OPEN")
        .replace(r#"[{"name":"bug"}]"#, r#"[{"name":"bug"},{"name":"urgent"}]"#)
        .replace(
            r#""comments":["#,
            r#""comments":[{"id":"IC_y","author":{"login":"dan"},"body":"Fixed?",
              "createdAt":"2026-01-05T00:00:00Z","url":"https://github.com/o/r/issues/12#issuecomment-100"},"#,
        );
    assert_eq!(import(&mut events, &github::read(&later, None).unwrap().issues), 3);
    let issue = only(&events);
    assert_eq!(issue.title, "It leaks badly");
    assert_eq!(issue.state, State::Open);
    assert_eq!(issue.labels.iter().map(String::as_str).collect::<Vec<_>>(), ["urgent", "water"]);
    assert_eq!(issue.comments.len(), 1);
    assert_eq!(issue.comments[0].body, "Fixed?");
    assert_eq!(import(&mut events, &github::read(&later, None).unwrap().issues), 0);
}

#[test]
fn gitlabs_notes_find_their_issue() {
    let text = r#"[{"id":7,"iid":3,"project_id":5,"title":"Slow","description":null,"state":"closed",
      "labels":["a","b "],"assignees":[{"username":"bob","name":"Bob"}],"milestone":null,
      "author":{"username":"alice"},"created_at":"2026-01-02T03:04:05.678+01:00",
      "closed_at":"2026-01-04T00:00:00Z","closed_by":{"username":"carol"},"due_date":"2026-12-01",
      "web_url":"https://gitlab.com/group/sub/project/-/issues/3"}]
     [{"id":1,"body":"hello","author":{"username":"bob"},"created_at":"2026-01-03T00:00:00Z",
      "system":false,"noteable_type":"Issue","noteable_iid":3,"project_id":5},
      {"id":2,"body":"closed","author":{"username":"bob"},"created_at":"2026-01-03T00:00:00Z",
      "system":true,"noteable_type":"Issue","noteable_iid":3,"project_id":5},
      {"id":4,"body":"x","author":{"username":"bob"},"created_at":"2026-01-03T00:00:00Z",
      "noteable_type":"Issue","noteable_iid":4,"project_id":5}]"#;
    let found = gitlab::read(text, None).unwrap();
    assert_eq!(found.left_out, ["1 notes of issues that are not in the document"]);
    let issue = &found.issues[0];
    assert_eq!(issue.key, "gitlab:group/sub/project#3");
    assert_eq!(issue.created_at.rfc3339(), "2026-01-02T02:04:05.678Z");
    assert_eq!(issue.due, Some(Some("2026-12-01".parse().unwrap())));
    assert_eq!(issue.comments.len(), 1);
    assert_eq!(issue.comments[0].key, "gitlab:group/sub/project#comment-1");
    assert_eq!(issue.closed.as_ref().unwrap().by.as_str(), "carol");
    let own = text.replace("https://gitlab.com/", "https://git.example.org/");
    let key = &gitlab::read(&own, None).unwrap().issues[0].key;
    assert_eq!(key, "gitlab:git.example.org/group/sub/project#3");
}

#[test]
fn giteas_issues_name_their_host() {
    let text = r#"{"id":1,"number":5,"title":"T","body":"","state":"open","pull_request":null,
      "user":{"login":"alice","id":1},"labels":[],"assignees":null,"milestone":{"title":"v1"},
      "html_url":"https://codeberg.org/o/r/issues/5","url":"https://codeberg.org/api/v1/repos/o/r/issues/5",
      "created_at":"2026-01-02T03:04:05Z","closed_at":null,"due_date":"2026-12-01T23:59:59Z","comments":0}"#;
    let issue = &gitea::read(text, None).unwrap().issues[0];
    assert_eq!(issue.key, "gitea:codeberg.org/o/r#5");
    assert_eq!(issue.due, Some(Some("2026-12-01".parse().unwrap())));
    assert_eq!(issue.milestone, Some(Some("v1".to_owned())));
}

#[test]
fn hostile_documents_say_where() {
    let said = |text: &str| github::read(text, None).unwrap_err().to_string();
    insta::assert_snapshot!([
        said(""),
        said("[{\"number\":1,\n \"title\": 7}]"),
        said("[{\"number\":1,\n \"title\": \"x\""),
        said("[7]"),
        said(&"[".repeat(200)),
        said(r#"[{"number":1,"title":"x","state":"open","created_at":"2026-01-01T00:00:00Z"}]"#),
        said(r#"[{"number":1,"title":"x","state":"odd","created_at":"2026-01-01T00:00:00Z","url":"https://github.com/o/r/issues/1"}]"#),
        said(r#"[{"number":1,"title":"x","state":"open","created_at":"today","url":"https://github.com/o/r/issues/1"}]"#),
        said("[{}]"),
    ].join("\n"), @r#"
    line 1, column 1: there is nothing to read
    line 2, column 11: invalid type: integer `7`, expected a string
    line 2, column 13: EOF while parsing an object
    line 1, column 2: invalid type: integer `7`, expected an issue, or an array of issues
    line 1, column 128: recursion limit exceeded
    issue 1 of the document: it does not say of which repository it is: give `--project`
    github:o/r#1: `odd` is no state: `open` or `closed`
    github:o/r#1: `today` is no time such as 2026-01-02T03:04:05Z
    item 1 of the document: it has neither a title nor an issue_url
    "#);
    let long = GH.replace("It leaks", &"x".repeat(70_000));
    let found = github::read(&long, None).unwrap();
    let mut stamp = |_: &Event| -> grit_ledger::Event { unreachable!("nothing is planned") };
    let (here, before) = (Issues::default(), Issues::default());
    let refused = plan(&found.issues, &here, &before, &mut stamp);
    assert!(matches!(refused, Err(ImportError::Refused { key, .. }) if key == "github:o/r#12"));
}

#[test]
fn gites_chunks_are_read_as_it_folds_them() {
    // Made by grite 0.5.3: create (2), comment, label remove, assignee add, link add, dep add,
    // update, attachment add, close.
    let bytes = include_bytes!("fixtures/grite-chunks.bin");
    let chunks = split_chunks(bytes);
    let places: Vec<String> = (0..chunks.len()).map(|at| format!("chunk {at}")).collect();
    let named = || places.iter().map(String::as_str).zip(chunks.iter().copied());
    let found = grite::read(named()).unwrap();
    insta::assert_snapshot!(told(&found), @r#"
    grite:30615309fb0c2e955637dca358ea08fe “It leaks badly” Open by grite-3b1fc0d5 labels Some({"bug"}) assignees Some({Principal("bob")}) links {Link { url: "https://example.org/7", title: "seen" }} dependencies [] body Some("Since Monday\n- [ ] look")
      grite:64fae765893f4c36ac222aab9edf581ccaf8bcdaddcacff7847831321ef956f8 grite-3b1fc0d5: "Me too"
    grite:4b57b6740f3f19c65ab669b78aab015d “Another” Closed by grite-3b1fc0d5 labels Some({}) assignees Some({}) links {} dependencies [(DependsOn, "grite:30615309fb0c2e955637dca358ea08fe")] body Some("")
    left out: 1 attachments, of which grite keeps no bytes
    "#);
    for cut in [0, 7, 9, 12, 40] {
        let (place, bytes) = ("cut", &chunks[0][..cut]);
        assert!(grite::read([(place, bytes)]).is_err(), "{cut}");
    }
}

/// The fixture is the chunks behind each other, each behind its length (4 bytes, big endian).
fn split_chunks(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (chunk, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

fn told(found: &Found) -> String {
    let issue = |issue: &Foreign| {
        let mut text =
            format!("{} “{}” {:?} by {}", issue.key, issue.title, issue.state, issue.author);
        text.push_str(&format!(" labels {:?} assignees {:?}", issue.labels, issue.assignees));
        text.push_str(&format!(" links {:?} dependencies {:?}", issue.links, issue.dependencies));
        text.push_str(&format!(" body {:?}", issue.body));
        for comment in &issue.comments {
            text.push_str(&format!("\n  {} {}: {:?}", comment.key, comment.author, comment.body));
        }
        text
    };
    let mut lines: Vec<String> = found.issues.iter().map(issue).collect();
    lines.extend(found.left_out.iter().map(|left| format!("left out: {left}")));
    lines.join("\n")
}

#[test]
fn git_native_issues_are_chains_of_commits() {
    let commit = |id: &str, parents, at: i64, message: &str| native::Commit {
        id: id.to_owned(),
        parents,
        name: "Jane Doe".to_owned(),
        email: "jane@example.org".to_owned(),
        at: Timestamp::from_millis(at * 1_000),
        message: message.to_owned(),
    };
    let chain = vec![
        commit(
            "a",
            0,
            1,
            "Crash\n\nIt crashes.\n\nNote: always.\n\nState: open\nLabels: bug, auth\nPriority: high\nFormat-Version: 1\n",
        ),
        commit("b", 1, 2, "Reproduced\n\nOn Firefox too: see log.\n"),
        commit("c", 1, 3, "Update labels\n\nLabels: bug\nAssignee: bob@example.org\n"),
        commit(
            "d",
            1,
            4,
            "Close issue\n\nFixed and verified.\n\nState: closed\nReason: completed\n",
        ),
        commit("e", 2, 5, "Merge issue from origin\n\nState: closed\nLabels: bug\n"),
    ];
    let found = native::read(&[("6b1e".to_owned(), chain.clone())]).unwrap();
    let issue = &found.issues[0];
    assert_eq!(issue.key, "git-native-issue:6b1e");
    assert_eq!(issue.body.as_deref(), Some("It crashes.\n\nNote: always."));
    assert_eq!(issue.labels, Some(["bug".to_owned()].into()));
    assert_eq!(issue.assignees, Some(["bob@example.org".parse().unwrap()].into()));
    assert_eq!(issue.priority, Some(Some(grit_issues::Priority::High)));
    let closed = issue.closed.clone().unwrap();
    assert_eq!((closed.reason.as_str(), closed.at.millis()), ("completed", 4_000));
    let said: Vec<&str> = issue.comments.iter().map(|one| one.body.as_str()).collect();
    assert_eq!(
        said,
        ["Reproduced\n\nOn Firefox too: see log.", "Close issue\n\nFixed and verified."]
    );
    let mut imported = chain;
    imported[0].message.push_str("Provider-ID: github:o/r#12\n");
    let issue = &native::read(&[("6b1e".to_owned(), imported)]).unwrap().issues[0];
    assert_eq!(issue.key, "github:o/r#12", "as GitHub's own document calls it");
    assert!(native::read(&[("6b1e".to_owned(), vec![])]).is_err());
}

#[test]
fn git_bugs_are_packs_of_operations() {
    let first = r#"{"type":1,"timestamp":1700000000,"nonce":"AA==","title":"Crash","message":"It crashes","files":null}"#;
    let second =
        r#"{"type":3,"timestamp":1700000010,"nonce":"BB==","message":"me to","files":null}"#;
    let target = Digest::of(second.as_bytes()).hex();
    let root = Digest::of(first.as_bytes()).hex();
    let pack = |clock, author: &str, ops: &[&str]| bugs::Pack {
        place: format!("clock {clock}"),
        clock,
        ops: format!(r#"{{"author":{{"id":"{author}"}},"ops":[{}]}}"#, ops.join(",")).into_bytes(),
    };
    let edit = format!(
        r#"{{"type":6,"timestamp":1700000020,"nonce":"CC==","target":"{target}","message":"me too","files":null}}"#
    );
    let body = format!(
        r#"{{"type":6,"timestamp":1700000021,"nonce":"DD==","target":"{root}","message":"It crashes often","files":null}}"#
    );
    let packs = vec![
        pack(
            9,
            "i2",
            &[
                r#"{"type":4,"timestamp":1700000100,"nonce":"","status":2}"#,
                r#"{"type":99,"timestamp":1}"#,
            ],
        ),
        pack(
            1,
            "i1",
            &[
                first,
                r#"{"type":5,"timestamp":1700000001,"nonce":"","added":["bug","x"],"removed":null}"#,
            ],
        ),
        pack(
            4,
            "i1",
            &[
                &edit,
                &body,
                r#"{"type":2,"timestamp":1,"nonce":"","title":"Crashes","was":"Crash"}"#,
            ],
        ),
        pack(
            3,
            "i2",
            &[second, r#"{"type":5,"timestamp":1,"nonce":"","added":[],"removed":["x"]}"#],
        ),
    ];
    let jane = bugs::Identity {
        name: "Jane Doe".into(),
        email: "jane@example.org".into(),
        login: String::new(),
    };
    let people = BTreeMap::from([("i1".to_owned(), jane)]);
    let found = bugs::read(&[("b1".to_owned(), packs)], &people).unwrap();
    insta::assert_snapshot!(told(&found), @r#"
    git-bug:b1 “Crashes” Closed by jane@example.org labels Some({"bug"}) assignees None links {} dependencies [] body Some("It crashes often")
      git-bug:1faf278e09cda6f5a8344d68dd06da057d6df96886b834d63de9219e9736f116 git-bug-i2: "me too"
    left out: 1 operations that are not known here
    "#);
    assert_eq!(found.issues[0].closed.as_ref().unwrap().at.millis(), 1_700_000_100_000);
    let broken = vec![pack(1, "i1", &["{}"])];
    assert!(bugs::read(&[("b1".to_owned(), broken)], &people).is_err());
}

fn somebody() -> Principal {
    "importer".parse().unwrap()
}

fn through_markdown(events: &[grit_ledger::Event]) -> (String, Vec<grit_ledger::Event>) {
    let issues = Issues::fold(events);
    let text = markdown::write_all(issues.all());
    let me = somebody();
    let now = Timestamp::from_millis(START);
    let context = markdown::Context { stem: "issues", me: &me, now };
    let found = markdown::read(&text, &context).unwrap();
    let mut again = Vec::new();
    import(&mut again, &found.issues);
    (text, again)
}

#[test]
fn markdown_that_people_edit_is_taken_in() {
    let mut alice = Clone_::new("alice", 0);
    let id =
        alice.create("It leaks", "a\n<!-- grit:comment x -->\n\\<!-- grit:issue -->\n", &["bug"]);
    alice.run(&id, Command::Comment("first".into()));
    let text = markdown::write(alice.issues.get(&id).unwrap());
    let me = somebody();
    let context = markdown::Context { stem: "x", me: &me, now: Timestamp::from_millis(START) };
    let found = markdown::read(&text, &context).unwrap();
    let mut events = alice.events.clone();
    assert_eq!(import(&mut events, &found.issues), 0, "as it was written");
    let edited = text
        .replace("title: \"It leaks\"", "title: It leaks badly")
        .replace("state: open", "state: closed\nreason: done\npriority: p1")
        + "\n<!-- grit:comment {} -->\n\nand a second\n";
    let found = markdown::read(&edited, &context).unwrap();
    assert_eq!(import(&mut events, &found.issues), 4);
    let issue = only(&events);
    assert_eq!((issue.title.as_str(), issue.state), ("It leaks badly", State::Closed));
    assert!(issue.comments.iter().any(|comment| comment.body == "and a second"));
    let bare = markdown::read("---\ntitle: New\n---\nText\n", &context).unwrap();
    assert_eq!(
        (bare.issues[0].key.as_str(), bare.issues[0].body.as_deref()),
        ("markdown:x", Some("Text"))
    );
    let said = |text: &str| markdown::read(text, &context).unwrap_err().to_string();
    insta::assert_snapshot!([
        said("# A title\n"),
        said("---\ntitle: x\n"),
        said("---\ntitle: x\nstaet: open\n---\n"),
        said("---\ntitle: x\nstate: done\n---\n"),
        said("---\nstate: open\n---\n"),
        said("---\ntitle: x\n---\nbody\n<!-- grit:comment {\"at\":7} -->\n"),
        said("<!-- grit:issue -->\n---\ntitle: x\n---\n<!-- grit:issue -->\n---\ntitle: [\n---\n"),
    ].join("\n"), @r#"
    line 1, column 1: an issue begins with a line `---`, and a head with its title
    line 1, column 1: the head that begins here never ends
    line 3, column 1: unknown key `staet`
    line 3, column 8: `done` is not a state: `open` or `closed`
    line 1, column 1: the head has no `title`
    line 5, column 1: this is no mark such as `<!-- grit:comment {"author":"bob"} -->`
    line 7, column 9: not valid YAML: while parsing a node, did not find expected node content
    "#);
}

#[test]
fn a_document_that_was_changed_is_refused() {
    let mut alice = Clone_::new("alice", 0);
    alice.create("It leaks", "", &[]);
    let text = document::write(alice.events.clone(), None);
    assert_eq!(document::read(&text).unwrap().events, alice.events);
    let said = |text: &str| document::read(text).unwrap_err().to_string();
    let at = text.find("\"events\"").unwrap();
    let forged = format!("{}{}", &text[..at], text[at..].replace("It leaks", "It is fine"));
    assert!(said(&forged).ends_with("it is not what its id stands for"), "{}", said(&forged));
    assert!(said(&text.replace("\"version\":1", "\"version\":2")).contains("has version 2"));
    assert!(said(&text[..text.len() / 2]).starts_with("line "));
    assert!(said("[]").starts_with("line 1"));
    let other = envelope("eve", Default::default(), &Event::created("x", "", ["l"]));
    let other = grit_ledger::Event { kind: "deployment.finished".into(), ..other };
    let entry = serde_json::json!({ "id": other.id(), "event": serde_json::from_slice::<serde_json::Value>(&other.encode()).unwrap() });
    let foreign = format!(r#"{{"format":"grit-tracker","version":1,"events":[{entry}]}}"#);
    assert!(said(&foreign).contains("about something else than issues"));
}

/// Written by version 1: whatever is written later, this comes in as it was.
#[test]
fn a_document_of_version_1_is_read_for_ever() {
    let golden = include_str!("fixtures/tracker-1.json");
    assert!(golden.starts_with("{\"format\":\"grit-tracker\",\"version\":1,\n"));
    let contents = document::read(golden).unwrap();
    let issues = Issues::fold(&contents.events);
    let told: Vec<String> = issues.all().map(shown).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    "Another" Closed Some("done") by tess: "" {} {} None ["done"] [] dependencies 1
    "It \"leaks\"" Open None by tess: "- [x] look\n- [ ] mend" {"bug"} {Principal("bob")} Some("v2") ["Since when?"] [] dependencies 0
    "#);
    let files = contents.files.unwrap();
    let texts: Vec<_> = files.values().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    assert_eq!(texts, ["it leaks\n"], "of an attachment that was taken off too");
    assert_eq!(issues.queries().texts().get("mine").map(String::as_str), Some("assignee:@me"));
    // Until there is another version.
    assert_eq!(document::VERSION, 1, "it has to come in as the new version has it, too");
    assert_eq!(document::write(contents.events, Some(&files)), golden);
}

fn shown(issue: &Issue) -> String {
    let Issue { title, body, state, author, labels, assignees, milestone, .. } = issue;
    let said: Vec<&str> = issue.comments.iter().map(|one| one.body.as_str()).collect();
    let closed = issue.closed.as_ref().map(|closed| closed.reason.as_str());
    let names: Vec<&str> = issue.attachments.iter().map(|one| one.name.as_str()).collect();
    let dependencies = issue.dependencies.len();
    format!(
        "{title:?} {state:?} {closed:?} by {author}: {body:?} {labels:?} {assignees:?} \
         {milestone:?} {said:?} {names:?} dependencies {dependencies}"
    )
}

#[test]
fn files_are_what_their_digests_stand_for() {
    let mut alice = Clone_::new("alice", 0);
    let id = alice.create("It leaks", "", &[]);
    let log = Attachment::new("log.txt".into(), "text/plain".into(), b"it leaks\n").unwrap();
    let digest = log.digest;
    alice.run(&id, Command::Attach(log));
    let files = BTreeMap::from([(digest, b"it leaks\n".to_vec())]);
    let text = document::write(alice.events.clone(), Some(&files));
    assert_eq!(document::read(&text).unwrap().files, Some(files));
    assert_eq!(document::read(&document::write(alice.events, None)).unwrap().files, None);
    let other = Digest::of(b"other");
    let said = |from: &str, to: &str| document::read(&text.replace(from, to)).unwrap_err();
    let more = format!("\"files\":{{\"{other}\":\"b3RoZXI=\",");
    for (error, why) in [
        (said("aXQgbGVha3MK", "aXQgbGVha3MX"), "it is not what its digest stands for"),
        (said("aXQgbGVha3MK", "?"), "it is no base64"),
        (said("\"files\":{", &more), "no event of the document names it"),
        (said("\"files\":{", "\"files\":{\"sha256:../x\":\"\","), "64 hexadecimal digits"),
    ] {
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// What a text may hold: marks of our own among it.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("<!-- grit:issue -->\n".to_owned()),
        Just("\\<!-- grit:comment {} -->\n".to_owned()),
        Just("---\n".to_owned()),
        Just("- [ ] item\n".to_owned()),
        "[a-z ]{1,8}",
    ];
    proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

fn histories() -> impl Strategy<Value = Vec<grit_ledger::Event>> {
    let step = (0u8..9, 0usize..4, texts(), "[a-z]{1,6}");
    proptest::collection::vec(step, 1..25).prop_map(|steps| {
        let mut clone = Clone_::new("alice", 0);
        let mut ids = Vec::new();
        for (kind, at, text, word) in steps {
            let Some(id) = ids.get(at % ids.len().max(1)).cloned().filter(|_| kind > 1) else {
                ids.push(clone.create(&format!("{word} {text}"), &text, &[word.as_str()]));
                continue;
            };
            let command = match kind {
                2 => Command::Comment(format!("{word}{text}")),
                3 => Command::Close { reason: text },
                4 => Command::Reopen,
                5 => Command::AddLabel(word),
                6 => Command::RemoveLabel(word),
                7 => Command::EditBody(text),
                _ => Command::Retitle(format!("{word}{text}")),
            };
            // What is so already, or may not be, changes nothing.
            let _ = clone.try_run(&id, command);
        }
        clone.events
    })
}

proptest! {
    #[test]
    fn a_document_gives_itself_again(events in histories(), shift in 0usize..25) {
        let text = document::write(events.clone(), None);
        let mut other = events.clone();
        other.rotate_left(shift % events.len());
        prop_assert_eq!(&document::write(other, None), &text, "whatever order they came in");
        let read = document::read(&text).unwrap().events;
        prop_assert_eq!(document::write(read, None), text);
    }

    #[test]
    fn markdown_gives_itself_again(events in histories()) {
        let (text, again) = through_markdown(&events);
        let (second, _) = through_markdown(&again);
        prop_assert_eq!(text, second);
    }

    #[test]
    fn no_text_does_harm(text: String) {
        let me = somebody();
        let context = markdown::Context { stem: "x", me: &me, now: Timestamp::from_millis(0) };
        let _ = (markdown::read(&text, &context), document::read(&text));
        let _ = (github::read(&text, None), gitlab::read(&text, None));
    }
}
