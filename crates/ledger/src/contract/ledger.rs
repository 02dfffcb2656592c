use super::event;
use crate::{Lane, Ledger, LedgerError, merge};

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

    ours.append(&us, &event(5)).expect("append after a synchronisation");
    assert_eq!(merge(ours.read().expect("read")).len(), 5);
    assert!(matches!(alone.sync(), Err(LedgerError::NoRemote)));
}
