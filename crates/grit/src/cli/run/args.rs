use std::path::PathBuf;

use clap::Args;

/// Which workflows and jobs are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct What {
    /// Only these jobs, and what they need
    #[arg(long = "job", short, value_name = "JOB")]
    pub jobs: Vec<String>,
    /// Only this workflow file, whatever starts it
    #[arg(long, short = 'W', value_name = "FILE")]
    pub workflow: Option<String>,
    /// Only the combinations of a matrix that have this value
    #[arg(long, value_name = "NAME:VALUE")]
    pub matrix: Vec<String>,
    /// What this event starts: its name, or a file {"event", "ref", "payload", "inputs", "changed"}
    #[arg(long, value_name = "NAME|FILE")]
    pub event: Option<String>,
    /// An input of a start by hand (`workflow_dispatch`)
    #[arg(long, value_name = "NAME=VALUE")]
    pub input: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub what: What,
    /// Show the plan, and run nothing
    #[arg(long, group = "show")]
    pub plan: bool,
    /// List the jobs, and run nothing
    #[arg(long, group = "show")]
    pub list: bool,
    /// Show which job needs which, and run nothing
    #[arg(long, group = "show")]
    pub graph: bool,
    /// Say what would be done, as if every step succeeded and gave nothing, and run nothing
    #[arg(long, group = "show")]
    pub dry_run: bool,
    /// Begin the job of this step here: scripts before it count as done (id, name or number)
    #[arg(long, value_name = "STEP", conflicts_with = "show")]
    pub from: Option<String>,
    /// Open a shell in this step's surroundings when it fails; `before:STEP`: before it
    #[arg(long, value_name = "STEP", conflicts_with_all = ["show", "watch", "json", "json_lines"])]
    pub shell: Option<String>,
    /// Again whenever a tracked file changes, with what is not committed yet
    #[arg(long, conflicts_with_all = ["show", "report", "json"])]
    pub watch: bool,
    /// With what of tracked files is not committed yet
    #[arg(long)]
    pub uncommitted: bool,
    /// A line of JSON on stdout for everything that happens
    #[arg(long, conflicts_with_all = ["json", "show"])]
    pub json_lines: bool,
    /// Run the hooks of .pre-commit-config.yaml for this stage, on what is staged
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["show", "watch", "from", "shell"])]
    pub hook: Option<String>,
    /// Hooks look at every tracked file
    #[arg(long, requires = "hook")]
    pub all_files: bool,
    /// Only the hook of this id
    #[arg(long, value_name = "ID", requires = "hook")]
    pub only: Option<String>,
    /// A run that fails opens or updates an issue, with the end of its log, and sends it
    #[arg(long, conflicts_with = "show")]
    pub report: bool,
    /// How many jobs at once; else as many as there are cores
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub slots: Option<u32>,
    /// Secrets for expressions, a line NAME=VALUE for each; in quotes a value may have several lines.
    /// With ENVIRONMENT=, for jobs that deploy there
    #[arg(long, value_name = "[ENVIRONMENT=]FILE")]
    pub secrets: Vec<String>,
    /// What `vars` holds, written as in files of secrets
    #[arg(long, value_name = "[ENVIRONMENT=]FILE")]
    pub vars: Vec<String>,
    /// Keep the logs of all steps here, as RUN/JOB/STEP.log
    #[arg(long, value_name = "FOLDER")]
    pub logs: Option<PathBuf>,
    /// Put what jobs upload here, each artifact in a folder of its name
    #[arg(long, value_name = "FOLDER")]
    pub artifacts: Option<PathBuf>,
    /// This machine runs jobs for this label of `runs-on`, whatever system it names
    #[arg(long, value_name = "LABEL")]
    pub here: Vec<String>,
}
