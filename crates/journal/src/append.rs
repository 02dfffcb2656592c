use grit_ledger::{
    Append, AppendError, Appended, EVENT_BYTES_MAX, PendingEffect, Row, StorageError, StreamId,
};
use grit_types::{EffectId, EventId, Version};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::storage;

/// All that one append writes.
pub const APPEND_BYTES_MAX: usize = 32 << 20;

/// More than an append may hold.
#[derive(Debug, thiserror::Error)]
#[error("{what} has {found} bytes, more than {max}")]
struct TooLarge {
    what: &'static str,
    found: usize,
    max: usize,
}

/// An append with its bytes at hand, so that the one writing thread encodes and hashes nothing.
pub(crate) struct Prepared {
    stream: StreamId,
    expected: Version,
    acknowledges: Option<EffectId>,
    events: Vec<(EventId, Vec<u8>)>,
    effects: Vec<(PendingEffect, String)>,
    rows: Vec<(Row, String)>,
    pub(crate) bytes: usize,
}

impl Prepared {
    pub(crate) fn new(append: Append, action: &str) -> Result<Self, StorageError> {
        let Append { stream, expected, events, effects, acknowledges, rows } = append;
        let mut encoded = Vec::with_capacity(events.len());
        for event in &events {
            let body = event.encode();
            check("an event", body.len(), EVENT_BYTES_MAX, action)?;
            encoded.push((EventId::of(&body), body));
        }
        let effects = with_text(effects, |effect| effect.body.to_string());
        let rows = with_text(rows, |row| row.body.to_string());
        let bytes = encoded.iter().map(|(_, body)| body.len()).sum::<usize>()
            + effects.iter().map(|(_, body)| body.len()).sum::<usize>()
            + rows.iter().map(|(_, body)| body.len()).sum::<usize>();
        check("the append", bytes, APPEND_BYTES_MAX, action)?;
        Ok(Self { stream, expected, acknowledges, events: encoded, effects, rows, bytes })
    }

    /// Writes all of it, or says why not; the caller then rolls back.
    pub(crate) fn apply(
        &self,
        connection: &Connection,
    ) -> rusqlite::Result<Result<Appended, AppendError>> {
        let actual = version(connection, &self.stream)?;
        if actual != self.expected {
            let (stream, expected) = (self.stream.clone(), self.expected);
            return Ok(Err(AppendError::Conflict { stream, expected, actual }));
        }
        if let Some(effect) = &self.acknowledges
            && !acknowledge(connection, effect)?
        {
            return Ok(Err(AppendError::Acknowledged { effect: effect.clone() }));
        }
        let version = self.insert_events(connection)?;
        self.insert_effects(connection)?;
        self.replace_rows(connection)?;
        let ids = self.events.iter().map(|(id, _)| id.clone()).collect();
        Ok(Ok(Appended { ids, version }))
    }

    fn insert_events(&self, connection: &Connection) -> rusqlite::Result<Version> {
        let version = Version(self.expected.0 + self.events.len() as u64);
        if self.events.is_empty() {
            return Ok(version);
        }
        connection
            .prepare_cached(
                "INSERT INTO stream (stream, version) VALUES (?1, ?2)
                 ON CONFLICT (stream) DO UPDATE SET version = excluded.version",
            )?
            .execute(params![self.stream.as_str(), signed(version.0)])?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO event (stream, version, id, body) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (place, (id, body)) in (self.expected.0 + 1..).zip(&self.events) {
            insert.execute(params![self.stream.as_str(), signed(place), id.as_str(), body])?;
        }
        Ok(version)
    }

    fn insert_effects(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection
            .prepare_cached("INSERT INTO effect (id, stream, body) VALUES (?1, ?2, ?3)")?;
        for (effect, body) in &self.effects {
            insert.execute(params![effect.id.to_string(), effect.stream.as_str(), body])?;
        }
        Ok(())
    }

    fn replace_rows(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut replace = connection.prepare_cached(
            "INSERT INTO row (table_name, key, tenant, scope, status, ord, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (table_name, key) DO UPDATE SET
                 tenant = excluded.tenant, scope = excluded.scope, status = excluded.status,
                 ord = excluded.ord, body = excluded.body",
        )?;
        for (row, body) in &self.rows {
            let tenant = row.tenant.as_str();
            replace.execute(params![
                row.table, row.key, tenant, row.scope, row.status, row.order, body
            ])?;
        }
        Ok(())
    }
}

fn with_text<T>(items: Vec<T>, text: impl Fn(&T) -> String) -> Vec<(T, String)> {
    items
        .into_iter()
        .map(|item| {
            let text = text(&item);
            (item, text)
        })
        .collect()
}

fn check(what: &'static str, found: usize, max: usize, action: &str) -> Result<(), StorageError> {
    if found > max {
        return Err(storage(action, TooLarge { what, found, max }));
    }
    Ok(())
}

fn version(connection: &Connection, stream: &StreamId) -> rusqlite::Result<Version> {
    let version: Option<i64> = connection
        .prepare_cached("SELECT version FROM stream WHERE stream = ?1")?
        .query_row([stream.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Version(version.map_or(0, unsigned)))
}

fn acknowledge(connection: &Connection, effect: &EffectId) -> rusqlite::Result<bool> {
    let removed = connection
        .prepare_cached("DELETE FROM effect WHERE id = ?1")?
        .execute([effect.to_string()])?;
    Ok(removed > 0)
}

/// SQLite's integers are signed; no version or sequence gets that far.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
