use std::str::FromStr;

/// A pattern is never longer than this, in bytes.
const PATTERN_MAX: usize = 1_024;

/// GitHub's filter pattern: `*` (not `/`), `**`, `[a-z]`, and `?` and `+` after a character: zero
/// or one, one or more. `\` takes the next character as it is. `**/` also stands for nothing.
///
/// Matching takes time in proportion to pattern and text, whatever they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

/// Text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern is longer than {PATTERN_MAX} bytes")]
    TooLong,
    #[error("`[` is not closed")]
    NotClosed,
    #[error("`\\` at the end stands for nothing")]
    Escape,
    #[error("`{0}` must follow a character")]
    Quantifier(char),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    one: One,
    repeat: Repeat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum One {
    Char(char),
    NoSlash,
    Any,
    Set(Vec<(char, char)>),
    /// `**/`: everything up to a slash and the slash, or nothing.
    Folders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Once,
    Maybe,
    Some,
    Many,
}

impl One {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::NoSlash => c != '/',
            Self::Any | Self::Folders => true,
            Self::Set(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_MAX {
            return Err(PatternError::TooLong);
        }
        let chars: Vec<char> = text.chars().collect();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            let (one, repeat) = match c {
                '*' if chars.get(at) == Some(&'*') => {
                    at += 1;
                    let starts_part = at == 2 || chars.get(at - 3) == Some(&'/');
                    if starts_part && chars.get(at) == Some(&'/') {
                        at += 1;
                        (One::Folders, Repeat::Once)
                    } else {
                        (One::Any, Repeat::Many)
                    }
                }
                '*' => (One::NoSlash, Repeat::Many),
                '?' | '+' => {
                    quantify(&mut pieces, c)?;
                    continue;
                }
                '[' => (One::Set(set(&chars, &mut at)?), Repeat::Once),
                '\\' => {
                    let escaped = *chars.get(at).ok_or(PatternError::Escape)?;
                    at += 1;
                    (One::Char(escaped), Repeat::Once)
                }
                _ => (One::Char(c), Repeat::Once),
            };
            pieces.push(Piece { one, repeat });
        }
        Ok(Self(pieces))
    }
}

fn quantify(pieces: &mut [Piece], quantifier: char) -> Result<(), PatternError> {
    let error = PatternError::Quantifier(quantifier);
    let last = pieces.last_mut().ok_or_else(|| error.clone())?;
    if last.repeat != Repeat::Once || last.one == One::Folders {
        return Err(error);
    }
    last.repeat = if quantifier == '?' { Repeat::Maybe } else { Repeat::Some };
    Ok(())
}

fn set(chars: &[char], at: &mut usize) -> Result<Vec<(char, char)>, PatternError> {
    let mut ranges = Vec::new();
    loop {
        let from = *chars.get(*at).ok_or(PatternError::NotClosed)?;
        *at += 1;
        if from == ']' {
            return Ok(ranges);
        }
        match (chars.get(*at), chars.get(*at + 1)) {
            (Some('-'), Some(&to)) if to != ']' => {
                *at += 2;
                ranges.push((from, to));
            }
            _ => ranges.push((from, from)),
        }
    }
}

impl Pattern {
    /// Whether all of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        // States are visited in ascending order, so that a place that is reached anew is marked,
        // with what follows from it for nothing, before one that was there already marks itself.
        let mut at = States::new(self.0.len() + 1);
        self.reach(0, &mut at);
        for c in text.chars() {
            let mut next = States::new(self.0.len() + 1);
            for state in at.iter() {
                self.advance(state, c, &mut next);
            }
            at = next;
        }
        at.holds(self.0.len())
    }

    /// Marks a state and those reached from it without a character.
    fn reach(&self, state: usize, states: &mut States) {
        if states.holds(state) {
            return;
        }
        states.mark(state);
        let Some(piece) = self.0.get(state) else { return };
        if piece.one == One::Folders || matches!(piece.repeat, Repeat::Maybe | Repeat::Many) {
            self.reach(state + 1, states);
        }
    }

    fn advance(&self, state: usize, c: char, next: &mut States) {
        let Some(piece) = self.0.get(state) else { return };
        if !piece.one.accepts(c) {
            return;
        }
        match (&piece.one, piece.repeat) {
            // Inside of `**/`: only a slash leads out.
            (One::Folders, _) => {
                next.mark(state);
                if c == '/' {
                    self.reach(state + 1, next);
                }
            }
            (_, Repeat::Once | Repeat::Maybe) => self.reach(state + 1, next),
            (_, Repeat::Some | Repeat::Many) => {
                next.mark(state);
                self.reach(state + 1, next);
            }
        }
    }
}

/// The places in a pattern that a text may have come to.
struct States(Vec<bool>);

impl States {
    fn new(count: usize) -> Self {
        Self(vec![false; count])
    }

    fn mark(&mut self, state: usize) {
        self.0[state] = true;
    }

    fn holds(&self, state: usize) -> bool {
        self.0[state]
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, marked)| **marked).map(|(state, _)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(text)
    }

    #[test]
    fn quantifiers_follow_what_they_count() {
        for text in ["page.js", "page.jsx"] {
            assert!(matches("*.jsx?", text));
        }
        assert!(!matches("*.jsx?", "page.jsxx"));
        assert!(matches("v[12].[0-9]+.[0-9]+", "v2.10.0"));
        assert!(!matches("v[12].[0-9]+.[0-9]+", "v2..0"));
        assert!(matches("a[x-]", "a-"));
    }

    #[test]
    fn stars_and_slashes() {
        assert!(!matches("*", "a/b"));
        assert!(matches("**", "a/b"));
        for text in ["README.md", "a/README.md", "a/b/README.md"] {
            assert!(matches("**/README.md", text), "{text}");
        }
        assert!(!matches("**/README.md", "a/xREADME.md"));
        assert!(matches("docs/**/**/x", "docs/a/b/x"));
        assert!(matches("docs/**/**/x", "docs/x"));
        assert!(matches("**.js", "src/js/app.js"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!("a[b".parse::<Pattern>(), Err(PatternError::NotClosed));
        assert_eq!("a\\".parse::<Pattern>(), Err(PatternError::Escape));
        assert_eq!("+a".parse::<Pattern>(), Err(PatternError::Quantifier('+')));
    }

    #[test]
    fn hostile_patterns_take_no_longer() {
        let pattern = format!("{}b", "*a".repeat(400));
        assert!(!matches(&pattern, &"a".repeat(4_000)));
    }
}
