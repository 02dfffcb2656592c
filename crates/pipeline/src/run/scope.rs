use super::Request;
use super::allow::{is_from_outside, is_proposed, text};
use crate::keep::{JobScope, Trust};

/// Read where nothing says which branch is the default one.
const DEFAULTS: [&str; 2] = ["refs/heads/main", "refs/heads/master"];

/// Whose caches the jobs of a run read and write.
///
/// As the service has it: a branch reads its own, then those of the default branch; a pull request
/// its own, those of its base, those of the default branch. What it keeps, only it reads.
pub(super) fn job_scope(request: &Request) -> JobScope {
    let trust = if is_from_outside(request) { Trust::Outside } else { Trust::Inside };
    let own = own(request);
    let mut reads = base(request);
    reads.extend(defaults(request));
    reads.retain(|name| trust == Trust::Outside || *name != own);
    reads.dedup();
    JobScope { trust, own, reads }
}

fn own(request: &Request) -> String {
    let name = request.ref_name.as_ref().map(|name| name.as_str()).unwrap_or_default();
    if !is_proposed(request) || name.starts_with("refs/pull/") {
        return name.to_owned();
    }
    let number = text(&request.payload, &["number"])
        .or_else(|| text(&request.payload, &["pull_request", "number"]))
        .unwrap_or_else(|| "0".to_owned());
    format!("refs/pull/{number}/merge")
}

fn base(request: &Request) -> Vec<String> {
    let base =
        is_proposed(request).then(|| text(&request.payload, &["pull_request", "base", "ref"]));
    base.flatten().map(|name| format!("refs/heads/{name}")).into_iter().collect()
}

fn defaults(request: &Request) -> Vec<String> {
    match text(&request.payload, &["repository", "default_branch"]) {
        Some(name) => vec![format!("refs/heads/{name}")],
        None => DEFAULTS.map(str::to_owned).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{job, plan};

    fn request(event: &str, ref_name: &str, payload: &str) -> Request {
        let run = grit_types::RunId::derived(grit_types::Timestamp::from_millis(0), b"r");
        let text = serde_json::json!({
            "run": run, "tenant": "local", "repo": "shop", "number": 1,
            "plan": plan([job("a", &[])]), "event": event, "commit": "1".repeat(40),
            "ref_name": ref_name, "actor": "ann", "inputs": {},
            "payload": serde_json::from_str::<serde_json::Value>(payload).unwrap(),
            "vars": {}, "env": {}, "slots": 1, "only": {"jobs": [], "matrix": {}},
            "os": "Linux", "foreign": "refuse",
        });
        serde_json::from_value(text).unwrap()
    }

    fn scope(request: &Request) -> JobScope {
        job_scope(request)
    }

    #[test]
    fn a_push_keeps_under_its_branch_and_reads_the_default_one() {
        let pushed =
            request("push", "refs/heads/topic", r#"{"repository":{"default_branch":"trunk"}}"#);
        let found = scope(&pushed);
        assert_eq!((found.trust, found.own.as_str()), (Trust::Inside, "refs/heads/topic"));
        assert_eq!(found.reads, ["refs/heads/trunk"]);
        let main = scope(&request("push", "refs/heads/main", "null"));
        assert_eq!(main.reads, ["refs/heads/master"]);
    }

    #[test]
    fn a_pull_request_writes_only_its_own_whatever_ref_it_names() {
        let payload = r#"{"number": 7, "pull_request": {"base": {"ref": "main", "repo": {"full_name": "o/r"}},
            "head": {"ref": "main", "repo": {"full_name": "fork/r"}}}}"#;
        let found = scope(&request("pull_request", "refs/heads/main", payload));
        assert_eq!((found.trust, found.own.as_str()), (Trust::Outside, "refs/pull/7/merge"));
        assert_eq!(found.reads[0], "refs/heads/main");
        let same = payload.replace("fork/r", "o/r");
        assert_eq!(scope(&request("pull_request", "refs/heads/main", &same)).trust, Trust::Inside);
        let silent = request("pull_request", "refs/heads/main", "{}");
        assert_eq!(scope(&silent).trust, Trust::Outside, "who says nothing is from outside");
        assert_eq!(scope(&request("push", "refs/pull/3/head", "{}")).trust, Trust::Outside);
    }
}
