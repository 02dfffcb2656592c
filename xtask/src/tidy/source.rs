//! One Rust file, seen three ways: as written, without comments, and without comments and literals.
//!
//! The blanked forms keep every byte offset and every line break, so a place found in one is the same place
//! in the others.

use std::ops::Range;

pub struct Source {
    /// Relative to the root of the checkout.
    pub path: String,
    pub raw: String,
    /// Comments blanked.
    pub uncommented: String,
    /// Comments and the contents of string and character literals blanked.
    pub code: String,
    tests: Vec<Range<usize>>,
}

impl Source {
    pub fn new(path: String, raw: String) -> Self {
        let (uncommented, code) = blank(&raw);
        let tests = test_items(&code);
        Self { path, raw, uncommented, code, tests }
    }

    /// The line at a byte offset, from 1.
    pub fn line(&self, at: usize) -> usize {
        line_of(&self.code, at)
    }

    /// Is this file compiled for tests only?
    pub fn is_test_file(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.split('/').any(|part| part == "tests")
    }

    /// Is the byte at `at` in a test: in a test file, or in an item under `#[cfg(test)]`?
    pub fn is_test(&self, at: usize) -> bool {
        self.is_test_file() || self.tests.iter().any(|item| item.contains(&at))
    }

    /// Where `word` stands in the code as a whole word or path, outside comments and literals.
    pub fn find(&self, word: &str) -> Vec<usize> {
        find_word(&self.code, word)
    }
}

pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// Occurrences of `word` that are not part of a longer identifier on the side where `word` ends in one.
pub fn find_word(text: &str, word: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let clear = |inside: Option<char>, outside: Option<&u8>| {
        !inside.is_some_and(is_ident) || !outside.is_some_and(|&byte| is_ident(byte as char))
    };
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(|&at| clear(word.chars().next(), at.checked_sub(1).map(|before| &bytes[before])))
        .filter(|&at| clear(word.chars().next_back(), bytes.get(at + word.len())))
        .collect()
}

pub fn is_ident(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The offset just behind the bracket that closes the one at `open`; the end of the text when none does.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// From `from` on, the `{` that opens the body of an item, or `None` when `;` ends it first.
pub fn body(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let end = closing(code, at + 1);
        if find_word(&code[at..end], "test").is_empty()
            || !find_word(&code[at..end], "not").is_empty()
        {
            continue;
        }
        let open = body(code, end);
        let until = match open {
            Some(open) => closing(code, open),
            None => code[end..].find(';').map_or(code.len(), |semicolon| end + semicolon + 1),
        };
        items.push(at..until);
    }
    items
}

/// What the characters from a place on are.
enum Piece {
    Code,
    Comment,
    Literal,
}

/// The text without comments, and the text without comments and literals.
fn blank(raw: &str) -> (String, String) {
    let (mut uncommented, mut code) =
        (String::with_capacity(raw.len()), String::with_capacity(raw.len()));
    let mut at = 0;
    while at < raw.len() {
        let (piece, length) = piece(raw, at);
        let text = &raw[at..at + length];
        match piece {
            Piece::Code => {
                uncommented.push_str(text);
                code.push_str(text);
            }
            Piece::Comment => {
                push_blank(&mut uncommented, text);
                push_blank(&mut code, text);
            }
            Piece::Literal => {
                uncommented.push_str(text);
                push_blank(&mut code, text);
            }
        }
        at += length;
    }
    (uncommented, code)
}

fn push_blank(out: &mut String, text: &str) {
    out.extend(text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
}

/// The piece that begins at `at`, and its length in bytes.
fn piece(raw: &str, at: usize) -> (Piece, usize) {
    let rest = &raw[at..];
    let first = rest.chars().next().unwrap_or(' ');
    let in_ident = raw[..at].ends_with(is_ident);
    if rest.starts_with("//") {
        (Piece::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Piece::Comment, block_comment(rest))
    } else if first == '"' {
        (Piece::Literal, string(rest))
    } else if let Some(length) = raw_string(rest).filter(|_| !in_ident) {
        (Piece::Literal, length)
    } else if let Some(length) = character(rest) {
        (Piece::Literal, length)
    } else {
        (Piece::Code, first.len_utf8())
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, and the same with `b` or `c` in front.
fn raw_string(rest: &str) -> Option<usize> {
    let behind_prefix = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let behind_hashes = behind_prefix.trim_start_matches('#');
    let hashes = behind_prefix.len() - behind_hashes.len();
    let inside = behind_hashes.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = rest.len() - inside.len();
    Some(inside.find(&end).map_or(rest.len(), |at| opening + at + end.len()))
}

/// A character literal; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        let escaped = 1 + inside[1..].chars().next()?.len_utf8();
        return Some(1 + escaped + inside[escaped..].find('\'')? + 1);
    }
    inside[first.len_utf8()..].starts_with('\'').then_some(1 + first.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        for (raw, left) in [
            ("a // b \"c\nd", "a d"),
            ("a /* b /* c */ d */ e", "a e"),
            ("f( \"x\\\"y\" , z)", "f( , z)"),
            ("r#\"a \"q\" }\"# + b", "+ b"),
            ("br\"\\\" + b", "+ b"),
            ("let r#fn = 'a' ; x::<'a>()", "let r#fn = ; x::<'a>()"),
            ("'\\'' '\\u{7f}' '\\\\' '\u{e4}' {", "{"),
        ] {
            let (uncommented, code) = blank(raw);
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), left, "{raw}");
            assert_eq!((uncommented.len(), code.len()), (raw.len(), raw.len()), "{raw}");
            assert_eq!(code.find('\n'), raw.find('\n'), "{raw}");
        }
        assert_eq!(blank("f(\"a\") // b").0, "f(\"a\")     ");
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(find_word("fn safn fn_ fn(", "fn"), [0, 12]);
        assert_eq!(find_word("todo!() not_todo!()", "todo!("), [0]);
    }

    #[test]
    fn test_items_are_found() {
        let source = Source::new(
            "crates/x/src/lib.rs".into(),
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { {} }\n}\nfn c() {}\n#[cfg(not(test))]\nfn d() {}\n#[cfg(test)]\nuse x::y;\nfn e() {}\n".into(),
        );
        let in_test = |name: &str| source.is_test(source.code.find(name).unwrap());
        assert!(in_test("fn b"));
        assert!(in_test("x::y"));
        for live in ["fn a", "fn c", "fn d", "fn e"] {
            assert!(!in_test(live), "{live}");
        }
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        let is_test = |path: &str| Source::new(path.into(), String::new()).is_test_file();
        assert!(is_test("crates/ledger/tests/it/main.rs"));
        assert!(is_test("crates/ledger/src/fold/tests.rs"));
        assert!(!is_test("crates/ledger/src/contract.rs"));
    }
}
