//! People who answer for jobs of a run that wait for their environment.

use grit_control::aggregate::{Command, Refusal};
use grit_control::reactor::{Handle, Submission, SubmitError};
use grit_control::run_stream;
use grit_control::view::RunView;
use grit_pipeline::run::{Command as RunCommand, Refusal as RunRefusal};
use grit_types::{Actor, JobId, Role, chain};

use super::door::{Answer, Question, Refused, Visitor};

/// Hears what somebody wants, and says what came of it.
pub async fn hear(mut visitor: Visitor, handle: &Handle, view: &RunView) {
    let Some(question) = visitor.question().await else { return };
    let answer = decide(&question, handle, view).await;
    visitor.answer(&answer).await;
}

async fn decide(question: &Question, handle: &Handle, view: &RunView) -> Answer {
    let waiting = waiting(view, question.job.as_deref());
    let mut answer = Answer { jobs: Vec::new(), refused: None };
    if waiting.is_empty() {
        let of = question.job.as_ref().map(|job| format!("/{job}")).unwrap_or_default();
        let message = format!("no job of {}{of} waits for an approval", view.id);
        answer.refused = Some(Refused { not_now: true, message });
    }
    for (job, name) in waiting {
        match review(question, handle, view, job).await {
            Ok(_) => answer.jobs.push(name),
            Err(error) => {
                answer.refused = Some(refused(&error));
                break;
            }
        }
    }
    answer
}

fn waiting(view: &RunView, named: Option<&str>) -> Vec<(JobId, String)> {
    let meant = |job: &&grit_pipeline::run::JobView| {
        let named = named.is_none_or(|name| job.key.as_str() == name || job.name == name);
        job.approvals_missing > 0 && named
    };
    let jobs = view.jobs.iter().filter(meant);
    jobs.filter_map(|job| Some((job.job?, job.name.clone()))).collect()
}

/// Whoever reaches the run's socket is its own user, who is the owner of all that is here.
async fn review(
    question: &Question,
    handle: &Handle,
    view: &RunView,
    job: JobId,
) -> Result<(), SubmitError> {
    let command = RunCommand::Review {
        job,
        approved: question.approved,
        roles: vec![Role::Owner],
        comment: question.comment.clone(),
    };
    let submission = Submission {
        stream: run_stream(view.id),
        command: Command::Run(command),
        actor: Actor::new(question.actor.clone(), "cli"),
    };
    handle.submit(submission).await.map(drop)
}

fn refused(error: &SubmitError) -> Refused {
    let by_rights = |refusal: &Refusal| {
        matches!(refusal, Refusal::Run(RunRefusal::OwnRun | RunRefusal::Role { .. }))
    };
    let rights = matches!(error, SubmitError::Refused(refusal) if by_rights(refusal));
    Refused { not_now: !rights, message: chain(error) }
}
