//! Measures a document before it is loaded, so that loading it is known to be harmless.
//!
//! saphyr's loader recurses once per level, copies the value of each anchor and each alias, and
//! hashes complex keys over and over: a kilobyte of text can cost gigabytes. It is generic over its
//! node type, though, and tells a node whenever it makes, copies or hashes one. [`Probe`] is a node
//! that keeps no content and adds up what a real one would have cost.
//!
//! The loader's hooks carry no context, so the sums are kept in a thread-local for the time of one
//! [`measure`]. When a limit is passed the text is ended there, which makes the parser stop within
//! a few tokens.

use super::{COPIED_BYTES_MAX, DEPTH_MAX, NODES_MAX};
use saphyr::{AnnotatedMapping, LoadableYamlNode, Marker, Scalar, ScanError, Tag, Yaml};
use std::{borrow::Cow, cell::Cell, hash::Hash, hash::Hasher};

/// What a node costs in memory beside its text, in bytes; saphyr's are about as large.
const NODE_BYTES: u64 = 128;

/// Why a document is not loaded. Places count characters from the start of the text.
#[derive(Debug)]
pub(super) enum Refusal {
    Syntax(ScanError),
    Limit {
        limit: Limit,
        near: usize,
    },
    /// A scalar in the place of a key does not fit its tag; saphyr would take the next value for
    /// the key.
    MistaggedScalar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Depth,
    Nodes,
    Copies,
}

/// Succeeds when loading `text` stays within the limits of [`super`].
pub(super) fn measure(text: &str) -> Result<Measured, Refusal> {
    GAUGE.set(Gauge::default());
    let until_passed = text.chars().take_while(|_| GAUGE.get().passed.is_none());
    let loaded = Probe::load_from_iter(until_passed).map(drop);
    let gauge = GAUGE.take();
    if let Some((limit, near)) = gauge.passed {
        return Err(Refusal::Limit { limit, near });
    }
    loaded.map_err(Refusal::Syntax)?;
    Ok(Measured { mistagged: gauge.bad.saturating_sub(gauge.mappings) })
}

/// What only a look at all nodes tells.
#[derive(Debug)]
pub(super) struct Measured {
    /// Scalars that do not fit their tags.
    pub(super) mistagged: u64,
}

thread_local! {
    static GAUGE: Cell<Gauge> = const { Cell::new(Gauge::ZERO) };
}

#[derive(Clone, Copy)]
struct Gauge {
    depth: usize,
    nodes: u64,
    copied_bytes: u64,
    /// Nodes without a value: one for each mapping (the place of its next key), and one for each
    /// mistagged scalar.
    bad: u64,
    mappings: u64,
    next_id: u64,
    /// Where the last list or mapping began.
    near: usize,
    passed: Option<(Limit, usize)>,
}

impl Gauge {
    const ZERO: Self = Self {
        depth: 0,
        nodes: 0,
        copied_bytes: 0,
        bad: 0,
        mappings: 0,
        next_id: 0,
        near: 0,
        passed: None,
    };

    fn pass(&mut self, limit: Limit) {
        self.passed = self.passed.or(Some((limit, self.near)));
    }

    fn make(&mut self, nodes: u64) -> u64 {
        self.next_id += 1;
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            self.pass(Limit::Nodes);
        }
        self.next_id
    }

    fn copy(&mut self, bytes: u64) {
        self.copied_bytes += bytes;
        if self.copied_bytes > COPIED_BYTES_MAX {
            self.pass(Limit::Copies);
        }
    }

    fn enter(&mut self, at: usize) {
        self.depth += 1;
        self.near = at;
        if self.depth > DEPTH_MAX {
            self.pass(Limit::Depth);
        }
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self::ZERO
    }
}

fn gauge<T>(change: impl FnOnce(&mut Gauge) -> T) -> T {
    let mut gauge = GAUGE.get();
    let result = change(&mut gauge);
    GAUGE.set(gauge);
    result
}

/// A node that is only counted.
struct Probe {
    /// Makes every key differ from every other, so that no duplicate ends the measurement.
    id: u64,
    kind: Kind,
    /// Size of the subtree: known for scalars at once, for collections at their end.
    nodes: u64,
    bytes: u64,
}

enum Kind {
    Bad,
    /// A scalar, or a collection that ended and was reduced to its size.
    Closed,
    Sequence(Vec<Probe>),
    Mapping(AnnotatedMapping<'static, Probe>),
}

impl Probe {
    fn new(kind: Kind, text_bytes: usize) -> Self {
        Self { id: gauge(|g| g.make(1)), kind, nodes: 1, bytes: NODE_BYTES + text_bytes as u64 }
    }

    fn close(&mut self) {
        let (mut nodes, mut bytes) = (0, 0);
        let mut add = |child: &Self| {
            nodes += child.nodes;
            bytes += child.bytes;
        };
        match &self.kind {
            Kind::Bad | Kind::Closed => {}
            Kind::Sequence(items) => items.iter().for_each(&mut add),
            Kind::Mapping(pairs) => pairs.iter().for_each(|(key, value)| {
                add(key);
                add(value);
            }),
        }
        self.nodes += nodes;
        self.bytes += bytes;
        self.kind = Kind::Closed;
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        let id = gauge(|g| {
            g.copy(self.bytes);
            g.make(self.nodes)
        });
        let kind = if matches!(self.kind, Kind::Bad) { Kind::Bad } else { Kind::Closed };
        Self { id, kind, nodes: self.nodes, bytes: self.bytes }
    }
}

impl PartialEq for Probe {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Probe {}

impl Hash for Probe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        gauge(|g| g.copy(self.bytes.saturating_sub(NODE_BYTES)));
        state.write_u64(self.id);
    }
}

impl<'input> LoadableYamlNode<'input> for Probe {
    type HashKey = Self;

    fn from_bare_yaml(yaml: Yaml<'input>) -> Self {
        match yaml {
            Yaml::Sequence(_) => Self::new(Kind::Sequence(Vec::new()), 0),
            Yaml::Mapping(_) => {
                gauge(|g| g.mappings += 1);
                Self::new(Kind::Mapping(AnnotatedMapping::new()), 0)
            }
            Yaml::BadValue => {
                gauge(|g| g.bad += 1);
                Self { id: gauge(|g| g.make(0)), kind: Kind::Bad, nodes: 0, bytes: 0 }
            }
            Yaml::Tagged(_, inner) => Self::from_bare_yaml(*inner),
            Yaml::Value(Scalar::String(text)) => Self::new(Kind::Closed, text.len()),
            Yaml::Value(_) | Yaml::Representation(..) | Yaml::Alias(_) => {
                Self::new(Kind::Closed, 0)
            }
        }
    }

    fn is_sequence(&self) -> bool {
        matches!(self.kind, Kind::Sequence(_))
    }

    fn is_mapping(&self) -> bool {
        matches!(self.kind, Kind::Mapping(_))
    }

    fn is_badvalue(&self) -> bool {
        matches!(self.kind, Kind::Bad)
    }

    fn sequence_mut(&mut self) -> &mut Vec<Self> {
        match &mut self.kind {
            Kind::Sequence(items) => items,
            _ => unreachable!("the loader asks `is_sequence` first"),
        }
    }

    fn mapping_mut(&mut self) -> &mut AnnotatedMapping<'static, Self> {
        match &mut self.kind {
            Kind::Mapping(pairs) => pairs,
            _ => unreachable!("the loader asks `is_mapping` first"),
        }
    }

    fn into_tagged(self, _: Cow<'input, Tag>) -> Self {
        self
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self { id: 0, kind: Kind::Bad, nodes: 0, bytes: 0 })
    }

    fn with_start_marker(self, mark: Marker) -> Self {
        gauge(|g| g.enter(mark.index()));
        self
    }

    fn with_end_marker(mut self, _: Marker) -> Self {
        gauge(|g| g.depth = g.depth.saturating_sub(1));
        self.close();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Option<Limit> {
        match measure(text) {
            Err(Refusal::Limit { limit, .. }) => Some(limit),
            _ => None,
        }
    }

    #[test]
    fn ordinary_documents_pass() {
        assert!(
            measure("a: &x [1, {b: c}]\nd: *x\n? [e]\n: f\na: twice\n")
                .is_ok_and(|m| m.mistagged == 0)
        );
        assert!(matches!(measure("a: [\n"), Err(Refusal::Syntax(_))));
    }

    #[test]
    fn depth_is_exact() {
        let nested = |depth: usize| "- ".repeat(depth) + "x";
        assert_eq!(limit(&nested(DEPTH_MAX)), None);
        assert_eq!(limit(&nested(DEPTH_MAX + 1)), Some(Limit::Depth));
        assert_eq!(limit(&nested(200_000)), Some(Limit::Depth));
    }

    #[test]
    fn many_values_are_refused() {
        let list = |items: u64| "- x\n".repeat(items as usize);
        assert_eq!(limit(&list(NODES_MAX - 1)), None);
        assert_eq!(limit(&list(NODES_MAX)), Some(Limit::Nodes));
    }

    #[test]
    fn copies_for_nested_anchors_and_complex_keys_are_counted() {
        let anchors =
            (0..50).map(|n| format!("&a{n} [")).collect::<String>() + &"x,".repeat(20_000);
        assert_eq!(limit(&anchors), None, "an unclosed list copies nothing");
        assert!(limit(&(anchors + &"]".repeat(50))).is_some());
        let keys = "? ".repeat(60) + "[" + &"x,".repeat(20_000) + "]";
        assert!(limit(&keys).is_some());
    }

    #[test]
    fn mistagged_scalars_are_counted() {
        assert!(measure("a: !!int x\nb: !!bool 1\n").is_ok_and(|m| m.mistagged == 2));
    }
}
