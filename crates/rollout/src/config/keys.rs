//! Keys that take a number, a duration, a percentage or a size: name, default and range in one
//! place, for the reader and for the schema.

use std::time::Duration;

use grit_diag::decode::{Fields, read};
use grit_diag::{Diagnostics, codes, yaml::Node};
use grit_types::{Weight, format_duration};
use serde_json::{Value, json};

/// A key, what it is without being written, and between what it must lie, ends included.
pub(super) struct Key<T> {
    pub name: &'static str,
    pub default: T,
    pub range: (T, T),
    pub doc: &'static str,
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const DAY: Duration = seconds(86_400);
/// What the edge can look back; see [`crate::TrafficRouter::stats`].
const WINDOW_MAX: Duration = seconds(120);
/// All that a slot has must fit into one route.
const REPLICAS_MAX: u32 = 100;

macro_rules! keys {
    ($($name:ident: $type:ty = $key:literal, $default:expr, $from:expr, $to:expr, $doc:literal;)+) => {
        $(pub(super) const $name: Key<$type> =
            Key { name: $key, default: $default, range: ($from, $to), doc: $doc };)+
    };
}

keys! {
    REPLICAS: u32 = "replicas", 1, 1, REPLICAS_MAX, "How many instances serve at the same time.";
    REQUEST_TIMEOUT: Duration = "requestTimeout", seconds(30), millis(1), DAY,
        "How long a request may take at the edge.";
    DRAIN: Duration = "drain", seconds(10), Duration::ZERO, seconds(3_600),
        "How long an instance may take to finish what it has, before it is killed.";
    HEALTH_INTERVAL: Duration = "interval", seconds(1), millis(10), seconds(300),
        "Time between two checks.";
    HEALTH_TIMEOUT: Duration = "timeout", seconds(1), millis(10), seconds(300),
        "A check without an answer for so long has failed.";
    HEALTHY: u32 = "healthyThreshold", 2, 1, 100, "Good answers in a row until it gets traffic.";
    UNHEALTHY: u32 = "unhealthyThreshold", 3, 1, 100, "Bad answers in a row until it loses traffic.";
    DEADLINE: Duration = "deadline", seconds(30), millis(100), seconds(3_600),
        "From its start to its first readiness; later than this, the deployment fails.";
    MEMORY: Size = "memory", Size(0), Size(1 << 20), Size(1 << 44),
        "How much memory an instance may use, such as `512MiB`; no limit unless written.";
    OPEN_FILES: u64 = "openFiles", 0, 16, 1 << 20,
        "How many files and connections an instance may have open; no limit of Grit's unless written.";
    ROLLBACK_WINDOW: Duration = "rollbackWindow", seconds(600), Duration::ZERO, DAY,
        "How long the old revision is kept able to serve after a success, for a rollback at once.";
    APPROVALS: u32 = "min", 1, 1, 20, "How many different people must agree.";
    WAIT: Duration = "wait", Duration::ZERO, Duration::ZERO, Duration::from_secs(30 * 86_400),
        "How long a job waits before it deploys there.";
    WEIGHT: Percent = "setWeight", Percent(0), Percent(0), Percent(10_000),
        "Percent of the traffic that the new revision gets.";
    PAUSE: Duration = "duration", Duration::ZERO, Duration::ZERO, Duration::from_secs(30 * 86_400),
        "How long; without it, until somebody promotes.";
    INTERVAL: Duration = "interval", seconds(10), seconds(1), WINDOW_MAX,
        "Time between two measurements, and what each of them looks back.";
    COUNT: u32 = "count", 1, 1, 1_000, "How many measurements the step takes.";
    FAILURE_LIMIT: u32 = "failureLimit", 1, 0, 1_000,
        "More failed measurements than this, and everything goes back.";
    INCONCLUSIVE_LIMIT: u32 = "inconclusiveLimit", 3, 0, 1_000,
        "More measurements in a row that say nothing than this, and a person decides.";
    MIN_REQUESTS: u64 = "minRequests", 10, 1, 1_000_000_000,
        "Fewer requests in an interval than this say nothing.";
    SUCCESS_MIN: Percent = "min", Percent(9_900), Percent(0), Percent(10_000),
        "Percent of requests that must be answered without a 5xx, a timeout or a broken connection.";
    LATENCY_MAX: Duration = "max", Duration::ZERO, millis(1), seconds(3_600),
        "What the latency must stay below.";
    ERROR_RATE: Percent = "errorRate", Percent(5_000), Percent(0), Percent(10_000),
        "More failed requests than this percentage, and the edge moves all traffic back at once.";
    GUARD_WINDOW: Duration = "window", seconds(2), seconds(1), WINDOW_MAX,
        "What the guard looks back.";
    GUARD_REQUESTS: u64 = "minRequests", 20, 1, 1_000_000_000,
        "Fewer requests in the window than this never trip the guard.";
    SOAK: Duration = "soak", seconds(10), Duration::ZERO, DAY,
        "How long the new revision is watched with all traffic, before the old one ends.";
    BATCH: u32 = "batch", 1, 1, REPLICAS_MAX, "How many instances are replaced at the same time.";
}

/// What keys of one type have in common.
pub(super) trait Quantity: Copy + PartialOrd {
    /// With its article, for reports.
    const WHAT: &'static str;

    /// `None`: another type, which is reported. `Some(None)`: out of every range.
    fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Option<Self>>;

    /// As it would be written.
    fn json(self) -> Value;

    /// What a schema says of a value between `from` and `to`.
    fn schema(from: Self, to: Self) -> Value;
}

impl<T: Quantity> Key<T> {
    /// The value, or the default where none is written or it is wrong.
    pub fn read(&self, fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> T {
        self.given(fields, diagnostics).unwrap_or(self.default)
    }

    /// The value that is written.
    pub fn given(&self, fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<T> {
        self.of(fields.take(self.name)?, diagnostics)
    }

    /// The value of a key that must be there.
    pub fn required(&self, fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<T> {
        self.of(fields.required(self.name, diagnostics)?, diagnostics)
    }

    /// A node as this key's value.
    pub fn of(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<T> {
        let (from, to) = self.range;
        let found = T::read(node, diagnostics)?;
        let value = found.filter(|value| (from..=to).contains(value));
        if value.is_none() {
            let (what, text) = (T::WHAT, node.text().unwrap_or_default());
            let (from, to) = (plain(from), plain(to));
            let message = format!("expected {what} from {from} to {to}, found {text}");
            diagnostics.error(node.span, codes::INVALID_VALUE, message);
        }
        value
    }

    /// Name and schema of a key with a default.
    pub fn schema(&self) -> (&'static str, Value) {
        let (name, mut schema) = self.optional();
        schema["default"] = self.default.json();
        (name, schema)
    }

    /// Name and schema of a key without one.
    pub fn optional(&self) -> (&'static str, Value) {
        let mut schema = T::schema(self.range.0, self.range.1);
        schema["description"] = self.doc.into();
        (self.name, schema)
    }
}

fn plain(quantity: impl Quantity) -> String {
    match quantity.json() {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

impl Quantity for Duration {
    const WHAT: &'static str = "a duration";

    fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Option<Self>> {
        read::duration(node, diagnostics).map(|found| Some(found.value))
    }

    fn json(self) -> Value {
        format_duration(self).into()
    }

    fn schema(_: Self, _: Self) -> Value {
        json!({ "type": ["string", "integer"], "pattern": "^[0-9]+(ms|s|m|h|d)?$", "minimum": 0 })
    }
}

macro_rules! whole {
    ($type:ty) => {
        impl Quantity for $type {
            const WHAT: &'static str = "a whole number";

            fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Option<Self>> {
                read::integer(node, diagnostics).map(|found| Self::try_from(found.value).ok())
            }

            fn json(self) -> Value {
                self.into()
            }

            fn schema(from: Self, to: Self) -> Value {
                json!({ "type": "integer", "minimum": from, "maximum": to })
            }
        }
    };
}

whole!(u32);
whole!(u64);

/// A percentage, in basis points.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Percent(u16);

impl Percent {
    pub fn weight(self) -> Weight {
        Weight::ratio(self.0.into(), Weight::FULL.basis_points().into())
    }
}

impl Quantity for Percent {
    const WHAT: &'static str = "a percentage with at most two decimals";

    fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Option<Self>> {
        let points = read::number(node, diagnostics)?.value * 100.0;
        let is_exact = (points - points.round()).abs() < 1e-6;
        let is_share = (0.0..=10_000.0).contains(&points.round());
        // In range: the cast cuts nothing off.
        Some((is_exact && is_share).then_some(Self(points.round() as u16)))
    }

    fn json(self) -> Value {
        match self.0 {
            points if points.is_multiple_of(100) => (points / 100).into(),
            points => (f64::from(points) / 100.0).into(),
        }
    }

    fn schema(from: Self, to: Self) -> Value {
        json!({ "type": "number", "minimum": from.json(), "maximum": to.json() })
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Size(pub u64);

/// Longest first, so that `MiB` is not read as `B`.
const UNITS: [(&str, u64); 14] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("", 1),
];

impl Quantity for Size {
    const WHAT: &'static str = "a size such as `512MiB`";

    fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Option<Self>> {
        let text = read::string(node, diagnostics)?.value;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let count = count.parse::<u64>().ok();
        Some(count.zip(factor).and_then(|(count, factor)| count.checked_mul(factor)).map(Self))
    }

    fn json(self) -> Value {
        let units =
            UNITS.iter().filter(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size));
        let largest = units.max_by_key(|(name, size)| (*size, name.len()));
        let (name, size) = largest.copied().unwrap_or(("B", 1));
        format!("{}{name}", self.0 / size).into()
    }

    fn schema(_: Self, _: Self) -> Value {
        json!({ "type": ["string", "integer"], "pattern": "^[0-9]+([KMGT]iB?|[kMGT]B|B)?$", "minimum": 0 })
    }
}
