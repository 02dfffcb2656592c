//! The shim as a program of its own, for tests: see `grit_host::shim`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    grit_host::shim::run_if_asked().unwrap_or(std::process::ExitCode::from(2))
}
