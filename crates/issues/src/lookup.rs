use grit_types::IssueId;

use crate::shown;

/// A prefix shorter than this is too easily another issue's tomorrow.
pub const PREFIX_MIN: usize = 4;

/// As many are named when a prefix is ambiguous.
const CANDIDATES_MAX: usize = 10;

/// Characters of an id that tell it from all others in practice.
const CANDIDATE_CHARS: usize = 12;

/// Text that names no issue, or more than one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("`{}` is too short: type at least {PREFIX_MIN} characters of the id", shown(.prefix, 60))]
    TooShort { prefix: String },
    #[error("no id begins with `{}`{}", shown(.prefix, 60), near(.nearest.as_deref()))]
    NotFound {
        prefix: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    #[error("`{prefix}` is the beginning of {count} ids: {}", list(.candidates, *.count))]
    Ambiguous {
        prefix: String,
        count: usize,
        /// The first of them, long enough to be told apart.
        candidates: Vec<String>,
    },
}

fn near(nearest: Option<&str>) -> String {
    nearest.map(|id| format!("; did you mean `{id}`?")).unwrap_or_default()
}

fn list(candidates: &[String], count: usize) -> String {
    let more = count - candidates.len().min(count);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", candidates.join(", "))
}

/// The one of `ids` that begins with `prefix`, in any case.
pub fn lookup<'a>(
    prefix: &str,
    ids: impl IntoIterator<Item = &'a IssueId> + Clone,
) -> Result<&'a IssueId, LookupError> {
    let prefix = prefix.trim().to_ascii_lowercase();
    if prefix.chars().count() < PREFIX_MIN {
        return Err(LookupError::TooShort { prefix });
    }
    let begins = |id: &&IssueId| id.as_str().starts_with(&prefix);
    let mut found: Vec<&IssueId> = ids.clone().into_iter().filter(begins).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [only] => Ok(only),
        [] => {
            let nearest = nearest(&prefix, ids);
            Err(LookupError::NotFound { prefix, nearest })
        }
        many => {
            let length = prefix.len() + CANDIDATE_CHARS;
            let candidates =
                many.iter().take(CANDIDATES_MAX).map(|id| cut(id, length).to_owned()).collect();
            Err(LookupError::Ambiguous { prefix, count: many.len(), candidates })
        }
    }
}

/// The beginning of the id that a mistyped prefix probably meant.
fn nearest<'a>(prefix: &str, ids: impl IntoIterator<Item = &'a IssueId>) -> Option<String> {
    let mut starts: Vec<(&str, &IssueId)> =
        ids.into_iter().map(|id| (cut(id, prefix.len()), id)).collect();
    starts.sort();
    let found = grit_diag::suggest(prefix, starts.iter().map(|(start, _)| *start))?;
    let (_, id) = starts.iter().find(|(start, _)| *start == found)?;
    Some(cut(id, prefix.len().max(CANDIDATE_CHARS)).to_owned())
}

/// Ids are ASCII.
fn cut(id: &IssueId, length: usize) -> &str {
    id.as_str().get(..length).unwrap_or(id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(start: &str) -> IssueId {
        format!("{start:a<52}").parse().unwrap()
    }

    #[test]
    fn an_id_is_found_by_its_beginning_in_any_case() {
        let ids = [id("bcde2"), id("bcde3"), id("xyzw")];
        assert_eq!(lookup(" XYZW ", &ids), Ok(&ids[2]));
        assert_eq!(lookup("bcde3", &ids), Ok(&ids[1]));
        assert_eq!(lookup(ids[0].as_str(), [&ids[0], &ids[0]]), Ok(&ids[0]));
    }

    #[test]
    fn what_is_wrong_says_what_is_there() {
        let mut ids = vec![id("bcde2"), id("bcde3"), id("xyzw")];
        let told = |prefix: &str, ids: &[IssueId]| lookup(prefix, ids).unwrap_err().to_string();
        insta::assert_snapshot!(told("xyz", &ids), @"`xyz` is too short: type at least 4 characters of the id");
        insta::assert_snapshot!(told("bcde", &ids), @"`bcde` is the beginning of 2 ids: bcde2aaaaaaaaaaa, bcde3aaaaaaaaaaa");
        insta::assert_snapshot!(told("xzyw", &ids), @"no id begins with `xzyw`; did you mean `xyzwaaaaaaaa`?");
        insta::assert_snapshot!(told("qqqq", &ids), @"no id begins with `qqqq`");
        insta::assert_snapshot!(told("ä\u{1b}öü", &ids), @r"no id begins with `ä\u{1b}öü`");
        ids.extend((2..8).flat_map(|a| (2..6).map(move |b| id(&format!("kkkk{a}{b}")))));
        insta::assert_snapshot!(told("kkkk", &ids), @"`kkkk` is the beginning of 24 ids: kkkk22aaaaaaaaaa, kkkk23aaaaaaaaaa, kkkk24aaaaaaaaaa, kkkk25aaaaaaaaaa, kkkk32aaaaaaaaaa, kkkk33aaaaaaaaaa, kkkk34aaaaaaaaaa, kkkk35aaaaaaaaaa, kkkk42aaaaaaaaaa, kkkk43aaaaaaaaaa and 14 more");
    }
}
