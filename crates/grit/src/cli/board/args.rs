use clap::Args;

use super::columns::By;

#[derive(Debug, Args)]
pub struct Board {
    /// Only the issues that a query asks for, as `grit issue search` takes it
    #[arg(long, default_value = "", value_name = "QUERY")]
    pub query: String,
    /// What the columns are: `state`, `assignee`, `milestone`, `priority`, or the beginning of
    /// labels, as `status:`; else `status:` where there are such labels, else `state`
    #[arg(long, default_value = "auto", value_name = "WHAT")]
    pub by: By,
    /// Text, also on a terminal
    #[arg(long)]
    pub plain: bool,
}
