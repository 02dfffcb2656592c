use proptest::prelude::*;

use super::*;

fn lines(coverage: &Coverage, file: &str) -> Vec<(u32, u64)> {
    coverage.files[file].iter().map(|(line, hits)| (*line, *hits)).collect()
}

const COBERTURA: &str = r#"<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage line-rate="0.5"><sources><source>/ci/repo/src</source></sources>
<packages><package name="shop"><classes><class name="a.py" filename="shop/a.py">
<methods><method name="f"><lines><line number="1" hits="9"/></lines></method></methods>
<lines><line number="1" hits="2"/><line number="2" hits="0"/></lines>
</class></classes></package></packages></coverage>"#;

const JACOCO: &str = r#"<?xml version="1.0"?><!DOCTYPE report PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">
<report name="x"><group name="m"><package name="com/acme"><class name="com/acme/A"/>
<sourcefile name="A.java"><line nr="3" mi="0" ci="4" mb="0" cb="0"/><line nr="4" mi="2" ci="0"/>
<counter type="LINE" missed="1" covered="1"/></sourcefile></package></group></report>"#;

const LCOV: &str = "TN:\nSF:src/lib.rs\nFN:1,f\nDA:1,3\nDA:2,0,abc\nLF:2\nLH:1\nend_of_record\n";

#[test]
fn the_four_forms_are_read() {
    let cobertura = read(COBERTURA).unwrap();
    assert_eq!(lines(&cobertura, "/ci/repo/src/shop/a.py"), [(1, 2), (2, 0)]);
    assert_eq!(lines(&read(JACOCO).unwrap(), "com/acme/A.java"), [(3, 4), (4, 0)]);
    assert_eq!(lines(&read(LCOV).unwrap(), "src/lib.rs"), [(1, 3), (2, 0)]);
    // fn f() {        1: begins with count 1
    //     if x {      2: a region of its own, never run
    //     }
    // }               4: the function's end
    let llvm = r#"{"type":"llvm.coverage.json.export","version":"2.0.1","data":[{"files":[{"filename":"/w/a.rs",
"segments":[[1,1,1,true,true,false],[2,10,0,true,true,false],[3,6,1,true,false,false],[4,2,0,false,false,false]]}]}]}"#;
    assert_eq!(lines(&read(llvm).unwrap(), "/w/a.rs"), [(1, 1), (2, 1), (3, 0), (4, 1)]);
}

#[test]
fn what_is_no_report_is_refused() {
    for text in [
        "",
        "hello",
        "<html></html>",
        "{}",
        "<coverage>",
        "SF:a\nDA:1,1\n",
        "SF:a\nDA:x\nend_of_record",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    let bomb = "<!DOCTYPE coverage [<!ENTITY a \"b\">]><coverage/>";
    assert!(read(bomb).unwrap_err().to_string().contains("declares"));
}

#[test]
fn files_are_those_of_the_repository() {
    let known: BTreeSet<String> =
        ["src/shop/a.py", "app/src/main/java/com/acme/A.java", "x/lib.rs", "y/lib.rs"]
            .map(str::to_owned)
            .into();
    let mut coverage = read(COBERTURA).unwrap();
    coverage.merge(read(JACOCO).unwrap());
    coverage.merge(read("SF:lib.rs\nDA:1,1\nend_of_record\n").unwrap());
    coverage.resolve(&known);
    let files: Vec<&str> = coverage.files.keys().map(String::as_str).collect();
    assert_eq!(files, ["app/src/main/java/com/acme/A.java", "lib.rs", "src/shop/a.py"]);
}

fn gate(overall: &str, critical: &str, new: &str) -> Gate {
    Gate {
        overall: Some(overall.parse().unwrap()),
        critical: vec![("src/pay".to_owned(), critical.parse().unwrap())],
        new: Some(new.parse().unwrap()),
    }
}

fn covered(files: &[(&str, u32, u32)]) -> Coverage {
    let lines = |hit: u32, of: u32| (1..=of).map(|line| (line, u64::from(line <= hit))).collect();
    let files = files.iter().map(|(file, hit, of)| ((*file).to_owned(), lines(*hit, *of)));
    Coverage { files: files.collect() }
}

#[test]
fn a_gate_has_three_demands() {
    let measured = covered(&[("src/pay/a.rs", 9, 10), ("src/b.rs", 79, 100)]);
    let new = BTreeMap::from([("src/b.rs".to_owned(), BTreeSet::from([78, 79, 80]))]);
    let verdicts = gate("80", "90", "85").judge(&measured, &new);
    let passed: Vec<(&str, bool)> =
        verdicts.iter().map(|verdict| (verdict.what.as_str(), verdict.passed)).collect();
    assert_eq!(passed, [("overall", true), ("critical src/pay", true), ("new lines", false)]);
    assert_eq!(verdicts[2].missing, ["src/b.rs:80"]);
    assert_eq!(verdicts[2].share.to_string(), "66.6 % (2 of 3 lines)");
}

#[test]
fn what_was_not_measured_passes_nothing() {
    let new = BTreeMap::new();
    let of_nothing = gate("0", "0", "0").judge(&Coverage::default(), &new);
    assert!(of_nothing.iter().all(|verdict| !verdict.passed));
    // Something was measured, and nothing of it is critical or new.
    let verdicts = gate("0", "0", "100").judge(&covered(&[("a", 1, 1)]), &new);
    let passed: Vec<bool> = verdicts.iter().map(|verdict| verdict.passed).collect();
    assert_eq!(passed, [true, false, true]);
}

#[test]
fn nothing_is_rounded_up() {
    let verdicts = Gate { overall: Some("80".parse().unwrap()), ..Gate::default() }
        .judge(&covered(&[("a", 79_999, 100_000)]), &BTreeMap::new());
    assert!(!verdicts[0].passed);
    assert_eq!(verdicts[0].share.to_string(), "79.9 % (79999 of 100000 lines)");
    assert!("101".parse::<Percent>().is_err() && "-1".parse::<Percent>().is_err());
    assert_eq!("85.5%".parse::<Percent>().unwrap().to_string(), "85.5");
}

#[test]
fn added_lines_are_those_of_the_diff() {
    let diff = "diff --git a/a.rs b/a.rs\n--- a/a.rs\n+++ b/a.rs\n@@ -1,0 +2,2 @@ fn\n+one\n+++ two\n\
                @@ -9 +11 @@\n-old\n+new\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
    let wanted = BTreeMap::from([("a.rs".to_owned(), BTreeSet::from([2, 3, 11]))]);
    assert_eq!(added_lines(diff), wanted);
}

proptest! {
    #[test]
    fn shards_make_one_report_in_any_order(
        shards in prop::collection::vec(prop::collection::vec((0u8..3, 1u32..9, 0u64..3), 0..20), 1..5),
    ) {
        let one = |lines: &Vec<(u8, u32, u64)>| {
            let mut coverage = Coverage::default();
            for (file, line, hits) in lines {
                let all = coverage.files.entry(file.to_string()).or_default().entry(*line).or_default();
                *all += hits;
            }
            coverage
        };
        let merged = |all: &mut dyn Iterator<Item = &Vec<(u8, u32, u64)>>| {
            let mut whole = Coverage::default();
            all.for_each(|lines| whole.merge(one(lines)));
            whole
        };
        prop_assert_eq!(merged(&mut shards.iter()), merged(&mut shards.iter().rev()));
    }

    #[test]
    fn no_text_is_a_surprise(text in "(SF:a\n|DA:1,1\n|DA:|end_of_record\n|<coverage>|<line|\\{|\"data\":|x){0,10}") {
        let _ = read(&text);
        let _ = added_lines(&text);
    }
}
