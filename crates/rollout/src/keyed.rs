//! Maps by revision, in JSON: `{"7": …}`.
//!
//! A JSON object's keys are strings. Inside a tagged enum serde hands them on as such, and a number
//! does not read itself from one.

use std::collections::BTreeMap;

use grit_types::Revision;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<V: Serialize, S: Serializer>(
    map: &BTreeMap<Revision, V>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter().map(|(revision, value)| (revision.to_string(), value)))
}

pub(crate) fn deserialize<'a, V: Deserialize<'a>, D: Deserializer<'a>>(
    from: D,
) -> Result<BTreeMap<Revision, V>, D::Error> {
    let named = BTreeMap::<String, V>::deserialize(from)?;
    let keyed = named.into_iter().map(|(name, value)| {
        let revision = name.parse().map_err(|_| D::Error::custom("a revision is a number"))?;
        Ok((Revision(revision), value))
    });
    keyed.collect()
}
