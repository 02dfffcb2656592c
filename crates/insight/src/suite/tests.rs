use proptest::prelude::*;

use super::*;

fn outcomes(text: &str) -> Vec<(String, &'static str, u32)> {
    let word = |case: &Case| match case.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped => "skipped",
    };
    let cases = read(text).unwrap();
    cases.iter().map(|case| (case.full_name(), word(case), case.failed_before)).collect()
}

fn wanted(all: &[(&str, &'static str, u32)]) -> Vec<(String, &'static str, u32)> {
    all.iter().map(|(name, word, before)| ((*name).to_owned(), *word, *before)).collect()
}

#[test]
fn surefire_with_reruns() {
    let text = r#"<?xml version="1.0"?>
<testsuite name="com.acme.Shop" tests="3" time="1,234.5">
  <properties><property name="a" value="b"/></properties>
  <testcase name="pays" classname="com.acme.Shop" time="0.25">
    <flakyFailure message="late" type="E"><stackTrace>at x</stackTrace></flakyFailure>
  </testcase>
  <testcase name="ships" classname="com.acme.Shop"><failure message="no" type="E">at y</failure>
    <rerunFailure message="no" type="E"><stackTrace>at y</stackTrace></rerunFailure>
  </testcase>
  <testcase name="later" classname="com.acme.Shop"><skipped message="todo"/></testcase>
</testsuite>"#;
    let all = [
        ("com.acme.Shop::pays", "passed", 1),
        ("com.acme.Shop::ships", "failed", 1),
        ("com.acme.Shop::later", "skipped", 0),
    ];
    assert_eq!(outcomes(text), wanted(&all));
    let totals = Totals::of(&read(text).unwrap());
    assert_eq!((totals.passed, totals.failed, totals.skipped, totals.flaky), (1, 1, 1, 1));
    assert_eq!(totals.millis, 250);
}

#[test]
fn the_same_test_again_is_another_attempt() {
    let text = r#"<testsuites><testsuite name="pkg">
<testcase classname="pkg" name="TestA" time="1"><failure>1</failure></testcase>
<testcase classname="pkg" name="TestB"><failure>1</failure></testcase>
<testcase classname="pkg" name="TestA" time="1"/>
<testcase classname="pkg" name="TestB"><failure>2</failure></testcase>
</testsuite></testsuites>"#;
    assert_eq!(outcomes(text), wanted(&[("pkg::TestA", "passed", 1), ("pkg::TestB", "failed", 1)]));
}

#[test]
fn other_runners_shapes() {
    let gtest = r#"<testsuites tests="2"><testsuite name="Math">
<testcase name="Adds" status="run" result="completed" time="0.001" classname="Math"/>
<testcase name="Waits" status="notrun" result="suppressed" classname="Math"/>
</testsuite></testsuites>"#;
    assert_eq!(
        outcomes(gtest),
        wanted(&[("Math::Adds", "passed", 0), ("Math::Waits", "skipped", 0)])
    );
    let pytest = r#"<testsuites><testsuite name="pytest" errors="1">
<testcase classname="tests.test_a" name="test_x[1-é]" file="tests/test_a.py" line="3" time="0.01">
<error message="failed on setup">E &amp; F</error></testcase></testsuite></testsuites>"#;
    let case = read(pytest).unwrap().remove(0);
    assert_eq!((case.file.as_deref(), case.line), (Some("tests/test_a.py"), Some(3)));
    assert_eq!(case.failure(), Some("failed on setup\nE & F"));
    let nested = r#"<testsuites><testsuite name="a"><testsuite name="b">
<testcase name="t"/></testsuite><error message="broken"/></testsuite></testsuites>"#;
    assert_eq!(outcomes(nested), wanted(&[("b::t", "passed", 0), ("a::(suite)", "failed", 0)]));
}

#[test]
fn what_is_no_report_is_refused_with_its_place() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]>\n<testsuite/>";
    let unknown = "<testsuite>\n<testcase name='a'><failure>&a;</failure></testcase></testsuite>";
    let deep = format!("<testsuite>{}", "<a>".repeat(100));
    for (text, line, word) in [
        ("", 1, "testsuite"),
        ("<testsuite>\n <testcase name='a'", 2, ""),
        ("<testsuite>\n", 2, "never closed"),
        ("<testsuite>\n <testcase/></testsuite>", 2, "no name"),
        (bomb, 1, "declares"),
        (unknown, 2, "&a;"),
        (&deep, 1, "nested"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.to_string().contains(word), "{text}: {error}");
        assert_eq!(error.line, line, "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_surprise(text in "(<testsuite>|<testcase name='a'>|</testcase>|</testsuite>|<failure>|&lt;|x|<){0,12}") {
        let _ = read(&text);
    }
}
