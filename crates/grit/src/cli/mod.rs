//! The command line: one file per verb, one definition for parsing, help and completion.

mod agree;
mod approve;
pub mod args;
mod artifact;
mod board;
mod compact;
mod deploy;
mod doctor;
mod edge;
mod exchange;
mod explain;
mod files;
mod history;
mod hook;
mod init;
mod issue;
mod lock;
mod log;
mod logs;
mod measure;
mod metrics;
mod named;
mod pipeline;
mod place;
mod remote;
mod rollback;
mod rollout;
mod run;
mod setting;
mod signals;
mod status;
mod sync;
mod token;
mod up;
mod verify;

pub use deploy::line;
pub use place::git_failure;
pub use signals::ended;
pub use up::end_instances;

use std::io::IsTerminal;

use clap::Parser;

use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use args::{Args, Verb};

/// Parses, runs, reports; the one place where a failure becomes text and a number.
pub fn main() -> Exit {
    let json = std::env::args_os().any(|arg| arg == "--json");
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error, json),
    };
    let ui = Ui::new(args.json, args.quiet);
    tracing_start(&args);
    match dispatch(args, &ui) {
        Ok(exit) => exit,
        Err(failure) => {
            ui.failure(&failure);
            failure.exit
        }
    }
}

fn usage(error: &clap::Error, json: bool) -> Exit {
    use clap::error::ErrorKind;
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that went away is no failure of ours.
        let _ = error.print();
        return Exit::Done;
    }
    if json {
        let text = error.to_string();
        let message = text.trim_start_matches("error: ").trim().to_owned();
        Ui::new(true, false).failure(&Failure::new(Exit::Usage, "usage", message));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

/// Diagnostics for operators, on stderr; GRIT_LOG says how much.
fn tracing_start(args: &Args) {
    let default = match &args.verb {
        Verb::Serve(_) | Verb::Edge(_) => "info",
        _ => "error",
    };
    let filter = std::env::var("GRIT_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(filter);
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!plain)
        .finish();
    // Somebody who set one before us keeps it.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn dispatch(args: Args, ui: &Ui) -> Result<Exit, Failure> {
    // The edge has runtimes of its own.
    let place = place::Place::new(&args);
    if let Verb::Edge(options) = &args.verb {
        return edge::run(options, &place);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because("no runtime", &error))?;
    let exit = runtime.block_on(verb(args.verb, &place, ui));
    // What still blocks in a thread must not keep an answered command from ending.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    exit
}

async fn verb(verb: Verb, place: &place::Place, ui: &Ui) -> Result<Exit, Failure> {
    match verb {
        Verb::Init(options) => init::run(&options, place, ui),
        Verb::Run(options) => run::run(&options, place, ui).await,
        Verb::Pipeline(options) => pipeline::run(&options, place, ui).await,
        Verb::Up(options) => up::up(&options, place, ui).await,
        Verb::Serve(options) => up::serve(&options, place, ui).await,
        Verb::Edge(options) => edge::run(&options, place),
        Verb::Deploy(options) => deploy::run(&options, place, ui).await,
        Verb::Status(options) => status::run(&options, place, ui).await,
        Verb::History(options) => history::run(&options, place, ui),
        Verb::Rollout(options) => rollout::run(&options, place, ui).await,
        Verb::Approve(options) => approve::run(&options, place, ui).await,
        Verb::Rollback(options) => rollback::run(&options, place, ui).await,
        Verb::Issue(options) => issue::run(&options.verb, place, ui),
        Verb::Label(options) => agree::label(&options.verb, place, ui),
        Verb::Key(options) => agree::key(&options.verb, place, ui),
        Verb::Policy(options) => agree::policy(&options, place, ui),
        Verb::Board(options) => board::run(&options, place, ui).await,
        Verb::Export(options) => exchange::export(&options, place, ui),
        Verb::Import(options) => exchange::import(&options, place, ui),
        Verb::Lock(options) => lock::run(&options.verb, place, ui).await,
        Verb::Deadline => lock::deadline::run(),
        Verb::Sync(options) => sync::run(&options, place, ui),
        Verb::Log(options) => log::run(&options, place, ui),
        Verb::Verify => verify::run(place, ui),
        Verb::Compact(options) => compact::run(&options, place, ui),
        Verb::Doctor(options) => doctor::run(&options, place, ui),
        Verb::Metrics(options) => metrics::run(&options, place, ui).await,
        Verb::Test(options) => measure::test(&options, place, ui).await,
        Verb::Coverage(options) => measure::coverage(&options, place, ui),
        Verb::Bench(options) => measure::bench(&options, ui),
        Verb::Logs(options) => logs::run(&options, place, ui).await,
        Verb::Artifact(options) => artifact::run(&options.verb, place, ui).await,
        Verb::Secret(options) => setting::secret(&options, place, ui).await,
        Verb::Variable(options) => setting::variable(&options, place, ui).await,
        Verb::Token(options) => token::run(&options.verb, place, ui).await,
        Verb::Explain(options) => explain::run(&options, ui),
        Verb::Schema => explain::schema(ui),
        Verb::Demo(options) => crate::demo::run(&options, ui).await,
        Verb::Hook(options) => hook::run(&options, place, ui).await,
        Verb::Parse(options) => explain::parse(&options),
    }
}
