//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use grit_types::{Environment, Principal, Repo, RunId, Service, parse_duration};

#[derive(Debug, Parser)]
#[command(name = "grit", version, about = "From push to production, and every step remembered")]
pub struct Args {
    /// One JSON document on stdout, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// Nothing on stderr but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// The control process, as http://HOST:PORT; else that of this repository
    #[arg(long, global = true, env = "GRIT_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Where a control process keeps everything; else below the repository's git folder
    #[arg(long, global = true, env = "GRIT_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// See it all happen, on this machine, in under a minute
    Demo(Demo),
    /// Write a commented grit.yaml for this repository
    Init(Init),
    /// Run here what a push of the current branch would, or what is asked for
    Run(Box<super::run::args::Run>),
    /// The workflows as they are written: what is wrong, what starts what
    Pipeline(super::pipeline::args::Pipeline),
    /// Start the control process and the edge for this repository; a push deploys
    Up(Up),
    /// Run a control process on a data folder; the edge and the instances outlive it
    Serve(Up),
    /// Run the edge of a data folder
    Edge(Edge),
    /// Deploy a version of a service to an environment
    Deploy(Deploy),
    /// What runs where, and what is in progress
    Status(Status),
    /// What was deployed, from the repository itself
    History(History),
    /// How pipelines do over time
    Metrics(super::metrics::Metrics),
    /// Results of tests: reports, flaky tests, quarantine
    Test(super::measure::args::Test),
    /// Coverage of tests, and what it must come to
    Coverage(super::measure::args::Coverage),
    /// Results of benchmarks
    Bench(super::measure::args::Bench),
    /// Steer a rollout in progress
    Rollout(Rollout),
    /// Approve what waits for it
    Approve(Approve),
    /// Go back to an earlier revision
    Rollback(Rollback),
    /// Issues, kept in the repository
    Issue(super::issue::args::Issue),
    /// What labels mean, for everybody
    Label(super::agree::LabelArgs),
    /// Keys that events are signed with
    Key(super::agree::KeyArgs),
    /// What the team agreed on for this repository
    Policy(super::agree::PolicyArgs),
    /// The issues as cards in columns
    Board(super::board::args::Board),
    /// The tracker as one document, the same in every clone
    Export(super::exchange::args::Export),
    /// Take in the issues of another tracker, or of an export
    Import(super::exchange::args::Import),
    /// Locks that hold between all clones
    Lock(super::lock::args::Lock),
    /// Exchange what the repository records with its remote
    Sync(Sync),
    /// What the repository records, newest first
    Log(Log),
    /// Check that what is recorded is whole
    Verify,
    /// Fold lanes that nobody appends to any more into one checkpoint
    Compact(Compact),
    /// What is wrong with this clone, and what to do about it
    Doctor(Doctor),
    /// What a service's instances print
    Logs(Logs),
    /// Artifacts that jobs make
    Artifact(Artifact),
    /// Secrets of pipelines, sealed by the server
    Secret(super::setting::Secret),
    /// Variables of pipelines
    Variable(super::setting::Variable),
    /// Tokens of people
    Token(Token),
    /// What a code in a message means
    Explain(Explain),
    /// The JSON Schema of grit.yaml
    Schema,
    /// Called by git
    #[command(hide = true)]
    Hook(Hook),
    /// Ends a group of processes at a deadline that comes on standard input
    #[command(name = "__deadline", hide = true)]
    Deadline,
    /// Parses what follows, and does nothing
    #[command(name = "__parse", hide = true)]
    Parse(Parse),
}

#[derive(Clone, Debug, ClapArgs)]
pub struct Demo {
    /// What is wrong with the third release
    #[arg(long = "break", value_enum, default_value = "errors", value_name = "FAULT")]
    pub fault: Fault,
    /// The control run: without the edge's guard
    #[arg(long)]
    pub no_guard: bool,
    /// Of the load
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Leave everything running, and say where
    #[arg(long)]
    pub keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    None,
    Errors,
    Latency,
    Hang,
    Crash,
}

#[derive(Debug, ClapArgs)]
pub struct Init {
    /// Make a new repository with this example in it
    #[arg(long, value_name = "NAME")]
    pub example: Option<String>,
    /// Where; else here
    pub folder: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct Up {
    /// Where the control process listens
    #[arg(long, default_value = "127.0.0.1:7777", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where the edge listens
    #[arg(long, default_value = "127.0.0.1:7780", value_name = "ADDRESS")]
    pub edge_listen: SocketAddr,
    /// The repository's name; else its folder's
    #[arg(long, value_name = "NAME")]
    pub repo: Option<Repo>,
    /// How many jobs at once, of all runs together; else as many as there are cores
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub slots: Option<u32>,
}

#[derive(Clone, Debug, ClapArgs)]
pub struct Edge {
    /// Where clients connect
    #[arg(long, default_value = "127.0.0.1:7780", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Worker threads
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
}

#[derive(Debug, ClapArgs)]
pub struct Deploy {
    pub service: Service,
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    pub environment: Environment,
    /// A tag, a branch or a commit
    #[arg(long)]
    pub version: String,
    /// Another strategy than that of grit.yaml
    #[arg(long)]
    pub strategy: Option<String>,
    /// Stay until it is over
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Status {
    /// Only this environment
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    pub environment: Option<Environment>,
}

#[derive(Debug, ClapArgs)]
pub struct History {
    /// Only this service
    pub service: Option<Service>,
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    pub environment: Option<Environment>,
    /// Take what the remote has first, the servers' records included
    #[arg(long)]
    pub sync: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Rollout {
    #[command(subcommand)]
    pub verb: RolloutVerb,
}

#[derive(Debug, Subcommand)]
pub enum RolloutVerb {
    /// End the current pause or analysis step
    Promote {
        #[command(flatten)]
        of: Of,
        /// Skip all steps that are left
        #[arg(long)]
        full: bool,
    },
    /// Hold it where it is
    Pause(Of),
    /// Let it go on
    Resume(Of),
    /// Take all traffic back to stable, and end it
    Abort {
        #[command(flatten)]
        of: Of,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Again, from the first step
    Retry(Of),
}

/// Which rollout is meant; the only one in progress where nothing is said.
#[derive(Clone, Debug, ClapArgs)]
pub struct Of {
    /// A deployment's id, or a service
    #[arg(value_name = "ID|SERVICE")]
    pub target: Option<String>,
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    pub environment: Option<Environment>,
}

#[derive(Debug, ClapArgs)]
pub struct Approve {
    /// Only this service; or RUN, or RUN/JOB: jobs of a pipeline that wait for it
    #[arg(value_name = "SERVICE|RUN[/JOB]")]
    pub target: Option<String>,
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    pub environment: Option<Environment>,
    /// Say no instead, and why
    #[arg(long, value_name = "REASON")]
    pub reject: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Rollback {
    pub service: Service,
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    pub environment: Environment,
    /// The revision, as `grit history` numbers them; else the one before
    pub revision: Option<u64>,
    /// Stay until it is over
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Sync {
    /// Only take what the remote has
    #[arg(long)]
    pub pull: bool,
    /// Give the remote what is new here; with it comes what the remote has
    #[arg(long)]
    pub push: bool,
    /// Another remote than `grit.remote`, or origin
    #[arg(long, value_name = "NAME")]
    pub remote: Option<String>,
    /// With the servers' records of runs and deployments
    #[arg(long)]
    pub audit: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Log {
    /// Only this lane, as the last column names it
    #[arg(long)]
    pub lane: Option<String>,
    /// Only so many
    #[arg(long, short = 'n', value_name = "NUMBER")]
    pub limit: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub struct Compact {
    /// Lanes whose last event is this old
    #[arg(long, default_value = "30d", value_parser = parse_duration, value_name = "TIME")]
    pub idle: Duration,
    /// Another remote than `grit.remote`, or origin
    #[arg(long, value_name = "NAME")]
    pub remote: Option<String>,
    /// Say what would be folded, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// Put right what can be put right without losing anything
    #[arg(long)]
    pub repair: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Logs {
    pub service: Service,
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    pub environment: Option<Environment>,
    /// Go on as it grows
    #[arg(long, short)]
    pub follow: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Artifact {
    #[command(subcommand)]
    pub verb: ArtifactVerb,
}

#[derive(Debug, Subcommand)]
pub enum ArtifactVerb {
    /// Pack a folder, and keep it under a name
    Push {
        #[arg(value_name = "NAME[:TAG]")]
        reference: String,
        folder: PathBuf,
        /// An OCI image layout
        #[arg(long, env = "GRIT_REGISTRY", value_name = "FOLDER")]
        registry: PathBuf,
    },
    /// What the jobs of a run uploaded
    List {
        #[arg(long, value_name = "ID")]
        run: RunId,
    },
    /// Take what the jobs of a run uploaded, each artifact into a folder of its name
    Download {
        /// Only this one
        name: Option<String>,
        #[arg(long, value_name = "ID")]
        run: RunId,
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        into: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
pub struct Token {
    #[command(subcommand)]
    pub verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token for somebody; it is shown once
    Create {
        principal: Principal,
        /// Viewer, Member, Admin or Owner
        #[arg(long, default_value = "Member")]
        role: String,
    },
    List,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    pub code: String,
}

#[derive(Debug, ClapArgs)]
pub struct Hook {
    /// `pre-receive` or `post-receive`
    pub name: String,
}

#[derive(Debug, ClapArgs)]
pub struct Parse {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}
