//! How another terminal of the same clone answers for a job of `grit run` that waits.
//!
//! A run with jobs that may wait for people listens on a socket that only its own user reaches; where
//! that is, a file in the git folder says, under the run's name. `grit approve` looks there before it
//! asks a server.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grit_pipeline::run::Request;
use grit_types::{Principal, RunId, chain};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::cli::place::Place;
use crate::exit::{Exit, Failure};

/// How long one side waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);
/// No question and no answer is longer.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// What somebody wants of a run that waits.
#[derive(Debug, Serialize, Deserialize)]
pub struct Question {
    /// By its key or its name; none: all that wait.
    pub job: Option<String>,
    pub approved: bool,
    pub comment: String,
    pub actor: Principal,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The names of jobs that it counted for.
    pub jobs: Vec<String>,
    pub refused: Option<Refused>,
}

/// Why it counted for no more.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// It is not the time for it; else rights do not allow it.
    pub not_now: bool,
    pub message: String,
}

/// Where a run is asked; closed when it is dropped.
pub struct Door {
    listener: UnixListener,
    record: PathBuf,
}

/// Somebody who waits for an answer.
pub struct Visitor(tokio::net::UnixStream);

impl Door {
    /// That of a run whose jobs may wait for people; others have none.
    pub fn of(request: &Request, place: &Place, folder: &Path) -> Result<Option<Self>, Failure> {
        let environments = request.setting.environments.values();
        let mut asked = environments.filter(|spec| spec.protection.approvals > 0);
        asked.next().map(|_| Self::open(place, folder, request.run)).transpose()
    }

    /// Opens it, in a folder that nobody else reaches.
    fn open(place: &Place, folder: &Path, run: RunId) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::because("nobody can answer the run", &error);
        let record = record(place, run)?;
        let socket = folder.join(format!("{run}.sock"));
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let parent = record.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(failed)?;
        let mut text = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
        text.write_all(socket.to_string_lossy().as_bytes()).map_err(failed)?;
        text.persist(&record).map_err(|error| failed(error.error))?;
        Ok(Self { listener, record })
    }

    /// Waits for the next that asks.
    pub async fn next(&self) -> Visitor {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return Visitor(stream),
                // As when there are too many open files: one that comes later is heard.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.record);
    }
}

impl Visitor {
    /// What is wanted; nothing that can be understood is none.
    pub async fn question(&mut self) -> Option<Question> {
        let mut line = String::new();
        let mut reader = tokio::io::BufReader::new((&mut self.0).take(LINE_BYTES_MAX));
        let read = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await;
        read.ok()?.ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Says what came of it.
    pub async fn answer(&mut self, answer: &Answer) {
        let Ok(mut line) = serde_json::to_vec(answer) else { return };
        line.push(b'\n');
        // Whoever asked may have gone.
        let _ = tokio::time::timeout(PATIENCE, self.0.write_all(&line)).await;
    }
}

/// Asks a run of this clone; `None`: it has none of that name that could be asked.
pub fn ask(place: &Place, run: RunId, question: &Question) -> Result<Option<Answer>, Failure> {
    let Ok(record) = record(place, run) else { return Ok(None) };
    let Ok(socket) = std::fs::read_to_string(&record) else { return Ok(None) };
    let Ok(stream) = UnixStream::connect(socket) else {
        // Of a run that was killed.
        let _ = std::fs::remove_file(&record);
        let message = format!("{run} does not run any more");
        return Err(Failure::new(Exit::Conflict, "not_now", message));
    };
    let failed = |error: std::io::Error| {
        let message = format!("{run} does not answer: {}", chain(&error));
        Failure::new(Exit::Conflict, "not_now", message)
    };
    exchange(stream, question).map(Some).map_err(failed)
}

fn exchange(mut stream: UnixStream, question: &Question) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(std::io::Read::take(stream, LINE_BYTES_MAX)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Where a run of this clone says how it is reached.
fn record(place: &Place, run: RunId) -> Result<PathBuf, Failure> {
    Ok(place.repository()?.common_dir().join("grit").join("runs").join(run.to_string()))
}
