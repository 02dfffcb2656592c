//! What the environment of a CI job says of the job.

/// Where the run can be looked at.
pub fn run_url() -> Option<String> {
    let github = || {
        let (server, repository) = (var("GITHUB_SERVER_URL")?, var("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", var("GITHUB_RUN_ID")?))
    };
    let others = ["CI_JOB_URL", "CIRCLE_BUILD_URL", "BUILD_URL", "GRIT_RUN_ID"];
    let url = github().or_else(|| others.into_iter().find_map(var))?;
    (url.chars().count() <= 2_000).then_some(url)
}

/// The number that people know the run by.
pub fn build_number() -> Option<String> {
    let names = ["GITHUB_RUN_NUMBER", "CI_PIPELINE_IID", "CIRCLE_BUILD_NUM", "BUILD_NUMBER"];
    names.into_iter().find_map(var).filter(|number| number.chars().all(|c| c.is_ascii_digit()))
}

/// What is built, where the clone is at a commit and on no branch.
pub fn branch() -> Option<String> {
    let names = ["GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", "CIRCLE_BRANCH", "BRANCH_NAME"];
    names.into_iter().find_map(var).filter(|name| name.len() <= 1_000)
}

fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
