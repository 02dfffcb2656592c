use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Read};
use std::path::Path;

use grit_git::GitLedger;
use grit_issues::exchange::document::{Contents, Files, attachment};
use grit_issues::exchange::{
    Found, ImportError, Plan, VIA, document, gitea, github, gitlab, markdown, plan,
};
use grit_issues::{Event, Issues};
use grit_ledger::{
    Addition, Entry, HlcClock, Lane, Ledger, Policy, SignatureProblem, merge, split,
};
use grit_types::{Actor, Clock, Digest, Entropy, Tenant, chain};
use serde_json::json;

use super::args::{Format, Import};
use super::{files, refs};
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
    let ledger = place.ledger()?;
    let entries = super::everything(&ledger)?.entries;
    let mut files = Files::new();
    let plan = match read {
        Input::Contents(contents) => {
            files = contents.files.unwrap_or_default();
            as_they_are(contents.events, &files, &entries, &ledger)
        }
        Input::Found(found) => {
            let events = merge(entries.into_iter().map(|entry| entry.event));
            let planned = plan_of(&found, options, place, &events)?;
            Plan { left_out: [found.left_out, planned.left_out].concat(), ..planned }
        }
    };
    check_signatures(&plan, &ledger)?;
    if !options.dry_run {
        append(&plan, &files, place, &ledger)?;
    }
    tell(&plan, options.dry_run, ui);
    Ok(Exit::Done)
}

enum Input {
    /// What a Grit wrote down.
    Contents(Contents),
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
        Format::Grit => document::read(&text).map(Input::Contents).map_err(failed),
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

/// The events that are not here yet, as they were written; again those whose files are not here,
/// with the bytes that the document has.
fn as_they_are(
    theirs: Vec<grit_ledger::Event>,
    files: &Files,
    entries: &[Entry],
    ledger: &GitLedger,
) -> Plan {
    let ours = merge(entries.iter().map(|entry| entry.event.clone()));
    let (before, all) = (Issues::fold(&ours), Issues::fold(&theirs));
    let known: BTreeSet<_> = entries.iter().map(|entry| &entry.id).collect();
    let lacking = lacking(&theirs, entries, ledger);
    let mut plan = Plan::default();
    let mut counts = BTreeMap::new();
    for event in merge(theirs) {
        let id = event.id();
        let brings = |digest: Digest| lacking.contains(&digest) && files.contains_key(&digest);
        if known.contains(&id) && !attachment(&event).is_some_and(|file| brings(file.digest)) {
            continue;
        }
        if let Ok(Some(payload)) = Event::read(&event) {
            *counts.entry(payload.issue().unwrap_or(&id).clone()).or_insert(0) += 1;
        }
        plan.events.push(event);
    }
    let left_out = lacking.iter().filter(|digest| !files.contains_key(digest)).count();
    if left_out > 0 {
        plan.left_out.push(format!("the bytes of {left_out} attachments, not in the document"));
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

/// The files that these events name and that are not whole here.
fn lacking(
    theirs: &[grit_ledger::Event],
    entries: &[Entry],
    ledger: &GitLedger,
) -> BTreeSet<Digest> {
    let here = files::named(entries);
    let is_here =
        |digest: &Digest| here.get(digest).is_some_and(|named| named.bytes(ledger).is_ok());
    let named: BTreeSet<_> = theirs.iter().filter_map(attachment).map(|file| file.digest).collect();
    named.into_iter().filter(|digest| !is_here(digest)).collect()
}

/// What would not count for anybody is not written down: under the policy `require` an event
/// counts when its actor's own key has signed it, and whoever imports has no key but their own.
fn check_signatures(plan: &Plan, ledger: &GitLedger) -> Result<(), Failure> {
    let failed = |error| Failure::because("what was agreed on cannot be read", &error);
    if plan.events.is_empty() || ledger.policy().map_err(failed)? != Policy::Require {
        return Ok(());
    }
    let agreed = ledger.agreed().map_err(failed)?;
    let key = ledger.signing_key().map_err(failed)?;
    let key = key.and_then(|line| GitLedger::fingerprint(&line));
    let accepted = |event: &grit_ledger::Event| match &key {
        None => Err(SignatureProblem::Missing),
        Some(key) => agreed.meta.accepts(key, event),
    };
    let bad = plan.events.iter().filter_map(|event| accepted(event).err());
    let bad: Vec<SignatureProblem> = bad.collect();
    let Some(first) = bad.first() else { return Ok(()) };
    let message = format!(
        "signatures are required here, and {} of {} events would not count: {first}",
        bad.len(),
        plan.events.len()
    );
    Err(Failure::new(Exit::Refused, "signatures", message).hint(match first {
        SignatureProblem::NotTheirs { .. } => {
            "`grit sync` brings what others signed; `grit export --format markdown` there and \
             `grit import --format markdown` here take it in in your own name"
        }
        _ => "`grit key create`, and somebody whose key counts publishes it: `grit key publish`",
    }))
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

fn append(plan: &Plan, files: &Files, place: &Place, ledger: &GitLedger) -> Result<(), Failure> {
    if plan.events.is_empty() {
        return Ok(());
    }
    let lane = place.repository()?.actor(&OsEntropy).map_err(|error| git_failure(&error))?;
    let file = |event| files.get(&attachment(event)?.digest).map(Vec::as_slice);
    let with_files: Vec<(_, Vec<&[u8]>)> =
        plan.events.iter().map(|event| (event, file(event).into_iter().collect())).collect();
    let additions: Vec<Addition<'_>> =
        with_files.iter().map(|(event, files)| Addition { event, files }).collect();
    let appended = ledger.append_all(&Lane::Actor(lane), &additions);
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
