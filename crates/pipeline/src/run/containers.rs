use std::collections::BTreeMap;

use super::Request;
use super::allow::is_from_outside;
use super::context::Names;
use super::decide::job_env;
use super::state::{JobRun, Run};
use super::step::texts;
use crate::container::{ContainerSpec, Containers};
use crate::expr::{Object, Template, Value};
use crate::plan::{ContainerKeys, ContainerPlan, ServicesPlan};
use crate::runners::{RunnerKind, runner_of};

/// The containers of a job that is about to be prepared.
pub(super) fn wanted(run: &Run, request: &Request, job: &JobRun) -> Result<Containers, String> {
    let planned = run.planned(&run.groups[job.group]);
    let Some(planned) = planned else { return Ok(Containers::default()) };
    let (own, services) = (planned.container.as_ref(), planned.services.as_ref());
    let env = match (own, services) {
        (None, None) => BTreeMap::new(),
        _ => job_env(run, request, job)?,
    };
    let names = Names::of_job(run, request, job).with_env(&env).sealing();
    let own = own.map(|plan| container(plan, &names)).transpose();
    let own = own.map_err(|why| format!("container: {why}"))?.flatten();
    let runner = runner_of(&request.runners, &job.cell.runs_on);
    let given = || match runner.map(|runner| &runner.on) {
        Some(RunnerKind::Container(image)) => Some(ContainerSpec::of(image)),
        Some(RunnerKind::Host) | None => None,
    };
    Ok(Containers {
        // What somebody from outside proposes is never trusted.
        trusted: runner.is_some_and(|runner| runner.trusted) && !is_from_outside(request),
        job: own.or_else(given),
        services: services
            .map(|plan| self::services(plan, &names))
            .transpose()?
            .unwrap_or_default(),
    })
}

fn services(
    plan: &ServicesPlan,
    names: &Names<'_>,
) -> Result<BTreeMap<String, ContainerSpec>, String> {
    let mut services = BTreeMap::new();
    let mut add = |name: &str, spec: Result<Option<ContainerSpec>, String>| {
        if !is_host_name(name) {
            return Err(format!("services: `{name}` cannot be the name of a service"));
        }
        let spec = spec.map_err(|why| format!("service `{name}`: {why}"))?;
        services.extend(spec.map(|spec| (name.to_owned(), spec)));
        Ok(())
    };
    match plan {
        ServicesPlan::Each(each) => {
            for (name, plan) in each {
                add(name, container(plan, names))?;
            }
        }
        ServicesPlan::Whole(template) => match value(template, names)? {
            Value::Object(members) => {
                for (name, value) in members.iter() {
                    add(name, of_value(value))?;
                }
            }
            value if value.to_text().is_empty() => {}
            _ => return Err("services: the expression gives no mapping".to_owned()),
        },
    }
    Ok(services)
}

/// Others reach it by that name, and files are called so.
fn is_host_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=63).contains(&name.len()) && name.chars().all(good) && !name.starts_with(['-', '.'])
}

/// `None`: its image is empty, and there is no container.
fn container(plan: &ContainerPlan, names: &Names<'_>) -> Result<Option<ContainerSpec>, String> {
    match plan {
        ContainerPlan::Whole(template) => of_value(&value(template, names)?),
        ContainerPlan::Keys(keys) => of_keys(keys, names),
    }
}

fn of_keys(keys: &ContainerKeys, names: &Names<'_>) -> Result<Option<ContainerSpec>, String> {
    let image = text(&keys.image, names)?;
    if image.is_empty() {
        return Ok(None);
    }
    let some = |template: &Option<Template>| {
        let text = template.as_ref().map(|template| text(template, names)).transpose()?;
        Ok::<_, String>(text.filter(|text| !text.is_empty()))
    };
    let credentials = texts(&keys.credentials, "credentials", names)?;
    Ok(Some(ContainerSpec {
        image,
        credentials: pair(&credentials),
        env: texts(&keys.env, "env", names)?,
        ports: list(&keys.ports, names)?,
        volumes: list(&keys.volumes, names)?,
        options: some(&keys.options)?.unwrap_or_default(),
        entrypoint: some(&keys.entrypoint)?,
        command: some(&keys.command)?,
    }))
}

fn pair(credentials: &BTreeMap<String, String>) -> Option<(String, String)> {
    let part = |name| credentials.get(name).cloned().unwrap_or_default();
    let (user, password) = (part("username"), part("password"));
    (!user.is_empty() || !password.is_empty()).then_some((user, password))
}

fn value(template: &Template, names: &Names<'_>) -> Result<Value, String> {
    template.value(names).map_err(|error| error.to_string())
}

fn text(template: &Template, names: &Names<'_>) -> Result<String, String> {
    Ok(value(template, names)?.to_text().trim().to_owned())
}

/// An expression may give several at once.
fn list(templates: &[Template], names: &Names<'_>) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for template in templates {
        all.extend(texts_of(&value(template, names)?));
    }
    Ok(all)
}

fn texts_of(value: &Value) -> Vec<String> {
    let texts = match value {
        Value::Array(items) => items.iter().map(Value::to_text).collect(),
        other => vec![other.to_text()],
    };
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

/// What an expression gave: an image, or a mapping.
fn of_value(value: &Value) -> Result<Option<ContainerSpec>, String> {
    let Value::Object(members) = value else {
        let image = value.to_text().trim().to_owned();
        return Ok((!image.is_empty()).then(|| ContainerSpec::of(image)));
    };
    let known =
        ["image", "credentials", "env", "ports", "volumes", "options", "entrypoint", "command"];
    if let Some((name, _)) = members.iter().find(|(name, _)| !known.contains(name)) {
        return Err(format!("the expression gives `{name}`, which no container has"));
    }
    let text = |name: &str| members.get(name).map(Value::to_text).unwrap_or_default();
    let some = |name| Some(text(name)).filter(|text| !text.is_empty());
    let several = |name: &str| members.get(name).map(texts_of).unwrap_or_default();
    let Some(image) = some("image") else { return Ok(None) };
    Ok(Some(ContainerSpec {
        image,
        credentials: pair(&pairs(members, "credentials")),
        env: pairs(members, "env"),
        ports: several("ports"),
        volumes: several("volumes"),
        options: text("options"),
        entrypoint: some("entrypoint"),
        command: some("command"),
    }))
}

fn pairs(members: &Object, name: &str) -> BTreeMap<String, String> {
    match members.get(name) {
        Some(Value::Object(pairs)) => {
            pairs.iter().map(|(name, value)| (name.to_owned(), value.to_text())).collect()
        }
        _ => BTreeMap::new(),
    }
}
