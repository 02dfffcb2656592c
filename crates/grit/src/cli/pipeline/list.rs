use grit_pipeline::plan::{Filters, Plan, Trigger};
use serde::Serialize;

use super::Origin;
use super::args::List;
use crate::cli::files;
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// A workflow, as lists show it.
#[derive(Serialize)]
struct Row {
    file: String,
    name: String,
    /// `push (branches: main)`.
    triggers: Vec<String>,
    jobs: Vec<String>,
}

pub fn run(options: &List, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let origin = Origin::of(place, options.at.as_deref())?;
    let files = files::read_tree(origin.tree(), None)?;
    let rows: Vec<Row> = files.plans.iter().map(row).collect();
    let is_terminal = ui.is_terminal();
    ui.data(&rows, |rows| {
        if !is_terminal {
            return rows.iter().map(|row| format!("{}\n", row.file)).collect();
        }
        let cells = |row: &Row| {
            vec![row.file.clone(), row.name.clone(), row.triggers.join("; "), row.jobs.join(", ")]
        };
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        table(&["FILE", "NAME", "STARTED BY", "JOBS"], &rows)
    });
    let unusable = files.told();
    if !unusable.is_empty() {
        ui.status(unusable);
        return Ok(Exit::Usage);
    }
    Ok(Exit::Done)
}

fn row(plan: &Plan) -> Row {
    Row {
        file: plan.file.clone(),
        name: plan.name.clone(),
        triggers: plan.triggers.iter().map(trigger).collect(),
        jobs: plan.jobs.keys().map(ToString::to_string).collect(),
    }
}

/// What starts it, and under which conditions.
pub fn trigger(trigger: &Trigger) -> String {
    let mut conditions = filters(&trigger.filters);
    conditions.extend(trigger.schedule.iter().cloned());
    match conditions.is_empty() {
        true => trigger.event.clone(),
        false => format!("{} ({})", trigger.event, conditions.join("; ")),
    }
}

fn filters(filters: &Filters) -> Vec<String> {
    let all = [
        ("branches", &filters.branches),
        ("branches-ignore", &filters.branches_ignore),
        ("tags", &filters.tags),
        ("tags-ignore", &filters.tags_ignore),
        ("paths", &filters.paths),
        ("paths-ignore", &filters.paths_ignore),
        ("types", &filters.types),
    ];
    let told = |(name, list): (&str, &Option<Vec<String>>)| {
        list.as_ref().map(|list| format!("{name}: {}", list.join(", ")))
    };
    all.into_iter().filter_map(told).collect()
}
