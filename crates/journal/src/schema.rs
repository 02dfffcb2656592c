use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::OpenError;

/// One step per schema version, never edited once released; kept in `user_version`.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql")];

/// Marks the file as a journal: "GRIT".
const APPLICATION_ID: i32 = 0x4752_4954;

/// Brings the file to this program's schema, in one transaction.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    migrate_by(MIGRATIONS, connection, path)
}

fn migrate_by(
    migrations: &[&str],
    connection: &mut Connection,
    path: &Path,
) -> Result<(), OpenError> {
    let failed = || OpenError::sqlite("migrate", path);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(OpenError::sqlite("read", path))?;
    let found = version(&transaction, path)?;
    let supported = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > supported {
        return Err(OpenError::Newer { path: path.to_owned(), found, supported });
    }
    for step in migrations.iter().skip(found as usize) {
        transaction.execute_batch(step).map_err(failed())?;
    }
    if found < supported {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed())?;
        transaction.pragma_update(None, "user_version", supported).map_err(failed())?;
    }
    transaction.commit().map_err(failed())
}

/// 0 for a new file.
fn version(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let read = || OpenError::sqlite("read", path);
    let number =
        |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0)).map_err(read());
    let (application, version): (i64, i64) = (number("application_id")?, number("user_version")?);
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(read())?;
    let is_new = application == 0 && version == 0 && objects == 0;
    if !is_new && application != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [&str; 2] = [
        "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (7);",
        "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;",
    ];

    fn sum(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT sum(x + y) FROM a", [], |row| row.get(0))
    }

    #[test]
    fn an_older_schema_is_brought_forward() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("journal.db");
        migrate_by(&TWO[..1], &mut connection, path).unwrap();
        migrate_by(&TWO, &mut connection, path).unwrap();
        migrate_by(&TWO, &mut connection, path).unwrap();
        assert_eq!(sum(&connection).unwrap(), 15);
        let older = migrate_by(&TWO[..1], &mut connection, path);
        assert!(matches!(older, Err(OpenError::Newer { found: 2, supported: 1, .. })), "{older:?}");
    }

    #[test]
    fn a_step_that_fails_leaves_the_older_schema() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("journal.db");
        migrate_by(&TWO[..1], &mut connection, path).unwrap();
        let broken = [TWO[0], "ALTER TABLE a ADD COLUMN z INTEGER; nonsense"];
        assert!(migrate_by(&broken, &mut connection, path).is_err());
        migrate_by(&TWO, &mut connection, path).unwrap();
        assert_eq!(sum(&connection).unwrap(), 15);
    }
}
