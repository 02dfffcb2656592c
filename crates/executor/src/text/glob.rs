//! Patterns of `hashFiles`, as the toolkit's `glob` reads them: `*`, `?` and `[…]` within a part of a
//! path, `**` for any number of parts; what lies below a folder that is matched is matched.

/// Whether the last of `patterns` that concerns the path selects it: `!` takes back.
pub(crate) fn selects(patterns: &[String], path: &str) -> bool {
    let lines = patterns.iter().flat_map(|pattern| pattern.lines()).map(str::trim);
    let named = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    named.fold(false, |selected, line| match line.strip_prefix('!') {
        Some(pattern) => selected && !matches(pattern, path),
        None => selected || matches(line, path),
    })
}

fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    let pattern: Vec<&str> = pattern.split('/').filter(|part| *part != ".").collect();
    let path: Vec<&str> = path.split('/').collect();
    parts(&pattern, &path)
}

/// Whether something below the path, or the path itself, may be matched.
pub(crate) fn leads_to(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, _) | (_, None) | (Some((&"**", _)), _) => true,
        (Some((part, rest)), Some((name, below))) => {
            part_matches(part, name) && leads_to(rest, below)
        }
    }
}

/// Whether the parts of the pattern match those of the path, or of a folder that it is in.
pub(crate) fn parts(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        // A folder, and what is in it.
        None => true,
        Some((&"**", rest)) => {
            (!rest.is_empty() || !path.is_empty())
                && (0..=path.len()).any(|skipped| parts(rest, &path[skipped..]))
        }
        Some((part, rest)) => path
            .split_first()
            .is_some_and(|(name, below)| part_matches(part, name) && parts(rest, below)),
    }
}

/// One part, by going back to the last `*` where it goes wrong: linear in practice, and never more
/// than the product of the lengths.
pub(crate) fn part_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(next) = pattern.get(p).and_then(|_| one(&pattern, p, name[n])) {
            (p, n) = (next, n + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on after the character, if it takes it.
fn one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern[at] {
        '?' => Some(at + 1),
        '[' => match pattern[at + 1..].iter().position(|c| *c == ']').filter(|close| *close > 0) {
            Some(close) => in_set(&pattern[at + 1..at + 1 + close], c).then_some(at + close + 2),
            None => (c == '[').then_some(at + 1),
        },
        '\\' if at + 1 < pattern.len() => (pattern[at + 1] == c).then_some(at + 2),
        other => (other == c).then_some(at + 1),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let (negative, set) = match set.split_first() {
        Some(('!' | '^', rest)) => (true, rest),
        _ => (false, set),
    };
    let mut at = 0;
    let mut found = false;
    while at < set.len() {
        if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
            found |= (set[at]..=set[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= set[at] == c;
            at += 1;
        }
    }
    found != negative
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], path: &str) -> bool {
        selects(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>(), path)
    }

    #[test]
    fn the_patterns_of_the_documentation() {
        assert!(check(&["**/package-lock.json"], "package-lock.json"));
        assert!(check(&["**/package-lock.json"], "a/b/package-lock.json"));
        assert!(!check(&["*.lock"], "a/Cargo.lock"));
        assert!(check(&["*.lock"], "Cargo.lock"));
        assert!(check(&["**/*.rb", "!vendor/**"], "lib/a.rb"));
        assert!(!check(&["**/*.rb", "!vendor/**"], "vendor/a.rb"));
        assert!(check(&["src"], "src/deep/a.c"));
        assert!(check(&["a/[b-d]?.txt"], "a/cx.txt") && !check(&["a/[!b-d]?.txt"], "a/cx.txt"));
        assert!(!check(&[""], "a"));
    }
}
