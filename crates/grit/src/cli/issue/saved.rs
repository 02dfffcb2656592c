use grit_issues::{remove_query, save_query};

use super::args::QueryVerb;
use super::tracker::{Tracker, index_failure, wish_refused};
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

pub fn run(verb: &QueryVerb, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let mut tracker = Tracker::open(place)?;
    let saved = tracker.index().queries().map_err(index_failure)?;
    let decision = match verb {
        QueryVerb::Save { name, query } => {
            let decision = save_query(&saved, name, query);
            decision.map_err(|refusal| wish_refused(&refusal))?
        }
        QueryVerb::Remove { name } => remove_query(&saved, name),
        QueryVerb::List => {
            let texts = saved.texts();
            ui.data(&texts, |texts| {
                let row = |(name, text): (&String, &String)| vec![format!("@{name}"), text.clone()];
                table(&["NAME", "QUERY"], &texts.iter().map(row).collect::<Vec<_>>())
            });
            return Ok(Exit::Done);
        }
    };
    tracker.append(&decision.events)?;
    decision.already.iter().for_each(|already| ui.status(already));
    ui.data(&serde_json::json!({ "recorded": decision.events.len() }), |_| String::new());
    Ok(Exit::Done)
}
