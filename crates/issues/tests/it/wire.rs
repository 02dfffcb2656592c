//! What is written to ledgers must be read for ever.

use std::collections::BTreeSet;

use grit_issues::{
    Attachment, Date, Dependency, DependencyKind, Draft, Event, Imported, Issues, ItemRef, Link,
    Priority, State,
};
use grit_ledger::{Hlc, canonical, split};
use grit_types::{Digest, EventId, Timestamp};

use crate::world::envelope;

fn id(name: &str) -> EventId {
    EventId::of(name.as_bytes())
}

fn ids() -> BTreeSet<EventId> {
    [id("seen")].into()
}

/// One event of each kind, with everything set.
fn all() -> Vec<Event> {
    let issue = id("issue");
    let replaces = ids();
    let removes = ids();
    let (comment, milestone) = (id("comment"), Some("v2".to_owned()));
    let link = Link { url: "https://example.com/".into(), title: "logs".into() };
    let attachment = Attachment {
        name: "core.txt".into(),
        media_type: "text/plain".into(),
        size: 3,
        digest: Digest::of(b"abc"),
    };
    let dependency = Dependency { kind: DependencyKind::DependsOn, on: id("other") };
    let item = ItemRef { text: "Run smoke tests".into(), ordinal: 2 };
    let imported = Some(Imported {
        key: "github:o/r#1".into(),
        by: "bob".parse().unwrap(),
        at: Timestamp::from_millis(1_000),
    });
    let due: Option<Date> = Some("2026-12-01".parse().unwrap());
    let draft = Draft {
        title: "t".into(),
        body: "b".into(),
        labels: ["l".to_owned()].into(),
        key: Some("ci-1".into()),
        template: Some("alert".into()),
        assignees: ["alice".parse().unwrap()].into(),
        milestone: milestone.clone(),
        priority: Some(Priority::High),
        due,
        fingerprint: Some("f".into()),
        imported: imported.clone().map(Box::new),
    };
    macro_rules! with {
        ($name:ident { $($field:ident $(: $value:expr)?),* }) => {
            Event::$name { issue: issue.clone(), $($field: with!(@ $field $(: $value)?)),* }
        };
        (@ $field:ident : $value:expr) => { $value };
        (@ $field:ident) => { $field.clone() };
    }
    let assignee = "alice".parse::<grit_types::Principal>().unwrap();
    vec![
        Event::Created(draft),
        with!(Retitled { title: "t".into(), replaces }),
        with!(BodyEdited { body: "b".into(), replaces, covers: ids() }),
        with!(Commented { body: "c".into(), imported }),
        with!(CommentEdited { comment, body: "c".into(), replaces }),
        with!(CommentDeleted { comment, replaces }),
        with!(Closed { reason: "fixed".into(), replaces, imported }),
        with!(Reopened { replaces }),
        with!(Labelled { label: "l".into() }),
        with!(Unlabelled { label: "l".into(), removes }),
        with!(Assigned { assignee }),
        with!(Unassigned { assignee, removes }),
        with!(MilestoneSet { milestone, replaces }),
        with!(PrioritySet { priority: None, replaces }),
        with!(DueSet { due, replaces }),
        with!(LinkAdded { link }),
        with!(LinkRemoved { link, removes }),
        with!(AttachmentAdded { attachment }),
        with!(AttachmentRemoved { attachment, removes }),
        with!(DependencyAdded { dependency }),
        with!(DependencyRemoved { dependency, removes }),
        with!(ItemChecked { item, replaces }),
        with!(ItemUnchecked { item, replaces }),
        Event::QuerySaved { name: "q".into(), query: "is:open".into(), replaces: ids() },
        Event::QueryRemoved { name: "q".into(), replaces: ids() },
    ]
}

#[test]
fn every_kind_is_written_as_it_was_published() {
    let lines: Vec<String> = all()
        .iter()
        .map(|event| {
            let (kind, data) = split(event).unwrap();
            let read = Event::read(&envelope("alice", Hlc::default(), event)).unwrap();
            assert_eq!(read.as_ref(), Some(event));
            let data = canonical(&data).replace(id("issue").as_str(), "ISSUE");
            let data = data.replace(id("seen").as_str(), "SEEN");
            let data = data.replace(id("comment").as_str(), "COMMENT");
            format!("{kind} {}", data.replace(id("other").as_str(), "OTHER"))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    issue.created {"assignees":["alice"],"body":"b","due":"2026-12-01","fingerprint":"f","imported":{"at":1000,"by":"bob","key":"github:o/r#1"},"key":"ci-1","labels":["l"],"milestone":"v2","priority":"high","template":"alert","title":"t"}
    issue.retitled {"issue":"ISSUE","replaces":["SEEN"],"title":"t"}
    issue.body_edited {"body":"b","covers":["SEEN"],"issue":"ISSUE","replaces":["SEEN"]}
    issue.commented {"body":"c","imported":{"at":1000,"by":"bob","key":"github:o/r#1"},"issue":"ISSUE"}
    issue.comment_edited {"body":"c","comment":"COMMENT","issue":"ISSUE","replaces":["SEEN"]}
    issue.comment_deleted {"comment":"COMMENT","issue":"ISSUE","replaces":["SEEN"]}
    issue.closed {"imported":{"at":1000,"by":"bob","key":"github:o/r#1"},"issue":"ISSUE","reason":"fixed","replaces":["SEEN"]}
    issue.reopened {"issue":"ISSUE","replaces":["SEEN"]}
    issue.labelled {"issue":"ISSUE","label":"l"}
    issue.unlabelled {"issue":"ISSUE","label":"l","removes":["SEEN"]}
    issue.assigned {"assignee":"alice","issue":"ISSUE"}
    issue.unassigned {"assignee":"alice","issue":"ISSUE","removes":["SEEN"]}
    issue.milestone_set {"issue":"ISSUE","milestone":"v2","replaces":["SEEN"]}
    issue.priority_set {"issue":"ISSUE","priority":null,"replaces":["SEEN"]}
    issue.due_set {"due":"2026-12-01","issue":"ISSUE","replaces":["SEEN"]}
    issue.link_added {"issue":"ISSUE","link":{"title":"logs","url":"https://example.com/"}}
    issue.link_removed {"issue":"ISSUE","link":{"title":"logs","url":"https://example.com/"},"removes":["SEEN"]}
    issue.attachment_added {"attachment":{"digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","mediaType":"text/plain","name":"core.txt","size":3},"issue":"ISSUE"}
    issue.attachment_removed {"attachment":{"digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","mediaType":"text/plain","name":"core.txt","size":3},"issue":"ISSUE","removes":["SEEN"]}
    issue.dependency_added {"dependency":{"kind":"depends-on","on":"OTHER"},"issue":"ISSUE"}
    issue.dependency_removed {"dependency":{"kind":"depends-on","on":"OTHER"},"issue":"ISSUE","removes":["SEEN"]}
    issue.item_checked {"issue":"ISSUE","item":{"ordinal":2,"text":"Run smoke tests"},"replaces":["SEEN"]}
    issue.item_unchecked {"issue":"ISSUE","item":{"ordinal":2,"text":"Run smoke tests"},"replaces":["SEEN"]}
    query.saved {"name":"q","query":"is:open","replaces":["SEEN"]}
    query.removed {"name":"q","replaces":["SEEN"]}
    "#);
}

#[test]
fn what_is_not_set_is_not_written() {
    let (_, data) = split(&Event::created("t", "b", ["l"])).unwrap();
    assert_eq!(canonical(&data), r#"{"body":"b","labels":["l"],"title":"t"}"#);
    let (issue, replaces) = (id("x"), BTreeSet::new());
    let closed = Event::Closed { issue, reason: String::new(), replaces, imported: None };
    let (_, data) = split(&closed).unwrap();
    assert_eq!(canonical(&data), format!(r#"{{"issue":"{}","reason":""}}"#, id("x")));
}

#[test]
fn the_events_of_the_first_version_add_up() {
    let event = |millis: i64, kind: &str, data: serde_json::Value| {
        let hlc = Hlc { millis, count: 0 };
        let mut event = envelope("alice", hlc, &Event::created("", "", [""; 0]));
        (event.kind, event.data) = (kind.to_owned(), data);
        event
    };
    let created = event(
        1,
        "issue.created",
        serde_json::json!({ "title": "first", "body": "", "labels": ["a", "b"] }),
    );
    let issue = created.id();
    let events = [
        event(2, "issue.commented", serde_json::json!({ "issue": issue, "body": "looked" })),
        event(3, "issue.closed", serde_json::json!({ "issue": issue, "reason": "fixed" })),
        event(4, "issue.reopened", serde_json::json!({ "issue": issue })),
        created,
    ];
    let issues = Issues::fold(&events);
    let seen = issues.get(&issue).unwrap();
    assert_eq!((seen.state, seen.labels.len()), (State::Open, 2));
    let said: Vec<&str> = seen.comments.iter().map(|comment| comment.body.as_str()).collect();
    assert_eq!(said, ["looked", "fixed"]);
}

/// A row of another shape needs another `RECORD_VERSION`.
#[test]
fn the_shape_of_a_row_and_of_what_people_get_as_json() {
    let draft = Draft {
        title: "t".into(),
        body: "- [ ] one".into(),
        labels: ["l".to_owned()].into(),
        priority: Some(Priority::High),
        ..Draft::default()
    };
    let created = envelope("alice", Hlc { millis: 1, count: 0 }, &Event::Created(draft));
    let issue = created.id();
    let item = ItemRef { text: "one".into(), ordinal: 1 };
    let events = [
        created,
        envelope(
            "bob",
            Hlc { millis: 2, count: 0 },
            &Event::Closed {
                issue: issue.clone(),
                reason: "done".into(),
                replaces: [issue.clone()].into(),
                imported: None,
            },
        ),
        envelope(
            "bob",
            Hlc { millis: 3, count: 1 },
            &Event::ItemChecked { issue: issue.clone(), item, replaces: BTreeSet::new() },
        ),
        envelope(
            "bob",
            Hlc { millis: 4, count: 0 },
            &Event::Unlabelled {
                issue: issue.clone(),
                label: "l".into(),
                removes: [issue.clone()].into(),
            },
        ),
    ];
    let issues = Issues::fold(&events);
    let named = |mut text: String| {
        for (at, event) in events.iter().enumerate() {
            text = text.replace(event.id().as_str(), &format!("E{at}"));
        }
        text
    };
    let record = issues.record(&issue).unwrap();
    assert_eq!(grit_issues::RECORD_VERSION, 2);
    insta::assert_snapshot!(named(serde_json::to_string(record).unwrap()), @r#"{"id":"E0","created":{"by":"alice","at":[1,0],"key":null,"template":null,"fingerprint":null},"latest":[4,0],"touched":4,"title":{"standing":[{"id":"E0","at":[1,0],"by":"alice","value":"t"}]},"body":{"standing":[{"id":"E0","at":[1,0],"by":"alice","value":{"text":"- [ ] one","covers":[]}}]},"state":{"standing":[{"id":"E1","at":[2,0],"by":"bob","value":{"state":"closed","reason":"done"}}],"replaced":["E0"]},"milestone":{"standing":[]},"priority":{"standing":[{"id":"E0","at":[1,0],"by":"alice","value":"high"}]},"due":{"standing":[]},"labels":{"members":[["l",{"removed":["E0"]}]]},"assignees":{"members":[]},"links":{"members":[]},"attachments":{"members":[]},"dependencies":{"members":[]},"comments":{"E1":{"said":["bob",[2,0]],"text":{"standing":[{"id":"E1","at":[2,0],"by":"bob","value":"done"}]}}},"items":[[{"text":"one"},{"standing":[{"id":"E2","at":[3,1],"by":"bob","value":true}]}]]}"#);
    insta::assert_snapshot!(named(serde_json::to_string_pretty(&record.issue()).unwrap()), @r#"
    {
      "id": "E0",
      "title": "t",
      "body": "- [x] one",
      "labels": [],
      "state": "closed",
      "author": "alice",
      "createdAt": 1,
      "updatedAt": 4,
      "comments": [
        {
          "id": "E1",
          "author": "bob",
          "at": 2,
          "body": "done"
        }
      ],
      "assignees": [],
      "milestone": null,
      "priority": "high",
      "due": null,
      "links": [],
      "attachments": [],
      "dependencies": [],
      "checklist": [
        {
          "number": 1,
          "text": "one",
          "ordinal": 1,
          "checked": true,
          "depth": 0
        }
      ],
      "progress": {
        "done": 1,
        "total": 1
      },
      "closed": {
        "by": "bob",
        "at": 2,
        "reason": "done"
      },
      "mentions": [],
      "conflicts": [],
      "key": null,
      "template": null,
      "fingerprint": null
    }
    "#);
}
