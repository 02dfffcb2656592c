//! What people see.

use grit_diag::{Diagnostics, Source, Span, codes, render};

fn one(text: &str, span: Span) -> String {
    let mut diagnostics = Diagnostics::new(&Source::new("ci.yml", text));
    diagnostics.error(span, codes::SYNTAX, "this is wrong").here("here");
    render::plain(&diagnostics)
}

#[test]
fn message_code_place_line_labels_and_help() {
    let source =
        Source::new(".github/workflows/ci.yml", "jobs:\n  a:\n    uses: x\n    run: make\n");
    let mut diagnostics = Diagnostics::new(&source);
    diagnostics
        .error(Span::new(15, 22), codes::WRONG_TYPE, "`uses` and `run` cannot both be set")
        .label(Span::new(27, 36), "second action here")
        .help("split this into two steps");
    diagnostics.warning(Span::new(0, 4), codes::SYNTAX, "just so");
    insta::assert_snapshot!(render::plain(&diagnostics), @r#"
    warning[E0001]: just so
     --> .github/workflows/ci.yml:1:1
      |
    1 | jobs:
      | ^^^^

    error[E0020]: `uses` and `run` cannot both be set
     --> .github/workflows/ci.yml:3:5
      |
    3 |     uses: x
      |     ^^^^^^^
    4 |     run: make
      |     --------- second action here
      |
      = help: split this into two steps
    "#);
}

#[test]
fn labels_far_apart_have_excerpts_of_their_own() {
    let text = format!("first: 1\n{}first: 2\n", "x: y\n".repeat(500));
    let mut diagnostics = Diagnostics::new(&Source::new("ci.yml", text));
    diagnostics
        .error(Span::new(2509, 2514), codes::DUPLICATE_KEY, "set twice")
        .label(Span::new(0, 5), "first set here");
    insta::assert_snapshot!(render::plain(&diagnostics), @r#"
    error[E0002]: set twice
       --> ci.yml:502:1
        |
    502 | first: 2
        | ^^^^^
        |
       ::: ci.yml:1:1
        |
      1 | first: 1
        | ----- first set here
    "#);
}

#[test]
fn a_span_over_several_lines_is_shown_by_its_first() {
    insta::assert_snapshot!(one("a:\n  b: 1\n  c: 2\nd: 3\n", Span::new(5, 18)), @r#"
    error[E0001]: this is wrong
     --> ci.yml:2:3
      |
    2 |   b: 1
      |   ^^^^ here
    "#);
}

#[test]
fn multi_byte_text_and_tabs_keep_the_caret_in_place() {
    insta::assert_snapshot!(one("\tnäme: 日本 x\n", Span::new(8, 14)), @r#"
    error[E0001]: this is wrong
     --> ci.yml:1:8
      |
    1 |     näme: 日本 x
      |           ^^^^ here
    "#);
}

#[test]
fn control_characters_are_made_visible() {
    let source = Source::new("\u{1b}]0;ci.yml", "a: \u{1b}[31m\u{202e}\0b\n");
    let mut diagnostics = Diagnostics::new(&source);
    diagnostics
        .error(Span::new(3, 4), codes::SYNTAX, "bad \u{1b}[2J thing")
        .here("one\ntwo\u{7}\r")
        .help("drop\u{8} it");
    let text = render::plain(&diagnostics);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    insta::assert_snapshot!(text, @r#"
    error[E0001]: bad ␛[2J thing
     --> ␛]0;ci.yml:1:4
      |
    1 | a: ␛[31m�␀b
      |    ^ one two␇
      |
      = help: drop␈ it
    "#);
}

#[test]
fn an_empty_file_and_the_end_of_a_file_can_be_pointed_at() {
    insta::assert_snapshot!(one("", Span::at(0)), @r#"
    error[E0001]: this is wrong
     --> ci.yml:1:1
      |
    1 |
      | ^ here
    "#);
    insta::assert_snapshot!(one("a: [b", Span::at(5)), @r#"
    error[E0001]: this is wrong
     --> ci.yml:1:6
      |
    1 | a: [b
      |      ^ here
    "#);
    insta::assert_snapshot!(one("a: [b\n", Span::new(6, 600)), @r#"
    error[E0001]: this is wrong
     --> ci.yml:2:1
      |
    2 |
      | ^ here
    "#);
}

#[test]
fn long_lines_are_cut() {
    let text = format!("{}HERE{}", "x".repeat(300_000), "y".repeat(300_000));
    let rendered = one(&text, Span::new(300_000, 300_004));
    assert!(rendered.contains("ci.yml:1:300001") && rendered.contains("HERE"), "{rendered}");
    assert!(rendered.lines().all(|line| line.chars().count() < 200), "{rendered}");
    insta::assert_snapshot!(one(&format!("{}HERE{}", "x".repeat(60), "y".repeat(300)), Span::new(60, 64)), @r#"
    error[E0001]: this is wrong
     --> ci.yml:1:61
      |
    1 | xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxHEREyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...
      |                                                             ^^^^ here
    "#);
}

#[test]
fn colour_is_written_when_asked_for() {
    let mut diagnostics = Diagnostics::new(&Source::new("ci.yml", "a: b\n"));
    diagnostics.error(Span::new(0, 1), codes::SYNTAX, "wrong");
    assert!(render::coloured(&diagnostics).contains("\u{1b}["));
    assert!(!render::plain(&diagnostics).contains('\u{1b}'));
}

#[test]
fn what_is_not_shown_is_counted() {
    let mut diagnostics = Diagnostics::new(&Source::new("ci.yml", "a: b\n"));
    for _ in 0..grit_diag::DIAGNOSTICS_MAX + 3 {
        diagnostics.error(Span::new(0, 1), codes::SYNTAX, "wrong");
    }
    assert!(render::plain(&diagnostics).ends_with("\n3 more not shown\n"));
}
