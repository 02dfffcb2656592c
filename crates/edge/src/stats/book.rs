use std::collections::BTreeMap;
use std::sync::Arc;

use grit_rollout::Group;
use grit_types::{InstanceId, Revision};

use super::{Counts, Series, WINDOW_MAX};
use crate::guard::Evidence;

/// Revisions whose totals are kept after their last instance is forgotten.
const REVISIONS_MAX: usize = 100;

/// A slot's statistics: they belong to revisions and instances, not to routes.
#[derive(Default)]
pub(crate) struct Book {
    pages: BTreeMap<(Revision, InstanceId), Page>,
    /// What instances served that are forgotten.
    retired: BTreeMap<Revision, Counts>,
    evidence: BTreeMap<Revision, Arc<Evidence>>,
}

struct Page {
    series: Arc<Series>,
    /// The second in which it left the route.
    left: Option<u64>,
}

impl Book {
    /// The series of a group's endpoints, in their order.
    pub fn open(&mut self, group: &Group, threads: usize) -> Vec<Arc<Series>> {
        let revision = group.revision;
        let open = |instance| {
            let page = self.pages.entry((revision, instance)).or_insert_with(|| Page {
                series: Arc::new(Series::new(revision, instance, threads)),
                left: None,
            });
            Arc::clone(&page.series)
        };
        group.endpoints.iter().map(|endpoint| endpoint.instance).map(open).collect()
    }

    pub fn evidence(&mut self, revision: Revision) -> Arc<Evidence> {
        Arc::clone(self.evidence.entry(revision).or_default())
    }

    /// Marks who left, and forgets who left longer ago than any window reaches.
    pub fn tidy(&mut self, groups: &[Group], second: u64) {
        let routed = |revision: Revision, instance: InstanceId| {
            groups
                .iter()
                .filter(|group| group.revision == revision)
                .any(|group| group.endpoints.iter().any(|e| e.instance == instance))
        };
        let (pages, retired) = (&mut self.pages, &mut self.retired);
        pages.retain(|(revision, instance), page| {
            page.left = match routed(*revision, *instance) {
                true => None,
                false => page.left.or(Some(second)),
            };
            let old = |left: u64| second.saturating_sub(left) > WINDOW_MAX.as_secs();
            let forget = page.left.is_some_and(old) && page.series.in_flight() == 0;
            if forget {
                *retired.entry(*revision).or_default() += page.series.totals();
            }
            !forget
        });
        while self.retired.len() > REVISIONS_MAX {
            self.retired.pop_first();
        }
        let (pages, retired) = (&self.pages, &self.retired);
        self.evidence.retain(|revision, _| {
            retired.contains_key(revision)
                || pages.keys().any(|(known, _)| known == revision)
                || groups.iter().any(|group| group.revision == *revision)
        });
    }

    pub fn series(&self) -> impl Iterator<Item = &Arc<Series>> {
        self.pages.values().map(|page| &page.series)
    }

    /// Requests of everything that is not part of a route.
    pub fn requests_outside(&self, routed: &[&Arc<Series>]) -> u64 {
        let outside = self.series().filter(|s| !routed.iter().any(|r| Arc::ptr_eq(s, r)));
        let retired: u64 = self.retired.values().map(|counts| counts.requests).sum();
        retired + outside.map(|series| series.totals().requests).sum::<u64>()
    }

    /// By revision, since the start: what was served, what is in flight, what failed.
    pub fn totals(&self) -> BTreeMap<Revision, (Counts, u64, Option<&Evidence>)> {
        let mut totals: BTreeMap<Revision, (Counts, u64, Option<&Evidence>)> = BTreeMap::new();
        for (revision, counts) in &self.retired {
            totals.entry(*revision).or_default().0 += *counts;
        }
        for series in self.series() {
            let entry = totals.entry(series.revision).or_default();
            entry.0 += series.totals();
            entry.1 += series.in_flight();
        }
        for (revision, entry) in &mut totals {
            entry.2 = self.evidence.get(revision).map(Arc::as_ref);
        }
        totals
    }
}
