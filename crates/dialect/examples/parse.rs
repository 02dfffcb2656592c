//! Parses every GitHub workflow whose path is a line of stdin.
//!
//! Prints the findings of each file that is refused, as a compiler would, and
//! `parsed P, failed F, of the parsed W with warnings`. Exit 0 where nothing is refused.
#![allow(clippy::print_stdout, reason = "the result is what this program is for")]

use std::io::BufRead;
use std::process::ExitCode;

use grit_diag::render;

fn main() -> ExitCode {
    let (mut parsed, mut failed, mut warned) = (0_u64, 0_u64, 0_u64);
    for path in std::io::stdin().lock().lines().map_while(Result::ok) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                println!("{path}: {error}");
                failed += 1;
                continue;
            }
        };
        let (_, findings) = grit_dialect::github::read(&path, &text);
        if findings.has_errors() {
            println!("{}", render::plain(&findings).trim_end());
            failed += 1;
        } else {
            parsed += 1;
            warned += u64::from(!findings.is_empty());
        }
    }
    println!("parsed {parsed}, failed {failed}, of the parsed {warned} with warnings");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
