//! Anchors, tags and aliases as they stand in the text: saphyr's tree has resolved and forgotten
//! them.

/// What stands before the content of a node.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Properties<'a> {
    pub(super) anchor: Option<&'a str>,
    /// As it is written: `!!int`.
    pub(super) tag: Option<&'a str>,
    /// Where the content starts, in bytes.
    pub(super) content: usize,
}

impl<'a> Properties<'a> {
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// `text` is that of a node from its first property on.
    pub(super) fn of(text: &'a str) -> Self {
        let mut found = Self::default();
        loop {
            let rest = &text[found.content..];
            let property = word(rest);
            match rest.chars().next() {
                Some('&') => found.anchor = Some(&property[1..]),
                Some('!') => found.tag = Some(property),
                _ => return found,
            }
            found.content += property.len();
            found.content += blank(&text[found.content..]);
        }
    }
}

/// The name, when all of `text` is an alias.
pub(super) fn alias(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let name = text.strip_prefix('*')?;
    (!name.is_empty() && word(text) == text).then_some(name)
}

/// Whether the text before a scalar ends with the header of a block scalar: `|`, `>-`, `|2 #
/// comment`, and a line break.
pub(super) fn follows_block_header(before: &str) -> bool {
    let blank_tail = before.trim_end();
    if !before[blank_tail.len()..].contains('\n') {
        return false;
    }
    let line = blank_tail.rsplit('\n').next().unwrap_or_default();
    let header = line.find(" #").map_or(line, |comment| &line[..comment]).trim_end();
    let header = header.trim_end_matches(|c: char| matches!(c, '-' | '+') || c.is_ascii_digit());
    let Some(parent) = header.strip_suffix(['|', '>']) else { return false };
    parent.is_empty() || parent.ends_with([' ', '\t'])
}

/// Up to the next white space or flow indicator.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}'));
    &text[..end.unwrap_or(text.len())]
}

/// The length of white space and comments at the start.
fn blank(text: &str) -> usize {
    let mut rest = text.trim_start();
    while rest.starts_with('#') && rest.len() < text.len() {
        rest = rest.split_once('\n').map_or("", |(_, next)| next).trim_start();
    }
    text.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_in_any_order() {
        let table = [
            ("x", None, "x"),
            ("&a x", Some("a"), "x"),
            ("!!str &a x", Some("a"), "x"),
            ("&a !t [x]", Some("a"), "[x]"),
            ("&a # why\n  # more\n  k: v", Some("a"), "k: v"),
            ("&a", Some("a"), ""),
            ("!", None, ""),
        ];
        for (text, anchor, content) in table {
            let found = Properties::of(text);
            assert_eq!((found.anchor, &text[found.content..]), (anchor, content), "{text}");
        }
    }

    #[test]
    fn an_alias_is_one_word() {
        assert_eq!(alias("*a "), Some("a"));
        assert_eq!(alias("*a : b"), None);
        assert_eq!(alias("*"), None);
        assert_eq!(alias("a*"), None);
    }

    #[test]
    fn block_headers_are_told_from_other_lines() {
        for header in ["a: |\n  ", "a: >-\n\n  ", "- |2+ # why\n", "|\n"] {
            assert!(follows_block_header(header), "{header:?}");
        }
        for other in ["a: ", "a:\n  ", "a: b|\n", "a: x # |\n", "", "\n"] {
            assert!(!follows_block_header(other), "{other:?}");
        }
    }
}
