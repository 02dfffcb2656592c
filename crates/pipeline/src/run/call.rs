//! Jobs that stand for another workflow.

use std::collections::BTreeMap;

use super::context::Names;
use super::event::CallCell;
use super::state::{Ending, Group, GroupPhase, Run, Scope};
use super::{Event, Request, hold, inputs};
use crate::expr::{Lookup, Object, StatusFunction, Value};
use crate::plan::{Call, Concurrency, JOBS_MAX, Job, Plan, Trigger};
use crate::seal;

/// What a call comes to, its name before its matrix given.
pub(super) fn cell(
    run: &Run,
    job: &Job,
    call: &Call,
    plan: &Plan,
    name: String,
    names: &Names<'_>,
) -> Result<CallCell, String> {
    if run.groups.len() + plan.jobs.len() > JOBS_MAX {
        return Err(format!("with the workflows that it calls it has more than {JOBS_MAX} jobs"));
    }
    let trigger = plan.trigger("workflow_call");
    let trigger = trigger.ok_or_else(|| format!("nothing may call `{}`", call.uses))?;
    let inputs = inputs_of(call, trigger, names).map_err(|why| format!("{}: {why}", job.key))?;
    let secrets = secrets_of(run, call, trigger, names)?;
    Ok(CallCell { name, inputs, secrets, concurrency: Vec::new() })
}

/// The concurrency group of the workflow as a whole, which reads its inputs.
pub(super) fn concurrency(
    plan: &Plan,
    cell: &CallCell,
    names: &Names<'_>,
) -> Result<Option<Concurrency>, String> {
    let Some(own) = &plan.concurrency else { return Ok(None) };
    hold::concurrency(own, &Called { inputs: &cell.inputs, names })
}

/// What a workflow reads that is called.
struct Called<'a> {
    inputs: &'a BTreeMap<String, Value>,
    names: &'a Names<'a>,
}

impl Lookup for Called<'_> {
    fn context(&self, name: &str) -> Value {
        match name {
            "inputs" => {
                let inputs = self.inputs.iter().map(|(name, value)| (name, value.clone()));
                inputs.collect::<Object>().into()
            }
            "github" | "vars" => self.names.context(name),
            _ => Value::Null,
        }
    }

    fn status(&self, function: StatusFunction, jobs: &[String]) -> bool {
        self.names.status(function, jobs)
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        self.names.hash_files(patterns)
    }
}

fn inputs_of(
    call: &Call,
    trigger: &Trigger,
    names: &Names<'_>,
) -> Result<BTreeMap<String, Value>, String> {
    let mut given = BTreeMap::new();
    for (name, template) in &call.with {
        let text = template.text(names).map_err(|error| format!("with `{name}`: {error}"))?;
        let known = trigger.inputs.keys().find(|known| known.eq_ignore_ascii_case(name));
        given.insert(known.unwrap_or(name).clone(), text);
    }
    inputs::values(&trigger.inputs, &given).map_err(|refusal| refusal.to_string())
}

fn secrets_of(
    run: &Run,
    call: &Call,
    trigger: &Trigger,
    names: &Names<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let above = run.scopes.get(names.group.scope).map(|scope| scope.secrets.clone());
    let above = above.unwrap_or_default();
    let mut secrets = BTreeMap::new();
    if call.inherit {
        secrets = above;
    }
    for (name, template) in &call.secrets {
        let text = template.text(names).map_err(|error| format!("secret `{name}`: {error}"))?;
        secrets.insert(name.clone(), text);
    }
    let has = |wanted: &String| {
        secrets.iter().any(|(name, value)| name.eq_ignore_ascii_case(wanted) && !value.is_empty())
    };
    match trigger.secrets.iter().find(|(name, required)| **required && !has(name)) {
        // Inherited secrets may have any names.
        Some((name, _)) if !call.inherit => Err(format!("the secret `{name}` is required")),
        _ => Ok(secrets),
    }
}

/// The calls that are over, and are not told of yet.
pub(super) fn finished(run: &Run, request: &Request) -> Vec<Event> {
    let open = |group: &&std::sync::Arc<Group>| {
        group.phase == GroupPhase::Expanded && !group.calls.is_empty()
    };
    let ended = |group: &std::sync::Arc<Group>| finish(run, request, group);
    run.groups.iter().filter(open).filter_map(ended).collect()
}

fn finish(run: &Run, request: &Request, group: &Group) -> Option<Event> {
    let mut seen = Vec::new();
    let mut outputs = BTreeMap::new();
    for scope in group.calls.iter().filter_map(|call| run.scopes.get(*call)) {
        for inner in run.groups.get(scope.groups.clone()).into_iter().flatten() {
            seen.push(inner.ending()?);
        }
        outputs.extend(given_back(run, request, group, scope));
    }
    let worst_first = [Ending::Failure, Ending::Cancelled, Ending::Success];
    let ending = worst_first.into_iter().find(|ending| seen.contains(ending));
    Some(Event::CallFinished {
        key: group.key.clone(),
        scope: u32::try_from(group.scope).unwrap_or(u32::MAX),
        ending: ending.unwrap_or(Ending::Skipped),
        outputs,
    })
}

/// What the workflow gives to its caller; of a matrix, the last combination that gives something
/// counts.
fn given_back(
    run: &Run,
    request: &Request,
    group: &Group,
    scope: &Scope,
) -> BTreeMap<String, String> {
    let names = Names::of_group(run, request, group);
    let called = Called { inputs: &scope.inputs, names: &names };
    let names = Jobs { run, scope, called };
    let trigger = scope.plan.trigger("workflow_call");
    let outputs = trigger.map(|trigger| &trigger.outputs).into_iter().flatten();
    let value = |(name, template): (&String, &crate::expr::Template)| {
        let value = template.text(&names).ok()?;
        let given = !value.is_empty() && !seal::is_sealed(&value, &request.seal);
        given.then(|| (name.clone(), value))
    };
    outputs.filter_map(value).collect()
}

/// What the outputs of a workflow read: its jobs, beside what its caller reads.
struct Jobs<'a> {
    run: &'a Run,
    scope: &'a Scope,
    called: Called<'a>,
}

impl Lookup for Jobs<'_> {
    fn context(&self, name: &str) -> Value {
        match name {
            "jobs" => {
                let groups = self.run.groups.get(self.scope.groups.clone()).into_iter().flatten();
                let job = |group: &std::sync::Arc<Group>| {
                    let job = Object::new()
                        .with("result", group.ending().map_or("", Ending::as_str))
                        .with("outputs", group.outputs.iter().collect::<Object>());
                    (group.key.to_string(), job)
                };
                groups.map(job).collect::<Object>().into()
            }
            other => self.called.context(other),
        }
    }

    fn status(&self, function: StatusFunction, jobs: &[String]) -> bool {
        self.called.status(function, jobs)
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        self.called.hash_files(patterns)
    }
}
