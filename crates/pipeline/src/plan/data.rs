use indexmap::IndexMap;
use indexmap::map::serde_seq;
use serde::{Deserialize, Serialize};

use crate::expr::{EvalError, Lookup, Object, Template, Value};

/// A value with texts at its leaves, as a matrix holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Data {
    Null(()),
    Bool(bool),
    Number(f64),
    Text(Template),
    List(Vec<Data>),
    /// A member called `${{ insert }}` is replaced by the members of its value. In JSON: a list of
    /// pairs under `map`.
    Map {
        #[serde(with = "serde_seq")]
        map: IndexMap<String, Data>,
    },
}

/// Data that has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error(transparent)]
    Eval(#[from] EvalError),
    #[error("the value of `insert` is no mapping")]
    Insert,
}

impl Data {
    /// The value now.
    pub fn value(&self, lookup: &dyn Lookup) -> Result<Value, DataError> {
        Ok(match self {
            Self::Null(()) => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Number(number) => Value::Number(*number),
            Self::Text(template) => template.value(lookup)?,
            Self::List(items) => {
                let items: Result<Vec<Value>, DataError> =
                    items.iter().map(|item| item.value(lookup)).collect();
                items?.into()
            }
            Self::Map { map: members } => map(members, lookup)?.into(),
        })
    }

    /// Every text in it, in order.
    pub fn texts(&self) -> Vec<&Template> {
        match self {
            Self::Null(()) | Self::Bool(_) | Self::Number(_) => Vec::new(),
            Self::Text(template) => vec![template],
            Self::List(items) => items.iter().flat_map(Self::texts).collect(),
            Self::Map { map } => map.values().flat_map(Self::texts).collect(),
        }
    }
}

fn map(members: &IndexMap<String, Data>, lookup: &dyn Lookup) -> Result<Object, DataError> {
    let mut object = Object::new();
    for (name, data) in members {
        let value = data.value(lookup)?;
        if !is_insert(name) {
            object.insert(name.as_str(), value);
            continue;
        }
        let Value::Object(inserted) = value else {
            return Err(DataError::Insert);
        };
        for (name, value) in inserted.iter() {
            object.insert(name, value.clone());
        }
    }
    Ok(object)
}

fn is_insert(name: &str) -> bool {
    let inner = name.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim() == "insert")
}
