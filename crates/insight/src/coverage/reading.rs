use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Coverage, llvm};
use crate::xml::{ReadError, attribute, refuse_declarations};

/// So many lines are read of one report.
pub(super) const LINES_MAX: usize = 20_000_000;
const DEPTH_MAX: usize = 64;

/// Why a file is no report of coverage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoverageError {
    #[error("{0}")]
    Xml(ReadError),
    #[error("line {line}: {problem}")]
    Lcov { line: usize, problem: String },
    #[error("{0}")]
    Json(String),
    #[error("it is no report of Cobertura, JaCoCo, LCOV or llvm-cov")]
    Unknown,
    #[error("it has more than {LINES_MAX} lines")]
    TooLong,
}

/// Reads a report, whichever of the known forms it has.
///
/// # Errors
/// It has none of them, or is damaged.
pub fn read(text: &str) -> Result<Coverage, CoverageError> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.as_bytes().first() {
        Some(b'<') => xml(text),
        Some(b'{') => llvm::read(text),
        Some(_) if text.lines().any(|line| line.starts_with("SF:")) => lcov(text),
        // A tracefile of tests that ran nothing.
        Some(_) if text.starts_with("TN:") => Ok(Coverage::default()),
        _ => Err(CoverageError::Unknown),
    }
}

/// Source: geninfo(1), "TRACEFILE FORMAT".
fn lcov(text: &str) -> Result<Coverage, CoverageError> {
    let mut coverage = Coverage::default();
    let (mut file, mut count) = (None, 0_usize);
    for (at, line) in text.lines().enumerate() {
        let wrong =
            |problem: &str| CoverageError::Lcov { line: at + 1, problem: problem.to_owned() };
        if let Some(path) = line.strip_prefix("SF:") {
            file = Some(path.trim().to_owned());
            coverage.files.entry(path.trim().to_owned()).or_default();
        } else if line.trim() == "end_of_record" {
            file = None;
        } else if let Some(data) = line.strip_prefix("DA:") {
            let mut fields = data.split(',');
            let number = fields.next().and_then(|field| field.trim().parse::<u32>().ok());
            let hits = fields.next().and_then(|field| field.trim().parse::<f64>().ok());
            let (Some(number), Some(hits)) = (number, hits) else {
                return Err(wrong("DA is a line and a count"));
            };
            let file = file.as_ref().ok_or_else(|| wrong("DA stands outside of a file"))?;
            count += 1;
            if count > LINES_MAX {
                return Err(CoverageError::TooLong);
            }
            // A count below zero is one that ran over.
            let hits = if hits > 0.0 { hits.min(1e18) as u64 } else { 0 };
            let lines = coverage.files.entry(file.clone()).or_default();
            let all = lines.entry(number).or_default();
            *all = all.saturating_add(hits);
        }
    }
    if file.is_some() {
        let line = text.lines().count();
        return Err(CoverageError::Lcov { line, problem: "a file is cut off".to_owned() });
    }
    Ok(coverage)
}

#[derive(Default)]
struct State {
    coverage: Coverage,
    inside: Vec<String>,
    root: String,
    package: String,
    file: Option<String>,
    sources: Vec<String>,
    source: Option<String>,
    count: usize,
}

fn xml(text: &str) -> Result<Coverage, CoverageError> {
    let mut reader = Reader::from_str(text);
    let mut state = State::default();
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let refused = |problem: String| CoverageError::Xml(ReadError::at(text, at, problem));
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
            CoverageError::Xml(ReadError::at(text, at, error.to_string()))
        })?;
        match event {
            Event::Start(tag) => state.open(&tag, false).map_err(refused)?,
            Event::Empty(tag) => state.open(&tag, true).map_err(refused)?,
            Event::End(_) => state.close(),
            Event::Text(words) => {
                if let Some(source) = &mut state.source {
                    source.push_str(&words.xml10_content());
                }
            }
            Event::DocType(words) => {
                refuse_declarations(&words.xml10_content()).map_err(refused)?;
            }
            Event::CData(_) | Event::GeneralRef(_) => {}
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof if !state.inside.is_empty() => {
                let name = state.inside.last().map_or("", String::as_str);
                return Err(refused(format!("`<{name}>` is never closed")));
            }
            Event::Eof => break,
        }
        if state.count > LINES_MAX {
            return Err(CoverageError::TooLong);
        }
    }
    match state.root.as_str() {
        "coverage" | "report" => Ok(state.coverage),
        _ => Err(CoverageError::Unknown),
    }
}

impl State {
    fn open(&mut self, tag: &BytesStart<'_>, is_empty: bool) -> Result<(), String> {
        if self.inside.len() >= DEPTH_MAX {
            return Err(format!("elements are nested more than {DEPTH_MAX} deep"));
        }
        let name = tag.local_name().as_ref().to_owned();
        if self.inside.is_empty() {
            self.root = name.clone();
        }
        match (self.root.as_str(), name.as_str()) {
            ("coverage", "source") => self.source = Some(String::new()),
            ("coverage", "class") => {
                let file = attribute(tag, "filename")?.ok_or("a class names no file")?;
                self.file = Some(self.placed(&file));
            }
            // The lines of methods stand below their class once more.
            ("coverage", "line") if !self.inside.iter().any(|above| above == "method") => {
                self.line(attribute(tag, "number")?, attribute(tag, "hits")?)?;
            }
            ("report", "package") => self.package = attribute(tag, "name")?.unwrap_or_default(),
            ("report", "sourcefile") => {
                let name = attribute(tag, "name")?.ok_or("a source file has no name")?;
                let above = if self.package.is_empty() { "" } else { "/" };
                self.file = Some(format!("{}{above}{name}", self.package));
            }
            ("report", "line") => self.line(attribute(tag, "nr")?, attribute(tag, "ci")?)?,
            _ => {}
        }
        if let Some(file) = &self.file {
            self.coverage.files.entry(file.clone()).or_default();
        }
        self.inside.push(name);
        if is_empty {
            self.close();
        }
        Ok(())
    }

    fn line(&mut self, number: Option<String>, hits: Option<String>) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let number: u32 = number.and_then(|it| it.parse().ok()).ok_or("a line has no number")?;
        let hits: u64 = hits.and_then(|it| it.parse().ok()).ok_or("a line has no count")?;
        self.count += 1;
        let lines: &mut BTreeMap<u32, u64> = self.coverage.files.entry(file.clone()).or_default();
        // Classes of one file may share a line.
        let all = lines.entry(number).or_default();
        *all = (*all).max(hits);
        Ok(())
    }

    fn close(&mut self) {
        match self.inside.pop().as_deref() {
            Some("source") => self.sources.extend(self.source.take()),
            Some("class" | "sourcefile") => self.file = None,
            _ => {}
        }
    }

    /// A name below the only folder of sources that there is.
    fn placed(&self, file: &str) -> String {
        match self.sources.as_slice() {
            [only] if !file.starts_with('/') && !only.trim().is_empty() => {
                format!("{}/{file}", only.trim().trim_end_matches('/'))
            }
            _ => file.to_owned(),
        }
    }
}
