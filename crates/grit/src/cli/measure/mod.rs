//! What was measured: results of tests, coverage, benchmarks.

pub mod args;
mod bench;
mod coverage;
mod tests;

pub use bench::bench;
pub use coverage::coverage;
pub use tests::{remember, test};

use std::io::Read;
use std::path::Path;

use crate::exit::{Exit, Failure};

/// No report is larger.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A report's text. One that is missing or empty was not made, which is no success.
fn text(path: &Path) -> Result<String, Failure> {
    let missing = |why: &str| {
        let message = format!("there is no report: {}{why}", path.display());
        Failure::new(Exit::Failed, "no_report", message)
            .hint("the step that writes it did not, or writes it elsewhere")
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing("")),
        Err(error) => {
            return Err(Failure::because(&format!("{} cannot be read", path.display()), &error));
        }
    };
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::because(&format!("{} cannot be read", path.display()), &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(
            path,
            &format!("more than {} MiB are not read", FILE_BYTES_MAX >> 20),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable(path, "it is not UTF-8"))?;
    if text.trim().is_empty() { Err(missing(" is empty")) } else { Ok(text) }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Usage, "report", format!("{}: {why}", path.display()))
}
