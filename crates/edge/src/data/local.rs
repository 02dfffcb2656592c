//! A thread's own view of the routes: nothing in it is shared, nothing is counted atomically.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::upstream::Upstream;
use crate::table::{GroupEntry, RouteEntry, Table};

#[derive(Default)]
pub(crate) struct LocalTable {
    pub version: u64,
    hosts: HashMap<Box<str>, Rc<LocalRoute>>,
}

pub(crate) struct LocalRoute {
    pub entry: Arc<RouteEntry>,
    turn: Cell<usize>,
    groups: Vec<LocalGroup>,
}

struct LocalGroup {
    upstreams: Vec<Rc<Upstream>>,
    next: Cell<usize>,
}

impl LocalTable {
    /// The view of `table` that takes over from this one: endpoints that stay keep their
    /// connections, those that go close theirs.
    pub fn follow(&self, table: &Table, thread: usize) -> Self {
        let renew = |(host, entry): (&str, &Arc<RouteEntry>)| {
            let old = self.hosts.get(host);
            let route = match old {
                Some(old) if Arc::ptr_eq(&old.entry, entry) => Rc::clone(old),
                _ => Rc::new(LocalRoute::new(entry, old.map(Rc::as_ref), thread)),
            };
            (host.into(), route)
        };
        let hosts = table.hosts.iter().map(|(host, entry)| (host.as_ref(), entry));
        let new = Self { version: table.version, hosts: hosts.map(renew).collect() };
        for (host, old) in &self.hosts {
            let kept = new.hosts.get(host);
            if kept.is_none_or(|kept| !Rc::ptr_eq(kept, old)) {
                old.retire_all_but(kept.map(Rc::as_ref));
            }
        }
        new
    }

    /// The route of a host, in lower case and without a port.
    pub fn route(&self, host: &str) -> Option<&Rc<LocalRoute>> {
        self.hosts.get(host)
    }

    pub fn upstreams(&self) -> impl Iterator<Item = &Rc<Upstream>> {
        self.hosts.values().flat_map(|route| route.upstreams())
    }
}

impl LocalRoute {
    fn new(entry: &Arc<RouteEntry>, old: Option<&Self>, thread: usize) -> Self {
        let upstream = |(group, index): (&GroupEntry, usize)| {
            let (series, address) = (&group.series[index], group.addresses[index]);
            let mut known = old.into_iter().flat_map(LocalRoute::upstreams);
            match known.find(|upstream| upstream.is(series, address)) {
                Some(upstream) => Rc::clone(upstream),
                None => Rc::new(Upstream::new(address, Arc::clone(series), thread)),
            }
        };
        let group = |group: &GroupEntry| LocalGroup {
            upstreams: (0..group.series.len()).map(|index| upstream((group, index))).collect(),
            next: Cell::new(thread),
        };
        let groups = entry.groups.iter().map(group).collect();
        // Threads begin at different turns, and a change of weights does not begin at the first
        // turn again: many changes in a row would else favour whoever has it.
        let turn = old.map_or(thread * 7_919, |old| old.turn.get() + 1);
        Self { turn: Cell::new(turn % entry.turns.len().max(1)), entry: Arc::clone(entry), groups }
    }

    /// Whose turn it is; a revision that the guard took out passes its turn to stable.
    pub fn take_turn(&self) -> usize {
        let turn = self.turn.get();
        let turns = &self.entry.turns;
        self.turn.set(if turn + 1 < turns.len() { turn + 1 } else { 0 });
        let group = turns.get(turn).map_or(0, |group| usize::from(*group));
        let watch = self.entry.groups[group].watch.as_ref();
        match watch.is_some_and(|watch| watch.trip().is_some()) {
            true => self.entry.fallback.unwrap_or(group),
            false => group,
        }
    }

    /// The endpoint of the group with the fewest requests in flight from this thread, in turn
    /// among equals, without those in `tried`; one that is left alone only if there is no other.
    pub fn choose(&self, group: usize, tried: &[Rc<Upstream>], now: u64) -> Option<&Rc<Upstream>> {
        let LocalGroup { upstreams, next } = self.groups.get(group)?;
        let count = upstreams.len();
        if let [only] = upstreams.as_slice() {
            return untried(only, tried);
        }
        let start = next.get() % count.max(1);
        next.set(start + 1);
        let (before, after) = upstreams.split_at(start);
        let open = after.iter().chain(before).filter_map(|upstream| untried(upstream, tried));
        open.min_by_key(|upstream| (upstream.is_shunned(now), upstream.shard().in_flight()))
    }

    fn upstreams(&self) -> impl Iterator<Item = &Rc<Upstream>> {
        self.groups.iter().flat_map(|group| &group.upstreams)
    }

    fn retire_all_but(&self, kept: Option<&Self>) {
        for upstream in self.upstreams() {
            let mut still = kept.into_iter().flat_map(LocalRoute::upstreams);
            if !still.any(|other| Rc::ptr_eq(other, upstream)) {
                upstream.retire();
            }
        }
    }
}

fn untried<'a>(upstream: &'a Rc<Upstream>, tried: &[Rc<Upstream>]) -> Option<&'a Rc<Upstream>> {
    (!tried.iter().any(|other| Rc::ptr_eq(other, upstream))).then_some(upstream)
}
