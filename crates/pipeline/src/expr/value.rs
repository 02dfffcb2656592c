use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::number;

/// What an expression evaluates to. Copies are cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    String(Arc<str>),
    Array(Arc<Vec<Value>>),
    Object(Arc<Object>),
}

/// Members in the order they were given; names are found in any case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(IndexMap<String, Value>);

impl Object {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The member of that name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| {
            let same = |(key, _): &(&String, &Value)| compare_folded(key, name).is_eq();
            self.0.iter().find(same).map(|(_, value)| value)
        })
    }

    /// Sets a member; one of the same name, in the same case, is replaced.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// The same, for building.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Value {
    /// The empty string.
    pub fn empty() -> Self {
        Self::from("")
    }

    /// What `if` makes of it: null, false, 0, NaN and the empty string are false.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(truth) => *truth,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// As text: null is empty, collections are `Array` and `Object`.
    pub fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(truth) => truth.to_string(),
            Self::Number(number) => number::format(*number),
            Self::String(text) => text.to_string(),
            Self::Array(_) => "Array".to_owned(),
            Self::Object(_) => "Object".to_owned(),
        }
    }

    /// As a number: null is 0, collections are NaN.
    pub fn to_number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(truth) => f64::from(u8::from(*truth)),
            Self::Number(number) => *number,
            Self::String(text) => number::parse(text),
            Self::Array(_) | Self::Object(_) => f64::NAN,
        }
    }

    /// Whether it is a boolean, or text that says so; `None` for anything else.
    pub fn to_flag(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::String(text) if text.trim() == "true" => Some(true),
            Self::String(text) if text.trim() == "false" => Some(false),
            _ => None,
        }
    }

    /// Null, boolean, number or string.
    pub fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// `==` of the language: types are coerced, text is compared in any case, collections are
    /// equal to themselves only.
    pub fn loosely_equals(&self, other: &Self) -> bool {
        match coerced(self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => compare_folded(&a, &b).is_eq(),
            (Self::Array(a), Self::Array(b)) => Arc::ptr_eq(&a, &b),
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(&a, &b),
            _ => false,
        }
    }

    /// `<`, `>` of the language; `None` where neither holds.
    pub fn loosely_compared(&self, other: &Self) -> Option<Ordering> {
        match coerced(self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(&b)),
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(&b),
            (Self::String(a), Self::String(b)) => Some(compare_folded(&a, &b)),
            _ => None,
        }
    }

    /// Members of objects, at every depth, sorted by name: what the canonical form of an event
    /// gives back.
    #[must_use]
    pub fn sorted(&self) -> Self {
        match self {
            Self::Array(items) => items.iter().map(Self::sorted).collect::<Vec<_>>().into(),
            Self::Object(members) => {
                let mut sorted: Object =
                    members.iter().map(|(name, value)| (name, value.sorted())).collect();
                sorted.0.sort_keys();
                sorted.into()
            }
            primitive => primitive.clone(),
        }
    }

    /// `toJSON`: two spaces per level.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        write_json(self, 0, &mut text);
        text
    }
}

fn coerced(left: &Value, right: &Value) -> (Value, Value) {
    use Value::{Bool, Null, Number, String};
    match (left, right) {
        (Null, Null) | (Bool(_), Bool(_)) => (left.clone(), right.clone()),
        (Null | Bool(_), _) => coerced(&Number(left.to_number()), right),
        (_, Null | Bool(_)) => coerced(left, &Number(right.to_number())),
        (Number(_), String(_)) => (left.clone(), Number(right.to_number())),
        (String(_), Number(_)) => (Number(left.to_number()), right.clone()),
        _ => (left.clone(), right.clone()),
    }
}

/// Upper case, one character for one: what .NET's ordinal comparison without case does. The
/// dotless i has no upper case there.
pub(super) fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) if c != 'ı' => single,
        _ => c,
    }
}

pub(super) fn folded(text: &str) -> String {
    text.chars().map(fold).collect()
}

fn compare_folded(left: &str, right: &str) -> Ordering {
    let units = |text: &str| {
        let mut units = Vec::with_capacity(text.len());
        let mut buffer = [0; 2];
        text.chars().for_each(|c| units.extend_from_slice(fold(c).encode_utf16(&mut buffer)));
        units
    };
    if left.is_ascii() && right.is_ascii() {
        let upper = |text| str::bytes(text).map(|b| b.to_ascii_uppercase());
        return upper(left).cmp(upper(right));
    }
    units(left).cmp(&units(right))
}

fn write_json(value: &Value, level: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_text()),
        Value::String(text) => write_json_string(text, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                new_item(index, level, out);
                write_json(item, level + 1, out);
            }
            close(level, ']', out);
        }
        Value::Object(members) if members.is_empty() => out.push_str("{}"),
        Value::Object(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                new_item(index, level, out);
                write_json_string(name, out);
                out.push_str(": ");
                write_json(member, level + 1, out);
            }
            close(level, '}', out);
        }
    }
}

fn new_item(index: usize, level: usize, out: &mut String) {
    out.push_str(if index > 0 { ",\n" } else { "\n" });
    out.push_str(&"  ".repeat(level + 1));
}

fn close(level: usize, bracket: char, out: &mut String) {
    out.push('\n');
    out.push_str(&"  ".repeat(level));
    out.push(bracket);
}

fn write_json_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::String(text.as_str().into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::Array(Arc::new(items))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items.iter()),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members.iter() {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Value>()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Object::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            members.insert(name, value);
        }
        Ok(members.into())
    }
}
