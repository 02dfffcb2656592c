//! What can be typed after `grit issue`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use grit_issues::{Date, DependencyKind, Priority};
use grit_types::Principal;

#[derive(Debug, Args)]
pub struct Issue {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Open an issue
    Create(Box<Create>),
    /// Open and update issues from alerts, or from a test report
    Ingest(Ingest),
    /// Those with a state and labels; piped, one id per line
    List(List),
    /// Those that a query asks for: `is:open label:ci-failure updated:<7d "timeout"`
    Search {
        /// Saved ones are written `@name`
        #[arg(default_value = "", allow_hyphen_values = true)]
        query: String,
        #[arg(hide = true)]
        more: Vec<String>,
    },
    /// One issue, whole
    Show { id: String },
    /// What happened to it, with every past title
    History { id: String },
    /// Say something about it, or change what was said
    Comment(Comment),
    /// Change its title, text, milestone, priority or due day; of one, or of all that a query finds
    Update(Box<Update>),
    /// Close it
    Close {
        id: String,
        #[arg(long, default_value = "", allow_hyphen_values = true)]
        reason: String,
    },
    /// Open it again
    Reopen { id: String },
    /// Add or remove labels
    Label(Label),
    /// Add or remove people who work on it
    Assignee(Assignee),
    /// Add or remove addresses that belong to it
    Link(Link),
    /// Attach a file to it, with its bytes
    Attach(Attach),
    /// The files that are attached to it
    Attachment(Attachment),
    /// What must be done before what
    Dep(Dep),
    /// Tick an item of its checklist: a number, or a part of the text
    Check {
        id: String,
        #[arg(allow_hyphen_values = true)]
        item: String,
    },
    /// Open an item of its checklist again
    Uncheck {
        id: String,
        #[arg(allow_hyphen_values = true)]
        item: String,
    },
    /// Queries with a name, for everybody
    Query(Query),
    /// The templates that there are
    Templates,
}

#[derive(Debug, Args)]
pub struct Create {
    /// Needed unless a template has one
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub title: String,
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub body: String,
    /// Its text from a file, or from standard input with `-`
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    pub body_file: Option<PathBuf>,
    #[arg(long = "label")]
    pub labels: Vec<String>,
    #[arg(long = "assignee")]
    pub assignees: Vec<Principal>,
    #[arg(long)]
    pub milestone: Option<String>,
    /// low, medium, high or critical
    #[arg(long)]
    pub priority: Option<Priority>,
    /// A day: 2026-12-01
    #[arg(long)]
    pub due: Option<Date>,
    /// Created again under the same key, it is the same issue
    #[arg(long)]
    pub key: Option<String>,
    /// `ci-failure`, `release` …, or one of .grit/templates
    #[arg(long)]
    pub template: Option<String>,
    /// A file to attach
    #[arg(long = "attach", value_name = "FILE")]
    pub attach: Vec<PathBuf>,
    /// What stands for {{NAME}} in the template
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub values: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Ingest {
    #[arg(long, value_enum)]
    pub format: Format,
    /// Where it is; else, or with `-`, standard input
    pub file: Option<PathBuf>,
    /// Beside those that `grit.yaml` names
    #[arg(long = "label")]
    pub labels: Vec<String>,
    /// What is over closes its issue, whatever `grit.yaml` says
    #[arg(long)]
    pub close: bool,
    /// What comes back gets a new issue, whatever `grit.yaml` says
    #[arg(long)]
    pub no_reopen: bool,
    /// Take what the remote has before, and send afterwards
    #[arg(long)]
    pub sync: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// What Alertmanager sends to a webhook: an issue for each alert
    Alertmanager,
    /// What test runners write: an issue for each test that fails
    Junit,
}

#[derive(Debug, Args)]
pub struct List {
    #[arg(long, value_enum, default_value = "open")]
    pub state: StateFilter,
    /// All of these
    #[arg(long = "label")]
    pub labels: Vec<String>,
    #[arg(long)]
    pub assignee: Option<String>,
    #[arg(long)]
    pub milestone: Option<String>,
    /// At most so many
    #[arg(long)]
    pub limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StateFilter {
    Open,
    Closed,
    All,
}

#[derive(Debug, Args)]
pub struct Comment {
    pub id: String,
    #[arg(long, required_unless_present = "delete", allow_hyphen_values = true)]
    pub body: Option<String>,
    /// Instead of what that comment says
    #[arg(long, value_name = "COMMENT", conflicts_with = "delete")]
    pub edit: Option<String>,
    #[arg(long, value_name = "COMMENT", conflicts_with = "body")]
    pub delete: Option<String>,
}

#[derive(Debug, Args)]
pub struct Update {
    #[arg(required_unless_present = "query")]
    pub id: Option<String>,
    /// All issues that it finds
    #[arg(long, conflicts_with = "id", allow_hyphen_values = true)]
    pub query: Option<String>,
    #[arg(long, allow_hyphen_values = true)]
    pub title: Option<String>,
    #[arg(long, allow_hyphen_values = true)]
    pub body: Option<String>,
    #[arg(long)]
    pub milestone: Option<String>,
    /// low, medium, high or critical
    #[arg(long)]
    pub priority: Option<Priority>,
    /// A day: 2026-12-01
    #[arg(long)]
    pub due: Option<Date>,
    /// What it shall have no longer
    #[arg(long, value_enum, value_delimiter = ',')]
    pub clear: Vec<Clear>,
    #[arg(long = "add-label", value_name = "LABEL")]
    pub add_labels: Vec<String>,
    #[arg(long = "remove-label", value_name = "LABEL")]
    pub remove_labels: Vec<String>,
    #[arg(long = "assign", value_name = "USER")]
    pub assign: Vec<Principal>,
    #[arg(long)]
    pub close: bool,
    #[arg(long, conflicts_with = "close")]
    pub reopen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Clear {
    Milestone,
    Priority,
    Due,
}

#[derive(Debug, Args)]
pub struct Label {
    #[command(subcommand)]
    pub verb: LabelVerb,
}

#[derive(Debug, Subcommand)]
pub enum LabelVerb {
    Add {
        id: String,
        #[arg(long = "label", required = true)]
        labels: Vec<String>,
    },
    Remove {
        id: String,
        #[arg(long = "label", required = true)]
        labels: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct Assignee {
    #[command(subcommand)]
    pub verb: AssigneeVerb,
}

#[derive(Debug, Subcommand)]
pub enum AssigneeVerb {
    Add {
        id: String,
        #[arg(long = "user", required = true)]
        users: Vec<Principal>,
    },
    Remove {
        id: String,
        #[arg(long = "user", required = true)]
        users: Vec<Principal>,
    },
}

#[derive(Debug, Args)]
pub struct Link {
    #[command(subcommand)]
    pub verb: LinkVerb,
}

#[derive(Debug, Subcommand)]
pub enum LinkVerb {
    Add {
        id: String,
        #[arg(long)]
        url: String,
        /// What people see instead
        #[arg(long, default_value = "", allow_hyphen_values = true)]
        title: String,
    },
    Remove {
        id: String,
        #[arg(long)]
        url: String,
    },
}

#[derive(Debug, Args)]
pub struct Attach {
    pub id: String,
    /// `-`: standard input
    pub file: PathBuf,
    /// Another name than the file has
    #[arg(long)]
    pub name: Option<String>,
    /// What it is, as `image/png`; else it is guessed
    #[arg(long = "type", value_name = "MEDIA")]
    pub media_type: Option<String>,
}

#[derive(Debug, Args)]
pub struct Attachment {
    #[command(subcommand)]
    pub verb: AttachmentVerb,
}

#[derive(Debug, Subcommand)]
pub enum AttachmentVerb {
    List {
        id: String,
    },
    /// Write one to a file, after checking its bytes
    Save {
        id: String,
        /// Its name, or the beginning of its digest
        name: String,
        /// The folder to write it to
        #[arg(long, default_value = ".", value_name = "FOLDER")]
        to: PathBuf,
        /// Over a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Take one off; what is recorded keeps its bytes
    Remove {
        id: String,
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct Dep {
    #[command(subcommand)]
    pub verb: DepVerb,
}

#[derive(Debug, Subcommand)]
pub enum DepVerb {
    Add(Target),
    Remove(Target),
    /// What it needs, and what waits for it
    List {
        id: String,
    },
    /// All open issues, each after those that it needs
    Topo,
}

#[derive(Debug, Args)]
pub struct Target {
    pub id: String,
    #[arg(long)]
    pub target: String,
    /// blocks, depends-on or related
    #[arg(long = "type", default_value = "blocks")]
    pub kind: DependencyKind,
}

#[derive(Debug, Args)]
pub struct Query {
    #[command(subcommand)]
    pub verb: QueryVerb,
}

#[derive(Debug, Subcommand)]
pub enum QueryVerb {
    Save {
        name: String,
        #[arg(allow_hyphen_values = true)]
        query: String,
    },
    Remove {
        name: String,
    },
    List,
}
