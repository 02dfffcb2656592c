use std::path::Path;

use grit_ledger::Ledger;
use grit_types::chain;
use rusqlite::Connection;

use crate::file::Held;
use crate::{IndexError, ingest};

/// How an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// There was none, and now there is.
    Absent,
    /// It holds what the ledger does.
    Whole,
    /// It is damaged, for this reason: the next command that notices makes a new one.
    Broken(String),
    /// It cannot be looked at, for this reason; commands go without.
    Unusable(String),
}

/// What both of two indexes of the same ledger hold, whatever order they took it in.
const CONTENT: [&str; 6] = [
    "SELECT id, json FROM record ORDER BY id",
    "SELECT record.id, event.id FROM event JOIN record USING (n) ORDER BY 1, 2",
    "SELECT id, view.json || state || created || updated || has FROM issue LEFT JOIN view USING (n) \
     ORDER BY id",
    "SELECT id, kind || ' ' || value FROM tag JOIN issue USING (n) ORDER BY 1, 2",
    "SELECT id, kind || ' ' || target FROM dependency JOIN issue USING (n) ORDER BY 1, 2",
    "SELECT name, value FROM meta ORDER BY name",
];

/// Looks at all of the index in the file `path`, and compares it with `ledger`.
pub fn check(path: &Path, ledger: &dyn Ledger) -> Result<Health, IndexError> {
    let is_new = !path.exists();
    match compare(path, ledger) {
        Ok(None) if is_new => Ok(Health::Absent),
        Ok(None) => Ok(Health::Whole),
        Ok(Some(problem)) => Ok(Health::Broken(problem)),
        Err(error @ IndexError::Ledger(_)) => Err(error),
        Err(error) if error.is_damage() => Ok(Health::Broken(chain(&error))),
        Err(error) => Ok(Health::Unusable(chain(&error))),
    }
}

/// Makes the index in the file `path` anew.
pub fn rebuild(path: &Path, ledger: &dyn Ledger) -> Result<(), IndexError> {
    crate::index::rebuild(path, ledger).map(drop)
}

fn compare(path: &Path, ledger: &dyn Ledger) -> Result<Option<String>, IndexError> {
    let mut held = Held::open(path)?;
    let verdict: String =
        held.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict));
    }
    let mut expected = Held::in_memory()?;
    ingest::refresh(&mut held.connection, ledger)?;
    ingest::refresh(&mut expected.connection, ledger)?;
    for sql in CONTENT {
        if content(&held.connection, sql)? != content(&expected.connection, sql)? {
            return Ok(Some("it does not hold what the ledger does".to_owned()));
        }
    }
    Ok(None)
}

fn content(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
