use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::path::Path;

use grit_issues::exchange::{
    Found, ImportError, Plan, VIA, document, gitea, github, gitlab, markdown, plan,
};
use grit_issues::{Event, Issues};
use grit_ledger::{Addition, HlcClock, Lane, Ledger, split};
use grit_types::{Actor, Clock, Entropy, Tenant, chain};
use serde_json::json;

use super::args::{Format, Import};
use super::refs;
use crate::cli::place::{Place, git_failure};
use crate::compose::{OsEntropy, SystemClock};
use crate::exit::{Exit, Failure};
use crate::ui::Ui;

/// Largest document, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// All of it, in one go, or nothing; what is here already is not taken in again.
pub fn run(options: &Import, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    if options.from.is_some() && !options.format.is_in_git() {
        let message = "`--from` is for trackers that live in git: give a FILE";
        return Err(Failure::new(Exit::Usage, "usage", message));
    }
    // Before anything else, so that a document that cannot be read costs nothing.
    let read = read(options, place)?;
    let events = super::events(place)?;
    let plan = match read {
        Input::Events(theirs) => as_they_are(theirs, &events),
        Input::Found(found) => {
            let planned = plan_of(&found, options, place, &events)?;
            Plan { left_out: [found.left_out, planned.left_out].concat(), ..planned }
        }
    };
    if !options.dry_run {
        append(&plan, place)?;
    }
    tell(&plan, options.dry_run, ui);
    Ok(Exit::Done)
}

enum Input {
    /// What a Grit wrote down.
    Events(Vec<grit_ledger::Event>),
    Found(Found),
}

fn read(options: &Import, place: &Place) -> Result<Input, Failure> {
    if options.format.is_in_git() {
        if let Some(file) = &options.file {
            let message = format!("this form is read from refs: not from {}", file.display());
            return Err(Failure::new(Exit::Usage, "usage", message).hint("`--from PATH`"));
        }
        return refs::read(options, place).map(Input::Found);
    }
    let project = options.project.as_deref();
    if options.format == Format::Markdown {
        return markdown_files(options, place).map(Input::Found);
    }
    let (name, text) = input(options.file.as_deref())?;
    let failed = |error: ImportError| unreadable(&name, &error);
    match options.format {
        Format::Grit => document::read(&text).map(Input::Events).map_err(failed),
        Format::Github => github::read(&text, project).map(Input::Found).map_err(failed),
        Format::Gitlab => gitlab::read(&text, project).map(Input::Found).map_err(failed),
        Format::Gitea => gitea::read(&text, project).map(Input::Found).map_err(failed),
        // Read above.
        Format::Markdown | Format::GitBug | Format::GitNativeIssue | Format::Grite => {
            Ok(Input::Found(Found::default()))
        }
    }
}

fn markdown_files(options: &Import, place: &Place) -> Result<Found, Failure> {
    let (me, now) = (place.actor().principal, SystemClock.now());
    let folder = options.file.as_deref().filter(|file| file.is_dir());
    let Some(folder) = folder else {
        let (name, text) = input(options.file.as_deref())?;
        let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy();
        let context = markdown::Context { stem: &stem, me: &me, now };
        return markdown::read(&text, &context).map_err(|error| unreadable(&name, &error));
    };
    let listed = std::fs::read_dir(folder)
        .map_err(|error| Failure::because(&format!("list {}", folder.display()), &error))?;
    let mut files: Vec<_> = listed.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    if files.is_empty() {
        let message = format!("{} holds no file that ends in .md", folder.display());
        return Err(Failure::new(Exit::NotFound, "import", message));
    }
    let mut found = Found::default();
    for file in files {
        let (name, text) = input(Some(&file))?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let context = markdown::Context { stem: &stem, me: &me, now };
        let more = markdown::read(&text, &context).map_err(|error| unreadable(&name, &error))?;
        found.issues.extend(more.issues);
    }
    Ok(found)
}

/// The text of a file or of standard input, and what to call it.
fn input(file: Option<&Path>) -> Result<(String, String), Failure> {
    let name = match file {
        Some(file) if file != Path::new("-") => file.display().to_string(),
        _ => "standard input".to_owned(),
    };
    let failed = |error: std::io::Error| Failure::because(&format!("read {name}"), &error);
    let mut bytes = Vec::new();
    match file {
        Some(file) if file != Path::new("-") => {
            let file = std::fs::File::open(file).map_err(failed)?;
            file.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
        None if std::io::stdin().is_terminal() => {
            let message = "no FILE is given, and nothing comes in on standard input";
            return Err(Failure::new(Exit::Usage, "usage", message).hint("`grit import --help`"));
        }
        _ => {
            let stdin = std::io::stdin().lock();
            stdin.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
    }
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        let message = format!("{name} has more than {} MiB", DOCUMENT_BYTES_MAX >> 20);
        let hint = "take it in in parts: what is here already is not taken in again";
        return Err(Failure::new(Exit::Usage, "import", message).hint(hint));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(Exit::Usage, "import", format!("{name}: byte {} is no UTF-8", at + 1))
    })?;
    Ok((name, text))
}

pub fn unreadable(name: &str, error: &ImportError) -> Failure {
    let message = match error {
        ImportError::Text { line, column, message } => format!("{name}:{line}:{column}: {message}"),
        other => format!("{name}: {}", chain(other)),
    };
    Failure::new(Exit::Usage, "import", message)
        .hint("nothing was taken in; put it right, and do it again")
}

/// The events that are not here yet, as they were written.
fn as_they_are(theirs: Vec<grit_ledger::Event>, ours: &[grit_ledger::Event]) -> Plan {
    let mut known: BTreeSet<_> = ours.iter().map(grit_ledger::Event::id).collect();
    let before = Issues::fold(ours);
    let all = Issues::fold(&theirs);
    let mut plan = Plan::default();
    let mut counts = std::collections::BTreeMap::new();
    for event in theirs {
        let id = event.id();
        if known.insert(id.clone()) {
            if let Ok(Some(payload)) = Event::read(&event) {
                *counts.entry(payload.issue().unwrap_or(&id).clone()).or_insert(0) += 1;
            }
            plan.events.push(event);
        }
    }
    plan.issues = all
        .all()
        .map(|issue| grit_issues::exchange::Planned {
            key: markdown::own_key(issue),
            id: issue.id.clone(),
            is_new: before.get(&issue.id).is_none(),
            events: counts.get(&issue.id).copied().unwrap_or(0),
        })
        .collect();
    plan
}

fn plan_of(
    found: &Found,
    options: &Import,
    place: &Place,
    events: &[grit_ledger::Event],
) -> Result<Plan, Failure> {
    let mut salt = [0; 4];
    OsEntropy.fill(&mut salt);
    let (mut clock, now) = (HlcClock::salted(u32::from_le_bytes(salt)), SystemClock.now());
    let failed = |error| Failure::because("the ledger cannot be read", &error);
    let agreed = place.ledger()?.agreed().map_err(failed)?;
    for heard in events.iter().map(|event| event.hlc).chain(agreed.latest) {
        clock.hear(heard, now);
    }
    let repo = place.repo_name()?;
    let actor = Actor::new(place.actor().principal, format!("{VIA}{}", options.format.name()));
    let mut stamp = |event: &Event| {
        // An event is an enum tagged by its kind: it always splits.
        let (kind, data) = split(event).expect("an event has a kind");
        grit_ledger::Event {
            kind,
            tenant: Tenant::local(),
            repo: repo.clone(),
            subject: "issue".to_owned(),
            actor: actor.clone(),
            hlc: clock.tick(SystemClock.now()),
            cause: None,
            data,
        }
    };
    let imported = events.iter().filter(|event| event.actor.via.starts_with(VIA));
    let mut before = Issues::default();
    before.extend(imported);
    let here = Issues::fold(events);
    plan(&found.issues, &here, &before, &mut stamp)
        .map_err(|error| unreadable("the import", &error))
}

fn append(plan: &Plan, place: &Place) -> Result<(), Failure> {
    if plan.events.is_empty() {
        return Ok(());
    }
    let lane = place.repository()?.actor(&OsEntropy).map_err(|error| git_failure(&error))?;
    let additions: Vec<Addition<'_>> =
        plan.events.iter().map(|event| Addition { event, files: &[] }).collect();
    let appended = place.ledger()?.append_all(&Lane::Actor(lane), &additions);
    appended.map(drop).map_err(|error| {
        Failure::because("the ledger cannot be written, and nothing was taken in", &error)
    })
}

fn tell(plan: &Plan, dry_run: bool, ui: &Ui) {
    let new = plan.issues.iter().filter(|issue| issue.is_new).count();
    let changed = plan.issues.iter().filter(|issue| !issue.is_new && issue.events > 0).count();
    let same = plan.issues.len() - new - changed;
    for left_out in &plan.left_out {
        ui.status(format!("Left out: {}", grit_issues::shown(left_out, 300)));
    }
    let would = if dry_run { "Would be taken in" } else { "Taken in" };
    ui.status(format!("{would}: {new} new issues, {changed} changed, {same} as they were"));
    let view = |issue: &grit_issues::exchange::Planned| json!({ "key": issue.key, "id": issue.id, "created": issue.is_new, "events": issue.events });
    let data = json!({
        "created": new,
        "changed": changed,
        "unchanged": same,
        "events": plan.events.len(),
        "dryRun": dry_run,
        "leftOut": plan.left_out,
        "issues": plan.issues.iter().filter(|one| one.events > 0).map(view).collect::<Vec<_>>(),
    });
    let touched = plan.issues.iter().filter(|issue| issue.events > 0);
    ui.data(&data, |_| touched.map(|issue| format!("{}\n", issue.id)).collect());
}
