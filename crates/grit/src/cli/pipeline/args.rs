use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct Pipeline {
    #[command(subcommand)]
    pub verb: PipelineVerb,
}

#[derive(Debug, Subcommand)]
pub enum PipelineVerb {
    /// What is wrong with the workflows and grit.yaml of the working tree, and what is dangerous
    Lint(Lint),
    /// What a push of the current branch here would run, or what an event would, as one document
    Plan(Plan),
    /// The workflows, what starts them, and their jobs
    List(List),
    /// Write the commits that actions of others are now to grit.lock
    Pin(Pin),
    /// Start a workflow by hand, on the server
    Start(crate::cli::remote::Start),
    /// The server's runs, and what they wait for
    Runs(crate::cli::remote::Runs),
    /// End a run of the server
    Cancel(crate::cli::remote::Cancel),
    /// Run once more what a run was, on the server
    Rerun(crate::cli::remote::Rerun),
}

#[derive(Debug, Args)]
pub struct Lint {
    /// Of a commit, a tag or a branch, and not of the working tree
    #[arg(long, value_name = "COMMIT")]
    pub at: Option<String>,
    /// Only this workflow file
    #[arg(long, short = 'W', value_name = "FILE")]
    pub workflow: Option<String>,
    /// As SARIF 2.1.0, for what shows findings in code
    #[arg(long, conflicts_with = "json")]
    pub sarif: bool,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// Of a commit, a tag or a branch, and not of what is checked out
    #[arg(long, value_name = "COMMIT")]
    pub at: Option<String>,
    #[command(flatten)]
    pub what: crate::cli::run::args::What,
}

#[derive(Debug, Args)]
pub struct Pin {
    /// Only these, also where they are pinned already: OWNER/REPO@REF
    #[arg(value_name = "ACTION")]
    pub actions: Vec<String>,
    /// All of them again
    #[arg(long, conflicts_with = "actions")]
    pub update: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// Of a commit, a tag or a branch, and not of the working tree
    #[arg(long, value_name = "COMMIT")]
    pub at: Option<String>,
}
