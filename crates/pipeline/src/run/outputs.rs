//! What a job gives to other jobs.

use std::collections::BTreeMap;

use super::context::Names;
use super::state::{JobRun, Run};
use super::step::{TIMEOUT_DEFAULT, place, texts};
use super::{Request, bounded};
use crate::plan::Job;
use crate::{Annotation, AnnotationLevel, Annotations, Late, StepAction, StepSpec, seal};

/// What the runner is asked after the last step: what comes of expressions that look into what only it
/// knows.
pub(super) fn asked(run: &Run, request: &Request, job: &JobRun) -> Option<Box<StepSpec>> {
    let planned = run.planned(&run.groups[job.group]).filter(|_| job.answers.is_none())?;
    let names = Names::of_job(run, request, job).with_env(&job.env).sealing();
    // What cannot be evaluated fails the job at its end.
    let mut texts = texts(&planned.outputs, "output", &names).ok()?;
    texts.retain(|_, text| seal::is_deferred(text, &request.seal));
    if texts.is_empty() || bounded(&texts, "").is_err() {
        return None;
    }
    Some(Box::new(StepSpec {
        job: job.id,
        run: request.run,
        index: place(job),
        title: "Complete job".to_owned(),
        action: StepAction::Answer { texts },
        env: BTreeMap::new(),
        path: Vec::new(),
        working_directory: None,
        timeout: TIMEOUT_DEFAULT,
        condition: None,
        late: Late::default(),
    }))
}

/// As the service has it, what may hold a secret does not leave the job, and that is said.
pub(super) fn outputs(
    job: &Job,
    names: &Names<'_>,
) -> Result<(BTreeMap<String, String>, Annotations), String> {
    let (mut outputs, mut said) = (BTreeMap::new(), Annotations::default());
    for (name, template) in &job.outputs {
        let told = || template.text(names).map_err(|error| format!("output `{name}`: {error}"));
        let value = answer(names, name).map_or_else(told, Ok)?;
        let secret = seal::is_sealed(&value, &names.request.seal);
        if secret {
            let why = format!("The output `{name}` is left empty: it may hold a secret.");
            said.add(Annotation::new(AnnotationLevel::Warning, why));
        }
        outputs.insert(name.clone(), if secret { String::new() } else { value });
    }
    bounded(&outputs, "its outputs").map(|()| (outputs, said))
}

/// What the runner said to [`asked`].
fn answer(names: &Names<'_>, name: &str) -> Option<String> {
    let job = names.job?;
    job.steps.get(job.answers? as usize)?.outputs.get(name).cloned()
}
