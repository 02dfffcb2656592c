//! A mapping with known keys.

use super::{Spanned, read};
use crate::{Diagnostics, Span, codes, suggest, yaml::Node};
use std::time::Duration;

/// Known keys that a report lists when it has no suggestion.
const LISTED_KEYS_MAX: usize = 30;

/// A mapping that is read key by key. Each key that is asked for becomes a known one;
/// [`Fields::finish`] reports the others.
///
/// Getters take the collector as an argument, so that a value can be read with `Fields` of its own
/// in between. They report a value of another type, a value that was left out included, and return
/// `None` as for a missing key.
#[derive(Debug)]
pub struct Fields<'n> {
    span: Span,
    pairs: &'n [(Node, Node)],
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Reports a node that is not a mapping.
    pub fn of(node: &'n Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.as_mapping() {
            Some(pairs) => Some(Self { span: node.span, pairs, known: Vec::new() }),
            None => read::expected("a mapping", node, diagnostics),
        }
    }

    /// Where the mapping stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Where a key stands.
    pub fn key_span(&self, name: &str) -> Option<Span> {
        self.find(name).map(|(key, _)| key.span)
    }

    /// The value of a key, of any type.
    pub fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        self.find(name).map(|(_, value)| value)
    }

    /// The value of a key that must be there.
    pub fn required(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'n Node> {
        let found = self.take(name);
        if found.is_none() {
            let at = self.pairs.first().map_or(self.span, |(key, _)| key.span);
            diagnostics.error(
                at,
                codes::MISSING_KEY,
                format!("the key `{name}` is missing in this mapping"),
            );
        }
        found
    }

    pub fn string(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<&'n str>> {
        read::string(self.take(name)?, diagnostics)
    }

    pub fn boolean(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<bool>> {
        read::boolean(self.take(name)?, diagnostics)
    }

    pub fn integer(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<i64>> {
        read::integer(self.take(name)?, diagnostics)
    }

    pub fn number(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<f64>> {
        read::number(self.take(name)?, diagnostics)
    }

    pub fn list(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'n [Node]> {
        read::list(self.take(name)?, diagnostics)
    }

    /// A list, or one item that stands for a list of one.
    pub fn one_or_many(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'n [Node]> {
        read::one_or_many(self.take(name)?, diagnostics)
    }

    /// One string, or a list of strings.
    pub fn strings(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<Spanned<&'n str>>> {
        read::strings(self.take(name)?, diagnostics)
    }

    pub fn duration(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<Duration>> {
        read::duration(self.take(name)?, diagnostics)
    }

    /// A mapping with known keys of its own.
    pub fn fields(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Fields<'n>> {
        Fields::of(self.take(name)?, diagnostics)
    }

    /// A mapping whose keys are names chosen by people.
    pub fn entries(
        &mut self,
        name: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<(Spanned<&'n str>, &'n Node)>> {
        read::entries(self.take(name)?, diagnostics)
    }

    /// Reports every key that was not asked for.
    pub fn finish(self, diagnostics: &mut Diagnostics) {
        for (key, _) in self.pairs {
            let Some(name) = key.text() else {
                diagnostics.error(
                    key.span,
                    codes::UNKNOWN_KEY,
                    format!("expected a name as key, found {}", key.kind()),
                );
                continue;
            };
            if !self.known.contains(&name) {
                let finding = diagnostics.error(
                    key.span,
                    codes::UNKNOWN_KEY,
                    format!("unknown key `{name}`"),
                );
                match suggest(name, self.known.iter().copied()) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding.help(self.known_keys()),
                };
            }
        }
    }

    fn find(&self, name: &str) -> Option<&'n (Node, Node)> {
        self.pairs.iter().find(|(key, _)| key.text() == Some(name))
    }

    fn known_keys(&self) -> String {
        let mut known = self.known.clone();
        known.sort_unstable();
        known.dedup();
        let listed: Vec<_> =
            known.iter().take(LISTED_KEYS_MAX).map(|name| format!("`{name}`")).collect();
        match known.len().saturating_sub(LISTED_KEYS_MAX) {
            0 if listed.is_empty() => "no keys are allowed here".to_owned(),
            0 => format!("allowed here: {}", listed.join(", ")),
            more => format!("allowed here: {} and {more} more", listed.join(", ")),
        }
    }
}
