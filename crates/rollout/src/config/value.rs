//! Leaves: one value each, checked for what will be made of it.

use std::fmt::Display;
use std::str::FromStr;

use grit_diag::decode::{Fields, Spanned, read};
use grit_diag::{Diagnostics, suggest, yaml::Node};

use super::{ITEMS_MAX, codes};

/// Text that another type says is good.
pub(super) fn parsed<T: FromStr<Err: Display>>(
    text: Spanned<&str>,
    diagnostics: &mut Diagnostics,
) -> Option<Spanned<T>> {
    match text.value.parse() {
        Ok(value) => Some(Spanned::new(value, text.span)),
        Err(error) => {
            diagnostics.error(text.span, codes::BAD_NAME, error.to_string());
            None
        }
    }
}

/// A mapping whose keys are names chosen by people, up to [`ITEMS_MAX`] of them.
pub(super) fn named<'n>(
    fields: &mut Fields<'n>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Vec<(Spanned<&'n str>, &'n Node)> {
    let mut entries = fields.entries(key, diagnostics).unwrap_or_default();
    if let Some((name, _)) = entries.get(ITEMS_MAX) {
        too_many(name.span, diagnostics);
    }
    entries.truncate(ITEMS_MAX);
    entries
}

/// A list, up to [`ITEMS_MAX`] of its items.
pub(super) fn items<'n>(
    fields: &mut Fields<'n>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<&'n [Node]> {
    fields.list(key, diagnostics).map(|list| bounded(list, diagnostics))
}

/// A list of strings, up to [`ITEMS_MAX`] of them.
pub(super) fn texts(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<String>> {
    let items = bounded(read::list(node, diagnostics)?, diagnostics);
    let text = |item| read::string(item, diagnostics).map(|text| text.value.to_owned());
    Some(items.iter().filter_map(text).collect())
}

pub(super) fn bounded<'n>(list: &'n [Node], diagnostics: &mut Diagnostics) -> &'n [Node] {
    if let Some(first) = list.get(ITEMS_MAX) {
        too_many(first.span, diagnostics);
    }
    &list[..list.len().min(ITEMS_MAX)]
}

fn too_many(span: grit_diag::Span, diagnostics: &mut Diagnostics) {
    let message = format!("only {ITEMS_MAX} items are read; this one is beyond");
    diagnostics.error(span, codes::TOO_MANY, message);
}

/// The one key of a mapping that says of which kind it is.
pub(super) fn one_of<'n>(
    node: &'n Node,
    kinds: &[&'static str],
    diagnostics: &mut Diagnostics,
) -> Option<(&'static str, &'n Node)> {
    let mut fields = Fields::of(node, diagnostics)?;
    let mut found = Vec::new();
    for kind in kinds {
        found.extend(fields.take(kind).map(|value| (*kind, value)));
    }
    let spans: Vec<_> = found.iter().filter_map(|(kind, _)| fields.key_span(kind)).collect();
    let errors = diagnostics.error_count();
    fields.finish(diagnostics);
    let unknown = diagnostics.error_count() > errors;
    match found[..] {
        [only] => return Some(only),
        // What is written there instead has been reported.
        [] if unknown => return None,
        _ => {}
    }
    let listed: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
    let at = spans.first().copied().unwrap_or(node.span);
    let message = format!("expected exactly one of {}, found {}", listed.join(", "), found.len());
    let finding = diagnostics.error(at, codes::ONE_OF, message);
    spans.iter().skip(1).for_each(|span| {
        finding.label(*span, "and this one");
    });
    None
}

/// An image's name: parts of `a-z 0-9 . _ -` separated by `/`, as OCI has it.
pub(super) fn image(text: Spanned<&str>, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    let is_part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(inner)
            && part.ends_with(inner)
            && part.chars().all(|c| inner(c) || "._-".contains(c))
            && !part.contains("..")
    };
    if text.value.len() <= 255 && text.value.split('/').all(is_part) {
        return Some(text.map(str::to_owned));
    }
    let message = format!("`{}` is not the name of an image", text.value);
    let finding = diagnostics.error(text.span, codes::BAD_NAME, message);
    finding.help("write parts of `a-z 0-9 . _ -`, separated by `/`, without a tag: `shop/api`");
    None
}

/// A path below the root of the repository, without `./` and `/` at its ends.
pub(super) fn path(text: Spanned<&str>, diagnostics: &mut Diagnostics) -> Option<String> {
    let trimmed = text.value.trim_end_matches('/');
    let trimmed = trimmed.strip_prefix("./").unwrap_or(trimmed);
    let is_part =
        |part: &str| !part.is_empty() && part != ".." && !part.chars().any(char::is_control);
    if trimmed == "."
        || trimmed.len() <= 1_024 && trimmed.split('/').all(|p| is_part(p) && p != ".")
    {
        return Some(trimmed.to_owned());
    }
    let message = format!("`{}` is not a path below the root of the repository", text.value);
    diagnostics.error(text.span, codes::BAD_NAME, message).help("write it like `services/api`");
    None
}

/// Help for a name that is not among `candidates`.
pub(super) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    if let Some(near) = suggest(word, candidates.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<String> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
    if all.is_empty() {
        "none is declared".to_owned()
    } else {
        format!("there are: {}", all.join(", "))
    }
}
