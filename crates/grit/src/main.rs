//! `grit`: a commit, from push to production, and every step remembered.
#![forbid(unsafe_code)]

mod ci;
mod cli;
mod client;
mod compose;
mod demo;
mod example;
mod exit;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = grit_host::shim::run_if_asked() {
        return code;
    }
    ExitCode::from(cli::main().status())
}
