use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grit_pipeline::Annotation;
use grit_types::{JobId, RunId};
use tokio::io::AsyncWriteExt;

use super::blocking;
use super::job::{Job, TooManyMasks};
use super::said::{self, Kind, Said};
use crate::text::command::{Allowed, Filter, Piece};
use crate::text::mask::Stream;
use crate::text::matcher::Matching;

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
    limit: u64,
    is_cut: bool,
    is_at_line_start: bool,
    filter: Filter,
    stream: Stream,
    said: Said,
    matching: Matching,
}

impl Log {
    /// Begins anew, whatever was there.
    pub fn create(job: Arc<Job>, path: &Path) -> io::Result<Self> {
        Self::open(job, path, true)
    }

    /// Goes on with what is there.
    pub fn append(job: Arc<Job>, path: &Path) -> io::Result<Self> {
        Self::open(job, path, false)
    }

    fn open(job: Arc<Job>, path: &Path, anew: bool) -> io::Result<Self> {
        path.parent().map_or(Ok(()), |folder| job.folder.create_dir_all(folder))?;
        let mut options = File::options();
        let file = if anew {
            options.write(true).truncate(true).create(true).open(path)?
        } else {
            options.read(true).append(true).create(true).open(path)?
        };
        let written = file.metadata()?.len();
        let is_at_line_start = match written.checked_sub(1) {
            None => true,
            Some(last) => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, last)?;
                byte == *b"\n"
            }
        };
        Ok(Self {
            job,
            file: file.into(),
            written,
            limit: LOG_MAX_BYTES,
            is_cut: false,
            is_at_line_start,
            filter: Filter::default(),
            stream: Stream::default(),
            said: Said::default(),
            matching: Matching::default(),
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
        self.write(&masked).await?;
        let last = self.matching.finish();
        self.found(last);
        self.file.flush().await
    }

    /// What we have to say, on a line of its own; also where the log is cut, since it is little.
    pub async fn line(&mut self, text: &str) -> io::Result<()> {
        let begin = if self.is_at_line_start { "" } else { "\n" };
        let line = self.job.masks().apply(format!("{begin}{text}\n").as_bytes());
        self.append_bytes(&line).await
    }

    /// From now on these commands are honoured too, and what the job's matchers match is found.
    pub fn allow(&mut self, allowed: Allowed) {
        self.filter = Filter::new(allowed);
        self.matching.set(self.job.matchers());
    }

    pub fn take_said(&mut self) -> Said {
        std::mem::take(&mut self.said)
    }

    /// What is said so far is there for everybody, and outlasts a power cut if anything of the job
    /// does.
    pub async fn sync(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        if self.job.folder.is_passing() { Ok(()) } else { self.file.sync_data().await }
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
                Piece::SetOutput { name, value } => self.said.set(Kind::Output, name, value),
                Piece::SaveState { name, value } => self.said.set(Kind::State, name, value),
                Piece::SetEnv { name, value } => self.said.set(Kind::Env, name, value),
                Piece::AddPath(folder) => self.said.add_path(folder),
                Piece::Disabled(command) => self.said.disabled(command),
                Piece::Annotate(annotation) => self.annotate(*annotation),
                Piece::AddMatcher(file) => {
                    self.write(&std::mem::take(&mut masked)).await?;
                    self.add_matchers(file).await?;
                }
                Piece::RemoveMatcher(owner) => {
                    self.write(&std::mem::take(&mut masked)).await?;
                    self.job.remove_matcher(&owner);
                    self.matching.set(self.job.matchers());
                }
            }
        }
        self.write(&masked).await?;
        if overflow {
            self.cut(TOO_MANY_MASKS).await?;
        }
        Ok(())
    }

    /// What a command says of a place.
    fn annotate(&mut self, mut annotation: Annotation) {
        let workspace = self.job.folder.workspace();
        let file = annotation.file.take();
        annotation.file = file.and_then(|file| said::file_of(&workspace, &file, None, false));
        self.said.annotate(annotation, &self.job.masks());
    }

    /// What matchers found in lines that are masked already.
    fn found(&mut self, found: impl IntoIterator<Item = (Annotation, Option<String>)>) {
        let workspace = self.job.folder.workspace();
        for (mut annotation, from) in found {
            // Looking for files of what is only counted would be in vain.
            if self.said.annotations.has_room(annotation.level) {
                let file = annotation.file.take();
                annotation.file =
                    file.and_then(|file| said::file_of(&workspace, &file, from.as_deref(), true));
            }
            self.said.annotate(annotation, &self.job.masks());
        }
    }

    async fn add_matchers(&mut self, file: String) -> io::Result<()> {
        let workspace = self.job.folder.workspace();
        let read = blocking(move || said::matchers(&workspace, &file)).await;
        match read.and_then(|matchers| self.job.add_matchers(matchers)) {
            Ok(()) => {
                self.matching.set(self.job.matchers());
                Ok(())
            }
            Err(why) => self.line(&format!("Problem matchers are not used: {why}")).await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let found = self.matching.push(bytes);
        self.found(found);
        if self.is_cut || bytes.is_empty() {
            return Ok(());
        }
        let room = usize::try_from(self.limit.saturating_sub(self.written)).unwrap_or(0);
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
            self.line(notice).await?;
        }
        Ok(())
    }

    /// Written while the next are read; [`Log::sync`] waits for it.
    async fn append_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
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

/// What a step wrote as its summary, masked, for as long as the log is kept.
pub(super) fn summary_path(logs: &Path, run: RunId, job: JobId, index: u32) -> PathBuf {
    path(logs, run, job, index).with_extension("summary.md")
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

#[cfg(test)]
mod tests {
    use grit_pipeline::JobSpec;
    use grit_types::{CommitId, Tenant, Timestamp};

    use super::super::folder::Folder;
    use super::*;

    fn log(folder: &Path) -> Log {
        let now = Timestamp::from_millis(0);
        let job = JobSpec {
            job: JobId::derived(now, b"job"),
            run: RunId::derived(now, b"run"),
            tenant: Tenant::local(),
            repo: "shop".parse().unwrap(),
            commit: CommitId::try_from("1".repeat(40)).unwrap(),
            ref_name: None,
            permissions: Default::default(),
            environment: None,
            from_outside: false,
            seal: String::new(),
            event: String::new(),
            scope: grit_pipeline::keep::JobScope::default(),
            containers: Default::default(),
        };
        let work = Folder::new(folder, job.run, job.job);
        work.prepare(&job).unwrap();
        let job = Job::load(work).unwrap().unwrap();
        job.hide(&[("TOKEN".to_owned(), "s3cret".to_owned())].into());
        Log::create(Arc::new(job), &folder.join("0.log")).unwrap()
    }

    async fn text(log: &mut Log, folder: &Path) -> String {
        log.sync().await.unwrap();
        std::fs::read_to_string(folder.join("0.log")).unwrap()
    }

    #[tokio::test]
    async fn is_cut_at_its_limit_but_for_our_own_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path());
        log.limit = 8;
        for chunk in ["12345", "67890", "abc"] {
            log.output(chunk.as_bytes()).await.unwrap();
        }
        log.output_ends().await.unwrap();
        log.line("ours").await.unwrap();
        assert_eq!(text(&mut log, folder.path()).await, format!("12345678\n{TOO_LONG}\nours\n"));
    }

    #[tokio::test]
    async fn masks_across_chunks_and_from_the_command_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path());
        for chunk in ["a s3", "cret hush\n::add-m", "ask::hush\nhu", "sh\n::set-output name=x::1"] {
            log.output(chunk.as_bytes()).await.unwrap();
        }
        log.output_ends().await.unwrap();
        log.line("s3cret hush").await.unwrap();
        assert_eq!(text(&mut log, folder.path()).await, "a *** hush\n***\n*** ***\n");
        assert_eq!(log.take_said().outputs, [("x".to_owned(), "1".to_owned())].into());
    }

    #[tokio::test]
    async fn annotations_are_masked_before_they_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path());
        log.allow(Allowed::default());
        let matcher = r#"{"problemMatcher": [{"owner": "o", "pattern": [
            {"regexp": "^bad: (.*)$", "message": 1}]}]}"#;
        std::fs::create_dir_all(log.job.folder.workspace()).unwrap();
        std::fs::write(log.job.folder.workspace().join("m.json"), matcher).unwrap();
        let said = "::error file=s3cret.rs,title=a s3cret::the s3cret is s3cret\n\
                    bad: not yet\n::add-matcher::m.json\nbad: s3c";
        for chunk in [said, "ret\n::remove-matcher owner=o::\nbad: no more\n"] {
            log.output(chunk.as_bytes()).await.unwrap();
        }
        log.output_ends().await.unwrap();
        let said = log.take_said();
        let texts: Vec<String> = said
            .annotations
            .kept
            .iter()
            .map(|annotation| {
                format!("{:?} {:?} {}", annotation.file, annotation.title, annotation.message)
            })
            .collect();
        assert_eq!(texts, ["Some(\"***.rs\") Some(\"a ***\") the *** is ***", "None None ***",]);
        assert!(!text(&mut log, folder.path()).await.contains("s3cret"));
    }

    #[tokio::test]
    async fn more_masks_than_can_be_kept_end_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path());
        for mask in 0..=1000 {
            log.output(format!("::add-mask::mask-{mask}\n").as_bytes()).await.unwrap();
        }
        log.output(b"mask-1000\n").await.unwrap();
        assert_eq!(text(&mut log, folder.path()).await, format!("{TOO_MANY_MASKS}\n"));
    }
}
