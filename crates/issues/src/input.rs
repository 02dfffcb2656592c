//! What people may write. Events that are there are shown whatever they say; this is asked before
//! a new one is made.

use crate::command::Refusal;
use crate::event::Draft;
use crate::value::{Attachment, Link, is_file_name};

/// Longest title, in bytes.
pub const TITLE_BYTES_MAX: usize = 64 << 10;
/// Longest body or comment, in bytes.
pub const TEXT_BYTES_MAX: usize = 512 << 10;
/// Longest label, milestone, key or link, in bytes.
pub const NAME_BYTES_MAX: usize = 2 << 10;
/// Most labels of a new issue.
pub const LABELS_MAX: usize = 100;
/// Largest attachment, in bytes.
pub const ATTACHMENT_BYTES_MAX: u64 = 32 << 20;

// A control character takes six bytes in an event.
const _: () = assert!(
    6 * (TITLE_BYTES_MAX + TEXT_BYTES_MAX) + (LABELS_MAX + 8) * NAME_BYTES_MAX
        < grit_ledger::EVENT_BYTES_MAX,
    "what may be written must be readable"
);

/// Schemes that a link may have: those that only look or write a mail.
const SCHEMES: [&str; 4] = ["https://", "http://", "ssh://", "mailto:"];

pub fn draft(draft: &Draft) -> Result<(), Refusal> {
    title(&draft.title)?;
    body(&draft.body)?;
    if draft.labels.len() > LABELS_MAX {
        let (bytes, max) = (draft.labels.len(), LABELS_MAX);
        return Err(Refusal::TooLarge { what: "the list of labels", bytes, max });
    }
    draft.labels.iter().try_for_each(|one| label(one))?;
    draft.milestone.as_deref().map_or(Ok(()), milestone)?;
    for (what, name) in [
        ("the key", &draft.key),
        ("the fingerprint", &draft.fingerprint),
        ("the template", &draft.template),
    ] {
        name.as_deref().map_or(Ok(()), |name| word(what, name))?;
    }
    Ok(())
}

/// Any text that says something: newlines and controls are kept, and shown safely.
pub fn title(title: &str) -> Result<(), Refusal> {
    if title.trim().is_empty() {
        return Err(Refusal::Empty("the title"));
    }
    sized("the title", title, TITLE_BYTES_MAX)
}

pub fn body(body: &str) -> Result<(), Refusal> {
    text("the body", body)
}

/// A comment, which must say something.
pub fn said(body: &str) -> Result<(), Refusal> {
    if body.trim().is_empty() {
        return Err(Refusal::Empty("the comment"));
    }
    text("the comment", body)
}

pub fn text(what: &'static str, text: &str) -> Result<(), Refusal> {
    sized(what, text, TEXT_BYTES_MAX)
}

pub fn label(label: &str) -> Result<(), Refusal> {
    word("the label", label)
}

pub fn milestone(name: &str) -> Result<(), Refusal> {
    word("the milestone", name)
}

pub fn link(link: &Link) -> Result<(), Refusal> {
    let what = "the link";
    word(what, &link.url)?;
    sized("the link's title", &link.title, NAME_BYTES_MAX)?;
    let low = link.url.to_ascii_lowercase();
    let rest = SCHEMES.iter().find_map(|scheme| low.strip_prefix(scheme));
    let problem = match rest {
        None => "must begin with `https://`, `http://`, `ssh://` or `mailto:`",
        Some("") => "leads nowhere",
        Some(rest) if rest.contains(char::is_whitespace) => "must not contain white space",
        Some(_) => return Ok(()),
    };
    Err(Refusal::Invalid { what, text: link.url.clone(), problem })
}

pub fn attachment(attachment: &Attachment) -> Result<(), Refusal> {
    let (what, text) = ("the attachment", attachment.name.clone());
    if !is_file_name(&attachment.name) {
        return Err(Refusal::Invalid { what, text, problem: "is no plain file name" });
    }
    let media = &attachment.media_type;
    let is_media = media.len() <= 255
        && media.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        && media.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if !is_media {
        let (what, text) = ("the media type", media.clone());
        return Err(Refusal::Invalid { what, text, problem: "is not one such as `text/plain`" });
    }
    if attachment.size > ATTACHMENT_BYTES_MAX {
        let max = usize::try_from(ATTACHMENT_BYTES_MAX).unwrap_or(usize::MAX);
        let bytes = usize::try_from(attachment.size).unwrap_or(usize::MAX);
        return Err(Refusal::TooLarge { what, bytes, max });
    }
    Ok(())
}

/// 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit, and not `me`.
pub fn query_name(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let is_name = (1..=64).contains(&name.len())
        && name.chars().all(allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let problem = match name {
        "me" => "stands for whoever asks",
        _ if !is_name => "must be 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit",
        _ => return Ok(()),
    };
    Err(Refusal::Invalid { what: "the query's name", text: name.to_owned(), problem })
}

/// One line that neither begins nor ends with white space.
fn word(what: &'static str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::Empty(what));
    }
    sized(what, text, NAME_BYTES_MAX)?;
    let problem = if text.trim() != text {
        "must not begin or end with white space"
    } else if text.chars().any(|c| c.is_control() || crate::shown::is_bidi_control(c)) {
        "must not contain control characters"
    } else {
        return Ok(());
    };
    Err(Refusal::Invalid { what, text: crate::shown(text, 80), problem })
}

fn sized(what: &'static str, text: &str, max: usize) -> Result<(), Refusal> {
    let bytes = text.len();
    if bytes > max { Err(Refusal::TooLarge { what, bytes, max }) } else { Ok(()) }
}
