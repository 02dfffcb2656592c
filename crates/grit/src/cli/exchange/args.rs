use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct Export {
    #[arg(long, value_enum, default_value = "json")]
    pub format: Form,
    /// A file for JSON, a folder of one file per issue for Markdown; else standard output
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Leave the bytes of attachments out of JSON; Markdown never has them
    #[arg(long)]
    pub no_files: bool,
}

/// How a tracker is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// All events: what `grit import` makes the same tracker of
    Json,
    /// What people read and edit
    Markdown,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Whose form it is
    #[arg(long, value_enum)]
    pub format: Format,
    /// A file, a folder of Markdown files, or `-` for standard input
    #[arg(value_name = "FILE", conflicts_with = "from")]
    pub file: Option<PathBuf>,
    /// Of trackers that live in git: another repository than this one
    #[arg(long, value_name = "PATH")]
    pub from: Option<PathBuf>,
    /// Of which project the issues are, where they do not say it themselves
    #[arg(long, value_name = "OWNER/REPO")]
    pub project: Option<String>,
    /// Say what would be taken in, and take nothing in
    #[arg(long)]
    pub dry_run: bool,
}

/// Whose form a document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `grit export`
    Grit,
    /// `gh issue list --json …`, or the REST API
    Github,
    /// The REST API
    Gitlab,
    /// The REST API, of Forgejo too
    Gitea,
    /// refs/bugs and refs/identities
    GitBug,
    /// refs/issues
    GitNativeIssue,
    /// refs/grite/wal
    Grite,
    /// `grit export --format markdown`, or files like it
    Markdown,
}

impl Format {
    /// Whether it is read from a repository's refs.
    pub fn is_in_git(self) -> bool {
        matches!(self, Self::GitBug | Self::GitNativeIssue | Self::Grite)
    }

    /// What its events say acted for whoever imports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grit => "grit",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
            Self::GitBug => "git-bug",
            Self::GitNativeIssue => "git-native-issue",
            Self::Grite => "grite",
            Self::Markdown => "markdown",
        }
    }
}
