//! For tests: the shim that starts steps, and an owner of a runner (`own DATA SCRIPT`) that runs
//! the script as the first step of a job, and is killed.
#![forbid(unsafe_code)]

#[path = "../../tests/it/ground.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod ground;

use std::path::Path;
use std::process::ExitCode;

use grit_executor::HostRunner;
use grit_pipeline::Runner;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    if let Some(code) = grit_host::shim::run_if_asked() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["own", data, script] if own(Path::new(data), script).is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

fn own(data: &Path, script: &str) -> Result<(), Error> {
    let fixture = std::env::current_exe()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let runner = HostRunner::open(ground::config(data, &fixture)).await?;
        runner.prepare(&ground::effect(1), &ground::job()).await?;
        runner.run(&ground::effect(0), &ground::step(0, script)).await?;
        Ok(())
    })
}
