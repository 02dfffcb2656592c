//! Whether an event starts a pipeline.

mod cron;
mod pattern;

use grit_types::RefName;

use crate::plan::{Filters, Plan};

pub use cron::{Cron, CronError};
pub use pattern::{Pattern, PatternError};

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushEvent {
    pub ref_name: RefName,
    /// Paths from the root of the repository; `None` where they are not known (the first push of
    /// a branch), and then path filters hold.
    pub changed_paths: Option<Vec<String>>,
}

/// Something that happened, of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occurrence {
    /// `push`, `pull_request`, `workflow_dispatch`, …
    pub event: String,
    pub ref_name: Option<RefName>,
    /// What kind of it: `opened`, `labeled`; the name of a `repository_dispatch`.
    pub activity: Option<String>,
    /// The branch that a pull request is for; that of the run that a `workflow_run` is about.
    pub base: Option<String>,
    /// As those of a push.
    pub changed_paths: Option<Vec<String>>,
    /// The name of the pipeline that a `workflow_run` is about.
    pub workflow: Option<String>,
    /// The cron line that is due.
    pub schedule: Option<String>,
}

/// The kinds of a pull request's events that count where none are named.
const PULL_REQUEST_DEFAULT: &[&str] = &["opened", "synchronize", "reopened"];

/// Whether this starts the pipeline.
pub fn starts(plan: &Plan, occurrence: &Occurrence) -> bool {
    let Some(trigger) = plan.trigger(&occurrence.event) else { return false };
    let filters = &trigger.filters;
    match occurrence.event.as_str() {
        "push" => occurrence.ref_name.as_ref().is_some_and(|ref_name| {
            let changed_paths = occurrence.changed_paths.clone();
            passes(filters, &PushEvent { ref_name: ref_name.clone(), changed_paths })
        }),
        // Only another workflow does.
        "workflow_call" => false,
        "pull_request" | "pull_request_target" => {
            is_of_kind(filters, occurrence, PULL_REQUEST_DEFAULT)
                && of_base(filters, occurrence)
                && of_paths(filters, &occurrence.changed_paths)
        }
        "workflow_run" => {
            let workflows = filters.workflows.as_ref();
            let named = occurrence.workflow.as_ref().zip(workflows);
            is_of_kind(filters, occurrence, &[])
                && named.is_none_or(|(name, workflows)| workflows.contains(name))
                && of_base(filters, occurrence)
        }
        "schedule" => {
            occurrence.schedule.as_ref().is_none_or(|line| trigger.schedule.contains(line))
        }
        _ => is_of_kind(filters, occurrence, &[]),
    }
}

/// `default`: what counts where no types are named; empty: all.
fn is_of_kind(filters: &Filters, occurrence: &Occurrence, default: &[&str]) -> bool {
    let Some(activity) = &occurrence.activity else { return true };
    match &filters.types {
        Some(types) => types.iter().any(|kind| is_kind(kind, activity)),
        None => default.is_empty() || default.contains(&activity.as_str()),
    }
}

/// The same word; of labels, however it is spelled.
fn is_kind(kind: &str, activity: &str) -> bool {
    kind == activity
        || kind.replace("labelled", "labeled") == activity.replace("labelled", "labeled")
}

fn of_base(filters: &Filters, occurrence: &Occurrence) -> bool {
    let Some(base) = &occurrence.base else { return true };
    selects(&filters.branches, &filters.branches_ignore, std::slice::from_ref(base))
}

fn of_paths(filters: &Filters, changed: &Option<Vec<String>>) -> bool {
    changed.as_ref().is_none_or(|paths| selects(&filters.paths, &filters.paths_ignore, paths))
}

/// Whether this push starts the pipeline.
pub fn triggers_on(plan: &Plan, push: &PushEvent) -> bool {
    plan.trigger("push").is_some_and(|trigger| passes(&trigger.filters, push))
}

/// Whether the pipeline may be started by hand.
pub fn triggers_by_hand(plan: &Plan) -> bool {
    plan.trigger("workflow_dispatch").is_some()
}

fn passes(filters: &Filters, push: &PushEvent) -> bool {
    let branches = filters.branches.is_some() || filters.branches_ignore.is_some();
    let tags = filters.tags.is_some() || filters.tags_ignore.is_some();
    if let Some(tag) = push.ref_name.tag() {
        let named = [tag.to_owned()];
        // Paths are not looked at for tags.
        return selects(&filters.tags, &filters.tags_ignore, &named) && (tags || !branches);
    }
    let Some(branch) = push.ref_name.branch() else {
        return false;
    };
    let named = [branch.to_owned()];
    if !selects(&filters.branches, &filters.branches_ignore, &named) || (tags && !branches) {
        return false;
    }
    of_paths(filters, &push.changed_paths)
}

fn selects(only: &Option<Vec<String>>, ignore: &Option<Vec<String>>, names: &[String]) -> bool {
    only.as_ref().is_none_or(|patterns| included(patterns, names))
        && ignore.as_ref().is_none_or(|patterns| !all_ignored(patterns, names))
}

/// Whether any of `names` is selected: patterns count in their order, `!` takes back what those
/// before it gave.
pub fn included(patterns: &[String], names: &[String]) -> bool {
    let patterns = compiled(patterns);
    names.iter().any(|name| {
        patterns.iter().fold(
            false,
            |selected, (negative, pattern)| {
                if pattern.matches(name) { !negative } else { selected }
            },
        )
    })
}

/// Whether every one of `names` is matched by a pattern; `!pattern` matches what `pattern` does
/// not.
pub fn all_ignored(patterns: &[String], names: &[String]) -> bool {
    let patterns = compiled(patterns);
    let ignored = |name: &String| {
        patterns.iter().any(|(negative, pattern)| pattern.matches(name) != *negative)
    };
    names.iter().all(ignored)
}

/// A pattern that cannot be read matches nothing; the dialect has reported it.
fn compiled(patterns: &[String]) -> Vec<(bool, Pattern)> {
    let compile = |text: &String| {
        let (negative, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        rest.parse().ok().map(|pattern| (negative, pattern))
    };
    patterns.iter().filter_map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{job, plan};

    fn starts(set: impl FnOnce(&mut Filters), ref_name: &str, paths: Option<&[&str]>) -> bool {
        let mut plan = plan([job("a", &[])]);
        set(&mut plan.triggers[0].filters);
        let changed_paths = paths.map(|paths| paths.iter().map(ToString::to_string).collect());
        triggers_on(&plan, &PushEvent { ref_name: ref_name.parse().unwrap(), changed_paths })
    }

    fn list(patterns: &[&str]) -> Option<Vec<String>> {
        Some(patterns.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn branches_and_tags_shut_each_other_out() {
        assert!(starts(|_| {}, "refs/heads/main", None));
        assert!(starts(|_| {}, "refs/tags/v1", None));
        assert!(!starts(|f| f.tags = list(&["v*"]), "refs/heads/main", None));
        assert!(!starts(|f| f.branches = list(&["main"]), "refs/tags/main", None));
        let both = |f: &mut Filters| {
            f.tags = list(&["v*"]);
            f.branches = list(&["main"]);
        };
        assert!(starts(both, "refs/heads/main", None));
        assert!(starts(both, "refs/tags/v1", None));
        assert!(!starts(both, "refs/heads/other", None));
        assert!(!starts(|_| {}, "refs/grit/base", None));
    }

    #[test]
    fn pull_requests_count_by_kind_and_base() {
        let starts_on = |set: fn(&mut Filters), activity: &str, base: &str| {
            let mut plan = plan([job("a", &[])]);
            plan.triggers[0].event = "pull_request".to_owned();
            set(&mut plan.triggers[0].filters);
            let occurrence = Occurrence {
                event: "pull_request".to_owned(),
                ref_name: None,
                activity: Some(activity.to_owned()),
                base: Some(base.to_owned()),
                ..Occurrence::default()
            };
            super::starts(&plan, &occurrence)
        };
        assert!(starts_on(|_| {}, "opened", "main"));
        assert!(!starts_on(|_| {}, "labeled", "main"));
        assert!(starts_on(|f| f.types = list(&["labeled"]), "labeled", "main"));
        assert!(!starts_on(|f| f.types = list(&["labeled"]), "opened", "main"));
        assert!(!starts_on(|f| f.branches = list(&["release/*"]), "opened", "main"));
    }

    #[test]
    fn runs_of_other_pipelines_count_by_name_and_branch() {
        let mut plan = plan([job("a", &[])]);
        plan.triggers[0].event = "workflow_run".to_owned();
        plan.triggers[0].filters.workflows = list(&["CI"]);
        plan.triggers[0].filters.branches = list(&["main"]);
        plan.triggers[0].filters.types = list(&["completed"]);
        let starts = |workflow: &str, branch: &str, activity: &str| {
            let occurrence = Occurrence {
                event: "workflow_run".to_owned(),
                activity: Some(activity.to_owned()),
                base: Some(branch.to_owned()),
                workflow: Some(workflow.to_owned()),
                ..Occurrence::default()
            };
            super::starts(&plan, &occurrence)
        };
        assert!(starts("CI", "main", "completed"));
        assert!(!starts("CD", "main", "completed"));
        assert!(!starts("CI", "topic", "completed"));
        assert!(!starts("CI", "main", "requested"));
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let filter = |f: &mut Filters| f.branches = list(&["releases/**", "!releases/**-alpha"]);
        assert!(starts(filter, "refs/heads/releases/10", None));
        assert!(!starts(filter, "refs/heads/releases/10-alpha", None));
    }

    #[test]
    fn paths_count_for_branches_where_they_are_known() {
        let filter = |f: &mut Filters| f.paths = list(&["src/**"]);
        assert!(starts(filter, "refs/heads/main", Some(&["README.md", "src/a.rs"])));
        assert!(!starts(filter, "refs/heads/main", Some(&["README.md"])));
        assert!(starts(filter, "refs/heads/main", None));
        assert!(starts(filter, "refs/tags/v1", Some(&[])));
        let ignore = |f: &mut Filters| f.paths_ignore = list(&["docs/**"]);
        assert!(!starts(ignore, "refs/heads/main", Some(&["docs/a.md"])));
        assert!(starts(ignore, "refs/heads/main", Some(&["docs/a.md", "a.rs"])));
    }
}
