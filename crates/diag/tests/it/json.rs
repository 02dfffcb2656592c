//! The form for machines.

use grit_diag::{JsonDiagnostic, Source, yaml};

#[test]
fn a_finding_as_json() {
    let (_, diagnostics) = yaml::parse(&Source::new("ci.yml", "é: 1\nb: 2\né: 3\n"));
    let json = serde_json::to_string_pretty(&diagnostics).unwrap();
    insta::assert_snapshot!(json, @r#"
    [
      {
        "file": "ci.yml",
        "line": 3,
        "column": 1,
        "endLine": 3,
        "endColumn": 2,
        "code": "E0002",
        "severity": "error",
        "message": "the key `é` is set twice in the same mapping",
        "help": "remove one of the two",
        "snippet": "é: 3",
        "labels": [
          {
            "line": 1,
            "column": 1,
            "endLine": 1,
            "endColumn": 2,
            "message": "first set here"
          }
        ]
      }
    ]
    "#);
    let back: Vec<JsonDiagnostic> = serde_json::from_str(&json).unwrap();
    assert_eq!(back, diagnostics.to_json());
}

#[test]
fn of_a_long_line_the_part_around_the_place_is_passed_on() {
    let text = format!("a: {}\u{1b}", "x".repeat(5_000));
    let (_, diagnostics) = yaml::parse(&Source::new("ci.yml", text));
    let found = &diagnostics.to_json()[0];
    assert_eq!(found.column, 5_004);
    assert!(found.snippet.ends_with('\u{1b}') && found.snippet.chars().count() <= 240);
}
