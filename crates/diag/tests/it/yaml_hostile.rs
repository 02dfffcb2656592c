//! Input made to break the reader: it answers, within bounds, and does not panic.

use grit_diag::yaml::{self, Node, SOURCE_BYTES_MAX, Value};
use grit_diag::{Source, Span, render};
use proptest::prelude::*;

/// A stack much smaller than any that production code runs on.
const STACK_BYTES: usize = 1 << 20;

/// The codes found; parsed, rendered and dropped on a small stack.
fn codes(text: String) -> Vec<String> {
    let run = move || {
        let source = Source::new("hostile.yml", text);
        let (root, diagnostics) = yaml::parse(&source);
        assert!(root.is_some() || diagnostics.has_errors());
        assert!(render::plain(&diagnostics).len() < 1_000_000);
        diagnostics.to_json().into_iter().map(|d| d.code).collect()
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("a thread");
    thread.join().expect("no panic")
}

#[test]
fn alias_bombs_are_refused() {
    let mut lists = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut keys = "a0: &a0 {? [x, x, x, x, x, x, x, x, x] : 1}\n".to_owned();
    let mut merges = "a0: &a0 {x: {x: {x: {x: 1}}}}\n".to_owned();
    for level in 1..=9 {
        let all = |joined: &str| vec![format!("*a{}", level - 1); 9].join(joined);
        lists += &format!("a{level}: &a{level} [{}]\n", all(", "));
        keys += &format!("a{level}: &a{level} {{? [{}] : 1}}\n", all(", "));
        let each: Vec<_> = (0..9).map(|n| format!("k{level}{n}: *a{}", level - 1)).collect();
        merges += &format!("a{level}: &a{level} {{<<: [{}], {}}}\n", all(", "), each.join(", "));
    }
    for bomb in [lists, keys, merges] {
        let found = codes(bomb);
        assert!(found == ["E0005"] || found == ["E0003"], "{found:?}");
    }
}

#[test]
fn long_strings_are_not_copied_without_end() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(10_000));
    assert_eq!(codes(text), ["E0005"]);
}

#[test]
fn nested_anchors_are_not_copied_without_end() {
    let open: String = (0..90).map(|n| format!("&a{n} [")).collect();
    let found = codes(open + &"x,".repeat(30_000) + &"]".repeat(90));
    assert!(found == ["E0005"] || found == ["E0003"], "{found:?}");
}

#[test]
fn deep_nesting_is_refused() {
    let table = [
        "[".repeat(10_000),
        "[".repeat(10_000) + &"]".repeat(10_000),
        "{a: ".repeat(10_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
        "[a: ".repeat(120),
        (0..400).map(|n| " ".repeat(n) + "a:\n").collect(),
    ];
    for text in table {
        let start: String = text.chars().take(20).collect();
        assert_eq!(codes(text), ["E0004"], "{start}");
    }
}

#[test]
fn large_input_is_refused_or_read() {
    assert_eq!(codes("a".repeat(50 << 20)), ["E0003"]);
    assert_eq!(codes("x,".repeat(SOURCE_BYTES_MAX / 2)), Vec::<String>::new(), "one long scalar");
    assert_eq!(codes("- x\n".repeat(SOURCE_BYTES_MAX / 4)), ["E0003"]);
    assert_eq!(codes(format!("a: {}", "x".repeat(SOURCE_BYTES_MAX - 3))), Vec::<String>::new());
    let (root, diagnostics) = yaml::parse_bytes("a.yml", &vec![0xff; 50 << 20]);
    assert!(root.is_none() && diagnostics.has_errors());
}

#[test]
fn many_duplicates_end() {
    let text = format!("{}{}", "# pad\n".repeat(100_000), "k: 1\n".repeat(1_000));
    assert!(codes(text).iter().all(|code| code == "E0002"));
}

/// Every node lies in the text, on character boundaries, and inside its parent unless it was copied
/// there.
fn check_spans(source: &Source, node: &Node, inside: Option<Span>) {
    let Span { start, end } = node.span;
    assert!(start <= end && end as usize <= source.text().len(), "{:?}", node.span);
    assert!(
        source.text().is_char_boundary(start as usize)
            && source.text().is_char_boundary(end as usize)
    );
    if let Some(parent) = inside {
        assert!(
            parent.start <= start && end <= parent.end,
            "{:?} is not in {parent:?}: {:?}",
            node.span,
            source.text()
        );
    }
    let copied = source.text().contains(['*', '<']);
    let inside = (!copied).then_some(node.span);
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| check_spans(source, item, inside)),
        Value::Mapping(pairs) => pairs.iter().for_each(|(key, value)| {
            check_spans(source, key, inside);
            check_spans(source, value, inside);
        }),
        _ => {}
    }
}

fn check(text: &str) {
    let source = Source::new("any.yml", text);
    let (root, diagnostics) = yaml::parse(&source);
    assert!(root.is_some() || diagnostics.has_errors());
    if let Some(root) = &root {
        check_spans(&source, root, None);
    }
    for finding in diagnostics.sorted() {
        let spans = finding.secondary.iter().map(|label| label.span).chain([finding.primary.span]);
        spans.for_each(|span| assert_eq!(source.clamp(span), span, "{finding:?}"));
    }
    let _ = (render::plain(&diagnostics), render::coloured(&diagnostics), diagnostics.to_json());
}

/// Text made of pieces that mean something in YAML.
fn yamlish() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "b",
        "é",
        "日",
        "1",
        "3.10",
        "~",
        ": ",
        ":",
        "- ",
        "-",
        "? ",
        "?",
        "\n",
        "\n  ",
        "\n    ",
        "\n\t",
        "\r\n",
        " ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ",",
        "&a ",
        "&b ",
        "*a",
        "*b ",
        "<<",
        "<<: *a",
        "!t ",
        "!!str ",
        "!!int ",
        "'",
        "\"",
        "\\",
        "|\n",
        ">-\n",
        "|2",
        "# c",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "%TAG ! t\n",
        "@",
        "`",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\u{100000}",
        "!<x> ",
        "a: 1\na: 2\n",
        "'a': ",
        "\"a\": ",
        "a: ",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_text_of_yaml_pieces_is_answered(text in yamlish()) {
        check(&text);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (root, diagnostics) = yaml::parse_bytes("any.yml", &bytes);
        prop_assert!(root.is_some() || diagnostics.has_errors());
        let _ = render::plain(&diagnostics);
    }

    #[test]
    fn positions_lead_back(text in "[a-zé日\\r\\n\\t ]{0,80}", at in 0u32..200) {
        let source = Source::new("any.yml", text);
        let span = source.clamp(Span::at(at));
        let (line, column) = source.position(span);
        prop_assert_eq!(source.offset_of(line, column), Some(span.start));
    }
}
