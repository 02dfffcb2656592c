use std::fmt;

/// A version of a Python package.
///
/// Source: PEP 440, "Version Identification", and its normalisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pep440 {
    epoch: u64,
    release: Vec<u64>,
    /// `a`, `b` or `rc`, and its number.
    pre: Option<(&'static str, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: String,
}

impl Pep440 {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_prefix('v').unwrap_or(&text);
        let (text, local) = text.split_once('+').map_or((text, None), |(t, l)| (t, Some(l)));
        let (epoch, text) = match text.split_once('!') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, text),
        };
        let (release, rest) = release(text)?;
        let mut version = Self {
            epoch,
            release,
            pre: None,
            post: None,
            dev: None,
            local: local.map(of_local).unwrap_or(Some(String::new()))?,
        };
        version.phases(rest).then_some(version)
    }

    pub fn part(&self, at: usize) -> u64 {
        self.release.get(at).copied().unwrap_or(0)
    }

    /// Neither before a release nor after one.
    pub fn is_final(&self) -> bool {
        self.pre.is_none() && self.post.is_none() && self.dev.is_none()
    }

    /// What stands behind the numbers; whether that is all it may be.
    fn phases(&mut self, mut rest: &str) -> bool {
        const PRE: [(&str, &str); 8] = [
            ("alpha", "a"),
            ("beta", "b"),
            ("preview", "rc"),
            ("pre", "rc"),
            ("rc", "rc"),
            ("a", "a"),
            ("b", "b"),
            ("c", "rc"),
        ];
        for (word, short) in PRE {
            if let Some((number, after)) = phase(rest, word) {
                (self.pre, rest) = (Some((short, number)), after);
                break;
            }
        }
        for word in ["post", "rev", "r"] {
            if let Some((number, after)) = phase(rest, word) {
                (self.post, rest) = (Some(number), after);
                break;
            }
        }
        // `1.0-1` is a release after 1.0 as well.
        if let Some((digits, after)) =
            rest.strip_prefix('-').map(digits).filter(|(digits, _)| !digits.is_empty())
            && self.post.is_none()
        {
            (self.post, rest) = (digits.parse().ok(), after);
        }
        if let Some((number, after)) = phase(rest, "dev") {
            (self.dev, rest) = (Some(number), after);
        }
        rest.is_empty()
    }
}

impl fmt::Display for Pep440 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(f, "{}!", self.epoch)?;
        }
        let numbers: Vec<String> = self.release.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        if let Some((word, number)) = self.pre {
            write!(f, "{word}{number}")?;
        }
        if let Some(number) = self.post {
            write!(f, ".post{number}")?;
        }
        if let Some(number) = self.dev {
            write!(f, ".dev{number}")?;
        }
        if self.local.is_empty() { Ok(()) } else { write!(f, "+{}", self.local) }
    }
}

fn release(text: &str) -> Option<(Vec<u64>, &str)> {
    let (first, mut rest) = digits(text);
    let mut release = vec![first.parse().ok()?];
    while let Some(after) = rest.strip_prefix('.') {
        let (part, after) = digits(after);
        if part.is_empty() {
            break;
        }
        release.push(part.parse().ok()?);
        rest = after;
    }
    Some((release, rest))
}

/// `.dev4`, `-dev_4`, `dev`: its number, and what is behind it.
fn phase<'t>(text: &'t str, word: &str) -> Option<(u64, &'t str)> {
    let after = text.trim_start_matches(['.', '-', '_']);
    if text.len() - after.len() > 1 {
        return None;
    }
    let after = after.strip_prefix(word)?;
    let behind = after.strip_prefix(['.', '-', '_']).unwrap_or(after);
    let (number, rest) = digits(behind);
    match number.is_empty() {
        true => Some((0, after)),
        false => Some((number.parse().ok()?, rest)),
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn of_local(text: &str) -> Option<String> {
    let text = text.replace(['-', '_'], ".");
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    text.split('.').all(is_part).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_normalised() {
        for (text, made) in [
            ("v1.2.3", "1.2.3"),
            ("1.2.3rc2", "1.2.3rc2"),
            ("1.2.3post1", "1.2.3.post1"),
            ("1.2.3beta2", "1.2.3b2"),
            ("1.0dev4", "1.0.dev4"),
            ("1.0-1", "1.0.post1"),
            ("2!1.0.ALPHA", "2!1.0a0"),
            ("1.1-rc.1.dev3+Ubuntu-1", "1.1rc1.dev3+ubuntu.1"),
            ("1.0c1", "1.0rc1"),
        ] {
            assert_eq!(Pep440::parse(text).unwrap().to_string(), made, "{text}");
        }
        for text in ["", "v", "1.x", "1.0foo", "1.0+", "1..0", "99999999999999999999"] {
            assert_eq!(Pep440::parse(text), None, "{text}");
        }
        assert!(Pep440::parse("1.2").unwrap().is_final());
        assert!(!Pep440::parse("1.2.post1").unwrap().is_final());
        assert_eq!(Pep440::parse("1.2").unwrap().part(2), 0);
    }
}
