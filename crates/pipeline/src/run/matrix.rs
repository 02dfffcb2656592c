use indexmap::IndexMap;

use crate::expr::{Lookup, Object, Value};
use crate::plan::{Data, DataError, MATRIX_MAX, Matrix};

/// Names and values of one combination.
pub(super) type Combination = IndexMap<String, Value>;

/// A matrix that has no combinations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("the matrix must be a mapping")]
    NoMapping,
    #[error("`{0}` of the matrix must be a list")]
    NoList(String),
    #[error("`{0}` of the matrix is empty")]
    EmptyVector(String),
    #[error("the matrix is empty")]
    Empty,
    #[error("the matrix has more than {MATRIX_MAX} combinations")]
    TooLarge,
}

/// The combinations, in the order of the vectors, then those that only `include` names.
pub(super) fn combinations(
    matrix: &Matrix,
    lookup: &dyn Lookup,
) -> Result<Vec<Combination>, MatrixError> {
    let parts = match matrix {
        Matrix::Given { vectors, include, exclude } => Parts {
            vectors: evaluated(vectors, lookup)?,
            include: optional(include.as_ref(), lookup)?,
            exclude: optional(exclude.as_ref(), lookup)?,
        },
        Matrix::Computed(template) => Parts::of(template.value(lookup).map_err(DataError::from)?)?,
    };
    let product = product(&parts.vectors)?;
    let excluded = objects("exclude", &parts.exclude)?;
    let mut kept: Vec<Combination> = product
        .into_iter()
        .filter(|combination| !excluded.iter().any(|entry| agrees(combination, entry)))
        .collect();
    let originals = kept.clone();
    for entry in objects("include", &parts.include)? {
        include(&mut kept, &originals, &entry);
        if kept.len() > MATRIX_MAX {
            return Err(MatrixError::TooLarge);
        }
    }
    // As events give them back, so that what is decided now and what is replayed are the same.
    kept.iter_mut().flat_map(|combination| combination.values_mut()).for_each(|value| {
        *value = value.sorted();
    });
    if kept.is_empty() { Err(MatrixError::Empty) } else { Ok(kept) }
}

struct Parts {
    vectors: IndexMap<String, Value>,
    include: Value,
    exclude: Value,
}

impl Parts {
    fn of(value: Value) -> Result<Self, MatrixError> {
        let Value::Object(members) = value else { return Err(MatrixError::NoMapping) };
        let mut parts =
            Self { vectors: IndexMap::new(), include: Value::Null, exclude: Value::Null };
        for (name, value) in members.iter() {
            match name {
                "include" => parts.include = value.clone(),
                "exclude" => parts.exclude = value.clone(),
                _ => {
                    parts.vectors.insert(name.to_owned(), value.clone());
                }
            }
        }
        Ok(parts)
    }
}

fn evaluated(
    vectors: &IndexMap<String, Data>,
    lookup: &dyn Lookup,
) -> Result<IndexMap<String, Value>, MatrixError> {
    let value = |(name, data): (&String, &Data)| Ok((name.clone(), data.value(lookup)?));
    vectors.iter().map(value).collect()
}

fn optional(data: Option<&Data>, lookup: &dyn Lookup) -> Result<Value, MatrixError> {
    Ok(data.map(|data| data.value(lookup)).transpose()?.unwrap_or_default())
}

/// Every combination of one value of each vector; none without vectors.
fn product(vectors: &IndexMap<String, Value>) -> Result<Vec<Combination>, MatrixError> {
    let mut product: Vec<Combination> = Vec::new();
    for (name, values) in vectors {
        let Value::Array(values) = values else { return Err(MatrixError::NoList(name.clone())) };
        if values.is_empty() {
            return Err(MatrixError::EmptyVector(name.clone()));
        }
        if product.is_empty() {
            product.push(Combination::new());
        }
        if product.len().saturating_mul(values.len()) > MATRIX_MAX {
            return Err(MatrixError::TooLarge);
        }
        let with = |combination: &Combination, value: &Value| {
            let mut next = combination.clone();
            next.insert(name.clone(), value.clone());
            next
        };
        product = product
            .iter()
            .flat_map(|combination| values.iter().map(move |value| with(combination, value)))
            .collect();
    }
    Ok(product)
}

fn objects(name: &str, value: &Value) -> Result<Vec<std::sync::Arc<Object>>, MatrixError> {
    let error = || MatrixError::NoList(name.to_owned());
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::Object(object) => Ok(object.clone()),
                _ => Err(error()),
            })
            .collect(),
        _ => Err(error()),
    }
}

/// Whether the combination has every value that `entry` names.
fn agrees(combination: &Combination, entry: &Object) -> bool {
    let same =
        |(name, value): (&str, &Value)| combination.get(name).is_some_and(|own| covers(own, value));
    entry.iter().all(same)
}

/// Whether `value` has everything that `wanted` has, texts and numbers alike by their text.
fn covers(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(own), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| own.get(name).is_some_and(|own| covers(own, wanted)))
        }
        (Value::Array(own), Value::Array(wanted)) => {
            own.len() == wanted.len() && own.iter().zip(wanted.iter()).all(|(a, b)| covers(a, b))
        }
        (own, wanted) if own.is_primitive() && wanted.is_primitive() => {
            own.to_text() == wanted.to_text()
        }
        _ => false,
    }
}

/// Adds `entry` to every combination of the vectors whose own values it would not change; where
/// there is none, it is a combination of its own.
fn include(kept: &mut Vec<Combination>, originals: &[Combination], entry: &Object) {
    let mut added = false;
    for (combination, original) in kept.iter_mut().zip(originals) {
        let fits = |(name, value): (&str, &Value)| {
            original.get(name).is_none_or(|own| covers(own, value) && covers(value, own))
        };
        if entry.iter().all(fits) {
            added = true;
            let extra = entry.iter().map(|(name, value)| (name.to_owned(), value.clone()));
            combination.extend(extra.filter(|(name, _)| !original.contains_key(name)));
        }
    }
    if !added {
        kept.push(entry.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::NoNames;
    use crate::plan::Data;

    fn data(value: Value) -> Data {
        match value {
            Value::Null => Data::Null(()),
            Value::Bool(truth) => Data::Bool(truth),
            Value::Number(number) => Data::Number(number),
            Value::String(text) => Data::Text(crate::expr::Template::literal(&*text)),
            Value::Array(items) => Data::List(items.iter().cloned().map(data).collect()),
            Value::Object(members) => {
                let member = |(name, value): (&str, &Value)| (name.to_owned(), data(value.clone()));
                Data::Map { map: members.iter().map(member).collect() }
            }
        }
    }

    fn matrix(json: &str) -> Result<Vec<String>, MatrixError> {
        let Data::Map { map: mut vectors } = data(serde_json::from_str(json).unwrap()) else {
            panic!("a map");
        };
        let include = vectors.shift_remove("include");
        let exclude = vectors.shift_remove("exclude");
        let matrix = Matrix::Given { vectors, include, exclude };
        let combinations = combinations(&matrix, &NoNames)?;
        let line = |combination: &Combination| {
            let pairs =
                combination.iter().map(|(name, value)| format!("{name}={}", value.to_text()));
            pairs.collect::<Vec<_>>().join(" ")
        };
        Ok(combinations.iter().map(line).collect())
    }

    #[test]
    fn the_example_of_the_documentation() {
        let seen = matrix(
            r#"{"fruit": ["apple", "pear"], "animal": ["cat", "dog"], "include": [
                {"color": "green"}, {"color": "pink", "animal": "cat"},
                {"fruit": "apple", "shape": "circle"}, {"fruit": "banana"},
                {"fruit": "banana", "animal": "cat"}]}"#,
        );
        assert_eq!(
            seen.unwrap(),
            [
                "fruit=apple animal=cat color=pink shape=circle",
                "fruit=apple animal=dog color=green shape=circle",
                "fruit=pear animal=cat color=pink",
                "fruit=pear animal=dog color=green",
                "fruit=banana",
                "fruit=banana animal=cat",
            ]
        );
    }

    #[test]
    fn exclude_is_partial_and_comes_first() {
        let seen = matrix(
            r#"{"os": ["a", "b"], "v": [1, 2], "exclude": [{"os": "a", "v": "1"}, {"os": "b"}],
                "include": [{"os": "b", "v": 9}]}"#,
        );
        assert_eq!(seen.unwrap(), ["os=a v=2", "os=b v=9"]);
    }

    #[test]
    fn include_alone_makes_one_of_each() {
        let seen = matrix(r#"{"include": [{"a": 1}, {"b": 2}]}"#);
        assert_eq!(seen.unwrap(), ["a=1", "b=2"]);
    }

    #[test]
    fn what_has_no_combinations_is_refused() {
        assert_eq!(matrix(r#"{"a": []}"#), Err(MatrixError::EmptyVector("a".to_owned())));
        assert_eq!(matrix(r#"{"a": "x"}"#), Err(MatrixError::NoList("a".to_owned())));
        assert_eq!(matrix("{}"), Err(MatrixError::Empty));
        let wide: Vec<u32> = (0..17).collect();
        let text = serde_json::json!({"a": wide, "b": wide}).to_string();
        assert_eq!(matrix(&text), Err(MatrixError::TooLarge));
    }
}
