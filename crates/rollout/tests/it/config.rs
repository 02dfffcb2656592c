use std::time::Duration;

use grit_diag::{Source, render};
use grit_rollout::config::{Config, Per, Wanted, parse};
use grit_rollout::slot::Trigger;
use grit_rollout::{Approval, Gate, Metric, SlotId, Step, Strategy};
use grit_types::{DeploymentId, Digest, Role, Tenant, Timestamp, Weight};

pub const SHOP: &str = include_str!("../../../../examples/shop/grit.yaml");

pub fn good(text: &str) -> Config {
    let (config, findings) = parse(&Source::new("grit.yaml", text));
    assert!(findings.is_empty(), "{}", render::plain(&findings));
    config.unwrap()
}

fn codes_and_messages(text: &str) -> Vec<(&'static str, String)> {
    let (config, findings) = parse(&Source::new("grit.yaml", text));
    assert_eq!(config.is_none(), findings.has_errors());
    findings.sorted().iter().map(|f| (f.code.id, f.message.clone())).collect()
}

fn percent(percent: u8) -> Weight {
    Weight::from_percent(percent).unwrap()
}

#[test]
fn the_shop_of_the_examples() {
    let config = good(SHOP);
    let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["api", "web"]);
    let api = &config.services[0];
    assert_eq!(api.source, ["services/api", "services/common"]);
    assert_eq!((api.run.replicas, &api.run.command[..]), (2, &["./api".to_owned()][..]));
    assert_eq!(api.run.health.interval, Duration::from_millis(500));
    assert_eq!(api.run.request_timeout, Duration::from_secs(30));
    let production = &config.environments[2];
    assert_eq!(production.warm, Duration::from_secs(600));
    let approval = Approval { min: 1, roles: vec![Role::Owner, Role::Admin], distinct: true };
    let checks = Gate::Checks(vec!["lint".into(), "test".into()]);
    assert_eq!(production.gates, [checks, Gate::Approval(approval)]);
    let Strategy::Canary(canary) = &production.strategy else { panic!("a canary") };
    let pause = Step::Pause(Some(Duration::from_secs(600)));
    let steps = [5, 20, 50].map(|p| [Step::SetWeight(percent(p)), pause.clone()]);
    assert_eq!(canary.steps, steps.concat());
    let latency = Metric::Latency { percentile: 99, max: Duration::from_millis(500) };
    let metrics = [Metric::SuccessRate { min: percent(99) }, latency];
    assert_eq!(canary.analysis.as_ref().unwrap().metrics, metrics);
    assert_eq!(canary.guard.as_ref().unwrap().error_rate, percent(20));
}

#[test]
fn everything_has_a_default() {
    assert_eq!(good(""), Config::default());
    let config = good("services: { api: {} }\nenvironments: { staging: {} }\n");
    let (api, staging) = (&config.services[0], &config.environments[0]);
    assert_eq!((&api.source[..], api.image.as_str()), (&[".".to_owned()][..], "api"));
    assert_eq!(api.run.command, ["./api"]);
    assert_eq!((api.run.replicas, api.run.drain), (1, Duration::from_secs(10)));
    assert_eq!((&staging.when, &staging.after, staging.replicas), (&None, &None, None));
    let Strategy::Rolling(rolling) = &staging.strategy else { panic!("rolling by default") };
    assert_eq!((rolling.batch, rolling.soak), (1, Duration::from_secs(10)));
    assert_eq!(rolling.guard.as_ref().unwrap().error_rate, percent(50));
}

#[test]
fn a_guard_is_off_only_when_it_says_so() {
    let guard = |text: &str| {
        let config = good(&format!(
            "strategies: {{ x: {{ canary: {{ steps: [{{ setWeight: 5 }}], {text} }} }} }}"
        ));
        config.strategy("x").unwrap().guard().cloned()
    };
    assert_eq!(guard("guard: off"), None);
    let written = guard("guard: { errorRate: 0.5 }").unwrap();
    assert_eq!(written.error_rate.basis_points(), 50);
    assert_eq!((guard("").unwrap().min_requests, written.window), (20, Duration::from_secs(2)));
    assert!(good("").strategy("canary").unwrap().guard().is_some());
}

#[test]
fn pauses_may_be_without_end() {
    let config = good(
        "strategies: { x: { canary: { steps: [{ pause: {} }, { pause: }, { setWeight: 12.5 }] } } }",
    );
    let Some(Strategy::Canary(canary)) = config.strategy("x") else { panic!("a canary") };
    let weight = Weight::from_basis_points(1_250).unwrap();
    assert_eq!(canary.steps, [Step::Pause(None), Step::Pause(None), Step::SetWeight(weight)]);
}

#[test]
fn limits_are_sizes() {
    let memory = |text: &str| {
        let run = format!("services: {{ a: {{ run: {{ limits: {{ memory: {text} }} }} }} }}");
        good(&run).services[0].run.limits.memory_bytes
    };
    assert_eq!(memory("512MiB"), Some(512 << 20));
    assert_eq!(memory("1Gi"), Some(1 << 30));
    assert_eq!(memory("2GB"), Some(2_000_000_000));
    assert_eq!(memory("1048576"), Some(1 << 20));
}

#[test]
fn pushes_find_their_environments() {
    let config = good(SHOP);
    let names = |text: &str| -> Vec<String> {
        let name = text.parse().unwrap();
        config.environments_for(&name).iter().map(|e| e.name.to_string()).collect()
    };
    assert_eq!(names("refs/heads/main"), ["development", "staging"]);
    assert_eq!(names("refs/tags/v1.0.0"), ["production"]);
    assert_eq!(names("refs/heads/v1.0.0"), [""; 0]);
    assert_eq!(names("refs/notes/v1"), [""; 0]);
}

#[test]
fn services_go_after_those_they_need() {
    let config = good(
        "services: { web: { needs: [api, auth] }, api: { needs: [db] }, auth: {}, db: {}, z: {} }",
    );
    let order: Vec<&str> = config.order().iter().map(|service| service.name.as_str()).collect();
    assert_eq!(order, ["auth", "db", "api", "web", "z"]);
}

#[test]
fn changes_concern_those_below_their_sources() {
    let api = good(SHOP).services.remove(0);
    let table = [
        ("services/api/main.rs", true),
        ("services/api", true),
        ("services/common/lib.rs", true),
        ("services/apix/main.rs", false),
        ("README.md", false),
    ];
    for (path, expected) in table {
        assert_eq!(api.concerns(path), expected, "{path}");
    }
    assert!(good("services: { a: {} }").services[0].concerns("README.md"));
}

fn wanted() -> Wanted {
    Wanted {
        id: DeploymentId::derived(Timestamp::from_millis(1), b"a"),
        version: "v1".into(),
        commit: "0".repeat(40).parse().unwrap(),
        artifact: Digest::of(b"a"),
        trigger: Trigger::Push,
        requested_by: "ada".parse().unwrap(),
        authors: vec![],
        changes: vec![],
    }
}

#[test]
fn a_request_has_every_gate() {
    let text = SHOP.replace("strategy: careful", "strategy: careful\n    replicas: 5");
    let config = good(&text);
    let slot = |service: &str, environment: &str| SlotId {
        tenant: Tenant::local(),
        repo: "shop".parse().unwrap(),
        environment: environment.parse().unwrap(),
        service: service.parse().unwrap(),
    };
    let request = config.request(slot("web", "production"), wanted()).unwrap();
    assert_eq!(request.gates[0], Gate::After("staging".parse().unwrap()));
    assert_eq!(request.gates[3], Gate::Needs(vec!["api".parse().unwrap()]));
    assert_eq!((request.gates.len(), request.run.replicas), (4, 5));
    assert_eq!(config.request(slot("api", "development"), wanted()).unwrap().gates, []);
    assert_eq!(config.request(slot("db", "production"), wanted()), None);
    assert_eq!(config.request(slot("web", "moon"), wanted()), None);
}

#[test]
fn mistakes_are_found_where_they_are() {
    let step = |step: &str| format!("strategies: {{ x: {{ canary: {{ steps: [{step}] }} }} }}");
    let gate = |gate: &str| format!("environments: {{ a: {{ gates: [{gate}] }} }}");
    let table = [
        ("servics: {}".to_owned(), "E0021", "unknown key `servics`"),
        ("services: []".to_owned(), "E0020", "expected a mapping, found a list"),
        ("services: { A: {} }".to_owned(), "E0212", "'A', which is not allowed"),
        ("services: { a: { image: A:1 } }".to_owned(), "E0212", "is not the name of an image"),
        ("services: { a: { source: ../x } }".to_owned(), "E0212", "not a path below the root"),
        ("services: { a: { source: /x } }".to_owned(), "E0212", "not a path below the root"),
        ("services: { a: { needs: [b] } }".to_owned(), "E0201", "no service `b`"),
        ("services: { a: { run: { command: ./a -v } } }".to_owned(), "E0020", "list of arguments"),
        ("services: { a: { run: { command: [] } } }".to_owned(), "E0023", "the command is empty"),
        ("services: { a: { run: { replicas: 0 } } }".to_owned(), "E0023", "from 1 to 100, found 0"),
        ("services: { a: { run: { replicas: -1 } } }".to_owned(), "E0023", "found -1"),
        ("services: { a: { run: { env: { PORT: 1 } } } }".to_owned(), "E0212", "is set by Grit"),
        ("services: { a: { run: { env: { a-b: 1 } } } }".to_owned(), "E0212", "cannot be the name"),
        (
            "services: { a: { run: { health: { path: x } } } }".to_owned(),
            "E0023",
            "path of a request",
        ),
        ("services: { a: { run: { drain: soon } } }".to_owned(), "E0023", "is not a duration"),
        ("services: { a: { image: i }, b: { image: i } }".to_owned(), "E0205", "another service"),
        ("environments: { a: { after: b } }".to_owned(), "E0202", "no environment `b`"),
        ("environments: { a: { strategy: x } }".to_owned(), "E0203", "no strategy `x`"),
        ("environments: { a: { when: {} } }".to_owned(), "E0213", "neither a branch nor a tag"),
        (
            "environments: { a: { when: { branch: refs/heads/x } } }".to_owned(),
            "E0212",
            "short name",
        ),
        ("environments: { a: { verify: [./x] } }".to_owned(), "E0020", "expected a mapping"),
        ("environments: { a: { verify: [{ run: '' }] } }".to_owned(), "E0023", "not a command"),
        (gate("{ lock: deploy }"), "E0209", "a lock as a gate"),
        (gate("{ checks: [] }"), "E0023", "no check is named"),
        (gate("{ checks: [a], approval: {} }"), "E0207", "exactly one of"),
        (gate("{ aproval: {} }"), "E0021", "unknown key `aproval`"),
        (gate("{ approval: { roles: [Boss] } }"), "E0211", "no role `Boss`"),
        (gate("{ approval: { roles: [] } }"), "E0023", "no role is named"),
        (gate("{ approval: { min: 0 } }"), "E0023", "from 1 to 20"),
        ("strategies: { x: {} }".to_owned(), "E0207", "`canary`, `rolling`, found 0"),
        ("strategies: { rolling: { rolling: {} } }".to_owned(), "E0208", "`rolling` is built in"),
        ("strategies: { x: { canary: {} } }".to_owned(), "E0206", "the canary has no step"),
        (step(""), "E0206", "the canary has no step"),
        (step("{ setWeight: 101 }"), "E0023", "from 0 to 100, found 101"),
        (step("{ setWeight: 1.234 }"), "E0023", "at most two decimals"),
        (step("{ setWeight: 5 }, { pause: 10m }"), "E0020", "expected a mapping"),
        (step("{ setWeight: 5, pause: {} }"), "E0207", "exactly one of"),
        (step("{ setwieght: 5 }"), "E0021", "unknown key `setwieght`"),
        (step("{ analysis: {} }, { setWeight: 5 }"), "E0215", "nothing to measure"),
        (step("{ setWeight: 5 }, { analysis: { metrics: [] } }"), "E0023", "without a metric"),
        (
            step("{ setWeight: 5 }, { analysis: { metrics: [{ name: latency, max: 1s }] } }"),
            "E0210",
            "no metric `latency`",
        ),
        (
            step("{ setWeight: 5 }, { analysis: { metrics: [{ name: success-rate }] } }"),
            "E0022",
            "key `min` is missing",
        ),
        ("strategies: { x: { rolling: { guard: no } } }".to_owned(), "E0020", "mapping or `off`"),
        ("strategies: { x: { rolling: { guard: { window: 1h } } } }".to_owned(), "E0023", "to 2m"),
    ];
    for (text, code, message) in table {
        let found = codes_and_messages(&text);
        assert!(found.len() == 1, "{text}: {found:?}");
        assert!(found[0].0 == code && found[0].1.contains(message), "{text}: {found:?}");
    }
}

#[test]
fn every_cycle_is_named_once() {
    let text = "services: { a: { needs: [b] }, b: { needs: [c] }, c: { needs: [a] }, d: { needs: [d, a] } }\n\
                environments: { x: { after: y }, y: { after: x } }";
    let messages: Vec<String> = codes_and_messages(text).into_iter().map(|f| f.1).collect();
    assert_eq!(
        messages,
        [
            "`needs` leads back to itself: a → b → c → a",
            "`needs` leads back to itself: d → d",
            "`after` leads back to itself: x → y → x",
        ]
    );
}

#[test]
fn a_finding_shows_what_to_type() {
    let text = "services:\n  api: {}\n  web: { needs: [apj] }\nenvironments:\n  staging:\n    when: { brnch: main }\n";
    let (_, findings) = parse(&Source::new("grit.yaml", text));
    insta::assert_snapshot!(render::plain(&findings), @r"
    error[E0201]: there is no service `apj`
     --> grit.yaml:3:18
      |
    3 |   web: { needs: [apj] }
      |                  ^^^
      |
      = help: did you mean `api`?

    error[E0021]: unknown key `brnch`
     --> grit.yaml:6:13
      |
    6 |     when: { brnch: main }
      |             ^^^^^
      |
      = help: did you mean `branch`?
    ");
}

#[test]
fn too_many_items_are_not_read() {
    let steps = "{ setWeight: 5 }, ".repeat(201);
    let found =
        codes_and_messages(&format!("strategies: {{ x: {{ canary: {{ steps: [{steps}] }} }} }}"));
    assert_eq!((found.len(), found[0].0), (1, "E0214"));
}

#[test]
fn issues_are_opened_for_what_is_asked() {
    let default = good("").issues;
    assert_eq!((&default.pipeline_failed, &default.deployment), (&None, &None));
    assert_eq!(default.rolled_back.as_deref(), Some(&["incident".to_owned()][..]));
    let text = "environments: { production: {} }\n\
        issues:\n  pipelineFailed: { per: workflow, labels: [ci, red], close: true }\n  \
        deployment: { environments: production }\n  rolledBack: false\n  alert: { close: true }\n";
    let issues = good(text).issues;
    let failed = issues.pipeline_failed.unwrap();
    assert_eq!((failed.per, failed.issue.close, failed.issue.reopen), (Per::Workflow, true, true));
    assert_eq!(failed.issue.labels, ["ci", "red"]);
    let deployment = issues.deployment.unwrap();
    assert!(deployment.close && deployment.concerns(&"production".parse().unwrap()));
    assert!(!deployment.concerns(&"staging".parse().unwrap()));
    assert_eq!(issues.rolled_back, None);
    assert!(issues.alert.close && !issues.test_failed.close);
}

#[test]
fn what_is_wrong_with_issues_is_found_where_it_is_written() {
    let text = "environments: { production: {} }\nissues:\n  pipelineFailed: { per: brunch }\n  \
        deployment: { environments: [prodution] }\n  rolledBack: 3\n  alerts: {}\n";
    let (config, findings) = parse(&Source::new("grit.yaml", text));
    assert!(config.is_none());
    insta::assert_snapshot!(render::plain(&findings), @r#"
error[E0023]: issues are opened per branch, workflow or commit, not `brunch`
 --> grit.yaml:3:26
  |
3 |   pipelineFailed: { per: brunch }
  |                          ^^^^^^
  |
  = help: did you mean `branch`?

error[E0202]: there is no environment `prodution`
 --> grit.yaml:4:32
  |
4 |   deployment: { environments: [prodution] }
  |                                ^^^^^^^^^
  |
  = help: did you mean `production`?

error[E0020]: expected `true`, `false` or a mapping, found a number
 --> grit.yaml:5:15
  |
5 |   rolledBack: 3
  |               ^

error[E0021]: unknown key `alerts`
 --> grit.yaml:6:3
  |
6 |   alerts: {}
  |   ^^^^^^
  |
  = help: did you mean `alert`?
"#);
}
