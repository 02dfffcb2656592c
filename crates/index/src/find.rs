//! What is asked of the tables.

use grit_issues::{
    Dependencies, Dependency, Issue, LookupError, PREFIX_MIN, Query, Record, lookup,
};
use grit_ledger::{AHEAD_MAX, Event, Hlc};
use grit_types::{EventId, IssueId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::compile::{after, compile};
use crate::{IndexError, row};

/// Gives `take` each row that a query finds, in its order: `columns` of `issue` and, where asked
/// for, of `view`.
pub(crate) fn select(
    connection: &Connection,
    (query, now, limit): (&Query, Timestamp, Option<usize>),
    columns: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let compiled = compile(query, now);
    let from = match columns.contains("view.") {
        true => "issue CROSS JOIN view USING (n)",
        false => "issue",
    };
    let (condition, order) = (&compiled.condition, &compiled.order);
    let sql = format!("SELECT {columns} FROM {from} WHERE {condition} ORDER BY {order} LIMIT ?");
    let mut values = compiled.values;
    let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    values.push(Value::Integer(limit));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

/// The issue whose id begins with `prefix`.
pub(crate) fn find(
    connection: &Connection,
    prefix: &str,
) -> Result<Result<IssueId, LookupError>, IndexError> {
    let start = prefix.trim().to_ascii_lowercase();
    let near = match start.len() < PREFIX_MIN {
        true => Vec::new(),
        false => ids(
            connection,
            "SELECT issue.id FROM record JOIN issue USING (n) WHERE record.id >= ?1 AND record.id < ?2",
            &[&start, &after(&start)],
        )?,
    };
    match lookup(prefix, &near) {
        // What was probably meant is one of all.
        Err(LookupError::NotFound { .. }) => {
            let all = ids(connection, "SELECT id FROM issue", &[])?;
            Ok(lookup(prefix, &all).cloned())
        }
        found => Ok(found.cloned()),
    }
}

pub(crate) fn issue(connection: &Connection, id: &IssueId) -> Result<Option<Issue>, IndexError> {
    let sql = "SELECT view.json FROM record JOIN view USING (n) WHERE id = ?1";
    let found: Option<String> =
        connection.query_row(sql, [id.as_str()], |row| row.get(0)).optional()?;
    Ok(found.map(|json| serde_json::from_str(&json)).transpose()?)
}

pub(crate) fn record(connection: &Connection, id: &IssueId) -> Result<Option<Record>, IndexError> {
    let mut select = connection.prepare_cached("SELECT json FROM record WHERE id = ?1")?;
    let found: Option<String> = select.query_row([id.as_str()], |row| row.get(0)).optional()?;
    Ok(found.map(|json| serde_json::from_str(&json)).transpose()?)
}

/// The earliest: clones that did not know of each other can make several.
pub(crate) fn by_key(connection: &Connection, key: &str) -> Result<Option<IssueId>, IndexError> {
    let sql = "SELECT id FROM issue WHERE key = ?1 ORDER BY created, id LIMIT 1";
    Ok(ids(connection, sql, &[key])?.pop())
}

/// An open one before a closed one, then the latest.
pub(crate) fn by_fingerprint(
    connection: &Connection,
    fingerprint: &str,
) -> Result<Option<IssueId>, IndexError> {
    let sql = "SELECT id FROM issue WHERE fingerprint = ?1 \
               ORDER BY state, created DESC, id DESC LIMIT 1";
    Ok(ids(connection, sql, &[fingerprint])?.pop())
}

pub(crate) fn dependencies(connection: &Connection) -> Result<Dependencies, IndexError> {
    let sql = "SELECT id, kind, target FROM dependency JOIN issue USING (n)";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Dependencies::default();
    while let Some(found) = rows.next()? {
        let kind = found.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?.parse();
        let kind = kind.map_err(|_| rusqlite::Error::InvalidQuery)?;
        all.add(&row::id(found, 0)?, &Dependency { kind, on: row::id(found, 2)? });
    }
    Ok(all)
}

/// What happened to an issue, in no order that means anything.
pub(crate) fn events(connection: &Connection, id: &IssueId) -> Result<Vec<Event>, IndexError> {
    let sql = "SELECT bytes FROM event JOIN record USING (n) WHERE record.id = ?1";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([id.as_str()])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        events.push(Event::decode(bytes)?);
    }
    Ok(events)
}

/// Where the ledger has what happened to an issue.
pub(crate) fn places(
    connection: &Connection,
    id: &IssueId,
) -> Result<Vec<(EventId, String)>, IndexError> {
    let sql = "SELECT event.id, at FROM event JOIN record USING (n) WHERE record.id = ?1";
    let mut statement = connection.prepare(sql)?;
    let found =
        statement.query_map([id.as_str()], |found| Ok((row::id(found, 0)?, found.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The latest reading of any clock that is not far ahead of `now`.
pub(crate) fn latest(connection: &Connection, now: Timestamp) -> Result<Option<Hlc>, IndexError> {
    let sql = "SELECT millis, count FROM reading WHERE millis <= ?1 \
               ORDER BY millis DESC, count DESC LIMIT 1";
    let reading = |row: &Row<'_>| Ok(Hlc { millis: row.get(0)?, count: row.get(1)? });
    Ok(connection.query_row(sql, [now.after(AHEAD_MAX).millis()], reading).optional()?)
}

fn ids(connection: &Connection, sql: &str, values: &[&str]) -> Result<Vec<IssueId>, IndexError> {
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map(params_from_iter(values), |found| row::id(found, 0))?;
    Ok(found.collect::<Result<_, _>>()?)
}
