use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_host::durable;
use grit_types::{JobId, RunId};
use tokio::io::AsyncWriteExt;

use super::blocking;
use super::job::{Job, TooManyMasks};
use crate::text::command::{Filter, Piece};
use crate::text::mask::Stream;

/// What one step may log; the rest is read and thrown away.
pub const LOG_MAX_BYTES: u64 = 64 * 1024 * 1024;

const TOO_LONG: &str = "The log is cut here: a step may log 64 MiB.";
const TOO_MANY_MASKS: &str =
    "The log is cut here: the job asks for more masks than can be kept, 1000.";

/// The log of one step: what its processes say and what we have to say, masked.
pub(super) struct Log {
    job: Arc<Job>,
    file: tokio::fs::File,
    written: u64,
    is_cut: bool,
    is_at_line_start: bool,
    filter: Filter,
    stream: Stream,
    /// What was said through `::set-output`.
    pub outputs: BTreeMap<String, String>,
}

impl Log {
    /// Begins anew, whatever was there.
    pub async fn create(job: Arc<Job>, path: PathBuf) -> io::Result<Self> {
        Self::open(job, path, true).await
    }

    /// Goes on with what is there.
    pub async fn append(job: Arc<Job>, path: PathBuf) -> io::Result<Self> {
        Self::open(job, path, false).await
    }

    async fn open(job: Arc<Job>, path: PathBuf, anew: bool) -> io::Result<Self> {
        let (file, written) = blocking(move || {
            path.parent().map_or(Ok(()), durable::create_dir_all)?;
            let mut options = File::options();
            let file = if anew {
                options.write(true).truncate(true).create(true).open(&path)?
            } else {
                options.append(true).create(true).open(&path)?
            };
            let written = file.metadata()?.len();
            io::Result::Ok((file, written))
        })
        .await?;
        Ok(Self {
            job,
            file: file.into(),
            written,
            is_cut: false,
            is_at_line_start: written == 0,
            filter: Filter::default(),
            stream: Stream::default(),
            outputs: BTreeMap::new(),
        })
    }

    /// What a process said, any part of it.
    pub async fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        let pieces = self.filter.push(bytes);
        self.pieces(pieces).await
    }

    /// The processes say nothing more.
    pub async fn output_ends(&mut self) -> io::Result<()> {
        let pieces = self.filter.finish();
        self.pieces(pieces).await?;
        let mut masked = Vec::new();
        self.stream.finish(&self.job.masks(), &mut masked);
        self.write(&masked).await
    }

    /// What we have to say, on a line of its own.
    pub async fn line(&mut self, text: &str) -> io::Result<()> {
        let begin = if self.is_at_line_start { "" } else { "\n" };
        let line = self.job.masks().apply(format!("{begin}{text}\n").as_bytes());
        self.write(&line).await
    }

    pub async fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data().await
    }

    async fn pieces(&mut self, pieces: Vec<Piece>) -> io::Result<()> {
        let mut masked = Vec::new();
        let mut overflow = false;
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.stream.push(&self.job.masks(), &text, &mut masked),
                Piece::AddMask(value) => match self.job.add_mask(value) {
                    Ok(()) => {}
                    Err(TooManyMasks) => {
                        overflow = true;
                        break;
                    }
                },
                Piece::SetOutput { name, value } => {
                    self.outputs.insert(name, value);
                }
            }
        }
        self.write(&masked).await?;
        if overflow {
            self.cut(TOO_MANY_MASKS).await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_cut || bytes.is_empty() {
            return Ok(());
        }
        let room = usize::try_from(LOG_MAX_BYTES.saturating_sub(self.written)).unwrap_or(0);
        let kept = &bytes[..bytes.len().min(room)];
        self.append_bytes(kept).await?;
        if kept.len() < bytes.len() {
            self.cut(TOO_LONG).await?;
        }
        Ok(())
    }

    async fn cut(&mut self, notice: &str) -> io::Result<()> {
        if !self.is_cut {
            self.is_cut = true;
            let begin = if self.is_at_line_start { "" } else { "\n" };
            self.append_bytes(format!("{begin}{notice}\n").as_bytes()).await?;
        }
        Ok(())
    }

    async fn append_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        self.written += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.is_at_line_start = *last == b'\n';
        }
        Ok(())
    }
}

pub(super) fn path(logs: &Path, run: RunId, job: JobId, index: u32) -> PathBuf {
    logs.join(run.to_string()).join(job.to_string()).join(format!("{index}.log"))
}

pub(super) fn read(path: &Path, offset: u64, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
