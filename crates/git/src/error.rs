use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grit_types::CommitId;

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why git, or a repository, could not do it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Nothing that needs the command works until it is installed.
    #[error("the `git` command is not installed")]
    Missing(#[source] io::Error),
    #[error("`git {command}` failed: {stderr}")]
    Failed {
        command: &'static str,
        /// The exit code; none when a signal ended it.
        code: Option<i32>,
        stderr: String,
    },
    #[error("`git {command}` did not end within {} s", limit.as_secs())]
    TimedOut { command: &'static str, limit: Duration },
    #[error("`git {command}` wrote more than {limit} bytes")]
    TooMuchOutput { command: &'static str, limit: usize },
    #[error("`{}` is not in a git repository", path.display())]
    NotARepository {
        path: PathBuf,
        #[source]
        source: Cause,
    },
    #[error("`{}` already exists", path.display())]
    Exists { path: PathBuf },
    /// `git refs migrate --ref-format=files` makes such a repository usable.
    #[error("`{}` keeps its refs in a format other than `files`", path.display())]
    RefFormat { path: PathBuf },
    /// Nothing of Grit works there yet: its ids are SHA-1.
    #[error("`{}` names its objects by SHA-256, and Grit reads SHA-1 repositories only", path.display())]
    ObjectFormat { path: PathBuf },
    #[error("there is no object {id}")]
    NoObject { id: String },
    #[error("{what} has {bytes} bytes, more than {limit}")]
    TooLarge { what: String, bytes: u64, limit: u64 },
    #[error("`{text}` may be {} or {} others", first.short(), others)]
    Ambiguous { text: String, first: CommitId, others: usize },
    #[error("the tree holds {0}, which is not written")]
    UnsafeTree(String),
    /// Another process is at work, or one died and left this behind.
    #[error("`{}` is locked", path.display())]
    Locked { path: PathBuf },
    #[error("ref `{name}` moved meanwhile")]
    Moved { name: String },
    /// Stops all further writing: what the system holds of it is unknown.
    #[error("`{}` could not be synced to disk", path.display())]
    Unsynced { path: PathBuf, source: io::Error },
    #[error("{action}")]
    Read {
        action: String,
        #[source]
        source: Cause,
    },
    #[error("{action}")]
    Io { action: String, source: io::Error },
}

/// Says what was being done when a system call failed.
pub(crate) trait Doing<T> {
    /// `verb` is `create`, `write`, …; the path completes it.
    fn doing(self, verb: &str, path: &Path) -> Result<T, GitError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T, GitError> {
        self.map_err(|source| GitError::Io {
            action: format!("{verb} `{}`", path.display()),
            source,
        })
    }
}

/// Says what was being read when gix failed.
pub(crate) trait Reading<T> {
    fn reading(self, what: impl FnOnce() -> String) -> Result<T, GitError>;
}

impl<T, E: Into<Cause>> Reading<T> for Result<T, E> {
    fn reading(self, what: impl FnOnce() -> String) -> Result<T, GitError> {
        self.map_err(|source| GitError::Read {
            action: format!("read {}", what()),
            source: source.into(),
        })
    }
}
