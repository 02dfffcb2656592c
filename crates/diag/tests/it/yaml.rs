//! What the tree holds and where it says things stand.

use grit_diag::yaml::{self, Node, Style, Value};
use grit_diag::{Diagnostics, Source, render};

pub fn tree(text: &str) -> (Node, Source) {
    let source = Source::new("a.yml", text);
    let (root, diagnostics) = yaml::parse(&source);
    assert!(!diagnostics.has_errors(), "{}", render::plain(&diagnostics));
    (root.expect("a document"), source)
}

fn findings(text: &str) -> (Option<Node>, Diagnostics) {
    yaml::parse(&Source::new("a.yml", text))
}

/// `line:column-line:column` and the code of each finding.
fn places(text: &str) -> Vec<String> {
    let findings = findings(text).1.to_json();
    findings
        .iter()
        .map(|d| format!("{} {}:{}-{}:{}", d.code, d.line, d.column, d.end_line, d.end_column))
        .collect()
}

fn slice<'s>(source: &'s Source, root: &Node, path: &[&str]) -> &'s str {
    let node = path.iter().fold(root, |node, key| match key.parse::<usize>() {
        Ok(index) => &node.as_sequence().expect("a list")[index],
        Err(_) => node.get(key).expect("the key"),
    });
    source.slice(node.span)
}

#[test]
fn words_of_other_schemas_are_strings() {
    let (root, _) = tree("on: yes\noff: no\ny: 12:30\n");
    for (key, value) in root.as_mapping().unwrap() {
        assert!(key.as_str().is_some() && value.as_str().is_some(), "{key:?} {value:?}");
    }
}

#[test]
fn scalars_keep_their_text() {
    let (root, _) = tree("a: 3.10\nb: \"3.10\"\nc: 0x1F\nd: 1e3\ne: TRUE\nf: ~\ng: 007\nh: +-5\n");
    let text = |key: &str| root.get(key).and_then(Node::text).map(str::to_owned);
    let expected = [
        ("a", "3.10"),
        ("b", "3.10"),
        ("c", "0x1F"),
        ("d", "1e3"),
        ("e", "TRUE"),
        ("f", "~"),
        ("g", "007"),
    ];
    for (key, expected) in expected {
        assert_eq!(text(key).as_deref(), Some(expected));
    }
    assert_eq!(root.get("a").unwrap().value, Value::Float(3.1));
    assert_eq!(root.get("b").unwrap().value, Value::String("3.10".into(), Style::DoubleQuoted));
    assert_eq!(root.get("h").unwrap().value, Value::String("+-5".into(), Style::Plain));
}

#[test]
fn styles_are_told_apart() {
    let (root, _) = tree(concat!(
        "plain: a b\nsingle: 'it''s'\ndouble: \"a\\tb\"\nliteral: |\n  \"quoted\"\n  &x *y !z\n",
        "folded: >-\n  a\n  b\nindented: |2\n    a\nnext:\n  plain\nanchored: &q |\n  x\n",
    ));
    let style = |key: &str| match &root.get(key).unwrap().value {
        Value::String(text, style) => (text.clone(), *style),
        other => panic!("{key} is {other:?}"),
    };
    assert_eq!(style("plain"), ("a b".into(), Style::Plain));
    assert_eq!(style("single"), ("it's".into(), Style::SingleQuoted));
    assert_eq!(style("double"), ("a\tb".into(), Style::DoubleQuoted));
    assert_eq!(style("literal"), ("\"quoted\"\n&x *y !z\n".into(), Style::Block));
    assert_eq!(style("folded"), ("a b".into(), Style::Block));
    assert_eq!(style("indented"), ("  a\n".into(), Style::Block));
    assert_eq!(style("next"), ("plain".into(), Style::Plain));
    assert_eq!(style("anchored"), ("x\n".into(), Style::Block));
}

#[test]
fn spans_cover_what_was_written() {
    let (root, source) = tree(concat!(
        "# ü\nname: 'ü b'\nlist: [a, {b: c}, ]  # end\nblock:\n  - one\n\n  # comment\n  - k: v\n    l: w\n\n",
        "empty:\ntagged: !ref [x, y]\nrun: |\n  é one\n  two\n\nlast: \"z\"",
    ));
    let table: &[(&[&str], &str)] = &[
        (&["name"], "'ü b'"),
        (&["list"], "[a, {b: c}, ]"),
        (&["list", "1"], "{b: c}"),
        (&["list", "1", "b"], "c"),
        (&["block"], "- one\n\n  # comment\n  - k: v\n    l: w"),
        (&["block", "1"], "k: v\n    l: w"),
        (&["empty"], ""),
        (&["tagged"], "[x, y]"),
        (&["run"], "é one\n  two"),
        (&["last"], "\"z\""),
    ];
    for (path, expected) in table {
        assert_eq!(slice(&source, &root, path), *expected, "{path:?}");
    }
    assert_eq!(source.position(root.get("empty").unwrap().span), (11, 6), "just after its key");
    assert_eq!(root.get("tagged").unwrap().tag.as_deref(), Some("!ref"));
}

#[test]
fn line_breaks_and_byte_order_marks_do_not_move_spans() {
    let (root, source) = tree("\u{feff}a:\r\n  - é: \"ü\"\r\n  - ~\r\n");
    assert_eq!(slice(&source, &root, &["a", "0", "é"]), "\"ü\"");
    assert_eq!(slice(&source, &root, &["a", "1"]), "~");
}

#[test]
fn aliases_are_copies_with_the_text_of_their_anchor() {
    let (root, source) =
        tree("v: &v 3.10\nw: *v\nlist: &l [1, *v]\nagain: *l\nnone: &n\nn: *n\ns: &s 'x'\nt: *s\n");
    let again = root.get("again").unwrap();
    assert_eq!(root.get("w").and_then(Node::text), Some("3.10"));
    assert_eq!(again.as_sequence().unwrap()[1].text(), Some("3.10"));
    assert_eq!(source.slice(again.span), "*l");
    assert!(root.get("n").unwrap().is_null());
    assert_eq!(root.get("t").unwrap().value, Value::String("x".into(), Style::SingleQuoted));
}

#[test]
fn an_anchor_may_be_set_again() {
    let (root, _) = tree("a: &v 1.0\nb: &l [*v]\nc: &v 2.0\nd: *l\ne: *v\n");
    assert_eq!(root.get("d").unwrap().as_sequence().unwrap()[0].text(), Some("1.0"));
    assert_eq!(root.get("e").and_then(Node::text), Some("2.0"));
}

#[test]
fn merge_keys_copy_what_is_not_set() {
    let (root, _) = tree(concat!(
        "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\n",
        "one: {<<: *base, b: own}\ntwo: {<<: [*more, *base], d: 5}\nquoted: {'<<': 1}\n",
    ));
    let texts = |key: &str| {
        let pairs = root.get(key).unwrap().as_mapping().unwrap().iter();
        pairs
            .map(|(k, v)| format!("{}={}", k.text().unwrap(), v.text().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(texts("one"), ["a=1", "b=own"]);
    assert_eq!(texts("two"), ["b=3", "c=4", "a=1", "d=5"]);
    assert_eq!(texts("quoted"), ["<<=1"]);
    assert_eq!(places("a: {<<: [{x: y}, z]}"), ["E0009 1:18-1:19"]);
}

#[test]
fn every_duplicate_is_reported_and_the_first_value_kept() {
    let text = "on: push\njobs:\n  a: 1\n  b: 2\n  a: 3\n  'a': 4\n\"on\": pull\n";
    let (root, diagnostics) = findings(text);
    assert_eq!(places(text), ["E0002 5:3-5:4", "E0002 6:3-6:6", "E0002 7:1-7:5"]);
    assert!(
        diagnostics
            .to_json()
            .iter()
            .all(|d| d.labels.len() == 1 && d.labels[0].message == "first set here")
    );
    let root = root.unwrap();
    assert_eq!(root.get("on").and_then(Node::text), Some("push"));
    assert_eq!(root.get("jobs").unwrap().as_mapping().unwrap().len(), 2);
}

#[test]
fn duplicates_that_cannot_be_read_over_are_still_errors() {
    assert_eq!(places("? [a]\n: 1\n? [a]\n: 2\n"), ["E0002 3:5-3:6"]);
    assert_eq!(places("{'': 1, '': 2}"), ["E0002 1:9-1:10"]);
    let many: String = (0..40).map(|_| "same: 1\n").collect();
    assert!(findings(&many).1.has_errors());
}

#[test]
fn keys_of_different_types_are_different() {
    let (root, _) = tree("1: a\n'1': b\n1.0: c\n~: d\ntrue: e\n");
    assert_eq!(root.as_mapping().unwrap().len(), 5);
}

#[test]
fn what_is_not_yaml_is_reported_with_its_place() {
    let table = [
        ("a:\n\t- b\n", "E0001 2:2-2:3"),
        ("a: b: c\n", "E0001 1:5-1:6"),
        ("a: 'x\n", "E0001 1:4-1:5"),
        ("é: [\n\n", "E0001 1:5-1:5"),
        ("a: @b\n", "E0001 1:4-1:5"),
        ("a: *b\n", "E0006 1:4-1:5"),
        ("a: b\0c\n", "E0007 1:5-1:6"),
        ("a: \u{1b}[31m\n", "E0007 1:4-1:5"),
        ("a\n---\nb\n", "E0008 3:1-3:2"),
        ("a: !!int x\n", "E0010 1:4-1:11"),
        ("!!int x: y\nb: c\n", "E0010 1:1-1:1"),
    ];
    for (text, expected) in table {
        assert_eq!(places(text), [expected], "{text:?}");
    }
}

#[test]
fn core_tags_accept_every_spelling_of_their_type() {
    let (root, _) = tree("- !!bool FALSE\n- !!null\n- !!int 0x1F\n- !!str 3.10\n- !!float 2\n");
    let values: Vec<_> =
        root.as_sequence().unwrap().iter().map(|node| node.value.clone()).collect();
    let text = Value::String("3.10".into(), Style::Plain);
    let expected = [Value::Bool(false), Value::Null, Value::Int(31), text, Value::Float(2.0)];
    assert_eq!(values, expected);
}

#[test]
fn nothing_is_null() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~"] {
        assert!(tree(text).0.is_null(), "{text:?}");
    }
}

#[test]
fn document_marks_around_one_document_are_fine() {
    assert_eq!(tree("---\na: b\n...\n").0.get("a").and_then(Node::text), Some("b"));
    assert_eq!(tree("%YAML 1.2\n---\na: b\n").0.get("a").and_then(Node::text), Some("b"));
}

#[test]
fn bytes_that_are_not_utf8_are_reported_with_their_place() {
    let (root, diagnostics) = yaml::parse_bytes("a.yml", b"a: b\nc: \xff\n");
    assert!(root.is_none());
    let found = diagnostics.to_json();
    assert_eq!((found[0].code.as_str(), found[0].line, found[0].column), ("E0007", 2, 4));
    assert!(yaml::parse_bytes("a.yml", "a: ü".as_bytes()).0.is_some());
}
