//! For tests: the shim that starts steps.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    grit_host::shim::run_if_asked().unwrap_or(ExitCode::from(2))
}
