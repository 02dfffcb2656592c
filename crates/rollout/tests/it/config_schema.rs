//! The schema and the reader say the same: for each mapping of the file, a document in which `@`
//! stands for further keys.

use std::collections::BTreeSet;

use grit_diag::Source;
use grit_rollout::config::{Config, codes, parse, schema};
use serde_json::Value;

const MAPPINGS: [(&str, &str); 30] = [
    ("/$defs/protection", "environments: { a: { protection: {@} } }"),
    ("", "{@}"),
    ("/$defs/service", "services: { api: {@} }"),
    ("/$defs/runner", "runners: { a: { container: x, @} }"),
    ("/$defs/run", "services: { api: { run: {@} } }"),
    ("/$defs/health", "services: { api: { run: { health: {@} } } }"),
    ("/$defs/limits", "services: { api: { run: { limits: {@} } } }"),
    ("/$defs/environment", "environments: { a: {@} }"),
    ("/$defs/when", "environments: { a: { when: {@} } }"),
    ("/$defs/gate", "environments: { a: { gates: [{@}] } }"),
    ("/$defs/approval", "environments: { a: { gates: [{ approval: {@} }] } }"),
    ("/$defs/check", "environments: { a: { verify: [{ run: x, @}] } }"),
    ("/$defs/strategy", "strategies: { x: {@} }"),
    ("/$defs/canary", "strategies: { x: { canary: { steps: [{ setWeight: 5 }], @} } }"),
    ("/$defs/rolling", "strategies: { x: { rolling: {@} } }"),
    ("/$defs/step", "strategies: { x: { canary: { steps: [{@}] } } }"),
    ("/$defs/pause", "strategies: { x: { canary: { steps: [{ pause: {@} }] } } }"),
    (
        "/$defs/analysis",
        "strategies: { x: { canary: { steps: [{ setWeight: 5 }], analysis: {@} } } }",
    ),
    (
        "/$defs/stepAnalysis",
        "strategies: { x: { canary: { steps: [{ setWeight: 5 }, { analysis: {@} }] } } }",
    ),
    (
        "/$defs/metric/oneOf/0",
        "strategies: { x: { canary: { steps: [{ setWeight: 5 }], analysis: { metrics: [{ name: success-rate, min: 9, @}] } } } }",
    ),
    (
        "/$defs/metric/oneOf/1",
        "strategies: { x: { canary: { steps: [{ setWeight: 5 }], analysis: { metrics: [{ name: latency-p50, max: 9s, @}] } } } }",
    ),
    (
        "/$defs/metric/oneOf/2",
        "strategies: { x: { canary: { steps: [{ setWeight: 5 }], analysis: { metrics: [{ name: latency-p95, max: 9s, @}] } } } }",
    ),
    (
        "/$defs/metric/oneOf/3",
        "strategies: { x: { canary: { steps: [{ setWeight: 5 }], analysis: { metrics: [{ name: latency-p99, max: 9s, @}] } } } }",
    ),
    ("/$defs/issues", "issues: {@}"),
    ("/$defs/pipelineFailed", "issues: { pipelineFailed: {@} }"),
    ("/$defs/followedDeployment", "issues: { deployment: {@} }"),
    ("/$defs/rolledBack", "issues: { rolledBack: {@} }"),
    ("/$defs/alert", "issues: { alert: {@} }"),
    ("/$defs/testFailed", "issues: { testFailed: {@} }"),
    ("/$defs/guard/anyOf/1", "strategies: { x: { rolling: { guard: {@} } } }"),
];

fn read(text: &str) -> (Option<Config>, Vec<(String, String)>) {
    let (config, findings) = parse(&Source::new("grit.yaml", text));
    let said = findings.sorted();
    let said = said.iter().map(|f| (f.message.clone(), f.help.clone().unwrap_or_default()));
    (config, said.collect())
}

/// The keys that the reader asks for, as it tells whoever writes another.
fn known(document: &str) -> BTreeSet<String> {
    let (_, said) = read(&document.replace('@', "zzzzzzzz: 1"));
    let help = said.iter().find(|(message, _)| message == "unknown key `zzzzzzzz`");
    let (_, help) = help.unwrap_or_else(|| panic!("{document} takes any key: {said:?}"));
    help.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn properties(pointer: &str) -> Vec<(String, Value)> {
    let schema = schema();
    let object = schema.pointer(pointer).unwrap_or_else(|| panic!("the schema has no {pointer}"));
    assert_eq!(object["additionalProperties"], false, "{pointer}");
    object["properties"].as_object().unwrap().clone().into_iter().collect()
}

#[test]
fn both_know_the_same_keys() {
    for (pointer, document) in MAPPINGS {
        let described: BTreeSet<String> =
            properties(pointer).into_iter().map(|(name, _)| name).collect();
        assert_eq!(described, known(document), "{pointer}");
    }
}

#[test]
fn every_mapping_of_the_schema_is_looked_at() {
    fn mappings(schema: &Value, at: String, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(members) => {
                if members.contains_key("properties") {
                    found.insert(at.clone());
                }
                members
                    .iter()
                    .for_each(|(name, value)| mappings(value, format!("{at}/{name}"), found));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(i, value)| mappings(value, format!("{at}/{i}"), found));
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    mappings(&schema(), String::new(), &mut found);
    let looked_at: BTreeSet<String> = MAPPINGS.iter().map(|(at, _)| (*at).to_owned()).collect();
    assert_eq!(found, looked_at);
}

#[test]
fn every_reference_leads_somewhere() {
    let schema = schema();
    let text = schema.to_string();
    let references: BTreeSet<&str> =
        text.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(references.len() > 10);
    for reference in references {
        assert!(schema.pointer(reference).is_some(), "{reference}");
    }
}

#[test]
fn a_default_written_is_a_default_left_out() {
    let mut count = 0;
    for (pointer, document) in MAPPINGS {
        for (name, property) in properties(pointer) {
            let Some(default) = property.get("default") else { continue };
            let (written, said) = read(&document.replace('@', &format!("{name}: {default}")));
            assert_eq!(said, [], "{pointer} {name}");
            // Some mappings may not be empty; any other default stands for "nothing written" then.
            if let (Some(left_out), _) = read(&document.replace('@', "")) {
                assert_eq!(written.as_ref(), Some(&left_out), "{pointer} {name}");
                count += 1;
            }
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn ranges_end_where_the_schema_says() {
    let mut count = 0;
    for (pointer, document) in MAPPINGS {
        for (name, property) in properties(pointer) {
            let Some(max) = property["maximum"].as_u64() else { continue };
            let min = property["minimum"].as_i64().unwrap();
            // A metric's template has its bound already.
            if document.contains(&format!("{name}: 9")) {
                continue;
            }
            let said = |value: i64| read(&document.replace('@', &format!("{name}: {value}"))).1;
            let max = i64::try_from(max).unwrap();
            assert_eq!((said(min), said(max)), (vec![], vec![]), "{pointer} {name}");
            assert_eq!((said(min - 1).len(), said(max + 1).len()), (1, 1), "{pointer} {name}");
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn codes_are_this_rooms_own() {
    for code in codes::ALL {
        assert!(code.id.starts_with("E02"), "{}", code.id);
        assert!(code.explanation.len() > 80 && !code.title.ends_with('.'), "{}", code.id);
    }
    assert_eq!(grit_diag::code::shared_id(&[codes::ALL, grit_diag::codes::ALL]), None);
}
