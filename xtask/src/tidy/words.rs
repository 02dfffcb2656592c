//! Words that must not reach the main branch.

use super::{Findings, source::Source};

const FORBIDDEN: &[(&str, &str)] = &[
    ("#[ignore", "an ignored test proves nothing: make it run, or delete it"),
    ("dbg!(", "remove it, or log through tracing"),
    ("todo!(", "build it, or leave it out"),
    ("unimplemented!(", "build it, or leave it out"),
];

/// Folders of one machine; a path that a program needs comes in as an argument, or from the environment.
const MACHINE_FOLDERS: &[&str] = &["root", "tmp", "work"];

/// How far above `unsafe` its reason may begin.
const SAFETY_LINES: usize = 8;

pub fn check(source: &Source, findings: &mut Findings) {
    for (word, remedy) in FORBIDDEN {
        for at in source.find(word) {
            findings.add(&source.path, source.line(at), format!("`{word}`: {remedy}"));
        }
    }
    check_unsafe(source, findings);
    check_reminders(source, findings);
    for (at, folder) in machine_paths(&source.uncommented) {
        if !source.is_test(at) {
            let message =
                format!("`{folder}` exists on some machines only; take the folder as an argument");
            findings.add(&source.path, source.line(at), message);
        }
    }
}

fn check_unsafe(source: &Source, findings: &mut Findings) {
    let lines: Vec<&str> = source.raw.lines().collect();
    for at in source.find("unsafe") {
        let behind = source.code[at + "unsafe".len()..].trim_start();
        if behind.starts_with("extern") || behind.starts_with('(') {
            continue; // declares what others may call, and calls nothing
        }
        let line = source.line(at);
        let above = &lines[line.saturating_sub(SAFETY_LINES)..line];
        if !above.iter().any(|text| text.contains("SAFETY:") || text.contains("# Safety")) {
            findings.add(
                &source.path,
                line,
                "`unsafe` without its reason; say in `// SAFETY: …` above why it is sound",
            );
        }
    }
}

fn check_reminders(source: &Source, findings: &mut Findings) {
    for word in ["TODO", "FIXME"] {
        for at in super::source::find_word(&source.raw, word) {
            let is_comment = source.uncommented.as_bytes()[at] == b' ';
            if is_comment {
                findings.add(
                    &source.path,
                    source.line(at),
                    format!("`{word}` in a comment; do it, or open an issue"),
                );
            }
        }
    }
}

/// Absolute paths below a folder of this machine: the place, and the folder.
pub fn machine_paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for name in MACHINE_FOLDERS {
        let folder = format!("/{name}/");
        for (at, _) in text.match_indices(&folder) {
            let begins = text[..at].chars().next_back().is_none_or(|c| " \t\n\"'`=:(,".contains(c));
            if begins {
                found.push((at, folder.clone()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(&Source::new("crates/x/src/lib.rs".into(), text.into()), &mut findings);
        findings.lines()
    }

    #[test]
    fn each_word_is_found_once_and_only_in_code() {
        for text in [
            "#[ignore = \"slow\"]\nfn t() {}",
            "fn f() { dbg!(x); }",
            "fn f() { todo!() }",
            "fn f() { unimplemented!() }",
            "fn f() { unsafe { g() } }",
            "// FIXME: later\n",
            "const A: &str = \"/tmp/x\";",
        ] {
            assert_eq!(findings(text).len(), 1, "{text}: {:?}", findings(text));
        }
        for text in [
            "// dbg!(x)\nconst A: &str = \"todo!()\";",
            "// SAFETY: g has no requirements.\nfn f() { unsafe { g() } }",
            "const A: &str = \"TODO\";",
            "fn f() { format!(\"{root}/work/x\"); }",
            "// a path like /tmp/x\n",
            "#[cfg(test)]\nmod tests { const A: &str = \"/tmp/x\"; }",
            "#![forbid(unsafe_code)]",
        ] {
            assert_eq!(findings(text), Vec::<String>::new(), "{text}");
        }
    }
}
