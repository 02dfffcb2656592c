use std::collections::BTreeMap;
use std::path::PathBuf;

use grit_insight::bench::{Change, Measured, Verdict, compare, read};

use super::args::{Bench, BenchVerb};
use super::{text, unreadable};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// `grit bench`.
pub fn bench(options: &Bench, ui: &Ui) -> Result<Exit, Failure> {
    let BenchVerb::Compare { baseline, files, limit } = &options.verb;
    let changes = compare(&measured(baseline)?, &measured(files)?, limit.fraction());
    let is_worse = |change: &Change| matches!(change.verdict, Verdict::Slower | Verdict::Gone);
    let worse = changes.iter().filter(|change| is_worse(change)).count();
    ui.data(&changes, |changes| {
        let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
        table(&["BENCHMARK", "BEFORE", "NOW", "RATIO", ""], &rows)
    });
    Ok(if worse > 0 { Exit::Failed } else { Exit::Done })
}

fn measured(files: &[PathBuf]) -> Result<BTreeMap<String, Measured>, Failure> {
    let mut all = BTreeMap::new();
    for file in files {
        let found = read(&file.to_string_lossy(), &text(file)?);
        all.extend(found.map_err(|why| unreadable(file, &why))?);
    }
    Ok(all)
}

fn row(change: &Change) -> Vec<String> {
    let time = |measured: Option<Measured>| match measured {
        None => "-".to_owned(),
        Some(Measured { seconds, .. }) if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
        Some(Measured { seconds, .. }) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(Measured { seconds, .. }) => format!("{seconds:.2} s"),
    };
    let word = match change.verdict {
        Verdict::Faster => "faster",
        Verdict::Same => "same",
        Verdict::Slower => "slower",
        Verdict::New => "new",
        Verdict::Gone => "gone",
    };
    let ratio = change.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    vec![change.name.clone(), time(change.before), time(change.now), ratio, word.to_owned()]
}
