use grit_ledger::{Event, PendingEffect, Recorded, Row, RowQuery, StreamId};
use grit_types::{EventId, Sequence, Version};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::append::{signed, unsigned};
use crate::error::{Cause, is_damage};

/// Bytes that do not belong to the id they are stored under.
#[derive(Debug, thiserror::Error)]
#[error("event {sequence} is damaged: its bytes are not those of `{id}`")]
struct Damaged {
    sequence: i64,
    id: String,
}

pub(crate) fn read(
    connection: &Connection,
    stream: &StreamId,
    after: Version,
) -> Result<Vec<Recorded>, Cause> {
    let sql = "SELECT sequence, stream, version, id, body FROM event
               WHERE stream = ?1 AND version > ?2 ORDER BY version";
    recorded(connection, sql, params![stream.as_str(), signed(after.0)])
}

pub(crate) fn tail(
    connection: &Connection,
    after: Sequence,
    limit: usize,
) -> Result<Vec<Recorded>, Cause> {
    let sql = "SELECT sequence, stream, version, id, body FROM event
               WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
    recorded(connection, sql, params![signed(after.0), signed(limit as u64)])
}

fn recorded(
    connection: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<Recorded>, Cause> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let sequence: i64 = row.get(0)?;
        let id: String = row.get(3)?;
        let body = row.get_ref(4)?.as_blob()?;
        if EventId::of(body).as_str() != id {
            return Err(Damaged { sequence, id }.into());
        }
        events.push(Recorded {
            sequence: Sequence(unsigned(sequence)),
            stream: row.get::<_, String>(1)?.parse()?,
            version: Version(unsigned(row.get(2)?)),
            id: id.parse()?,
            event: Event::decode(body)?,
        });
    }
    Ok(events)
}

pub(crate) fn pending(connection: &Connection) -> Result<Vec<PendingEffect>, Cause> {
    let mut statement =
        connection.prepare_cached("SELECT id, stream, body FROM effect ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    let mut effects = Vec::new();
    while let Some(row) = rows.next()? {
        effects.push(PendingEffect {
            id: row.get::<_, String>(0)?.parse()?,
            stream: row.get::<_, String>(1)?.parse()?,
            body: serde_json::from_str(row.get_ref(2)?.as_str()?)?,
        });
    }
    Ok(effects)
}

pub(crate) fn rows(connection: &Connection, query: &RowQuery) -> Result<Vec<Row>, Cause> {
    let (sql, params) = row_statement(query);
    let params: Vec<&dyn ToSql> = params.iter().map(|text| text as &dyn ToSql).collect();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(&params[..])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Row {
            table: query.table.clone(),
            key: row.get(0)?,
            tenant: row.get::<_, String>(1)?.parse()?,
            scope: row.get(2)?,
            status: row.get(3)?,
            order: row.get(4)?,
            body: serde_json::from_str(row.get_ref(5)?.as_str()?)?,
        });
    }
    Ok(found)
}

/// Only what narrows stands in the statement, so that SQLite can choose an index by it.
fn row_statement(query: &RowQuery) -> (String, Vec<String>) {
    let mut sql =
        "SELECT key, tenant, scope, status, ord, body FROM row WHERE table_name = ?".to_owned();
    let mut params = vec![query.table.clone()];
    let tenant = query.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
    for (column, wanted) in
        [("tenant", tenant), ("key", query.key.clone()), ("status", query.status.clone())]
    {
        if let Some(wanted) = wanted {
            sql.push_str(&format!(" AND {column} = ?"));
            params.push(wanted);
        }
    }
    if let Some(scope) = &query.scope {
        // `0` follows `/`: between them lies all that begins with the scope and a slash.
        sql.push_str(" AND (scope = ? OR (scope > ? AND scope < ?))");
        params.extend([scope.clone(), format!("{scope}/"), format!("{scope}0")]);
    }
    sql.push_str(" ORDER BY ord DESC, key DESC");
    if query.limit > 0 {
        sql.push_str(" LIMIT CAST(? AS INTEGER)");
        params.push(query.limit.to_string());
    }
    (sql, params)
}

pub(crate) fn cursor(connection: &Connection, consumer: &str) -> Result<Sequence, Cause> {
    let position: Option<i64> = connection
        .prepare_cached("SELECT position FROM cursor WHERE consumer = ?1")?
        .query_row([consumer], |row| row.get(0))
        .optional()?;
    Ok(Sequence(position.map_or(0, unsigned)))
}

/// Moves forward only.
pub(crate) fn advance(
    connection: &Connection,
    consumer: &str,
    to: Sequence,
) -> rusqlite::Result<Sequence> {
    let sql = "INSERT INTO cursor (consumer, position) VALUES (?1, ?2)
               ON CONFLICT (consumer) DO UPDATE SET position = max(position, excluded.position)
               RETURNING position";
    let position: i64 = connection
        .prepare_cached(sql)?
        .query_row(params![consumer, signed(to.0)], |row| row.get(0))?;
    Ok(Sequence(unsigned(position)))
}

/// What is wrong with the file; nothing, where it is sound.
pub(crate) fn problems(connection: &Connection) -> Result<Vec<String>, Cause> {
    match damaged_pages(connection).and_then(|pages| Ok((pages, wrong_versions(connection)?))) {
        Ok((mut problems, versions)) => {
            problems.extend(versions);
            Ok(problems)
        }
        Err(error) if is_damage(&error) => Ok(vec![error.to_string()]),
        Err(error) => Err(error.into()),
    }
}

fn damaged_pages(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA quick_check")?;
    let lines = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

fn wrong_versions(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT 'stream ' || stream || ' is at version ' || version || ' and holds ' || held
               FROM (SELECT s.stream, s.version, (SELECT count(*) FROM event e
                     WHERE e.stream = s.stream) AS held FROM stream s)
               WHERE version <> held";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}
