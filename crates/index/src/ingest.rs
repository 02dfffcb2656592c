//! Taking in what is new in the ledger.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

use grit_issues::{Event, Record, SavedQueries, Subject};
use grit_ledger::{Changes, Cut, Entry, Ledger};
use grit_types::{Digest, IssueId};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::file::shorten_log;
use crate::{IndexError, row};

pub(crate) type Done = Result<(), IndexError>;

/// Where each lane was read to: its tip, and what stands for the entries that could not be read.
type Cursor = BTreeMap<String, (String, String)>;

/// Brings the tables up to the ledger; answers whether anything was new.
///
/// The ledger is read before anything is locked, and again only if another process was quicker.
pub(crate) fn refresh(
    connection: &mut Connection,
    ledger: &dyn Ledger,
) -> Result<bool, IndexError> {
    let known = cursor(connection)?;
    let changes = ledger.since(&cut(&known))?;
    if known == reached(&changes) {
        return Ok(false);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now_known = cursor(&transaction)?;
    let changes = if now_known == known { changes } else { ledger.since(&cut(&now_known))? };
    if is_rewound(&now_known, &changes) {
        clear(&transaction)?;
        take(&transaction, &ledger.since(&Cut::new())?)?;
    } else {
        take(&transaction, &changes)?;
    }
    transaction.commit()?;
    shorten_log(connection);
    Ok(true)
}

fn cursor(connection: &Connection) -> rusqlite::Result<Cursor> {
    let mut statement = connection.prepare_cached("SELECT lane, tip, doubt FROM cursor")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

/// Of a lane with entries that could not be read all is asked for every time: they may be readable
/// by now, because what was missing came.
fn cut(known: &Cursor) -> Cut {
    let certain = known.iter().filter(|(_, (_, doubt))| doubt.is_empty());
    certain.map(|(lane, (tip, _))| (lane.clone(), tip.clone())).collect()
}

fn reached(changes: &Changes) -> Cursor {
    let mut doubts: BTreeMap<&str, String> = BTreeMap::new();
    for bad in &changes.quarantined {
        let doubt = doubts.entry(&bad.lane).or_default();
        doubt.push_str(&format!("{} {}\n", bad.at, bad.reason));
    }
    let heads = changes.heads.iter().map(|head| {
        let doubt = doubts.get(head.lane.as_str()).map(|doubt| Digest::of(doubt.as_bytes()).hex());
        (head.lane.clone(), (head.tip.clone(), doubt.unwrap_or_default()))
    });
    heads.collect()
}

/// Whether something that was taken in may be gone from the ledger: then all is taken in anew.
fn is_rewound(known: &Cursor, changes: &Changes) -> bool {
    let reached = reached(changes);
    let is_other = |(lane, (tip, doubt)): (&String, &(String, String))| match reached.get(lane) {
        None => true,
        Some((now, now_doubt)) => !doubt.is_empty() && (now, now_doubt) != (tip, doubt),
    };
    !changes.restarted.is_empty() || known.iter().any(is_other)
}

fn clear(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM meta WHERE name = 'queries'; DELETE FROM cursor; DELETE FROM reading; \
         DELETE FROM record; DELETE FROM event; DELETE FROM issue; DELETE FROM view; \
         DELETE FROM tag; DELETE FROM dependency; INSERT INTO text (text) VALUES ('delete-all');",
    )
}

fn take(connection: &Connection, changes: &Changes) -> Done {
    let mut batch = Batch::new(connection)?;
    for entry in &changes.entries {
        batch.take(entry)?;
    }
    batch.finish()?;
    connection.execute("DELETE FROM cursor", [])?;
    let mut insert = connection.prepare_cached("INSERT INTO cursor VALUES (?1, ?2, ?3)")?;
    for (lane, (tip, doubt)) in reached(changes) {
        insert.execute(params![lane, tip, doubt])?;
    }
    Ok(())
}

/// What changes in one transaction.
struct Batch<'a> {
    connection: &'a Connection,
    next: i64,
    touched: BTreeMap<IssueId, Touched>,
    queries: Option<SavedQueries>,
}

struct Touched {
    n: i64,
    record: Record,
    changed: bool,
}

impl<'a> Batch<'a> {
    fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT coalesce(max(n), 0) + 1 FROM record";
        let next = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(Self { connection, next, touched: BTreeMap::new(), queries: None })
    }

    fn take(&mut self, entry: &Entry) -> Done {
        let Entry { id, event, at, .. } = entry;
        let mut hear =
            self.connection.prepare_cached("INSERT OR IGNORE INTO reading VALUES (?1, ?2)")?;
        hear.execute(params![event.hlc.millis, event.hlc.count])?;
        // Those that cannot be read are of a newer Grit, which makes the index anew.
        let Ok(Some(payload)) = Event::read(event) else { return Ok(()) };
        let issue = match payload.subject() {
            Subject::New => id.clone(),
            Subject::Issue(issue) => issue.clone(),
            Subject::Query(_) => {
                self.queries()?.apply(id, event, payload);
                return Ok(());
            }
        };
        let touched = self.record(issue)?;
        touched.changed |= touched.record.apply(id, event, payload);
        let n = touched.n;
        let mut keep = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO event VALUES (?1, ?2, ?3, ?4)")?;
        keep.execute(params![n, id.as_str(), event.encode(), at])?;
        Ok(())
    }

    fn queries(&mut self) -> Result<&mut SavedQueries, IndexError> {
        let known = match self.queries.take() {
            Some(known) => known,
            None => saved(self.connection)?,
        };
        Ok(self.queries.insert(known))
    }

    fn record(&mut self, id: IssueId) -> Result<&mut Touched, IndexError> {
        Ok(match self.touched.entry(id) {
            Place::Occupied(known) => known.into_mut(),
            Place::Vacant(place) => {
                let touched = load(self.connection, place.key(), self.next)?;
                self.next += i64::from(touched.n == self.next);
                place.insert(touched)
            }
        })
    }

    fn finish(self) -> Done {
        let sql = "INSERT INTO record VALUES (?1, ?2, ?3) \
                   ON CONFLICT (n) DO UPDATE SET json = excluded.json";
        for (id, touched) in self.touched.iter().filter(|(_, touched)| touched.changed) {
            let Touched { n, record, .. } = touched;
            let json = serde_json::to_string(record)?;
            self.connection.prepare_cached(sql)?.execute(params![n, id.as_str(), json])?;
            if let Some(issue) = record.issue() {
                row::write(self.connection, *n, &issue)?;
            }
        }
        if let Some(queries) = &self.queries {
            let json = serde_json::to_string(queries)?;
            let sql = "INSERT OR REPLACE INTO meta VALUES ('queries', ?1)";
            self.connection.execute(sql, [json])?;
        }
        Ok(())
    }
}

/// What is known of an issue; of one that is new nothing, under the number `next`.
fn load(connection: &Connection, id: &IssueId, next: i64) -> Result<Touched, IndexError> {
    let mut select = connection.prepare_cached("SELECT n, json FROM record WHERE id = ?1")?;
    let found: Option<(i64, String)> =
        select.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((n, json)) = found else {
        return Ok(Touched { n: next, record: Record::new(id.clone()), changed: true });
    };
    Ok(Touched { n, record: serde_json::from_str(&json)?, changed: false })
}

/// The saved queries.
pub(crate) fn saved(connection: &Connection) -> Result<SavedQueries, IndexError> {
    let sql = "SELECT value FROM meta WHERE name = 'queries'";
    let json: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(json.map_or(Ok(SavedQueries::default()), |json| serde_json::from_str(&json))?)
}
