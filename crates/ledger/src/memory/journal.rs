use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grit_types::{BoxFuture, EffectId, Sequence, Version};

use crate::{
    Append, AppendError, Appended, Journal, PendingEffect, Recorded, Row, RowQuery, StorageError,
    StreamId,
};

/// A journal in memory: for local runs, simulations and tests.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    events: Vec<Recorded>,
    versions: BTreeMap<StreamId, Version>,
    pending: Vec<PendingEffect>,
    rows: BTreeMap<(String, String), Row>,
    cursors: BTreeMap<String, Sequence>,
}

impl MemoryJournal {
    fn held(&self) -> MutexGuard<'_, Held> {
        // An append changes the journal only after its last check, so a panic leaves it whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn append(&mut self, append: Append) -> Result<Appended, AppendError> {
        let Append { stream, expected, events, effects, acknowledges, rows } = append;
        let actual = self.versions.get(&stream).copied().unwrap_or_default();
        if actual != expected {
            return Err(AppendError::Conflict { stream, expected, actual });
        }
        if let Some(effect) = acknowledges {
            self.acknowledge(effect)?;
        }
        let mut version = actual;
        let mut ids = Vec::with_capacity(events.len());
        for event in events {
            version = version.next();
            let sequence = Sequence(self.events.len() as u64 + 1);
            let id = event.id();
            ids.push(id.clone());
            self.events.push(Recorded { sequence, stream: stream.clone(), version, id, event });
        }
        self.versions.insert(stream, version);
        self.pending.extend(effects);
        for row in rows {
            self.rows.insert((row.table.clone(), row.key.clone()), row);
        }
        Ok(Appended { ids, version })
    }

    fn acknowledge(&mut self, effect: EffectId) -> Result<(), AppendError> {
        match self.pending.iter().position(|pending| pending.id == effect) {
            Some(place) => {
                self.pending.remove(place);
                Ok(())
            }
            None => Err(AppendError::Acknowledged { effect }),
        }
    }

    fn rows(&self, query: &RowQuery) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.rows.values().filter(|row| matches(query, row)).cloned().collect();
        rows.sort_by(|a, b| (b.order, &b.key).cmp(&(a.order, &a.key)));
        if query.limit > 0 {
            rows.truncate(query.limit);
        }
        rows
    }
}

fn matches(query: &RowQuery, row: &Row) -> bool {
    let below = |scope: &String| {
        row.scope == *scope
            || row.scope.strip_prefix(scope.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    row.table == query.table
        && query.tenant.as_ref().is_none_or(|tenant| row.tenant == *tenant)
        && query.key.as_ref().is_none_or(|key| row.key == *key)
        && query.status.as_ref().is_none_or(|status| row.status == *status)
        && query.scope.as_ref().is_none_or(below)
}

impl Journal for MemoryJournal {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(ready(self.held().append(append)))
    }

    fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, StorageError>> {
        let wanted = |event: &&Recorded| event.stream == *stream && event.version > after;
        Box::pin(ready(Ok(self.held().events.iter().filter(wanted).cloned().collect())))
    }

    fn tail(
        &self,
        after: Sequence,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, StorageError>> {
        let start = usize::try_from(after.0).unwrap_or(usize::MAX);
        let events = self.held().events.iter().skip(start).take(limit).cloned().collect();
        Box::pin(ready(Ok(events)))
    }

    fn pending(&self) -> BoxFuture<'_, Result<Vec<PendingEffect>, StorageError>> {
        Box::pin(ready(Ok(self.held().pending.clone())))
    }

    fn rows(&self, query: &RowQuery) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(ready(Ok(self.held().rows(query))))
    }

    fn cursor(
        &self,
        consumer: &str,
        advance_to: Option<Sequence>,
    ) -> BoxFuture<'_, Result<Sequence, StorageError>> {
        let mut held = self.held();
        let cursor = held.cursors.entry(consumer.to_owned()).or_default();
        *cursor = (*cursor).max(advance_to.unwrap_or_default());
        Box::pin(ready(Ok(*cursor)))
    }
}
