use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// An event's kind and data that its room cannot read.
#[derive(Debug, thiserror::Error)]
#[error("`{kind}` is not an event of this stream, or its data has another shape")]
pub struct PayloadError {
    pub kind: String,
    #[source]
    pub source: serde_json::Error,
}

/// Takes a domain event apart into the envelope's `kind` and `data`.
///
/// `T` is an enum that serde tags with `kind` and fills with `data`.
pub fn split<T: Serialize>(event: &T) -> Result<(String, Value), PayloadError> {
    let error = |source| PayloadError { kind: String::new(), source };
    let value = serde_json::to_value(event).map_err(error)?;
    let Value::Object(mut members) = value else {
        return Err(error(serde::ser::Error::custom("an event must be a tagged enum")));
    };
    let data = members.remove("data").unwrap_or(Value::Null);
    match members.remove("kind") {
        Some(Value::String(kind)) => Ok((kind, data)),
        _ => Err(error(serde::ser::Error::custom("an event must have a `kind`"))),
    }
}

/// Puts a domain event together again.
pub fn join<T: DeserializeOwned>(kind: &str, data: &Value) -> Result<T, PayloadError> {
    let mut members = Map::new();
    members.insert("kind".to_owned(), Value::from(kind));
    if !data.is_null() {
        members.insert("data".to_owned(), data.clone());
    }
    serde_json::from_value(Value::Object(members))
        .map_err(|source| PayloadError { kind: kind.to_owned(), source })
}
