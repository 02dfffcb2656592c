use serde_json::Value;

use super::{
    table::{self, Case},
    world::Seen,
};

/// In an expected call: any text. In what is expected of a log: the commit.
const ANY: &str = "*";
const COMMIT: &str = "{sha}";

/// What is not as the table says.
pub fn problems(case: &Case, seen: &Seen) -> Vec<String> {
    let mut problems = Vec::new();
    if seen.conclusion != case.conclusion {
        problems.push(format!("{} expected, seen {}", case.conclusion, seen.conclusion));
    }
    for (job, wanted) in case.jobs {
        let endings: Vec<&Value> =
            seen.jobs.iter().filter(|seen| seen["key"] == *job).map(|job| &job["ending"]).collect();
        if endings.is_empty() || endings.iter().any(|ending| *ending != wanted) {
            problems.push(format!("job `{job}`: {wanted} expected, seen {endings:?}"));
        }
    }
    problems.extend(called(case, seen));
    for text in
        case.said.iter().filter(|text| !seen.log.contains(&text.replace(COMMIT, &seen.commit)))
    {
        problems.push(format!("`{text}` expected in the log"));
    }
    let secret = |(_, value): &&(&str, &str)| seen.everything.contains(value);
    problems
        .extend(case.secrets.iter().find(secret).map(|(name, _)| format!("{name} is in a log")));
    if !problems.is_empty() {
        problems.push(format!(
            "calls {:#?}; log {}; {}",
            seen.calls,
            tail(&seen.log),
            tail(&seen.stderr)
        ));
    }
    problems
}

/// Every call that is expected, and no other.
fn called(case: &Case, seen: &Seen) -> Vec<String> {
    let is_aside = |call: &&str| table::ASIDE.iter().any(|aside| is_like(aside, call));
    let calls = seen.calls.iter().map(String::as_str);
    let mut rest: Vec<&str> = calls.filter(|call| !is_aside(call)).collect();
    let mut problems = Vec::new();
    for wanted in case.calls.iter().copied().flatten() {
        let wanted = wanted.replace(COMMIT, &seen.commit);
        match rest.iter().position(|call| is_like(&wanted, call)) {
            Some(at) => drop(rest.remove(at)),
            None => problems.push(format!("no call `{wanted}`")),
        }
    }
    problems.extend(rest.iter().map(|call| format!("nobody expects the call `{call}`")));
    problems
}

fn is_like(wanted: &str, call: &str) -> bool {
    let Some((before, after)) = wanted.split_once(ANY) else { return wanted == call };
    let Some(rest) = call.strip_prefix(before) else { return false };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|end| is_like(after, &rest[end..]))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        assert!(is_like("docker build * .", "docker build --file x ."));
        assert!(!is_like("docker build * .", "docker push --file x ."));
        assert!(is_like("a", "a") && !is_like("a", "a b"));
    }
}
