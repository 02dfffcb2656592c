//! From saphyr's tree to ours.

use super::probe::{self, Refusal};
use super::{Node, Style, Value, scalar};
use crate::{Diagnostics, Source, Span, codes, source::offset};
use duplicate::Masked;
use properties::Properties;
use report::{refuse, report};
use saphyr::{MarkedYaml, Scalar, YamlData};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

mod duplicate;
mod properties;
mod report;

/// `None` comes with an error that says why.
pub(super) fn load(source: &Source, diagnostics: &mut Diagnostics) -> Option<Node> {
    let offsets = Offsets::new(source.text());
    let measured = probe::measure(source.text())
        .map_err(|refusal| refuse(refusal, &offsets, diagnostics))
        .ok()?;
    let masked = Masked::load(source.text(), &offsets);
    let documents = masked.parse().map_err(|error| report(&error, &offsets, diagnostics)).ok()?;
    let Some(first) = documents.first() else {
        return Some(Node::null(Span::at(0)));
    };
    let mut builder = Builder {
        source,
        offsets: &offsets,
        masked: &masked,
        anchored: HashMap::new(),
        aliases: HashMap::new(),
        copying: 0,
        diagnostics,
        mistagged: 0,
    };
    let root = builder.node(first);
    let mistagged = builder.mistagged;
    if let Some(second) = documents.get(1) {
        let span = offsets.point(second.span.start.index());
        diagnostics
            .error(span, codes::MULTIPLE_DOCUMENTS, "a second document starts here")
            .help("keep one document per file");
    }
    // A mistagged key has shifted all that follow it in its mapping.
    if documents.len() == 1 && mistagged < measured.mistagged {
        refuse(Refusal::MistaggedScalar, &offsets, diagnostics);
        return None;
    }
    Some(root)
}

/// Character indexes, which saphyr counts in, to byte offsets.
struct Offsets {
    /// The byte offset of each character, and the length; empty for ASCII, where both are the same.
    bytes: Vec<u32>,
    length: usize,
    trimmed: u32,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let bytes = match text.is_ascii() {
            true => Vec::new(),
            false => {
                text.char_indices().map(|(at, _)| offset(at)).chain([offset(text.len())]).collect()
            }
        };
        Self { bytes, length: text.len(), trimmed: offset(text.trim_end().len()) }
    }

    fn byte(&self, character: usize) -> u32 {
        match self.bytes.last() {
            None => offset(character.min(self.length)),
            Some(end) => self.bytes.get(character).copied().unwrap_or(*end),
        }
    }

    fn span(&self, from: usize, to: usize) -> Span {
        Span::new(self.byte(from), self.byte(to))
    }

    /// A character to point at; an error at the end of the file is shown after its last word.
    fn point(&self, character: usize) -> Span {
        let at = self.byte(character);
        if at >= self.trimmed {
            Span::at(self.trimmed)
        } else {
            Span::new(at, self.byte(character + 1))
        }
    }
}

struct Builder<'a> {
    source: &'a Source,
    offsets: &'a Offsets,
    masked: &'a Masked,
    /// Scalars by the anchor they have: saphyr's copy for an alias has lost their text.
    anchored: HashMap<String, Rc<Node>>,
    /// What aliases of scalars stood for, by their place: an anchor may be set again before a copy.
    aliases: HashMap<u32, Rc<Node>>,
    /// How many aliases the walk is inside of; anchors there were seen before.
    copying: usize,
    diagnostics: &'a mut Diagnostics,
    mistagged: u64,
}

impl Builder<'_> {
    fn node(&mut self, marked: &MarkedYaml<'_>) -> Node {
        let mut data = &marked.data;
        let mut tag = None;
        while let YamlData::Tagged(name, inner) = data {
            tag = tag.or_else(|| Some(format!("{}{}", name.handle, name.suffix).into_boxed_str()));
            data = &inner.data;
        }
        let whole = self.offsets.span(marked.span.start.index(), marked.span.end.index());
        let node = match data {
            YamlData::Sequence(items) => self.collection(whole, |builder| {
                Value::Sequence(items.iter().map(|item| builder.node(item)).collect())
            }),
            YamlData::Mapping(pairs) => self.collection(whole, |builder| {
                let pairs = pairs.iter().map(|(key, value)| builder.pair(key, value)).collect();
                Value::Mapping(builder.settle(pairs))
            }),
            YamlData::Value(value) => self.scalar(whole, Some(value)),
            _ => self.scalar(whole, None),
        };
        Node { tag, ..node }
    }

    fn pair(&mut self, key: &MarkedYaml<'_>, value: &MarkedYaml<'_>) -> (Node, Node) {
        let key = self.node(key);
        let mut value = self.node(value);
        if value.is_null() && value.raw.is_none() && self.copying == 0 {
            value.span = key.span.tail();
        }
        (key, value)
    }

    fn collection(&mut self, whole: Span, children: impl FnOnce(&mut Self) -> Value) -> Node {
        let is_alias = properties::alias(self.source.slice(whole)).is_some();
        self.copying += usize::from(is_alias);
        let value = children(self);
        self.copying -= usize::from(is_alias);
        let span = if is_alias { self.trimmed(whole) } else { self.extent(whole, &value) };
        Node { span, value, tag: None, raw: None }
    }

    /// Without anchor and tag at the start, and up to the closing bracket or the end of the last
    /// child: saphyr ends a collection at the token that follows it.
    fn extent(&self, whole: Span, value: &Value) -> Span {
        let text = self.source.slice(whole);
        let content = whole.start + offset(Properties::of(text).content);
        let opens = self.source.slice(Span::new(content, whole.end)).starts_with(['[', '{']);
        let closes = self.source.text()[whole.end as usize..].starts_with([']', '}']);
        let own = Span::new(content, if opens && closes { whole.end + 1 } else { content });
        // Merged children stand elsewhere.
        let is_here = |span: &Span| whole.start <= span.start && span.end <= whole.end;
        child_spans(value).filter(is_here).fold(own, Span::to)
    }

    fn trimmed(&self, span: Span) -> Span {
        Span::new(span.start, span.start + offset(self.source.slice(span).trim_end().len()))
    }

    /// `value` is what saphyr made of it: nothing, if it does not fit its tag.
    fn scalar(&mut self, whole: Span, value: Option<&Scalar<'_>>) -> Node {
        let whole = self.trimmed(whole);
        let text = self.source.slice(whole);
        let decoded = match value {
            Some(Scalar::String(decoded)) => Some(self.masked.restore(whole.start, decoded)),
            _ => None,
        };
        // Block and plain scalars stand in the file as they are, and of all scalars only they may
        // start like an anchor or an alias.
        let is_verbatim =
            decoded.as_deref().is_some_and(|decoded| decoded.starts_with(first_line(text)));
        let alias = properties::alias(text).filter(|_| !is_verbatim);
        if let Some(name) = alias
            && let Some(target) = self.alias_target(name, whole)
        {
            return Node { span: whole, ..Node::clone(&target) };
        }
        self.mistagged += u64::from(value.is_none() && self.copying == 0);
        let properties = if is_verbatim { Properties::none() } else { Properties::of(text) };
        let span = Span::new(whole.start + offset(properties.content), whole.end);
        let node = match (decoded, value) {
            (Some(decoded), _) => self.string(span, decoded, is_verbatim),
            (None, Some(value)) => self.plain(span, value),
            (None, None) => self.tagged(whole, span, properties.tag),
        };
        if let Some(anchor) = properties.anchor.filter(|_| self.copying == 0) {
            self.anchored.insert(anchor.to_owned(), Rc::new(node.clone()));
        }
        node
    }

    fn alias_target(&mut self, name: &str, alias: Span) -> Option<Rc<Node>> {
        let target = match self.aliases.get(&alias.start) {
            Some(target) => target.clone(),
            None => self.anchored.get(name)?.clone(),
        };
        self.aliases.insert(alias.start, target.clone());
        Some(target)
    }

    fn string(&self, span: Span, decoded: String, is_verbatim: bool) -> Node {
        let style = match self.source.slice(span).chars().next() {
            Some('"') if !is_verbatim => Style::DoubleQuoted,
            Some('\'') if !is_verbatim => Style::SingleQuoted,
            Some('|' | '>') if !is_verbatim => Style::Block,
            _ if properties::follows_block_header(&self.source.text()[..span.start as usize]) => {
                Style::Block
            }
            _ => Style::Plain,
        };
        Node { span, value: Value::String(decoded, style), tag: None, raw: None }
    }

    /// A scalar that saphyr does not take for a string, and is therefore plain.
    fn plain(&self, span: Span, value: &Scalar<'_>) -> Node {
        let text = self.source.slice(span);
        let is_left_out =
            matches!(value, Scalar::Null) && !matches!(scalar::resolve(text), Value::Null);
        if is_left_out || text.is_empty() {
            return Node::null(Span::at(span.start));
        }
        let value = match (value, scalar::resolve(text)) {
            (Scalar::FloatingPoint(_), Value::Int(whole)) => Value::Float(whole as f64),
            (_, resolved) => resolved,
        };
        let raw = (!matches!(value, Value::String(..))).then(|| text.into());
        Node { span, value, tag: None, raw }
    }

    /// A plain scalar that saphyr found not to fit its tag. It knows fewer spellings of a type than
    /// the core schema: not `!!bool TRUE`, not `!!null` without a text.
    fn tagged(&mut self, whole: Span, span: Span, tag: Option<&str>) -> Node {
        let text = self.source.slice(span);
        let value = scalar::resolve(text);
        let fits = match value {
            Value::Null => tag == Some("!!null"),
            Value::Bool(_) => tag == Some("!!bool"),
            Value::Int(_) => tag == Some("!!int"),
            _ => false,
        };
        if !fits && self.copying == 0 {
            self.diagnostics
                .error(whole, codes::TAG_MISMATCH, "this value does not fit its tag")
                .help("remove the tag");
        }
        match fits && !text.is_empty() {
            true => Node { span, value, tag: None, raw: Some(text.into()) },
            false => Node::null(span),
        }
    }

    /// Applies merge keys and drops keys that were set before.
    fn settle(&mut self, pairs: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
        let is_merge =
            |key: &Node| matches!(&key.value, Value::String(text, Style::Plain) if text == "<<");
        let (merges, own): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| is_merge(key));
        let mut own = self.unique(own);
        if merges.is_empty() {
            return own;
        }
        let mut seen: HashSet<Identity> =
            own.iter().filter_map(|(key, _)| Identity::of(key)).collect();
        let mut merged = Vec::new();
        for (_, value) in self.unique(merges) {
            for mapping in self.merge_sources(value) {
                merged.extend(
                    mapping
                        .into_iter()
                        .filter(|(key, _)| Identity::of(key).is_none_or(|id| seen.insert(id))),
                );
            }
        }
        merged.append(&mut own);
        merged
    }

    fn merge_sources(&mut self, value: Node) -> Vec<Vec<(Node, Node)>> {
        let nodes = match value {
            Node { value: Value::Sequence(items), .. } => items,
            single => vec![single],
        };
        let mut mappings = Vec::new();
        for node in nodes {
            let kind = node.kind();
            match node.value {
                Value::Mapping(pairs) => mappings.push(pairs),
                _ => {
                    let message = format!("`<<` expected a mapping, found {kind}");
                    self.diagnostics.error(node.span, codes::INVALID_MERGE, message);
                }
            }
        }
        mappings
    }

    fn unique(&mut self, pairs: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
        let mut first: HashMap<Identity, Span> = HashMap::new();
        let mut kept = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(identity) = Identity::of(&key) else {
                kept.push((key, value));
                continue;
            };
            match first.get(&identity) {
                Some(before) if self.copying == 0 => self.duplicate(&key, *before),
                Some(_) => {}
                None => {
                    first.insert(identity, key.span);
                    kept.push((key, value));
                }
            }
        }
        kept
    }

    fn duplicate(&mut self, key: &Node, before: Span) {
        let message = format!(
            "the key `{}` is set twice in the same mapping",
            key.text().unwrap_or_default()
        );
        self.diagnostics
            .error(key.span, codes::DUPLICATE_KEY, message)
            .here("set again here")
            .label(before, "first set here")
            .help("remove one of the two");
    }
}

/// What makes two scalar keys the same; lists and mappings as keys are compared by saphyr alone.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    String(String),
    Other(String),
}

impl Identity {
    fn of(key: &Node) -> Option<Self> {
        match &key.value {
            Value::String(text, _) => Some(Self::String(text.clone())),
            Value::Sequence(_) | Value::Mapping(_) => None,
            other => Some(Self::Other(format!("{other:?}"))),
        }
    }
}

fn child_spans(value: &Value) -> Box<dyn Iterator<Item = Span> + '_> {
    match value {
        Value::Sequence(items) => Box::new(items.iter().map(|item| item.span)),
        Value::Mapping(pairs) => {
            Box::new(pairs.iter().flat_map(|(key, value)| [key.span, value.span]))
        }
        _ => Box::new(std::iter::empty()),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end()
}
