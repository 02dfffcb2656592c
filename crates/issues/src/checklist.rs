use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::markdown::{self, Line};
use crate::value::ItemRef;

/// One box of a checklist, as the body says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// From 1, over the whole body.
    pub number: usize,
    pub text: String,
    /// Which of the items with the same text it is, from 1.
    pub ordinal: u32,
    pub checked: bool,
    /// How many lists it stands in beyond its own.
    pub depth: usize,
    /// The heading above it, without its `#`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
}

/// How far a checklist is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: usize,
    pub total: usize,
}

impl Item {
    /// What names it, whatever else the body comes to say.
    pub fn reference(&self) -> ItemRef {
        ItemRef { text: self.text.clone(), ordinal: self.ordinal }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.done, self.total)
    }
}

/// The items of all checklists in a body: `- [ ] text`, `- [x] text`, also behind `*`, `+`, `1.`
/// and `1)`, nested or not, outside code (GitHub Flavored Markdown, task list items).
pub fn items(body: &str) -> Vec<Item> {
    marked(body).into_iter().map(|(item, _)| item).collect()
}

/// The items, and where the mark between the brackets of each stands, in bytes.
fn marked(body: &str) -> Vec<(Item, usize)> {
    let mut items: Vec<(Item, usize)> = Vec::new();
    let mut section = None;
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for line in markdown::prose(body) {
        if let Some(heading) = heading(&line) {
            section = Some(heading.to_owned());
        }
        let Some((mark, checked, text)) = task(&line) else { continue };
        let ordinal = seen.entry(text).and_modify(|count| *count += 1).or_insert(1);
        let item = Item {
            number: items.len() + 1,
            text: text.to_owned(),
            ordinal: *ordinal,
            checked,
            depth: line.lists.saturating_sub(1),
            section: section.clone(),
        };
        items.push((item, mark));
    }
    items
}

/// How many of them are checked; `None` where there are none.
pub fn progress(items: &[Item]) -> Option<Progress> {
    let done = items.iter().filter(|item| item.checked).count();
    (!items.is_empty()).then_some(Progress { done, total: items.len() })
}

/// The body with each item's box as `is_checked` says. Nothing else changes, not even the way in
/// which a box was checked.
pub fn with_marks(body: &str, is_checked: impl Fn(&Item) -> bool) -> String {
    let mut text = body.to_owned();
    for (item, mark) in marked(body) {
        let wanted = is_checked(&item);
        if wanted != item.checked {
            // Both marks are one byte long.
            text.replace_range(mark..=mark, if wanted { "x" } else { " " });
        }
    }
    text
}

fn heading<'a>(line: &Line<'a>) -> Option<&'a str> {
    let text = line.text.trim();
    let level = text.bytes().take_while(|byte| *byte == b'#').count();
    let rest = &text[level..];
    let is_heading = (1..=6).contains(&level) && rest.starts_with([' ', '\t']);
    is_heading.then(|| rest.trim().trim_end_matches('#').trim_end())
}

/// Where the mark stands, whether it is set, and the text behind it.
fn task<'a>(line: &Line<'a>) -> Option<(usize, bool, &'a str)> {
    let at = line.item?;
    let rest = &line.text[at..];
    let checked = match rest.as_bytes() {
        [b'[', b' ', b']', ..] => false,
        [b'[', b'x' | b'X', b']', ..] => true,
        _ => return None,
    };
    let text = &rest[3..];
    let is_task = text.starts_with([' ', '\t']) && !text.trim().is_empty();
    is_task.then(|| (line.start + at + 1, checked, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_are_read_with_their_place() {
        let body = "## Plan\n1. [ ] one\n2. [x] two\n   - [X] deep\n     * [ ] deeper\n\n# Then ##\n+ [ ] one\n- plain\n  - [ ] under plain\n";
        let read: Vec<String> = marked(body)
            .iter()
            .map(|(item, at)| {
                let section = item.section.as_deref().unwrap_or("-");
                let mark = if item.checked { "x" } else { " " };
                format!(
                    "{} {}{} [{mark}] {}#{} ({section})",
                    item.number,
                    "  ".repeat(item.depth),
                    &body[*at..=*at],
                    item.text,
                    item.ordinal
                )
            })
            .collect();
        insta::assert_snapshot!(read.join("\n"), @r"
        1   [ ] one#1 (Plan)
        2 x [x] two#1 (Plan)
        3   X [x] deep#1 (Plan)
        4       [ ] deeper#1 (Plan)
        5   [ ] one#2 (Then)
        6     [ ] under plain#1 (Then)
        ");
        assert_eq!(progress(&items(body)).unwrap().to_string(), "2/6");
    }

    #[test]
    fn what_only_looks_like_an_item_is_none() {
        for body in [
            "```\n- [ ] in code\n```",
            "    - [ ] indented code",
            "- [] no mark",
            "- [y] other mark",
            "-[ ] no space",
            "- [ ]no space",
            "- [ ] ",
            "[ ] no marker",
            "text - [ ] inside",
            "- [ ](link)",
            "1234567890. [ ] no number",
        ] {
            assert_eq!(items(body), [], "{body:?}");
        }
        assert_eq!(progress(&[]), None);
    }

    #[test]
    fn only_the_marks_change() {
        let body = "- [X] a\r\n\t- [ ] b\n```\n- [ ] b\n```";
        assert_eq!(with_marks(body, |_| true), "- [X] a\r\n\t- [x] b\n```\n- [ ] b\n```");
        assert_eq!(with_marks(body, |_| false), "- [ ] a\r\n\t- [ ] b\n```\n- [ ] b\n```");
    }

    proptest! {
        #[test]
        fn marks_are_read_as_they_were_set(
            body in "(- |1\\. |  |\\[ \\] |\\[x\\] |```|#|aé|\n){0,60}",
            done in 0usize..8,
        ) {
            let marked = with_marks(&body, |item| item.number <= done);
            let before = items(&body);
            let after = items(&marked);
            prop_assert_eq!(before.len(), after.len());
            for item in &after {
                prop_assert_eq!(item.checked, item.number <= done);
            }
            prop_assert_eq!(with_marks(&marked, |item| before[item.number - 1].checked), body);
        }
    }
}
