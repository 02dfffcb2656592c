//! What would be run, in several forms.

use grit_control::view::RunView;
use grit_pipeline::plan::{Job, JobKey, Plan};
use serde_json::{Value, json};

use super::told::mark;
use crate::ui::{Ui, table};

/// The plans, each as one document.
pub fn plans(plans: &[Plan], ui: &Ui) {
    ui.data(&plans, |plans| {
        let text = serde_json::to_string_pretty(plans).unwrap_or_default();
        format!("{text}\n")
    });
}

/// The jobs, as a list or as what needs what.
pub fn jobs(plans: &[Plan], graph: bool, ui: &Ui) {
    if graph {
        let document = plans.iter().map(graph_of).collect::<Vec<Value>>();
        return ui.data(&document, |_| plans.iter().map(drawn).collect());
    }
    let is_terminal = ui.is_terminal();
    let rows: Vec<Value> = plans.iter().flat_map(rows).collect();
    ui.data(&rows, |rows| {
        let text = |row: &Value, key: &str| match &row[key] {
            Value::Array(items) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            value => value.as_str().unwrap_or_default().to_owned(),
        };
        if !is_terminal {
            return rows.iter().map(|row| format!("{}\n", text(row, "job"))).collect();
        }
        let cells = |row: &Value| {
            ["job", "file", "needs", "runsOn"].iter().map(|key| text(row, key)).collect()
        };
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        table(&["JOB", "FILE", "NEEDS", "RUNS ON"], &rows)
    });
}

fn rows(plan: &Plan) -> Vec<Value> {
    let row = |job: &Job| {
        json!({
            "job": job.key, "file": plan.file, "needs": job.needs,
            "runsOn": job.runs_on.iter().map(|label| label.source()).collect::<Vec<_>>(),
            "matrix": job.matrix.is_some(),
        })
    };
    plan.jobs.values().map(row).collect()
}

fn graph_of(plan: &Plan) -> Value {
    let edges = plan
        .jobs
        .values()
        .flat_map(|job| job.needs.iter().map(|need| json!({ "from": need, "to": job.key })));
    json!({
        "file": plan.file, "name": plan.name,
        "nodes": rows(plan), "edges": edges.collect::<Vec<_>>(),
    })
}

/// A line for each job, below those that it needs, as far in as there are jobs before it.
fn drawn(plan: &Plan) -> String {
    let mut text = format!("{} ({})\n", plan.name, plan.file);
    let mut left: Vec<&Job> = plan.jobs.values().collect();
    let mut placed: Vec<(&JobKey, usize)> = Vec::new();
    while !left.is_empty() {
        let depth = |key: &JobKey| placed.iter().find(|(there, _)| *there == key).map(|at| at.1);
        let ready = left.iter().position(|job| job.needs.iter().all(|need| depth(need).is_some()));
        // A plan with a circle was refused before.
        let job = left.remove(ready.unwrap_or(0));
        let deep = job.needs.iter().filter_map(depth).max().map_or(0, |above| above + 1);
        let needs: Vec<&str> = job.needs.iter().map(JobKey::as_str).collect();
        let arrow =
            if needs.is_empty() { String::new() } else { format!(" ← {}", needs.join(", ")) };
        let matrix = if job.matrix.is_some() { " (matrix)" } else { "" };
        text.push_str(&format!("  {}{}{matrix}{arrow}\n", "  ".repeat(deep), job.key));
        placed.push((&job.key, deep));
    }
    text
}

/// What became of a run in which every step succeeded and gave nothing.
pub fn dry(view: &RunView) -> String {
    let mut text = format!("{}\n", view.name);
    for job in &view.jobs {
        let skipped = job.why.as_deref().map(|why| format!(" - {why}")).unwrap_or_default();
        text.push_str(&format!("  {} {}{skipped}\n", mark(job.ending), job.name));
        for step in &job.steps {
            let note =
                if step.note.is_empty() { String::new() } else { format!(" - {}", step.note) };
            let indent = "  ".repeat(step.depth as usize);
            text.push_str(&format!("    {indent}{} {}{note}\n", mark(step.ending), step.title));
        }
    }
    super::clean::text(text.as_bytes(), false)
}
