use grit_types::{JobId, Timestamp};

use super::call;
use super::context::{CellNames, Names};
use super::matrix::{Combination, combinations};
use super::state::{Ending, Group, Phase, Run};
use super::{Cell, Event, Request, hold, turn};
use crate::expr::{Template, Value};
use crate::plan::{Call, Concurrency, Job};
use crate::runners::is_mapped;

/// As the service has it.
const ENVIRONMENT_BYTES_MAX: usize = 255;

/// What becomes of a job of the plan whose needs are done.
pub(super) fn expand(run: &Run, request: &Request, group: &Group, now: Timestamp) -> Event {
    let key = group.key.clone();
    let scope = u32::try_from(group.scope).unwrap_or(u32::MAX);
    let skipped = |ending, why: String| Event::JobSkipped { key: key.clone(), scope, ending, why };
    let Some(job) = run.planned(group) else {
        return skipped(Ending::Failure, "the plan does not have it".to_owned());
    };
    let names = Names::of_group(run, request, group);
    match job.condition.holds(&names) {
        Ok(true) => {}
        Ok(false) if run.phase == Phase::Cancelling => {
            return skipped(Ending::Cancelled, "the run was cancelled".to_owned());
        }
        Ok(false) => return skipped(Ending::Skipped, unmet(run, job, group)),
        Err(error) => return skipped(Ending::Failure, format!("if: {error}")),
    }
    if let Some(stopper) = job.unsupported.iter().find(|unsupported| unsupported.stops) {
        let (key, place) = (&stopper.key, stopper.place);
        let file = &request.plan.file;
        let why = format!("`{key}` ({file}:{place}) is not done by this version of Grit");
        return skipped(Ending::Failure, why);
    }
    let event = match &job.call {
        Some(call) => called(run, request, job, call, &names),
        None => expanded(run, request, job, &names, now),
    };
    match event {
        Ok(event) => event,
        Err(why) => skipped(Ending::Failure, why),
    }
}

fn unmet(run: &Run, job: &Job, group: &Group) -> String {
    let own = "its condition does not hold".to_owned();
    if job.condition.asks_for_status() {
        return own;
    }
    match group.needs.iter().map(|need| &run.groups[*need]).find(|need| !need.all_good) {
        Some(need) => match need.ending() {
            Some(Ending::Success) | None => {
                format!("a job before `{}` did not succeed", need.key)
            }
            Some(ending) => format!("`{}` came to {ending}", need.key),
        },
        None => own,
    }
}

/// What a job says of its combinations, beside them.
struct Strategy {
    fail_fast: bool,
    max_parallel: Option<u32>,
    combinations: Vec<Combination>,
}

fn strategy(job: &Job, names: &Names<'_>) -> Result<Strategy, String> {
    let fail_fast = match setting(job.fail_fast.as_ref(), "fail-fast", names)? {
        None => true,
        Some(value) => value.to_flag().ok_or("`fail-fast` must be true or false")?,
    };
    let max_parallel = match setting(job.max_parallel.as_ref(), "max-parallel", names)? {
        None => None,
        Some(value) => Some(positive(&value).ok_or("`max-parallel` must be a number above 0")?),
    };
    let combinations = match &job.matrix {
        None => vec![Combination::new()],
        Some(matrix) => combinations(matrix, names).map_err(|error| error.to_string())?,
    };
    Ok(Strategy { fail_fast, max_parallel, combinations })
}

/// The combinations that are wanted, each with what it is called and what it reads.
fn each(
    request: &Request,
    job: &Job,
    names: &Names<'_>,
    strategy: &Strategy,
    mut take: impl FnMut(u32, &Combination, String, &Names<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let Strategy { fail_fast, max_parallel, combinations } = strategy;
    let total = u32::try_from(combinations.len()).unwrap_or(u32::MAX);
    let mut any = false;
    for (index, matrix) in (0..total).zip(combinations) {
        if !wanted(request, matrix) {
            continue;
        }
        any = true;
        let (fail_fast, max_parallel) = (*fail_fast, *max_parallel);
        let names = names.with_cell(CellNames { matrix, index, total, fail_fast, max_parallel });
        take(index, matrix, name(job, matrix, &names)?, &names)?;
    }
    if any { Ok(()) } else { Err("no combination of its matrix is what was asked for".to_owned()) }
}

fn called(
    run: &Run,
    request: &Request,
    job: &Job,
    call: &Call,
    names: &Names<'_>,
) -> Result<Event, String> {
    let plan = run.plan_of(names.group).and_then(|plan| plan.called.get(&call.uses));
    let plan = plan.ok_or_else(|| {
        format!("`{}` is of another repository, which is not read by this version", call.uses)
    })?;
    let strategy = strategy(job, names)?;
    let mut calls = Vec::new();
    each(request, job, names, &strategy, |_, _, name, names| {
        let own = job.concurrency.as_ref().map(|plan| hold::concurrency(plan, names));
        let own = own.transpose()?.flatten();
        let mut cell = call::cell(run, job, call, plan, name, &names.sealing())?;
        let whole = call::concurrency(plan, &cell, names)?;
        cell.concurrency = own.into_iter().chain(whole).collect();
        free(run, names.group.scope, &cell.concurrency)?;
        calls.push(cell);
        Ok(())
    })?;
    let scope = u32::try_from(names.group.scope).unwrap_or(u32::MAX);
    Ok(Event::Called { key: job.key.clone(), scope, calls })
}

fn expanded(
    run: &Run,
    request: &Request,
    job: &Job,
    names: &Names<'_>,
    now: Timestamp,
) -> Result<Event, String> {
    let strategy = strategy(job, names)?;
    let total = u32::try_from(strategy.combinations.len()).unwrap_or(u32::MAX);
    let scope = u32::try_from(names.group.scope).unwrap_or(u32::MAX);
    let prefix = run.scopes.get(names.group.scope).map_or("", |scope| &*scope.prefix);
    let mut cells = Vec::new();
    each(request, job, names, &strategy, |index, matrix, name, names| {
        let of = if scope == 0 { String::new() } else { format!("/{scope}") };
        let seed = format!("{}{of}/{}/{index}", request.run, job.key);
        let (job_id, name) = (JobId::derived(now, seed.as_bytes()), format!("{prefix}{name}"));
        let (matrix, runs_on) = (matrix.clone(), labels(job, names)?);
        let environment = environment(job, names)?;
        let own = job.concurrency.as_ref().map(|plan| hold::concurrency(plan, names));
        let concurrency = own.transpose()?.flatten();
        free(run, names.group.scope, concurrency.as_slice())?;
        let job = job_id;
        cells.push(Cell { job, name, matrix, index, total, runs_on, environment, concurrency });
        Ok(())
    })?;
    let note = |key: &String| format!("`{key}` is not done by this version of Grit");
    let notes = job.unsupported.iter().map(|unsupported| note(&unsupported.key)).collect();
    let Strategy { fail_fast, max_parallel, .. } = strategy;
    Ok(Event::JobExpanded { key: job.key.clone(), scope, cells, fail_fast, max_parallel, notes })
}

/// Whoever waited for a group that it is in itself would wait for ever.
fn free(run: &Run, scope: usize, groups: &[Concurrency]) -> Result<(), String> {
    let mut taken = turn::taken(run, scope);
    for own in groups {
        if let Some(held) = taken.iter().find(|held| held.is_same(own)) {
            return Err(format!("its own run holds the concurrency group {}", held.group));
        }
        taken.push(own);
    }
    Ok(())
}

/// The name of what it deploys to, where it says one.
fn environment(job: &Job, names: &Names<'_>) -> Result<Option<String>, String> {
    let Some(plan) = &job.environment else { return Ok(None) };
    let name = plan.name.text(names).map_err(|error| format!("environment: {error}"))?;
    if name.len() > ENVIRONMENT_BYTES_MAX {
        return Err(format!("the environment's name is longer than {ENVIRONMENT_BYTES_MAX}"));
    }
    Ok((!name.is_empty()).then_some(name))
}

fn setting(
    template: Option<&Template>,
    key: &str,
    names: &Names<'_>,
) -> Result<Option<Value>, String> {
    let value = template.map(|template| template.value(names)).transpose();
    value.map_err(|error| format!("{key}: {error}"))
}

fn positive(value: &Value) -> Option<u32> {
    let number = value.to_number();
    let whole = (1.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0;
    whole.then_some(number as u32)
}

fn wanted(request: &Request, matrix: &Combination) -> bool {
    let same = |(name, value): (&String, &String)| {
        matrix.get(name).is_none_or(|own| own.to_text() == *value)
    };
    request.only.matrix.iter().all(same)
}

/// As GitHub calls it: the values stand behind a name that does not say them itself.
fn name(job: &Job, matrix: &Combination, names: &Names<'_>) -> Result<String, String> {
    let plain = match &job.name {
        Some(name) => match name.as_literal() {
            Some("") => job.key.to_string(),
            Some(literal) => literal.to_owned(),
            None => return name.text(names).map_err(|error| format!("name: {error}")),
        },
        None => job.key.to_string(),
    };
    if matrix.is_empty() {
        return Ok(plain);
    }
    let mut leaves = Vec::new();
    matrix.values().for_each(|value| collect_leaves(value, &mut leaves));
    Ok(format!("{plain} ({})", leaves.join(", ")))
}

fn collect_leaves(value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_leaves(item, leaves)),
        Value::Object(members) => {
            members.iter().for_each(|(_, member)| collect_leaves(member, leaves));
        }
        primitive => leaves.push(primitive.to_text()),
    }
}

fn labels(job: &Job, names: &Names<'_>) -> Result<Vec<String>, String> {
    let mut labels = Vec::new();
    for template in &job.runs_on {
        match template.value(names).map_err(|error| format!("runs-on: {error}"))? {
            Value::Array(items) => labels.extend(items.iter().map(Value::to_text)),
            value => labels.push(value.to_text()),
        }
    }
    Ok(labels)
}

/// The label that asks for another system than the runner's, unless the runner serves it.
pub(super) fn foreign<'a>(runs_on: &'a [String], request: &Request) -> Option<&'a str> {
    let system = |label: &str| {
        let label = label.to_ascii_lowercase();
        [("windows", "windows"), ("macos", "macos"), ("ubuntu", "linux"), ("linux", "linux")]
            .into_iter()
            .find(|(prefix, _)| label.starts_with(prefix))
            .map(|(_, system)| system)
    };
    let here = request.os.to_ascii_lowercase();
    let other = |label: &&String| system(label).is_some_and(|system| system != here);
    let served = |label: &&String| request.serves.iter().any(|own| own.eq_ignore_ascii_case(label));
    let mapped = |label: &&String| is_mapped(&request.runners, label);
    runs_on
        .iter()
        .find(|label| other(label) && !served(label) && !mapped(label))
        .map(String::as_str)
}
