//! Appends to a journal for as long as it lives: what the crash tests kill.
//!
//! `journal-writer PATH` appends to four streams at once and prints `STREAM VERSION ID` for each
//! append that was acknowledged. Each append records an event, owes an effect, acknowledges the
//! effect of the append before, and replaces the stream's row, so that a torn one shows. At an
//! error it prints `error full=BOOL TEXT`, tries once more, and ends with status 1.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use grit_journal::SqliteJournal;
use grit_ledger::{Append, AppendError, Event, Hlc, Journal, PendingEffect, Row, StreamId};
use grit_types::{Actor, EffectId, EventId, Tenant, Version};
use serde_json::json;
use tokio::task::JoinSet;

const STREAMS: usize = 4;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: journal-writer PATH")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let journal = Arc::new(SqliteJournal::open(path.as_ref())?);
        let mut writers = JoinSet::new();
        for number in 0..STREAMS {
            let stream: StreamId = format!("torture/{number}").parse()?;
            writers.spawn(write_forever(journal.clone(), stream));
        }
        while let Some(ended) = writers.join_next().await {
            ended?.map_err(|error| chain(error.as_ref()))?;
        }
        Ok(ExitCode::FAILURE)
    })
}

async fn write_forever(
    journal: Arc<SqliteJournal>,
    stream: StreamId,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let past = journal.read(&stream, Version::ZERO).await?;
    let mut version = past.last().map_or(Version::ZERO, |last| last.version);
    let mut last = past.last().map(|last| last.id.clone());
    let mut failures = 0;
    while failures < 2 {
        match journal.append(append(&stream, version, last.as_ref())?).await {
            Ok(appended) => {
                version = appended.version;
                last = appended.ids.last().cloned();
                let id = last.as_ref().map_or("", EventId::as_str);
                say(&format!("{stream} {version} {id}"))?;
            }
            Err(error) => {
                failures += 1;
                let full = matches!(&error, AppendError::Storage(storage) if storage.full);
                say(&format!("error full={full} {}", chain(&error)))?;
            }
        }
    }
    Ok(())
}

fn append(
    stream: &StreamId,
    version: Version,
    last: Option<&EventId>,
) -> Result<Append, Box<dyn Error + Send + Sync>> {
    let event = Event {
        kind: "torture.written".to_owned(),
        tenant: Tenant::local(),
        repo: "torture".parse()?,
        subject: stream.to_string(),
        actor: Actor::grit("torture"),
        hlc: Hlc { millis: i64::try_from(version.0)?, count: 0 },
        cause: None,
        data: json!({ "padding": "x".repeat(400) }),
    };
    let next = version.next().0;
    let owed = EffectId { event: event.id(), index: 0 };
    let effects = vec![PendingEffect { id: owed, stream: stream.clone(), body: json!(next) }];
    let rows = vec![Row {
        table: "torture".to_owned(),
        key: stream.to_string(),
        tenant: Tenant::local(),
        scope: String::new(),
        status: String::new(),
        order: i64::try_from(next)?,
        body: json!(next),
    }];
    let acknowledges = last.map(|id| EffectId { event: id.clone(), index: 0 });
    let (stream, expected, events) = (stream.clone(), version, vec![event]);
    Ok(Append { stream, expected, events, effects, acknowledges, rows })
}

/// A whole line at once, so that a kill leaves no line that was not meant.
fn say(line: &str) -> std::io::Result<()> {
    std::io::stdout().write_all(format!("{line}\n").as_bytes())
}

fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
