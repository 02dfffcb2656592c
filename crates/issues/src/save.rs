use std::collections::BTreeMap;

use grit_types::Principal;

use crate::command::{Decision, Refusal};
use crate::event::Event;
use crate::input;
use crate::query::{Names, parse};
use crate::saved::SavedQueries;

/// Decides on saving `text` as `@name`.
pub fn save_query(queries: &SavedQueries, name: &str, text: &str) -> Result<Decision, Refusal> {
    input::query_name(name)?;
    let mut saved: BTreeMap<String, String> = queries.texts();
    saved.insert(name.to_owned(), text.to_owned());
    // Whoever asks later is `@me`; here it only has to be somebody.
    let me = Principal::grit();
    parse(text, Names { saved: Some(&saved), me: Some(&me) }).map_err(Refusal::Query)?;
    if queries.text(name) == Some(text) {
        let already = vec![format!("`@{name}` is that already")];
        return Ok(Decision { already, ..Decision::default() });
    }
    let (name, query) = (name.to_owned(), text.to_owned());
    let replaces = queries.standing(&name);
    let events = vec![Event::QuerySaved { name, query, replaces }];
    Ok(Decision { events, ..Decision::default() })
}

/// Decides on removing the saved query `@name`.
pub fn remove_query(queries: &SavedQueries, name: &str) -> Decision {
    if queries.text(name).is_none() {
        let already = vec![format!("no query is saved as `@{name}`")];
        return Decision { already, ..Decision::default() };
    }
    let replaces = queries.standing(name);
    let events = vec![Event::QueryRemoved { name: name.to_owned(), replaces }];
    Decision { events, ..Decision::default() }
}
