//! Decoding: what is read, and what is said about the rest.

use grit_diag::decode::{Fields, read};
use grit_diag::{Diagnostics, Source, render, yaml};
use std::time::Duration;

fn report(text: &str, decode: impl FnOnce(&mut Fields<'_>, &mut Diagnostics)) -> String {
    let (root, mut diagnostics) = yaml::parse(&Source::new("grit.yaml", text));
    let root = root.expect("a document");
    if let Some(mut fields) = Fields::of(&root, &mut diagnostics) {
        decode(&mut fields, &mut diagnostics);
        fields.finish(&mut diagnostics);
    }
    render::plain(&diagnostics)
}

#[test]
fn values_come_with_their_places() {
    let text = "name: 3.10\non: [push, pull]\nretries: 2\nwait: 1h\nfast: true\nratio: 0.5\nenv: {A: 1}\none: x\n";
    let source = Source::new("grit.yaml", text);
    let (root, mut d) = yaml::parse(&source);
    let root = root.unwrap();
    let mut fields = Fields::of(&root, &mut d).unwrap();
    let name = fields.string("name", &mut d).unwrap();
    assert_eq!((name.value, source.position(name.span)), ("3.10", (1, 7)));
    assert_eq!(
        fields.strings("on", &mut d).unwrap().iter().map(|s| s.value).collect::<Vec<_>>(),
        ["push", "pull"]
    );
    assert_eq!(fields.strings("one", &mut d).unwrap()[0].value, "x");
    assert_eq!(fields.integer("retries", &mut d).unwrap().value, 2);
    assert_eq!(fields.duration("wait", &mut d).unwrap().value, Duration::from_secs(3600));
    assert!(fields.boolean("fast", &mut d).unwrap().value);
    assert_eq!(fields.number("ratio", &mut d).unwrap().value, 0.5);
    assert_eq!(fields.entries("env", &mut d).unwrap()[0].0.value, "A");
    assert!(fields.string("absent", &mut d).is_none());
    fields.finish(&mut d);
    assert!(d.is_empty(), "{}", render::plain(&d));
}

grit_diag::define_codes! {
    /// A code as another crate declares it.
    USES_AND_RUN = "E0101", "a step sets both `uses` and `run`", "Split it into two steps.";
}

#[test]
fn another_crate_declares_codes_that_are_explained_beside_ours() {
    let tables = [grit_diag::codes::ALL, ALL];
    assert_eq!(grit_diag::code::shared_id(&tables), None);
    assert_eq!(grit_diag::code::explain_in(&tables, "E0101"), Some(USES_AND_RUN));
}

#[test]
fn the_example_of_the_crate_docs_reports_both_mistakes() {
    let report = report("replicas: two\nimge: shop/api\n", |fields, d| {
        assert!(fields.integer("replicas", d).is_none() && fields.string("image", d).is_none());
    });
    insta::assert_snapshot!(report, @r#"
    error[E0020]: expected a whole number, found a string
     --> grit.yaml:1:11
      |
    1 | replicas: two
      |           ^^^

    error[E0021]: unknown key `imge`
     --> grit.yaml:2:1
      |
    2 | imge: shop/api
      | ^^^^
      |
      = help: did you mean `image`?
    "#);
}

#[test]
fn a_wrong_type_says_what_was_expected_and_found() {
    let report = report("name: [a]\nfast: 'true'\nretries: 2.5\nenv:\n", |fields, d| {
        fields.string("name", d);
        fields.boolean("fast", d);
        fields.integer("retries", d);
        fields.fields("env", d);
    });
    insta::assert_snapshot!(report, @r#"
    error[E0020]: expected a string, found a list
     --> grit.yaml:1:7
      |
    1 | name: [a]
      |       ^^^

    error[E0020]: expected `true` or `false`, found a string
     --> grit.yaml:2:7
      |
    2 | fast: 'true'
      |       ^^^^^^

    error[E0020]: expected a whole number, found a decimal number
     --> grit.yaml:3:10
      |
    3 | retries: 2.5
      |          ^^^

    error[E0020]: expected a mapping, found nothing
     --> grit.yaml:4:4
      |
    4 | env:
      |    ^
    "#);
}

#[test]
fn unknown_keys_are_reported_with_the_nearest_known_one() {
    let report = report("nmae: a\nversion: 1\n[x]: 2\n", |fields, d| {
        fields.string("name", d);
        fields.list("services", d);
    });
    insta::assert_snapshot!(report, @r#"
    error[E0021]: unknown key `nmae`
     --> grit.yaml:1:1
      |
    1 | nmae: a
      | ^^^^
      |
      = help: did you mean `name`?

    error[E0021]: unknown key `version`
     --> grit.yaml:2:1
      |
    2 | version: 1
      | ^^^^^^^
      |
      = help: allowed here: `name`, `services`

    error[E0021]: expected a name as key, found a list
     --> grit.yaml:3:1
      |
    3 | [x]: 2
      | ^^^
    "#);
}

#[test]
fn a_missing_key_and_a_bad_duration_are_reported() {
    let report = report("wait: 5 minutes\n", |fields, d| {
        fields.duration("wait", d);
        fields.required("image", d);
    });
    insta::assert_snapshot!(report, @r#"
    error[E0022]: the key `image` is missing in this mapping
     --> grit.yaml:1:1
      |
    1 | wait: 5 minutes
      | ^^^^

    error[E0023]: `5 minutes` is not a duration
     --> grit.yaml:1:7
      |
    1 | wait: 5 minutes
      |       ^^^^^^^^^
      |
      = help: write a whole number and a unit: `500ms`, `30s`, `15m`, `2h`, `1d`
    "#);
}

#[test]
fn durations_are_a_number_and_a_unit() {
    let table = [
        ("90", Some(90_000)),
        ("500ms", Some(500)),
        ("30s", Some(30_000)),
        ("15m", Some(900_000)),
        ("2h", Some(7_200_000)),
        ("1d", Some(86_400_000)),
        ("0s", Some(0)),
        ("", None),
        ("s", None),
        ("-5s", None),
        ("1.5h", None),
        ("5 s", None),
        ("5S", None),
        ("99999999999999999999s", None),
        ("9999999999999999999d", None),
        ("5é", None),
    ];
    for (text, milliseconds) in table {
        assert_eq!(read::parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
    }
}

#[test]
fn numbers_out_of_range_are_reported() {
    let (root, mut d) = yaml::parse(&Source::new("grit.yaml", "101"));
    let root = root.unwrap();
    assert!(read::integer_in(&root, 0..=100, &mut d).is_none());
    assert_eq!(d.sorted()[0].message, "expected a whole number from 0 to 100, found 101");
    assert_eq!(read::integer_in(&root, 0..=101, &mut d).map(|n| n.value), Some(101));
}
