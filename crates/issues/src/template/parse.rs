use std::collections::BTreeSet;

use grit_diag::decode::{Fields, Spanned, read};
use grit_diag::yaml::{self, Node};
use grit_diag::{Diagnostics, Source, Span};
use grit_types::Principal;

use super::fill::{Brace, braces};
use super::{Template, codes};
use crate::value::Priority;

/// Reads a template of a repository: a head between two lines `---` (YAML with `name`, `about`,
/// `title`, `labels`, `assignees`, `milestone`, `priority`), and the body behind it. Without a head
/// all of it is the body. `stem` is the file's name without `.md`; a template that does not say its
/// name is called so.
///
/// `None` comes with an error that says why, with line and column.
pub fn parse(stem: &str, source: &Source) -> (Option<Template>, Diagnostics) {
    let mut diagnostics = Diagnostics::new(source);
    let Some((head, body)) = halves(source, &mut diagnostics) else { return (None, diagnostics) };
    let mut template = Template { name: stem.to_owned(), ..Template::default() };
    if !head.is_empty() {
        // A prefix of the file, so that places in it are places in the file.
        let (root, found) = yaml::parse(&Source::new(source.name(), head));
        diagnostics.append(found);
        if let Some(root) = root.filter(|root| !root.is_null()) {
            read_head(&root, &mut template, &mut diagnostics);
        }
    }
    template.body = body.trim_start_matches(['\r', '\n']).to_owned();
    if template.title.trim().is_empty() && template.body.trim().is_empty() {
        let message = "the template has neither a title nor a body";
        diagnostics.error(Span::at(0), codes::EMPTY_TEMPLATE, message);
    }
    warn_of_braces(source, &mut diagnostics);
    ((!diagnostics.has_errors()).then_some(template), diagnostics)
}

/// The head, its first line included, and the body.
fn halves<'a>(source: &'a Source, diagnostics: &mut Diagnostics) -> Option<(&'a str, &'a str)> {
    let text = source.text();
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if first.trim_end() != "---" {
        return Some(("", text));
    }
    let mut end = first.len();
    for line in lines {
        if line.trim_end() == "---" {
            return Some((&text[..end], &text[end + line.len()..]));
        }
        end += line.len();
    }
    let message = "the head that begins here never ends";
    diagnostics
        .error(Span::new(0, 3), codes::UNCLOSED_HEAD, message)
        .help("write a line `---` behind it");
    None
}

fn read_head(root: &Node, template: &mut Template, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(root, diagnostics) else { return };
    if let Some(name) = fields.string("name", diagnostics) {
        match name.value.trim() {
            "" => invalid(name.span, "the name is empty", diagnostics),
            name => template.name = name.to_owned(),
        }
    }
    let about = fields.string("about", diagnostics);
    template.about = about.map(|about| about.value.to_owned()).unwrap_or_default();
    let title = fields.string("title", diagnostics);
    template.title = title.map(|title| title.value.to_owned()).unwrap_or_default();
    let milestone = fields.string("milestone", diagnostics).filter(|text| !text.is_empty());
    template.milestone = milestone.map(|milestone| milestone.value.to_owned());
    if let Some(priority) = fields.string("priority", diagnostics) {
        match priority.value.parse::<Priority>() {
            Ok(found) => template.priority = Some(found),
            Err(error) => invalid(priority.span, error, diagnostics),
        }
    }
    template.labels = names(fields.take("labels"), diagnostics, |label, _, _| Some(label));
    template.assignees = names(fields.take("assignees"), diagnostics, person);
    fields.finish(diagnostics);
}

/// A list of names, or names with commas between them, as other forges write them.
fn names<T, C: FromIterator<T> + Default>(
    node: Option<&Node>,
    diagnostics: &mut Diagnostics,
    read_one: impl Fn(String, Span, &mut Diagnostics) -> Option<T>,
) -> C {
    let Some(node) = node else { return C::default() };
    let found: Vec<Spanned<String>> = if node.as_sequence().is_some() {
        let strings = read::strings(node, diagnostics).unwrap_or_default();
        strings.into_iter().map(|one| one.map(str::to_owned)).collect()
    } else {
        let text = read::string(node, diagnostics);
        let one = |part: &str| Spanned::new(part.trim().to_owned(), node.span);
        text.iter().flat_map(|text| text.value.split(',')).map(one).collect()
    };
    let given = found.into_iter().filter(|one| !one.value.is_empty());
    given.filter_map(|one| read_one(one.value, one.span, diagnostics)).collect()
}

fn person(name: String, span: Span, diagnostics: &mut Diagnostics) -> Option<Principal> {
    match name.trim_start_matches('@').parse() {
        Ok(person) => Some(person),
        Err(error) => {
            invalid::<BTreeSet<Principal>>(span, error, diagnostics);
            None
        }
    }
}

fn invalid<T: Default>(span: Span, why: impl ToString, diagnostics: &mut Diagnostics) -> T {
    diagnostics.error(span, grit_diag::codes::INVALID_VALUE, why.to_string());
    T::default()
}

fn warn_of_braces(source: &Source, diagnostics: &mut Diagnostics) {
    for brace in braces(source.text()) {
        let Brace::Other { start } = brace else { continue };
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        let span = Span::new(start, start.saturating_add(2));
        diagnostics
            .warning(span, codes::NOT_A_PLACEHOLDER, "`{{` begins no placeholder here")
            .help("a placeholder is written `{{version}}`");
    }
}
