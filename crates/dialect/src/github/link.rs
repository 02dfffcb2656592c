//! What holds between a workflow and those that it calls.

use grit_diag::{Diagnostics, Span};
use grit_pipeline::plan::{Call, Input, Job, Permissions, Place, Plan, Texts, Trigger};

use crate::codes;

/// So many workflows may stand above one another, the first included.
pub const CALL_DEPTH_MAX: usize = 10;

/// A workflow that was read.
pub type Called = (Option<Plan>, Diagnostics);

/// What the repository says that no file does.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// What jobs may do where no file says it; `None`: everything.
    pub permissions: Option<Permissions>,
}

/// Reads the workflows that `plan` calls into it, and those that they call, and checks that they
/// fit: inputs, secrets, permissions, no circle.
///
/// `load` gives what a `uses` names; what it does not have stays out, and the run says so. Findings
/// about the caller go to `diagnostics`; answered are those of the files that are called.
pub fn link(
    plan: &mut Plan,
    diagnostics: &mut Diagnostics,
    policy: &Policy,
    load: &mut dyn FnMut(&str) -> Option<Called>,
) -> Vec<Diagnostics> {
    let mut linker = Linker { load, above: Vec::new(), findings: Vec::new() };
    linker.calls(plan, diagnostics, policy.permissions.as_ref());
    linker.findings
}

/// The same, where `text` gives the files of the repository that `plan` is of. Nothing else is read:
/// a workflow of another repository stays out.
///
/// # Errors
/// Of `text`, the first one.
pub fn link_here<E>(
    plan: &mut Plan,
    diagnostics: &mut Diagnostics,
    policy: &Policy,
    text: impl Fn(&str) -> Result<Option<String>, E>,
) -> Result<Vec<Diagnostics>, E> {
    let mut failed = None;
    let mut load = |uses: &str| {
        let path = uses.strip_prefix("./")?;
        match text(path) {
            Ok(text) => text.map(|text| super::read(path, &text)),
            Err(error) => {
                failed.get_or_insert(error);
                None
            }
        }
    };
    let called = link(plan, diagnostics, policy, &mut load);
    failed.map_or(Ok(called), Err)
}

struct Linker<'a> {
    load: &'a mut dyn FnMut(&str) -> Option<Called>,
    /// The calls that led here.
    above: Vec<String>,
    findings: Vec<Diagnostics>,
}

impl Linker<'_> {
    fn calls(
        &mut self,
        plan: &mut Plan,
        diagnostics: &mut Diagnostics,
        allowed: Option<&Permissions>,
    ) {
        let calls: Vec<(Job, Call)> =
            plan.jobs.values().filter_map(|job| Some((job.clone(), job.call.clone()?))).collect();
        for (job, call) in calls {
            let own = job.permissions.as_ref().or(plan.permissions.as_ref()).or(allowed).cloned();
            if let Some(refusal) = self.refusal(&call) {
                diagnostics.error(span(diagnostics, call.place), codes::CALL, refusal);
                continue;
            }
            if let Some(called) = self.called(&job, &call, diagnostics, own.as_ref()) {
                plan.called.insert(call.uses, called);
            }
        }
    }

    fn refusal(&self, call: &Call) -> Option<String> {
        if self.above.contains(&call.uses) {
            return Some(format!("`{}` calls itself: {}", call.uses, self.above.join(" → ")));
        }
        let deep = self.above.len() + 1 >= CALL_DEPTH_MAX;
        deep.then(|| format!("more than {CALL_DEPTH_MAX} workflows stand above one another"))
    }

    fn called(
        &mut self,
        job: &Job,
        call: &Call,
        diagnostics: &mut Diagnostics,
        allowed: Option<&Permissions>,
    ) -> Option<Plan> {
        let Some((plan, mut findings)) = (self.load)(&call.uses) else {
            if call.uses.starts_with("./") {
                let message = format!("there is no workflow `{}`", call.uses);
                diagnostics.error(span(diagnostics, call.place), codes::CALL, message);
            }
            return None;
        };
        let mut plan = plan.filter(|_| !findings.has_errors());
        if let Some(plan) = &mut plan {
            fits(job, call, plan, diagnostics);
            permitted(job, call, plan, diagnostics, allowed);
            self.above.push(call.uses.clone());
            self.calls(plan, &mut findings, allowed);
            self.above.pop();
        }
        if !findings.is_empty() {
            self.findings.push(findings);
        }
        plan
    }
}

fn fits(job: &Job, call: &Call, plan: &Plan, diagnostics: &mut Diagnostics) {
    let Some(trigger) = plan.trigger("workflow_call") else {
        let message = format!("`{}` has no `workflow_call`: nothing may call it", call.uses);
        diagnostics.error(span(diagnostics, call.place), codes::CALL, message);
        return;
    };
    let required = |input: &Input| input.required && input.default.is_none();
    let inputs = trigger.inputs.iter().map(|(name, input)| (name, required(input)));
    given("input", &call.with, inputs.collect(), call, diagnostics);
    if !call.inherit {
        let secrets = trigger.secrets.iter().map(|(name, required)| (name, *required));
        given("secret", &call.secrets, secrets.collect(), call, diagnostics);
    }
    literals(job, call, trigger, diagnostics);
}

fn given(
    what: &str,
    texts: &Texts,
    declared: Vec<(&String, bool)>,
    call: &Call,
    diagnostics: &mut Diagnostics,
) {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    for (name, template) in texts {
        if !declared.iter().any(|(known, _)| same(known, name)) {
            let message = format!("`{}` has no {what} `{name}`", call.uses);
            let near = grit_diag::suggest(name, declared.iter().map(|(known, _)| known.as_str()));
            let finding =
                diagnostics.error(span(diagnostics, template.place), codes::CALL, message);
            if let Some(near) = near {
                finding.help(format!("did you mean `{near}`?"));
            }
        }
    }
    for (name, _) in declared.iter().filter(|(_, required)| *required) {
        if !texts.keys().any(|given| same(given, name)) {
            let message = format!("the {what} `{name}` of `{}` is required", call.uses);
            diagnostics.error(span(diagnostics, call.place), codes::CALL, message);
        }
    }
}

/// What is written out must be of the input's kind.
fn literals(job: &Job, call: &Call, trigger: &Trigger, diagnostics: &mut Diagnostics) {
    use grit_pipeline::plan::InputKind::{Boolean, Number};
    for (name, template) in &call.with {
        let Some((_, input)) =
            trigger.inputs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            continue;
        };
        let Some(text) = template.as_literal() else { continue };
        let wanted = match input.kind {
            Boolean if !matches!(text, "true" | "false") => "true or false",
            Number if text.parse::<f64>().is_err() => "a number",
            _ => continue,
        };
        let message = format!("the input `{name}` of `{}` must be {wanted}", job.key);
        diagnostics.error(span(diagnostics, template.place), codes::CALL, message);
    }
}

fn permitted(
    job: &Job,
    call: &Call,
    plan: &Plan,
    diagnostics: &mut Diagnostics,
    allowed: Option<&Permissions>,
) {
    let Some(allowed) = allowed else { return };
    let jobs = plan.jobs.values().map(|job| {
        let name = job.name.as_ref().map_or(job.key.as_str(), |name| name.source());
        (format!("its job `{name}`"), job.permissions.as_ref())
    });
    let asking = std::iter::once((format!("`{}`", call.uses), plan.permissions.as_ref()));
    for (who, wanted) in asking.chain(jobs) {
        let beyond = wanted.map(|wanted| wanted.beyond(allowed)).unwrap_or_default();
        if beyond.is_empty() {
            continue;
        }
        let each = |(scope, wanted, has): &(&str, _, _)| {
            let (wanted, has): (&grit_pipeline::plan::Access, &grit_pipeline::plan::Access) =
                (wanted, has);
            format!("`{scope}: {}` (it has {})", wanted.as_str(), has.as_str())
        };
        let list: Vec<String> = beyond.iter().map(each).collect();
        let message = format!("{who} asks for {}", list.join(", "));
        diagnostics
            .error(span(diagnostics, job.place), codes::BEYOND, message)
            .help(format!("give the job `{}` these permissions", job.key));
    }
}

/// Plans know lines and columns, findings offsets.
fn span(diagnostics: &Diagnostics, place: Place) -> Span {
    Span::at(diagnostics.source().offset_of(place.line, place.column).unwrap_or_default())
}
