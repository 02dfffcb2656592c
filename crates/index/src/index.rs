use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_issues::{Dependencies, Issue, LookupError, Query, Record, SavedQueries};
use grit_ledger::{Event, Hlc, Ledger};
use grit_types::{EventId, IssueId, Timestamp};
use rusqlite::Connection;

use crate::file::Held;
use crate::row::{LISTED, Listed};
use crate::{IndexError, find, ingest, row};

/// The issues of a ledger as it was at the last [`Index::refresh`].
///
/// What goes wrong with the file is mended or got around, and told with `tracing`; errors are those
/// of the ledger, and of a machine that cannot even keep the tables in memory. Blocks.
pub struct Index {
    path: PathBuf,
    ledger: Arc<dyn Ledger>,
    state: RefCell<State>,
}

struct State {
    held: Held,
    /// The file was replaced once; one that is damaged again is left alone.
    mended: bool,
}

impl Index {
    /// Opens the index in the file `path`, brought up to `ledger`.
    pub fn open(path: &Path, ledger: Arc<dyn Ledger>) -> Result<Self, IndexError> {
        let (held, problem) = match Held::open(path) {
            Ok(held) => (held, None),
            Err(problem) => (Held::in_memory()?, Some(problem)),
        };
        let state = RefCell::new(State { held, mended: false });
        let index = Self { path: path.to_owned(), ledger, state };
        if let Some(problem) = problem {
            index.get_around(&problem)?;
        }
        index.refresh()?;
        Ok(index)
    }

    /// Takes in what is new in the ledger, however it came there.
    pub fn refresh(&self) -> Result<(), IndexError> {
        self.run(|connection| ingest::refresh(connection, &*self.ledger)).map(drop)
    }

    /// Whether the file is used, and not tables in memory.
    pub fn is_on_disk(&self) -> bool {
        self.state.borrow().held.is_on_disk()
    }

    /// Those that a query asks for, in its order, at most `limit`.
    pub fn list(
        &self,
        query: &Query,
        now: Timestamp,
        limit: Option<usize>,
    ) -> Result<Vec<Listed>, IndexError> {
        self.run(|connection| {
            let mut found = Vec::new();
            find::select(connection, (query, now, limit), LISTED, |row| {
                found.push(row::listed(row)?);
                Ok(())
            })?;
            Ok(found)
        })
    }

    /// The same, their ids alone.
    pub fn ids(
        &self,
        query: &Query,
        now: Timestamp,
        limit: Option<usize>,
    ) -> Result<Vec<IssueId>, IndexError> {
        self.run(|connection| {
            let mut found = Vec::new();
            find::select(connection, (query, now, limit), "issue.id", |row| {
                found.push(row::id(row, 0)?);
                Ok(())
            })?;
            Ok(found)
        })
    }

    /// The same, whole.
    pub fn issues(
        &self,
        query: &Query,
        now: Timestamp,
        limit: Option<usize>,
    ) -> Result<Vec<Issue>, IndexError> {
        self.run(|connection| {
            let mut found = Vec::new();
            find::select(connection, (query, now, limit), "view.json", |row| {
                found.push(serde_json::from_str(text(row)?)?);
                Ok(())
            })?;
            Ok(found)
        })
    }

    /// The same as one JSON array, without reading any of it.
    pub fn json(
        &self,
        query: &Query,
        now: Timestamp,
        limit: Option<usize>,
    ) -> Result<String, IndexError> {
        self.run(|connection| {
            let mut array = String::from("[");
            find::select(connection, (query, now, limit), "view.json", |row| {
                if array.len() > 1 {
                    array.push(',');
                }
                array.push_str(text(row)?);
                Ok(())
            })?;
            array.push(']');
            Ok(array)
        })
    }

    /// The issue whose id begins with `prefix`.
    pub fn find(&self, prefix: &str) -> Result<Result<IssueId, LookupError>, IndexError> {
        self.run(|connection| find::find(connection, prefix))
    }

    pub fn issue(&self, id: &IssueId) -> Result<Option<Issue>, IndexError> {
        self.run(|connection| find::issue(connection, id))
    }

    /// What decides on commands to an issue.
    pub fn record(&self, id: &IssueId) -> Result<Option<Record>, IndexError> {
        self.run(|connection| find::record(connection, id))
    }

    /// The issue that was created under an idempotency key.
    pub fn by_key(&self, key: &str) -> Result<Option<IssueId>, IndexError> {
        self.run(|connection| find::by_key(connection, key))
    }

    /// The issue of the alert with that fingerprint.
    pub fn by_fingerprint(&self, fingerprint: &str) -> Result<Option<IssueId>, IndexError> {
        self.run(|connection| find::by_fingerprint(connection, fingerprint))
    }

    /// What must be done before what, over all issues.
    pub fn dependencies(&self) -> Result<Dependencies, IndexError> {
        self.run(|connection| find::dependencies(connection))
    }

    /// The saved queries.
    pub fn queries(&self) -> Result<SavedQueries, IndexError> {
        self.run(|connection| ingest::saved(connection))
    }

    /// What happened to an issue, for [`grit_issues::history`].
    pub fn events(&self, id: &IssueId) -> Result<Vec<Event>, IndexError> {
        self.run(|connection| find::events(connection, id))
    }

    /// Where the ledger has each of them, in its own words ([`grit_ledger::Entry::at`]).
    pub fn places(&self, id: &IssueId) -> Result<Vec<(EventId, String)>, IndexError> {
        self.run(|connection| find::places(connection, id))
    }

    /// The latest reading of any clock that is not far ahead of `now`: what is appended next must
    /// be later.
    pub fn latest(&self, now: Timestamp) -> Result<Option<Hlc>, IndexError> {
        self.run(|connection| find::latest(connection, now))
    }

    /// Asks until there is an answer, or nothing left to get around.
    fn run<T>(
        &self,
        ask: impl Fn(&mut Connection) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        loop {
            let answer = ask(&mut self.state.borrow_mut().held.connection);
            match answer {
                Err(error) if self.is_on_disk() && !matches!(error, IndexError::Ledger(_)) => {
                    self.get_around(&error)?;
                }
                answer => return answer,
            }
        }
    }

    /// Has a new file in place of a damaged one, or the tables in memory.
    fn get_around(&self, problem: &IndexError) -> Result<(), IndexError> {
        let why = grit_types::chain(problem);
        let mut state = self.state.borrow_mut();
        // Lets go of the file.
        state.held = Held::in_memory()?;
        if problem.is_damage() && !std::mem::replace(&mut state.mended, true) {
            tracing::info!(path = %self.path.display(), why, "the index is made anew");
            match rebuild(&self.path, &*self.ledger) {
                Ok(held) => {
                    state.held = held;
                    return Ok(());
                }
                Err(error @ IndexError::Ledger(_)) => return Err(error),
                Err(error) => tracing::warn!(why = grit_types::chain(&error), "it cannot be"),
            }
        }
        tracing::info!(path = %self.path.display(), why, "the index is made in memory");
        ingest::refresh(&mut state.held.connection, &*self.ledger).map(drop)
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Index").field(&self.path).finish()
    }
}

/// A new file with all that the ledger holds.
pub(crate) fn rebuild(path: &Path, ledger: &dyn Ledger) -> Result<Held, IndexError> {
    let mut held = Held::replace(path)?;
    ingest::refresh(&mut held.connection, ledger)?;
    Ok(held)
}

fn text<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(0)?.as_str()?)
}
