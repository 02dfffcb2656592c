//! What full text is made of.

/// The words of a text, in lower case: runs of letters and digits; of scripts that put no space
/// between words (Han, Kana, Hangul, Thai) each letter is a word of its own.
///
/// An index that is fed with these, and asked for phrases of them, finds what [`super::Query`]
/// finds in memory.
///
/// ```
/// let words: Vec<String> = grit_issues::query::words("CI: test_login FAILED").collect();
/// assert_eq!(words, ["ci", "test", "login", "failed"]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        while chars.next_if(|c| !is_part(*c)).is_some() {}
        let first = chars.next()?;
        let mut word: String = first.to_lowercase().collect();
        if !stands_alone(first) {
            while let Some(c) = chars.next_if(|c| is_part(*c) && !stands_alone(*c)) {
                word.extend(c.to_lowercase());
            }
        }
        Some(word)
    })
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric()
}

fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{edf}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

/// Words that must follow each other in one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// In lower case, at least one.
    pub words: Vec<String>,
    /// Whether the last one may go on: `time` finds `timeout`. Quoted text is not open.
    pub is_open: bool,
}

impl Phrase {
    /// `None` where `text` holds no word.
    pub fn new(text: &str, is_open: bool) -> Option<Self> {
        let words: Vec<String> = words(text).collect();
        (!words.is_empty()).then_some(Self { words, is_open })
    }

    /// Does `text` say it?
    pub fn is_in(&self, text: &str) -> bool {
        let Some((last, first)) = self.words.split_last() else { return true };
        let said: Vec<String> = words(text).collect();
        said.windows(self.words.len()).any(|window| {
            let Some((end, start)) = window.split_last() else { return false };
            start == first
                && if self.is_open { end.starts_with(last.as_str()) } else { end == last }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let split = |text: &str| words(text).collect::<Vec<_>>().join("|");
        assert_eq!(
            split("thread 'main' panicked_at src/lib.rs:12"),
            "thread|main|panicked|at|src|lib|rs|12"
        );
        assert_eq!(split("ÜBER straße İ"), "über|straße|i\u{307}");
        assert_eq!(split("v2.0 構築失敗 ok"), "v2|0|構|築|失|敗|ok");
        assert_eq!(split(" -- \u{1b}"), "");
    }

    #[test]
    fn phrases_are_found_in_order() {
        let finds =
            |phrase: &str, is_open, text: &str| Phrase::new(phrase, is_open).unwrap().is_in(text);
        assert!(finds("test login", false, "Test-Login failed"));
        assert!(!finds("login test", false, "test login"));
        assert!(!finds("time", false, "timeout") && finds("time", true, "a timeout"));
        assert!(!finds("tim out", true, "timeout out"));
        assert!(finds("失敗", false, "構築失敗した"));
        assert_eq!(Phrase::new("?!", true), None);
    }
}
