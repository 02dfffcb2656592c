//! The jobs that Grit makes of a workflow, each combination of a matrix apart, and the steps that its conditions leave.

use std::{fs, path::Path};

use serde_json::Value;

use super::list::Matrix;

/// One job.
pub struct Job {
    /// The workflow's file, without its folder.
    pub file: String,
    pub key: String,
    pub matrix: Matrix,
    pub needs: Vec<String>,
    pub labels: Vec<String>,
    /// It runs in an image, or beside some.
    pub has_container: bool,
    /// The workflow of others that it is.
    pub called: Option<String>,
    /// Its own condition leaves it out; with what was said.
    pub skipped: Option<String>,
    pub steps: Vec<Step>,
}

/// A step that is not skipped, with the values of the matrix in place.
pub enum Step {
    Run(String),
    Uses { action: String, with: Vec<(String, String)> },
}

/// The jobs of one workflow, of its plan and of a run in which every step counts as done.
pub fn jobs(file: &str, plan: &Value, dry: &Value, checkout: &Path) -> Vec<Job> {
    let plans: Vec<&Value> = items(&plan["data"]).flat_map(|plan| items(&plan["jobs"])).collect();
    let runs = items(&dry["data"]).flat_map(|run| items(&run["jobs"]));
    let planned = |run: &Value| {
        let plan = plans.iter().find(|plan| plan["key"] == run["key"]).copied();
        job(file, plan.unwrap_or(&Value::Null), run, checkout)
    };
    runs.map(planned).collect()
}

fn job(file: &str, plan: &Value, run: &Value, checkout: &Path) -> Job {
    let matrix = matrix(&run["matrix"]);
    let there = |name: &str| !plan[name].is_null();
    let is_skipped = run["ending"] == "skipped";
    Job {
        file: file.to_owned(),
        key: text(&run["key"]),
        needs: items(&plan["needs"]).map(text).collect(),
        labels: items(&plan["runs_on"]).map(|label| filled(&text(label), &matrix)).collect(),
        has_container: there("container") || there("services"),
        called: there("call").then(|| text(&plan["call"]["uses"])),
        skipped: is_skipped.then(|| text(&run["why"])),
        steps: steps(plan, run, &matrix, checkout),
        matrix,
    }
}

/// The values by name; those that are no plain text are left out.
pub fn matrix(value: &Value) -> Matrix {
    let values = value.as_object().into_iter().flatten();
    values
        .filter(|(_, value)| !value.is_object() && !value.is_array())
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

fn steps(plan: &Value, run: &Value, matrix: &Matrix, checkout: &Path) -> Vec<Step> {
    let skipped = |index: usize| {
        let mut told = items(&run["steps"]);
        told.any(|step| step["index"] == index && step["depth"] == 0 && step["ending"] == "skipped")
    };
    let written = items(&plan["steps"]).enumerate().filter(|(index, _)| !skipped(*index));
    written.map(|(_, step)| read(&step["action"], matrix, checkout)).collect()
}

fn read(action: &Value, matrix: &Matrix, checkout: &Path) -> Step {
    if let Some(script) = action["run"]["script"].as_str() {
        let script = filled(script, matrix).replace("${{ env.CARGO }}", "cargo");
        return Step::Run(with_scripts(script, checkout));
    }
    let uses = &action["uses"];
    let pair = |pair: &Value| (text(&pair[0]), filled(&text(&pair[1]), matrix));
    Step::Uses { action: text(&uses["uses"]), with: items(&uses["with"]).map(pair).collect() }
}

/// With what stands in the package's own scripts that it calls.
fn with_scripts(script: String, checkout: &Path) -> String {
    let mut whole = script.clone();
    for word in script.split_whitespace().filter(|word| word.contains('/') || word.ends_with(".sh"))
    {
        let path = checkout.join(word.trim_start_matches("./"));
        if path.is_file() && path.starts_with(checkout) {
            whole.push('\n');
            whole.push_str(&fs::read_to_string(path).unwrap_or_default());
        }
    }
    whole
}

/// `${{ matrix.NAME }}` in place; every other expression stays.
fn filled(text: &str, matrix: &Matrix) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("${{") {
        let Some((inside, after)) = behind.split_once("}}") else { break };
        out.push_str(before);
        match inside.trim().strip_prefix("matrix.") {
            Some(name) if name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_') => {
                out.push_str(matrix.get(name).map_or("", String::as_str));
            }
            _ => out.push_str(&format!("${{{{{inside}}}}}")),
        }
        rest = after;
    }
    out + rest
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_steps_that_are_left_count_and_the_matrix_is_in_place() {
        let plan = json!({"data": [{"jobs": [{
            "key": "t", "needs": ["a"], "runs_on": ["${{ matrix.os }}"], "call": null,
            "steps": [
                {"action": {"uses": {"uses": "a/b@v1", "with": [["x", "${{matrix.rust}}-${{ env.Y }}"]]}}},
                {"action": {"run": {"script": "echo no", "shell": null}}},
                {"action": {"run": {"script": "${{ env.CARGO }} test", "shell": null}}},
            ],
        }]}]});
        let dry = json!({"data": [{"jobs": [{
            "key": "t", "matrix": {"os": "ubuntu-latest", "rust": 1.5, "deep": {}}, "ending": "success",
            "steps": [{"index": 1, "depth": 0, "ending": "skipped"}],
        }]}]});
        let jobs = jobs("ci.yml", &plan, &dry, Path::new("/nowhere"));
        let [job] = jobs.as_slice() else { panic!("{} jobs", jobs.len()) };
        assert_eq!(job.labels, ["ubuntu-latest"]);
        assert_eq!(job.matrix.len(), 2);
        let [Step::Uses { action, with }, Step::Run(script)] = job.steps.as_slice() else {
            panic!("steps")
        };
        assert_eq!((action.as_str(), script.as_str()), ("a/b@v1", "cargo test"));
        assert_eq!(with[0].1, "1.5-${{ env.Y }}");
    }
}
