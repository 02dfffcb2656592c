use grit_types::Digest;

use super::event;
use crate::{Addition, BytesError, Changes, Cut, Event, Lane, Ledger, LedgerError, merge};

/// Runs the whole contract against two empty ledgers that share a remote, and one without.
pub fn ledger(ours: &dyn Ledger, theirs: &dyn Ledger, alone: &dyn Ledger) {
    let (us, them) = (Lane::Actor("us".into()), Lane::Actor("them".into()));
    assert_eq!(ours.read().expect("read an empty ledger"), []);
    assert_eq!(ours.heads().expect("heads of an empty ledger"), []);
    for number in [3, 1] {
        let id = ours.append(&us, &event(number)).expect("append");
        assert_eq!(id, event(number).id());
    }
    assert_eq!(ours.read().expect("read"), [event(1), event(3)]);
    let begun = ours.since(&Cut::new()).expect("everything");
    assert_eq!(subjects(&begun), ["thing/3", "thing/1"], "a lane keeps its order");
    theirs.append(&them, &event(2)).expect("append elsewhere");
    theirs.append(&Lane::Audit("server".into()), &event(4)).expect("append to another lane");

    let first = ours.sync().expect("the first to synchronise");
    assert_eq!((first.received, first.sent), (0, 1));
    let second = theirs.sync().expect("the second to synchronise");
    assert_eq!((second.received, second.sent), (1, 2));
    let third = ours.sync().expect("the first again");
    assert_eq!((third.received, third.sent), (2, 0));
    let idle = ours.sync().expect("nothing to exchange");
    assert_eq!((idle.received, idle.sent), (0, 0));

    let all: Vec<_> = (1..=4).map(event).collect();
    assert_eq!(ours.read().expect("read"), all);
    assert_eq!(theirs.read().expect("read"), all);
    let lanes = |ledger: &dyn Ledger| -> Vec<String> {
        ledger.heads().expect("heads").into_iter().map(|head| head.lane).collect()
    };
    assert_eq!(lanes(ours), ["a/them", "a/us", "audit/server"]);
    assert_eq!(ours.heads().expect("heads"), theirs.heads().expect("heads"));

    let known = ours.since(&begun.cut()).expect("what came since");
    assert_eq!(subjects(&known), ["thing/2", "thing/4"]);
    ours.append(&us, &event(5)).expect("append after a synchronisation");
    let next = ours.since(&known.cut()).expect("what came since");
    assert_eq!(subjects(&next), ["thing/5"]);
    assert_eq!(next.entries[0].id, event(5).id());
    assert!(next.restarted.is_empty() && next.quarantined.is_empty());
    assert_eq!(next.heads, ours.heads().expect("heads"));
    assert_eq!(ours.since(&next.cut()).expect("nothing").entries, []);
    let elsewhere = Cut::from([("a/us".to_owned(), "0".repeat(40))]);
    let again = ours.since(&elsewhere).expect("a lane that was another");
    assert_eq!(again.restarted, ["a/us"]);
    assert_eq!(subjects(&again), ["thing/2", "thing/3", "thing/1", "thing/5", "thing/4"]);
    assert_eq!(merge(ours.read().expect("read")).len(), 5);
    assert!(matches!(alone.sync(), Err(LedgerError::NoRemote)));
    files(ours, theirs);
    many(ours, theirs);
}

/// Bytes travel with their event.
fn files(ours: &dyn Ledger, theirs: &dyn Ledger) {
    let (large, empty) = (vec![7; 100_000], Vec::new());
    let lane = Lane::Actor("us".into());
    ours.append_with(&lane, &event(6), &[&large, &empty]).expect("append with files");
    ours.sync().expect("send them");
    theirs.sync().expect("take them");
    for bytes in [large, empty] {
        let digest = Digest::of(&bytes);
        assert_eq!(ours.bytes(&digest).expect("read here"), bytes);
        assert_eq!(theirs.bytes(&digest).expect("read there"), bytes);
    }
    let other = Digest::of(b"nobody has these");
    assert!(matches!(ours.bytes(&other), Err(BytesError::Unknown(digest)) if digest == other));
}

/// Many at once keep their order, whether there are a few or hundreds, and bring their files.
fn many(ours: &dyn Ledger, theirs: &dyn Ledger) {
    let lane = Lane::Actor("us".into());
    assert_eq!(ours.append_all(&lane, &[]).expect("append nothing"), []);
    for (first, last) in [(100, 103), (200, 500)] {
        let known = ours.since(&Cut::new()).expect("what is there").cut();
        let events: Vec<_> = (first..last).map(event).collect();
        let file = vec![u8::try_from(first).unwrap_or(0); 1_000];
        let files = [file.as_slice()];
        let with = |at: usize| if at == 1 { &files[..] } else { &[] };
        let additions: Vec<_> = events
            .iter()
            .enumerate()
            .map(|(at, event)| Addition { event, files: with(at) })
            .collect();
        let ids = ours.append_all(&lane, &additions).expect("append many");
        assert_eq!(ids, events.iter().map(Event::id).collect::<Vec<_>>());
        let next = ours.since(&known).expect("what came since");
        assert_eq!(next.entries.iter().map(|entry| &entry.event).collect::<Vec<_>>(), {
            events.iter().collect::<Vec<_>>()
        });
        ours.sync().expect("send them");
        theirs.sync().expect("take them");
        assert_eq!(ours.read().expect("read here"), theirs.read().expect("read there"));
        assert_eq!(theirs.bytes(&Digest::of(&file)).expect("read there"), file);
    }
}

fn subjects(changes: &Changes) -> Vec<&str> {
    changes.entries.iter().map(|entry| entry.event.subject.as_str()).collect()
}
