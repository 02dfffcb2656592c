use std::collections::{BTreeMap, BTreeSet};

use super::Template;
use crate::event::Draft;

/// What a template comes to with values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    pub draft: Draft,
    /// Placeholders that no value was given for. They stand in the text as they were; a label with
    /// one is left out.
    pub missing: BTreeSet<String>,
    /// Those of them that stand in the title.
    pub missing_in_title: BTreeSet<String>,
}

impl Template {
    /// An issue with each `{{name}}` replaced by its value. Values are taken as they are: what
    /// looks like a placeholder in them is none.
    pub fn fill(&self, values: &BTreeMap<String, String>) -> Filled {
        let mut missing = BTreeSet::new();
        let title = replace(&self.title, values, &mut missing);
        let missing_in_title = missing.clone();
        let body = replace(&self.body, values, &mut missing);
        let mut labels = BTreeSet::new();
        for label in &self.labels {
            let mut unknown = BTreeSet::new();
            let filled = replace(label, values, &mut unknown);
            if unknown.is_empty() {
                labels.insert(filled);
            }
            missing.extend(unknown);
        }
        let draft = Draft {
            title,
            body,
            labels,
            template: Some(self.name.clone()),
            assignees: self.assignees.clone(),
            milestone: self.milestone.clone(),
            priority: self.priority,
            ..Draft::default()
        };
        Filled { draft, missing, missing_in_title }
    }

    /// The names of all placeholders.
    pub fn placeholders(&self) -> BTreeSet<&str> {
        let texts = [&self.title, &self.body].into_iter().chain(&self.labels);
        let names = texts.flat_map(|text| braces(text)).filter_map(|brace| match brace {
            Brace::Placeholder { name, .. } => Some(name),
            Brace::Other { .. } => None,
        });
        names.collect()
    }
}

fn replace(
    text: &str,
    values: &BTreeMap<String, String>,
    missing: &mut BTreeSet<String>,
) -> String {
    let mut filled = String::new();
    let mut done = 0;
    for brace in braces(text) {
        let Brace::Placeholder { start, end, name } = brace else { continue };
        match values.get(name) {
            Some(value) => {
                filled.push_str(&text[done..start]);
                filled.push_str(value);
                done = end;
            }
            None => {
                missing.insert(name.to_owned());
            }
        }
    }
    filled.push_str(&text[done..]);
    filled
}

/// A `{{` of a text.
pub(super) enum Brace<'a> {
    /// From `start` to `end`, in bytes.
    Placeholder { start: usize, end: usize, name: &'a str },
    /// One that begins no placeholder.
    Other { start: usize },
}

/// Every `{{` that does not follow a `$`.
pub(super) fn braces(text: &str) -> impl Iterator<Item = Brace<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find("{{")?;
            at = start + 2;
            if text[..start].ends_with('$') {
                continue;
            }
            let Some(end) = text[at..].find("}}") else { return Some(Brace::Other { start }) };
            let name = text[at..at + end].trim_matches([' ', '\t']);
            if is_name(name) {
                at += end + 2;
                return Some(Brace::Placeholder { start, end: at, name });
            }
            return Some(Brace::Other { start });
        }
    })
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(title: &str, body: &str) -> Template {
        let labels = vec!["release".to_owned(), "{{version}}".to_owned()];
        Template { title: title.into(), body: body.into(), labels, ..Template::default() }
    }

    #[test]
    fn values_stand_where_their_names_stood() {
        let template =
            template("Release {{ version }}", "{{a}}{{b}} ${{ github.sha }} {{ .Values }} {{a");
        let values = [("version", "v2"), ("a", "{{b}}"), ("unused", "x")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let filled = template.fill(&values);
        assert_eq!(filled.draft.title, "Release v2");
        assert_eq!(filled.draft.body, "{{b}}{{b}} ${{ github.sha }} {{ .Values }} {{a");
        assert_eq!(filled.draft.labels, ["release".to_owned(), "v2".to_owned()].into());
        assert_eq!(filled.missing, ["b".to_owned()].into());
        assert!(filled.missing_in_title.is_empty());
        assert_eq!(template.placeholders(), ["a", "b", "version"].into());
    }

    #[test]
    fn a_label_without_its_value_is_left_out() {
        let filled = template("{{version}}", "").fill(&BTreeMap::new());
        assert_eq!(filled.draft.labels, ["release".to_owned()].into());
        assert_eq!(filled.missing_in_title, ["version".to_owned()].into());
    }

    proptest! {
        #[test]
        fn without_values_nothing_changes(text in "([{}$ a-cé]|\\{\\{a\\}\\}){0,40}") {
            let mut missing = BTreeSet::new();
            prop_assert_eq!(replace(&text, &BTreeMap::new(), &mut missing), text);
        }
    }
}
