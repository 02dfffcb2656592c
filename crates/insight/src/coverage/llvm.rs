use std::collections::BTreeMap;

use serde::Deserialize;

use super::Coverage;
use super::reading::{CoverageError, LINES_MAX};

#[derive(Deserialize)]
struct Export {
    data: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    segments: Vec<Raw>,
}

/// Line, column, count, has a count, begins a region, is a gap (not in the oldest exports).
#[derive(Deserialize)]
struct Raw(u32, serde::de::IgnoredAny, u64, bool, bool, #[serde(default)] bool);

/// Reads the JSON of `llvm-cov export`; lines as LLVM counts them (`LineCoverageStats`).
pub(super) fn read(text: &str) -> Result<Coverage, CoverageError> {
    let export: Export = serde_json::from_str(text)
        .map_err(|error| CoverageError::Json(format!("it is no export of llvm-cov: {error}")))?;
    let mut coverage = Coverage::default();
    let mut count = 0_usize;
    for file in export.data.into_iter().flat_map(|unit| unit.files) {
        let lines = lines(&file.segments, &mut count)?;
        let one = Coverage { files: BTreeMap::from([(file.filename, lines)]) };
        coverage.merge(one);
    }
    Ok(coverage)
}

fn lines(segments: &[Raw], count: &mut usize) -> Result<BTreeMap<u32, u64>, CoverageError> {
    let mut by_line: BTreeMap<u32, Vec<&Raw>> = BTreeMap::new();
    for segment in segments {
        by_line.entry(segment.0).or_default().push(segment);
    }
    let mut lines = BTreeMap::new();
    let mut active: Option<&Raw> = None;
    let (Some(first), Some(last)) = (by_line.keys().next(), by_line.keys().next_back()) else {
        return Ok(lines);
    };
    let none = Vec::new();
    for line in *first..=*last {
        *count += 1;
        if *count > LINES_MAX {
            return Err(CoverageError::TooLong);
        }
        let here = by_line.get(&line).unwrap_or(&none);
        let begins = |segment: &&&Raw| segment.3 && segment.4 && !segment.5;
        let begun: Vec<u64> = here.iter().filter(begins).map(|segment| segment.2).collect();
        let is_skipped = here.first().is_some_and(|segment| !segment.3 && segment.4);
        let goes_on = active.is_some_and(|segment| segment.3);
        if !begun.is_empty() || (goes_on && !is_skipped) {
            let before = active.filter(|segment| segment.3).map_or(0, |segment| segment.2);
            let hits = begun.into_iter().fold(before, u64::max);
            lines.insert(line, hits);
        }
        active = here.last().copied().or(active);
    }
    Ok(lines)
}
