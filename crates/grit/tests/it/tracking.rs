//! `grit issue`, one repository, as people and their scripts use it.

use std::path::PathBuf;

use serde_json::Value;

use crate::env::{Env, GRIT};

struct Desk {
    env: Env,
    clone: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let env = Env::new();
        let clone = env.repository("one", &[("README", "seed\n")]);
        Self { env, clone }
    }

    fn says(&self, args: &[&str]) -> String {
        let words: Vec<&str> = ["issue"].iter().chain(args).copied().collect();
        self.env.grit(&self.clone, &words).expect_code(0).stdout.trim_end().to_owned()
    }

    fn refuses(&self, code: i32, args: &[&str]) -> String {
        let words: Vec<&str> = ["issue"].iter().chain(args).copied().collect();
        self.env.grit(&self.clone, &words).expect_code(code).stderr
    }

    fn data(&self, args: &[&str]) -> Value {
        let words: Vec<&str> = ["issue"].iter().chain(args).chain(&["--json"]).copied().collect();
        self.env.data(&self.clone, &words)
    }

    fn create(&self, title: &str) -> String {
        self.says(&["create", "--title", title])
    }

    /// A script as somebody pastes it, with grit on its PATH.
    fn script(&self, text: &str) -> String {
        let folder = std::path::Path::new(GRIT).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut command = self.env.command("bash", &self.clone);
        command.args(["-euo", "pipefail", "-c", text]).env("PATH", path);
        self.env.run(&mut command).expect_code(0).stdout
    }
}

#[test]
fn an_issue_is_steered_from_its_beginning_to_its_end() {
    let desk = Desk::new();
    let id = desk.create("It leaks");
    desk.says(&["label", "add", &id, "--label", "bug", "--label", "water"]);
    desk.says(&["label", "remove", &id, "--label", "water"]);
    desk.says(&["assignee", "add", &id, "--user", "bob"]);
    desk.says(&["link", "add", &id, "--url", "https://example.org/7", "--title", "seen here"]);
    let update = ["update", &id, "--title", "It leaks badly", "--milestone", "v2"];
    desk.says(&[&update[..], &["--priority", "high", "--due", "2026-12-01"]].concat());
    desk.says(&["comment", &id, "--body", "Since when, @carol?"]);
    let issue = desk.data(&["show", &id]);
    assert_eq!(issue["title"], "It leaks badly");
    assert_eq!(issue["labels"], serde_json::json!(["bug"]));
    assert_eq!(issue["assignees"], serde_json::json!(["bob"]));
    assert_eq!((&issue["milestone"], &issue["priority"]), (&"v2".into(), &"high".into()));
    assert_eq!(issue["mentions"], serde_json::json!(["carol"]));
    assert_eq!(issue["links"][0]["url"], "https://example.org/7");

    let comment = issue["comments"][0]["id"].as_str().unwrap();
    desk.says(&["comment", &id, "--edit", comment, "--body", "Since yesterday."]);
    assert_eq!(desk.data(&["show", &id])["comments"][0]["body"], "Since yesterday.");
    desk.says(&["comment", &id, "--delete", comment]);
    assert_eq!(desk.data(&["show", &id])["comments"], serde_json::json!([]));

    desk.says(&["close", &id, "--reason", "a new seal"]);
    assert_eq!(desk.data(&["show", &id])["closed"]["reason"], "a new seal");
    let again = desk.data(&["close", &id]);
    assert_eq!(
        (&again["recorded"], &again["already"][0]),
        (&0.into(), &"it is closed already".into())
    );
    desk.says(&["reopen", &id]);
    assert_eq!(desk.data(&["show", &id])["state"], "open");
    let history = desk.says(&["history", &id]);
    assert!(
        history.contains("changed the title to “It leaks badly” (was “It leaks”)"),
        "{history}"
    );
}

#[test]
fn a_retried_step_makes_one_issue() {
    let desk = Desk::new();
    let create = |title| desk.data(&["create", "--title", title, "--key", "ci-1234"]);
    let (first, again) = (create("CI failed"), create("CI failed, once more"));
    assert_eq!(first["id"], again["id"]);
    assert_eq!((&first["created"], &again["created"]), (&true.into(), &false.into()));
    assert_eq!(desk.says(&["list"]).lines().count(), 1);
}

#[test]
fn a_checklist_is_ticked_by_words_or_number() {
    let desk = Desk::new();
    let body = "- [ ] tag\n- [x] notes\n- [ ] binaries\n";
    let id = desk.says(&["create", "--title", "Release", "--body", body]);
    assert_eq!(desk.data(&["show", &id])["progress"], serde_json::json!({"done": 1, "total": 3}));
    desk.says(&["check", &id, "binar"]);
    desk.says(&["check", &id, "1"]);
    desk.says(&["uncheck", &id, "notes"]);
    let issue = desk.data(&["show", &id]);
    assert_eq!(issue["body"], "- [x] tag\n- [ ] notes\n- [x] binaries\n");
    let refused = desk.refuses(3, &["check", &id, "notse"]);
    assert!(refused.contains("did you mean `notes`?"), "{refused}");
}

#[test]
fn queries_find_and_change_many() {
    let desk = Desk::new();
    let (old, new) = (desk.create("Timeout in auth"), desk.create("Timeout in search"));
    let other = desk.create("Docs");
    for id in [&old, &new] {
        desk.says(&["label", "add", id, "--label", "ci-failure"]);
    }
    desk.says(&["close", &old]);
    assert_eq!(desk.says(&["search", "is:open label:ci-failure updated:<7d \"timeout\""]), new);
    assert_eq!(desk.says(&["search", "-label:ci-failure"]), other);
    desk.says(&["query", "save", "flaky", "label:ci-failure timeout"]);
    assert_eq!(desk.says(&["search", "@flaky", "is:closed"]), old);
    let update =
        ["update", "--query", "@flaky", "--add-label", "seen", "--remove-label", "ci-failure"];
    assert_eq!(desk.says(&update).lines().count(), 2);
    assert_eq!(desk.says(&["search", "label:seen"]).lines().count(), 2);
    assert_eq!(desk.says(&["search", "@flaky"]), "");
    let refused = desk.refuses(2, &["search", "is:opne"]);
    assert!(refused.contains("column 4") && refused.contains("\n     ^"), "{refused}");
}

#[test]
fn what_depends_in_a_circle_is_refused() {
    let desk = Desk::new();
    let (schema, code) = (desk.create("schema"), desk.create("code"));
    let release = desk.create("release");
    desk.says(&["dep", "add", &schema, "--target", &code]);
    desk.says(&["dep", "add", &release, "--type", "depends-on", "--target", &code]);
    assert_eq!(desk.says(&["dep", "topo"]), [&*schema, &*code, &*release].join("\n"));
    let refused = desk.refuses(4, &["dep", "add", &release, "--target", &schema]);
    assert!(refused.contains("would close a circle"), "{refused}");
    let data = desk.data(&["dep", "list", &code]);
    assert_eq!(data, serde_json::json!({"needs": [schema], "neededBy": [release]}));
    desk.says(&["dep", "remove", &schema, "--target", &code]);
    assert_eq!(desk.data(&["dep", "list", &code])["needs"], serde_json::json!([]));
}

#[test]
fn templates_are_built_in_or_the_repositorys_own() {
    let desk = Desk::new();
    let release = ["create", "--template", "release", "--set", "version=v2.0.0"];
    let id = desk.says(&release);
    let issue = desk.data(&["show", &id]);
    assert_eq!(issue["title"], "Release v2.0.0 checklist");
    assert_eq!(issue["progress"]["total"], 13);
    let refused = desk.refuses(2, &["create", "--template", "release"]);
    assert!(refused.contains("--set version=VALUE"), "{refused}");
    let refused = desk.refuses(3, &["create", "--template", "relase", "--title", "T"]);
    assert!(refused.contains("did you mean `release`?"), "{refused}");

    let folder = desk.clone.join(".grit/templates");
    std::fs::create_dir_all(&folder).unwrap();
    let text = "---\ntitle: \"Audit {{team}}\"\nlabels: [audit]\n---\n- [ ] access of {{team}}\n";
    std::fs::write(folder.join("audit.md"), text).unwrap();
    let id = desk.says(&["create", "--template", "audit", "--set", "team=web"]);
    let issue = desk.data(&["show", &id]);
    assert_eq!(issue["title"], "Audit web");
    assert_eq!(issue["body"], "- [ ] access of web\n");
    assert!(desk.says(&["templates"]).contains("audit"));
}

#[test]
fn hostile_titles_are_kept_and_shown_safely() {
    let desk = Desk::new();
    let title = "-- \u{1b}[31mred\nsecond \u{202e}line";
    let id = desk.says(&["create", "--title", title]);
    assert_eq!(desk.data(&["show", &id])["title"], title);
    let shown = desk.says(&["show", &id]);
    assert!(shown.starts_with("-- \\u{1b}[31mred\\nsecond \\u{202e}line\n"), "{shown}");
    let refused = desk.refuses(2, &["create", "--title", ""]);
    assert!(refused.contains("title is empty"), "{refused}");
}

#[test]
fn old_failures_are_archived_by_a_pipe() {
    let desk = Desk::new();
    let report = r#"
        ID=$(grit issue create --title "CI Failure: auth [build #1234]" \
          --body "$(printf 'Build: #1234\nBranch: main')" --label "ci-failure" --label "test")
        grit issue comment $ID --body "Flaky test - added retry logic"
        grit issue close $ID
        grit issue list --state closed --label "ci-failure" | \
          xargs -I {} grit issue label add {} --label "archived"
    "#;
    desk.script(report);
    let found = desk.data(&["search", "is:closed", "label:archived", "label:ci-failure"]);
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found[0]["comments"][0]["body"], "Flaky test - added retry logic");
}

#[test]
fn an_id_is_any_beginning_that_tells_it_apart() {
    let desk = Desk::new();
    let id = desk.create("T");
    assert_eq!(desk.data(&["show", &id[..6]])["id"], id);
    assert!(desk.refuses(2, &["show", &id[..3]]).contains("too short"));
    assert!(desk.refuses(3, &["show", "zzzzzzzz"]).contains("no id begins with"));
}
