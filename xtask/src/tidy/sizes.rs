//! A file is one subject and a function one thought.

use super::{
    Findings,
    source::{self, Source},
};

const FILE_LINES_MAX: usize = 600;
/// Test files and listed exceptions may be longer, up to here.
const FILE_LINES_HARD_MAX: usize = 1_000;
const FUNCTION_LINES_MAX: usize = 70;
/// A test may spell out a long table or a long expected output.
const TEST_FUNCTION_LINES_MAX: usize = 140;

/// Files that are allowed to exceed [`FILE_LINES_MAX`], with the reason why two files would be worse.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub fn check(source: &Source, findings: &mut Findings) {
    check_file(source, findings);
    for function in functions(&source.code) {
        let limit =
            if source.is_test(function.at) { TEST_FUNCTION_LINES_MAX } else { FUNCTION_LINES_MAX };
        if function.lines > limit {
            let Function { name, lines, at } = function;
            let message = format!(
                "`{name}` has {lines} lines, the limit is {limit}; keep the control flow here and move its pieces into functions below"
            );
            findings.add(&source.path, source.line(at), message);
        }
    }
}

/// An exception that no file needs any more is a hole in the fence.
pub fn check_exceptions(sources: &[Source], findings: &mut Findings) {
    for (path, _) in EXCEPTIONS {
        let lines =
            sources.iter().find(|source| source.path == *path).map_or(0, |s| s.raw.lines().count());
        if lines <= FILE_LINES_MAX {
            let message = format!(
                "the exception for {path} is not needed ({lines} lines); remove it from EXCEPTIONS"
            );
            findings.add("xtask/src/tidy/sizes.rs", 1, message);
        }
    }
}

fn check_file(source: &Source, findings: &mut Findings) {
    let lines = source.raw.lines().count();
    let excepted = EXCEPTIONS.iter().any(|(path, _)| *path == source.path);
    let limit =
        if source.is_test_file() || excepted { FILE_LINES_HARD_MAX } else { FILE_LINES_MAX };
    if lines > limit {
        let message = format!(
            "{lines} lines, the limit is {limit}; a second subject lives in here: give it a file (its tests may go into tests.rs)"
        );
        findings.add(&source.path, 1, message);
    }
}

struct Function<'a> {
    name: &'a str,
    at: usize,
    lines: usize,
}

/// Every function that has a body, nested ones too.
fn functions(code: &str) -> Vec<Function<'_>> {
    let mut functions = Vec::new();
    for at in source::find_word(code, "fn") {
        let behind = code[at + 2..].trim_start();
        let name_length = behind.find(|c| !source::is_ident(c)).unwrap_or(behind.len());
        if name_length == 0 {
            continue;
        }
        if let Some(open) = source::body(code, at) {
            let end = source::closing(code, open);
            let lines = source::line_of(code, end) - source::line_of(code, at) + 1;
            functions.push(Function { name: &behind[..name_length], at, lines });
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(code: &str) -> Vec<(&str, usize)> {
        functions(code).into_iter().map(|f| (f.name, f.lines)).collect()
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let code = "\
pub fn one() {}
trait T {
    fn declared(&self, f: fn(u8) -> [u8; 2]) -> Result<(), X>;
}
pub async fn long<T>(
    a: T,
) -> [u8; 4]
where
    T: Copy,
{
    if x {
        y();
    }
    fn inner() {
        z();
    }
}
type F = fn(u8);
";
        assert_eq!(measured(code), [("one", 1), ("long", 13), ("inner", 3)]);
    }

    fn findings(path: &str, text: String) -> Vec<String> {
        let mut findings = Findings::default();
        check(&Source::new(path.into(), text), &mut findings);
        findings.lines()
    }

    #[test]
    fn a_long_function_is_named_with_its_line() {
        let body = "    call();\n".repeat(70);
        let text = format!("// top\nfn big() {{\n{body}}}\n");
        let found = findings("crates/x/src/lib.rs", text.clone());
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/x/src/lib.rs:2: `big` has 72 lines"), "{found:?}");
        assert!(findings("crates/x/tests/it/main.rs", text).is_empty(), "tests may be longer");
    }

    #[test]
    fn a_brace_in_a_string_ends_nothing() {
        let filler = "\n".repeat(80);
        let text = format!("fn big() {{\n    let s = \"\n}}\n\";{filler}}}\n");
        assert_eq!(findings("crates/x/src/lib.rs", text).len(), 1);
    }

    #[test]
    fn a_long_file_is_refused() {
        let text = |lines: usize| "\n".repeat(lines);
        assert!(findings("crates/x/src/lib.rs", text(600)).is_empty());
        assert_eq!(findings("crates/x/src/lib.rs", text(601)).len(), 1);
        assert!(findings("crates/x/tests/it/main.rs", text(1_000)).is_empty());
        assert_eq!(findings("crates/x/tests/it/main.rs", text(1_001)).len(), 1);
    }
}
