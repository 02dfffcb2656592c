mod junit;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use grit_issues::report::{self, Fate, Report};
use grit_rollout::config::{IssuesConfig, Recurring};

use super::args::{Format, Ingest};
use super::report::{policy, record, send, take};
use super::tracker::Tracker;
use crate::ci;
use crate::cli::files;
use crate::cli::place::{Place, git_failure};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Opens and updates issues from what a hook or a step has.
pub fn run(options: &Ingest, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let text = read(options.file.as_deref())?;
    let rule = rule(options, place)?;
    let reports = reports(options, &text, &rule, place)?;
    if options.sync {
        take(place, ui)?;
    }
    let mut tracker = Tracker::open(place)?;
    let told = record(&mut tracker, reports, policy(&rule))?;
    let count = |fate: Fate| told.iter().filter(|told| told.fate == fate.as_str()).count();
    ui.status(format!(
        "{} opened, {} reopened, {} commented, {} closed, {} unchanged",
        count(Fate::Opened),
        count(Fate::Reopened),
        count(Fate::Commented),
        count(Fate::Closed),
        count(Fate::Unchanged),
    ));
    ui.data(&told, |told| {
        let changed = told.iter().filter(|told| told.fate != Fate::Unchanged.as_str());
        changed.filter_map(|told| Some(format!("{}\n", told.issue.as_ref()?))).collect()
    });
    if options.sync {
        send(place)?;
    }
    Ok(Exit::Done)
}

fn reports(
    options: &Ingest,
    text: &str,
    rule: &Recurring,
    place: &Place,
) -> Result<Vec<Report>, Failure> {
    let unreadable = |message: String| {
        let name = options.file.as_deref().map_or("standard input".into(), Path::to_string_lossy);
        let hint = "`grit issue ingest --help` says what can be read";
        Failure::new(Exit::Usage, "ingest", format!("{name}: {message}")).hint(hint)
    };
    let labels: BTreeSet<String> = rule.labels.iter().chain(&options.labels).cloned().collect();
    match options.format {
        Format::Alertmanager => {
            let alerts = report::alerts(text).map_err(|error| unreadable(error.to_string()))?;
            Ok(alerts.reports(&labels))
        }
        Format::Junit => {
            let tests =
                grit_insight::suite::read(text).map_err(|error| unreadable(error.to_string()))?;
            let head = place.repository()?.head().map_err(|error| git_failure(&error))?;
            let build = junit::Build {
                commit: head.commit.map(|commit| commit.to_string()),
                branch: head.branch.map(|name| name.short().to_owned()),
                url: ci::run_url(),
            };
            Ok(junit::reports(&tests, &build, text, &labels))
        }
    }
}

/// What `grit.yaml` says of the kind, and what was typed instead.
fn rule(options: &Ingest, place: &Place) -> Result<Recurring, Failure> {
    let repository = place.repository()?;
    let head = repository.head().map_err(|error| git_failure(&error))?;
    let config = match &head.commit {
        Some(commit) => files::issues(&repository, commit)?,
        None => IssuesConfig::default(),
    };
    let mut rule = match options.format {
        Format::Alertmanager => config.alert,
        Format::Junit => config.test_failed,
    };
    rule.close |= options.close;
    rule.reopen &= !options.no_reopen;
    Ok(rule)
}

fn read(file: Option<&Path>) -> Result<String, Failure> {
    let file = file.filter(|file| *file != Path::new("-"));
    let failed = |error: std::io::Error| match file {
        Some(file) => Failure::because(&format!("{} cannot be read", file.display()), &error),
        None => Failure::because("standard input cannot be read", &error),
    };
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX + 1;
    match file {
        Some(file) => {
            let opened = std::fs::File::open(file).map_err(failed)?;
            opened.take(limit).read_to_end(&mut bytes).map_err(failed)?
        }
        None => std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(failed)?,
    };
    let refused = |message: String| Failure::new(Exit::Usage, "ingest", message);
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let limit = FILE_BYTES_MAX >> 20;
        return Err(refused(format!("more than {limit} MiB are not read")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let (line, column) = place_after(&String::from_utf8_lossy(valid));
        refused(format!("line {line} column {column}: this is not UTF-8"))
    })
}

/// Line and column, both from 1 on, of what comes next.
fn place_after(text: &str) -> (usize, usize) {
    let line = text.rsplit('\n').next().unwrap_or_default();
    (text.matches('\n').count() + 1, line.chars().count() + 1)
}
