use std::path::Path;

use grit_issues::exchange::{document, markdown};
use grit_issues::{Event, Issue, Issues};
use grit_ledger::{Quarantined, merge};
use grit_types::chain;
use serde_json::json;

use super::args::{Export, Form};
use super::files;
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// The same bytes in every clone that has the same events.
pub fn run(options: &Export, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let ledger = place.ledger()?;
    let changes = super::everything(&ledger)?;
    warn_of_unread(&changes.quarantined, ui);
    let files = match options.format == Form::Json && !options.no_files {
        true => Some(files::read(&ledger, &changes.entries)?),
        false => None,
    };
    let events = merge(changes.entries.into_iter().map(|entry| entry.event));
    let issues = Issues::fold(&events);
    let mut all: Vec<&Issue> = issues.all().collect();
    all.reverse();
    match (options.format, &options.out) {
        (Form::Json, None) => {
            let text = document::write(events, files.as_ref());
            if ui.is_json() {
                // What was just written as JSON reads as JSON.
                let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                ui.data(&document, |_| String::new());
            } else {
                ui.raw(text.as_bytes());
            }
            return Ok(Exit::Done);
        }
        (Form::Markdown, None) if ui.is_json() => {
            let files = all.iter().map(|issue| {
                json!({ "name": markdown::file_name(issue), "text": markdown::write(issue) })
            });
            ui.data(&files.collect::<Vec<_>>(), |_| String::new());
            return Ok(Exit::Done);
        }
        (Form::Markdown, None) => {
            ui.raw(markdown::write_all(all.iter().copied()).as_bytes());
            return Ok(Exit::Done);
        }
        (Form::Json, Some(file)) => {
            write(file, document::write(events.clone(), files.as_ref()).as_bytes())?;
        }
        (Form::Markdown, Some(folder)) => write_folder(folder, &all)?,
    }
    let count = events.iter().filter(|event| Event::is_ours(&event.kind)).count();
    ui.status(format!("{} issues, {count} events", all.len()));
    let out = options.out.as_ref().map(|out| out.display().to_string());
    let told = json!({ "out": out, "issues": all.len(), "events": count });
    ui.data(&told, |_| format!("{}\n", out.clone().unwrap_or_default()));
    Ok(Exit::Done)
}

/// What cannot be read is not in the document, and whoever gets it must know.
fn warn_of_unread(quarantined: &[Quarantined], ui: &Ui) {
    if !quarantined.is_empty() {
        let count = quarantined.len();
        ui.status(format!(
            "Warning: {count} entries cannot be read and are left out: `grit doctor` names them"
        ));
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    grit_host::durable::write(file, bytes).map_err(|error| {
        let failure = Failure::environment(format!("write {}: {}", file.display(), chain(&error)));
        if grit_host::durable::is_full(&error) { failure.full() } else { failure }
    })
}

/// One file per issue; what else is in the folder stays.
fn write_folder(folder: &Path, issues: &[&Issue]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::because(&format!("create {}", folder.display()), &error))?;
    for issue in issues {
        remove_renamed(folder, &markdown::file_name(issue))?;
        write(&folder.join(markdown::file_name(issue)), markdown::write(issue).as_bytes())?;
    }
    Ok(())
}

/// An issue that got another title since had another file.
fn remove_renamed(folder: &Path, name: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::because(&format!("clear up in {}", folder.display()), &error)
    };
    let id = name.rsplit('-').next().unwrap_or(name);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let other = entry.file_name();
        let other = other.to_string_lossy();
        if other != name && other.rsplit('-').next() == Some(id) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
