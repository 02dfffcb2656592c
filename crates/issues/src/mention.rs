use std::collections::BTreeSet;

use grit_types::Principal;

use crate::markdown;

/// Who is called by `@name` in a text, outside code.
///
/// A name ends before punctuation that ends a sentence, and the `@` of an address
/// (`partner@example.com`) calls nobody.
pub fn mentions(text: &str) -> BTreeSet<Principal> {
    let mut found = BTreeSet::new();
    for line in markdown::prose(text) {
        for (_, part) in markdown::outside_code(line.text) {
            found.extend(part.match_indices('@').filter_map(|(at, _)| name(part, at)));
        }
    }
    found
}

/// The name behind the `@` at `at`.
fn name(text: &str, at: usize) -> Option<Principal> {
    let before = text[..at].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || "._-+@/".contains(c)) {
        return None;
    }
    let rest = &text[at + 1..];
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    let name = &rest[..end.unwrap_or(rest.len())];
    name.trim_end_matches(['.', '-', '_']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_called_outside_code_and_addresses() {
        let text = "## Outgoing: @alice\n- Release lead: @bob.\n(@carol) @mobile-team, @a.b_c!\n\
            partner-a@example.com `@no1` @@no2 x/@no3\n```\n@no4\n```\n@ @- @.x \"@dave\"";
        let names: Vec<String> = mentions(text).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.b_c", "alice", "bob", "carol", "dave", "mobile-team"]);
    }

    #[test]
    fn names_that_nobody_can_have_are_passed_over() {
        let long = format!("@{}", "x".repeat(65));
        assert!(mentions(&long).is_empty());
    }
}
