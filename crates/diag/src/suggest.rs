//! "Did you mean": the nearest known word.

/// Words longer than this are not compared; no name of ours is.
const WORD_CHARS_MAX: usize = 64;

/// The candidate that `word` was probably meant to be.
///
/// The same word in other case wins, then the smallest edit distance (optimal string alignment:
/// insert, delete, replace, swap neighbours) of at most two and at most a third of the word, then a
/// candidate that starts with `word` or that `word` starts with. The first of equals wins.
///
/// ```
/// assert_eq!(grit_diag::suggest("brnaches", ["branches", "tags"]), Some("branches"));
/// assert_eq!(grit_diag::suggest("env", ["environment", "runs-on"]), Some("environment"));
/// assert_eq!(grit_diag::suggest("colour", ["branches", "tags"]), None);
/// ```
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower =
        |text: &str| text.to_lowercase().chars().take(WORD_CHARS_MAX + 1).collect::<Vec<char>>();
    let word = lower(word);
    if word.is_empty() || word.len() > WORD_CHARS_MAX {
        return None;
    }
    let rank = |candidate: &str| rank(&word, &lower(candidate));
    let ranked = candidates.into_iter().filter_map(|candidate| Some((rank(candidate)?, candidate)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, candidate)| candidate)
}

/// How far a candidate is: an edit distance of 0 to 2, or 3 for a shared start. `None` for
/// unrelated words.
fn rank(word: &[char], candidate: &[char]) -> Option<usize> {
    let edits_max = (word.len().max(candidate.len()) / 3).min(2);
    let edits = if word.len().abs_diff(candidate.len()) <= edits_max {
        distance(word, candidate)
    } else {
        usize::MAX
    };
    let shares_start = word.len().min(candidate.len()) >= 3
        && (candidate.starts_with(word) || word.starts_with(candidate));
    if edits <= edits_max { Some(edits) } else { shares_start.then_some(3) }
}

/// Optimal string alignment distance, in a table of three rows.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested() {
        let keys =
            ["name", "needs", "runs-on", "steps", "strategy", "timeout-minutes", "if", "env"];
        let table = [
            ("step", Some("steps")),
            ("Steps", Some("steps")),
            ("need", Some("needs")),
            ("nmae", Some("name")),
            ("run-on", Some("runs-on")),
            ("runson", Some("runs-on")),
            ("timeout", Some("timeout-minutes")),
            ("envs", Some("env")),
            ("fi", None),
            ("x", None),
            ("", None),
            ("volumes", None),
        ];
        for (word, expected) in table {
            assert_eq!(suggest(word, keys), expected, "{word}");
        }
    }

    #[test]
    fn swapped_neighbours_count_once() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("abcd"), &chars("abdc")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("ab")), 2);
    }

    #[test]
    fn endless_words_are_not_compared() {
        assert_eq!(suggest(&"a".repeat(1 << 20), ["a"]), None);
    }
}
