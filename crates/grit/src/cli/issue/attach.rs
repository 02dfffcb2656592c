use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use grit_issues::{ATTACHMENT_BYTES_MAX, Attachment, Command, Event, shown};
use grit_ledger::BytesError;
use grit_types::{IssueId, chain};

use super::args::{Attach, AttachmentVerb};
use super::change;
use super::tracker::{Tracker, wish_refused};
use crate::cli::place::{Place, git_failure};
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// How large an attachment may be here, in bytes or with `k` or `m`; never more than
/// [`ATTACHMENT_BYTES_MAX`].
const SETTING: &str = "grit.attachmentMax";

/// Names of files that say what is in them; of others the bytes are looked at.
const TYPES: [(&str, &str); 16] = [
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("zip", "application/zip"),
];

/// A file that is about to be attached.
pub struct File {
    about: Attachment,
    bytes: Vec<u8>,
}

pub fn run(options: &Attach, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let (name, media_type) = (options.name.as_deref(), options.media_type.as_deref());
    let file = read(&options.file, name, media_type, place)?;
    let mut tracker = Tracker::open(place)?;
    let command = Command::Attach(file.about);
    tracker.bring(file.bytes);
    change::on(&mut tracker, &options.id, &[command], ui)
}

/// Attaches files to an issue that was just made, or was there.
pub fn to(
    tracker: &mut Tracker,
    issue: &IssueId,
    is_new: bool,
    files: Vec<File>,
) -> Result<(), Failure> {
    let mut commands = Vec::new();
    for File { about, bytes } in files {
        tracker.bring(bytes);
        if is_new {
            tracker
                .append(&[Event::AttachmentAdded { issue: issue.clone(), attachment: about }])?;
        } else {
            commands.push(Command::Attach(about));
        }
    }
    if !commands.is_empty() {
        tracker.change(issue.as_str(), &commands)?;
    }
    Ok(())
}

/// Reads a file that is to be attached.
pub fn read(
    file: &Path,
    name: Option<&str>,
    media_type: Option<&str>,
    place: &Place,
) -> Result<File, Failure> {
    let from_stdin = file == Path::new("-");
    let own_name = || file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = match (name, from_stdin) {
        (Some(name), _) => name.to_owned(),
        (None, false) => own_name(),
        (None, true) => {
            let message = "standard input has no name";
            return Err(Failure::new(Exit::Usage, "usage", message).hint("`--name NAME`"));
        }
    };
    let bytes = read_bounded(file, from_stdin, bytes_max(place)?)?;
    let media_type = media_type.map_or_else(|| guess(&name, &bytes).to_owned(), str::to_owned);
    let about = Attachment::new(name, media_type, &bytes);
    Ok(File { about: about.map_err(|refusal| wish_refused(&refusal))?, bytes })
}

fn read_bounded(file: &Path, from_stdin: bool, max: u64) -> Result<Vec<u8>, Failure> {
    let shown = file.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(Exit::NotFound, "not_found", format!("there is no file `{shown}`"))
        }
        _ => Failure::because(&format!("read `{shown}`"), &error),
    };
    let mut bytes = Vec::new();
    if from_stdin {
        std::io::stdin().take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        // Looked at before it is opened: a pipe would wait for its writer.
        if !fs::metadata(file).map_err(unreadable)?.is_file() {
            let message = format!("`{shown}` is no file");
            return Err(Failure::new(Exit::Usage, "usage", message));
        }
        let file = fs::File::open(file).map_err(unreadable)?;
        file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 > max {
        let message =
            format!("`{shown}` has more than the {max} bytes that an attachment may have");
        let hint = format!("`git config {SETTING}`, up to {ATTACHMENT_BYTES_MAX}");
        return Err(Failure::new(Exit::Usage, "too_large", message).hint(hint));
    }
    Ok(bytes)
}

fn bytes_max(place: &Place) -> Result<u64, Failure> {
    let setting = place.repository()?.setting(SETTING).map_err(|error| git_failure(&error))?;
    let Some(text) = setting else { return Ok(ATTACHMENT_BYTES_MAX) };
    let low = text.to_ascii_lowercase();
    let (digits, unit) = match low.strip_suffix('k') {
        Some(digits) => (digits, 1 << 10),
        None => low.strip_suffix('m').map_or((low.as_str(), 1), |digits| (digits, 1 << 20)),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let bytes = bytes.filter(|bytes| *bytes <= ATTACHMENT_BYTES_MAX).ok_or_else(|| {
        let message = format!("the setting {SETTING} is `{}`", shown(&text, 80));
        let hint = format!("`git config {SETTING} 8m`, up to {ATTACHMENT_BYTES_MAX} bytes");
        Failure::new(Exit::Usage, "attachment_max", message).hint(hint)
    })?;
    Ok(bytes)
}

fn guess(name: &str, bytes: &[u8]) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    let known = TYPES.iter().find(|(end, _)| Some(*end) == extension.as_deref());
    match known {
        Some((_, media_type)) => media_type,
        None if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) => "text/plain",
        None => "application/octet-stream",
    }
}

pub fn files(verb: &AttachmentVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    match verb {
        AttachmentVerb::List { id } => list(id, place, ui),
        AttachmentVerb::Save { id, name, to, force } => {
            let tracker = Tracker::open(place)?;
            let file = find(&tracker, id, name)?;
            save(&tracker, &file, to, *force, ui)
        }
        AttachmentVerb::Remove { id, name } => {
            let mut tracker = Tracker::open(place)?;
            let name = find(&tracker, id, name)?.name;
            change::on(&mut tracker, id, &[Command::Detach { name }], ui)
        }
    }
}

fn list(id: &str, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let tracker = Tracker::open(place)?;
    ui.data(&tracker.issue(id)?.attachments, |files| {
        if !ui.is_terminal() {
            return files.iter().map(|file| format!("{}\n", shown(&file.name, 250))).collect();
        }
        let row = |file: &Attachment| {
            let name = shown(&file.name, 60);
            vec![name, file.size.to_string(), shown(&file.media_type, 40), file.digest.short()]
        };
        table(&["NAME", "BYTES", "TYPE", "DIGEST"], &files.iter().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}

fn find(tracker: &Tracker, id: &str, name: &str) -> Result<Attachment, Failure> {
    let issue = tracker.issue(id)?;
    let named = |file: &&Attachment| file.name == name;
    let begins = |file: &&Attachment| name.len() >= 4 && file.digest.hex().starts_with(name);
    let found = issue.attachments.iter().find(named);
    let found = found.or_else(|| issue.attachments.iter().find(begins)).cloned();
    found.ok_or_else(|| {
        let message = format!("nothing called `{}` is attached", shown(name, 80));
        let hint = format!("`grit issue attachment list {}`", issue.id.short());
        Failure::new(Exit::NotFound, "attachment", message).hint(hint)
    })
}

/// Under a name that is one file in `folder`, whatever whoever attached it called it.
fn save(
    tracker: &Tracker,
    file: &Attachment,
    folder: &Path,
    force: bool,
    ui: &Ui,
) -> Result<Exit, Failure> {
    let bytes = tracker.bytes(&file.digest).map_err(|error| bytes_failure(&error))?;
    let path = folder.join(file.file_name());
    let failed = |error: std::io::Error| Failure::because("the file cannot be written", &error);
    let mut written = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    written.write_all(&bytes).and_then(|()| written.as_file().sync_all()).map_err(failed)?;
    // Neither follows a link that lies there under that name.
    let persisted = if force { written.persist(&path) } else { written.persist_noclobber(&path) };
    persisted.map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let message = format!("`{}` is there already", path.display());
            let hint = "`--force` writes over it, `--to FOLDER` elsewhere";
            Failure::new(Exit::Conflict, "exists", message).hint(hint)
        }
        _ => failed(error.error),
    })?;
    let data = serde_json::json!({ "path": path, "size": bytes.len(), "digest": file.digest });
    ui.data(&data, |_| format!("{}\n", path.display()));
    Ok(Exit::Done)
}

fn bytes_failure(error: &BytesError) -> Failure {
    let failure = |exit, code: &str| Failure::new(exit, code, chain(error));
    match error {
        BytesError::Unknown(_) => failure(Exit::NotFound, "no_bytes")
            .hint("`grit sync`: its event names bytes that did not come with it"),
        BytesError::NotHere { .. } => failure(Exit::Environment, "bytes_not_here")
            .hint("save it in a clone that is neither shallow nor partial"),
        BytesError::Altered { .. } | BytesError::Unreadable { .. } => {
            failure(Exit::Environment, "bytes_altered")
                .hint("`grit verify`; a whole copy comes with a fresh clone")
        }
        BytesError::Ledger(_) => Failure::because("the ledger cannot be read", error),
    }
}
