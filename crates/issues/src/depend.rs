use std::collections::{BTreeMap, BTreeSet, VecDeque};

use grit_types::IssueId;

use crate::value::{Dependency, DependencyKind};

/// What must be done before what, over all issues. `a blocks b` and `b depends-on a` are the same
/// here, and `related` says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    needs: BTreeMap<IssueId, BTreeSet<IssueId>>,
}

/// An order of issues in which each comes after those that it needs, as far as there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Every issue once.
    pub order: Vec<IssueId>,
    /// One way round for each set of issues that need each other: clones that did not know of each
    /// other can make one. The first is not repeated at the end.
    pub cycles: Vec<Vec<IssueId>>,
}

impl Dependencies {
    /// Takes note of what `issue` says of another.
    pub fn add(&mut self, issue: &IssueId, dependency: &Dependency) {
        if let Some((needy, needed)) = direction(issue, dependency) {
            self.needs.entry(needy.clone()).or_default().insert(needed.clone());
        }
    }

    /// What must be done before `issue`.
    pub fn needs(&self, issue: &IssueId) -> impl Iterator<Item = &IssueId> {
        self.needs.get(issue).into_iter().flatten()
    }

    /// What waits for `issue`.
    pub fn needed_by(&self, issue: &IssueId) -> impl Iterator<Item = &IssueId> {
        self.needs.iter().filter(move |(_, needs)| needs.contains(issue)).map(|(needy, _)| needy)
    }

    /// The way round that one more dependency would close, from `issue` back to what leads to it;
    /// the first is not repeated at the end.
    pub fn cycle_with(&self, issue: &IssueId, dependency: &Dependency) -> Option<Vec<IssueId>> {
        let (needy, needed) = direction(issue, dependency)?;
        self.path(needed, |at| at == needy).map(|mut path| {
            path.rotate_right(1);
            path
        })
    }

    /// The shortest way along needs from `start` to an issue that is the `end`, both included.
    fn path(&self, start: &IssueId, end: impl Fn(&IssueId) -> bool) -> Option<Vec<IssueId>> {
        let mut before: BTreeMap<&IssueId, Option<&IssueId>> = [(start, None)].into();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            if end(at) {
                let mut path: Vec<IssueId> =
                    std::iter::successors(Some(at), |at| before.get(*at).copied().flatten())
                        .cloned()
                        .collect();
                path.reverse();
                return Some(path);
            }
            for next in self.needs(at) {
                if !before.contains_key(next) {
                    before.insert(next, Some(at));
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// An order of `issues`, which are gone through as they come: what is first and needs nothing
    /// stays first.
    pub fn order<'a>(&'a self, issues: impl IntoIterator<Item = &'a IssueId>) -> Order {
        let issues: Vec<&IssueId> = issues.into_iter().collect();
        let mut search = Search::new(self, &issues);
        for issue in issues {
            search.visit(issue);
        }
        let rings = search.rings.iter().filter(|ring| self.is_cycle(ring));
        let cycles = rings.filter_map(|ring| self.way_round(ring)).collect();
        let order = search.rings.iter().flatten().map(|id| (*id).clone()).collect();
        Order { order, cycles }
    }

    fn is_cycle(&self, ring: &[&IssueId]) -> bool {
        match ring {
            [only] => self.needs(only).any(|needed| needed == *only),
            _ => ring.len() > 1,
        }
    }

    /// A shortest way from the first of a ring along needs back to it.
    fn way_round(&self, ring: &[&IssueId]) -> Option<Vec<IssueId>> {
        let first = ring.iter().min()?;
        let ways = self.needs(first).filter_map(|next| self.path(next, |at| at == *first));
        let mut way = ways.min_by_key(Vec::len)?;
        way.rotate_right(1);
        Some(way)
    }
}

/// Who needs whom.
fn direction<'a>(
    issue: &'a IssueId,
    dependency: &'a Dependency,
) -> Option<(&'a IssueId, &'a IssueId)> {
    match dependency.kind {
        DependencyKind::Blocks => Some((&dependency.on, issue)),
        DependencyKind::DependsOn => Some((issue, &dependency.on)),
        DependencyKind::Related => None,
    }
}

/// Tarjan's strongly connected components (1972), without recursion: they come out in an order in
/// which each follows those that it needs.
struct Search<'a> {
    needs: BTreeMap<&'a IssueId, Vec<&'a IssueId>>,
    rank: BTreeMap<&'a IssueId, usize>,
    /// The number of a visit and the lowest one reachable; gone from `open` when its ring is done.
    numbers: BTreeMap<&'a IssueId, (usize, usize)>,
    open: Vec<&'a IssueId>,
    is_open: BTreeSet<&'a IssueId>,
    rings: Vec<Vec<&'a IssueId>>,
}

impl<'a> Search<'a> {
    fn new(all: &'a Dependencies, issues: &[&'a IssueId]) -> Self {
        let rank: BTreeMap<_, _> = issues.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let needs = issues.iter().map(|issue| {
            let mut needs: Vec<_> = all.needs(issue).filter(|id| rank.contains_key(id)).collect();
            needs.sort_by_key(|id| rank[id]);
            (*issue, needs)
        });
        let needs = needs.collect();
        let (numbers, is_open) = (BTreeMap::new(), BTreeSet::new());
        Self { needs, rank, numbers, open: Vec::new(), is_open, rings: Vec::new() }
    }

    fn visit(&mut self, start: &'a IssueId) {
        if self.numbers.contains_key(start) {
            return;
        }
        let mut work = vec![(start, 0)];
        self.enter(start);
        while let Some((at, next)) = work.pop() {
            let Some(&needed) = self.needs.get(at).and_then(|needs| needs.get(next)) else {
                self.leave(at);
                if let Some((above, _)) = work.last() {
                    self.lower(above, self.numbers[at].1);
                }
                continue;
            };
            work.push((at, next + 1));
            if !self.numbers.contains_key(needed) {
                self.enter(needed);
                work.push((needed, 0));
            } else if self.is_open.contains(needed) {
                self.lower(at, self.numbers[needed].0);
            }
        }
    }

    fn enter(&mut self, issue: &'a IssueId) {
        let number = self.numbers.len();
        self.numbers.insert(issue, (number, number));
        self.open.push(issue);
        self.is_open.insert(issue);
    }

    fn lower(&mut self, issue: &'a IssueId, number: usize) {
        if let Some((_, low)) = self.numbers.get_mut(issue) {
            *low = (*low).min(number);
        }
    }

    /// Takes the ring that began with `issue` off, when all of it is known.
    fn leave(&mut self, issue: &'a IssueId) {
        let (number, low) = self.numbers[issue];
        if number != low {
            return;
        }
        let from = self.open.iter().rposition(|id| *id == issue).unwrap_or(0);
        let mut ring = self.open.split_off(from);
        for id in &ring {
            self.is_open.remove(id);
        }
        ring.sort_by_key(|id| self.rank[id]);
        self.rings.push(ring);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: usize) -> IssueId {
        let digit = char::from(b"abcdefghijklmnopqrstuvwxyz234567"[number % 32]);
        String::from(digit).repeat(52).parse().unwrap()
    }

    fn on(kind: DependencyKind, number: usize) -> Dependency {
        Dependency { kind, on: id(number) }
    }

    fn needing(pairs: &[(usize, usize)]) -> Dependencies {
        let mut all = Dependencies::default();
        for (needy, needed) in pairs {
            all.add(&id(*needy), &on(DependencyKind::DependsOn, *needed));
        }
        all
    }

    fn numbers(ids: &[IssueId]) -> Vec<u8> {
        ids.iter().map(|id| id.as_str().as_bytes()[0] - b'a').collect()
    }

    #[test]
    fn blocking_is_needing_the_other_way() {
        let mut all = Dependencies::default();
        all.add(&id(0), &on(DependencyKind::Blocks, 1));
        all.add(&id(0), &on(DependencyKind::Related, 2));
        assert_eq!(all, needing(&[(1, 0)]));
        assert_eq!(all.needed_by(&id(0)).collect::<Vec<_>>(), [&id(1)]);
    }

    #[test]
    fn a_cycle_is_named_from_who_would_close_it() {
        let all = needing(&[(1, 2), (2, 3), (1, 4)]);
        let cycle = |issue, dependency| {
            all.cycle_with(&id(issue), &dependency).map(|cycle| numbers(&cycle))
        };
        assert_eq!(cycle(3, on(DependencyKind::DependsOn, 1)), Some(vec![3, 1, 2]));
        assert_eq!(cycle(1, on(DependencyKind::Blocks, 3)), Some(vec![3, 1, 2]));
        assert_eq!(cycle(4, on(DependencyKind::DependsOn, 4)), Some(vec![4]));
        assert_eq!(cycle(3, on(DependencyKind::Related, 1)), None);
        assert_eq!(cycle(4, on(DependencyKind::DependsOn, 3)), None);
    }

    #[test]
    fn the_order_names_the_cycles_and_leaves_nobody_out() {
        let all = needing(&[(0, 1), (1, 2), (2, 1), (3, 3), (4, 0)]);
        let ids: Vec<IssueId> = (0..6).map(id).collect();
        let found = all.order(&ids);
        assert_eq!(numbers(&found.order), [1, 2, 0, 3, 4, 5]);
        let cycles: Vec<_> = found.cycles.iter().map(|cycle| numbers(cycle)).collect();
        assert_eq!(cycles, [vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let ids: Vec<IssueId> =
            (0u32..50_000).map(|n| grit_types::EventId::of(&n.to_le_bytes())).collect();
        let mut all = Dependencies::default();
        for pair in ids.windows(2) {
            let on = pair[1].clone();
            all.add(&pair[0], &Dependency { kind: DependencyKind::DependsOn, on });
        }
        let found = all.order(&ids);
        assert!(found.cycles.is_empty());
        assert!(found.order.iter().eq(ids.iter().rev()));
    }

    proptest! {
        #[test]
        fn each_follows_what_it_needs_unless_they_need_each_other(
            pairs in proptest::collection::vec((0usize..8, 0usize..8), 0..20),
        ) {
            let all = needing(&pairs);
            let ids: Vec<IssueId> = (0..8).map(id).collect();
            let found = all.order(&ids);
            let mut sorted = found.order.clone();
            sorted.sort();
            prop_assert_eq!(&sorted, &{ let mut ids = ids.clone(); ids.sort(); ids });
            let place = |id: &IssueId| found.order.iter().position(|other| other == id);
            for (needy, needed) in pairs {
                let (needy, needed) = (id(needy), id(needed));
                let back = Dependency { kind: DependencyKind::DependsOn, on: needy.clone() };
                let is_cycle = all.path(&needed, |at| *at == needy).is_some();
                prop_assert!(is_cycle || place(&needed) < place(&needy));
                prop_assert_eq!(is_cycle, all.cycle_with(&needy, &Dependency { on: needed, ..back }).is_some());
            }
            for cycle in &found.cycles {
                for (at, issue) in cycle.iter().enumerate() {
                    let next = &cycle[(at + 1) % cycle.len()];
                    prop_assert!(all.needs(issue).any(|needed| needed == next));
                }
            }
        }
    }
}
