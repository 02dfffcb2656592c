//! Stable codes for findings, declared next to what reports them.

/// A kind of finding. Its id never changes its meaning and is never used again for another.
///
/// Ids are `E` or `W` and four digits. The hundreds belong to one crate each: `00` is this one.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    pub id: &'static str,
    /// One line, for lists.
    pub title: &'static str,
    /// A few paragraphs: what it means, why it is refused, an example of how to write it instead.
    pub explanation: &'static str,
}

impl Code {
    /// # Panics
    /// When `id` is not `E` or `W` and four digits; in a constant that is a compile error.
    pub const fn new(id: &'static str, title: &'static str, explanation: &'static str) -> Self {
        let bytes = id.as_bytes();
        assert!(bytes.len() == 5, "a code is a letter and four digits");
        assert!(bytes[0] == b'E' || bytes[0] == b'W', "a code starts with E or W");
        let mut at = 1;
        while at < 5 {
            assert!(bytes[at].is_ascii_digit(), "a code ends with four digits");
            at += 1;
        }
        Self { id, title, explanation }
    }
}

/// Looks `id` up in the tables of several crates; upper and lower case are the same.
pub fn explain_in(tables: &[&[&'static Code]], id: &str) -> Option<&'static Code> {
    tables.iter().copied().flatten().copied().find(|code| code.id.eq_ignore_ascii_case(id))
}

/// An id that two entries of these tables share, if any. For the test of whoever joins the tables.
pub fn shared_id(tables: &[&[&'static Code]]) -> Option<&'static str> {
    let mut ids: Vec<_> = tables.iter().copied().flatten().map(|code| code.id).collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Declares a crate's codes as constants of type `&'static Code`, and `ALL`, the list of them.
///
/// ```
/// grit_diag::define_codes! {
///     /// A step sets both `uses` and `run`.
///     USES_AND_RUN = "E0101", "a step sets both `uses` and `run`", "Split it into two steps.";
/// }
/// assert_eq!(ALL, [USES_AND_RUN]);
/// ```
#[macro_export]
macro_rules! define_codes {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $title:literal, $explanation:expr;)+) => {
        $($(#[$doc])* pub const $name: &$crate::Code = &$crate::Code::new($id, $title, $explanation);)+

        /// Every code declared here.
        pub const ALL: &[&$crate::Code] = &[$($name),+];
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn codes_are_found_in_any_case_and_unknown_ones_are_not() {
        assert_eq!(explain_in(&[codes::ALL], "e0002"), Some(codes::DUPLICATE_KEY));
        assert_eq!(explain_in(&[codes::ALL], "E9999"), None);
    }

    #[test]
    fn ids_are_unique_and_a_shared_one_is_told() {
        assert_eq!(shared_id(&[codes::ALL]), None);
        assert_eq!(shared_id(&[codes::ALL, &[codes::SYNTAX]]), Some("E0001"));
    }

    #[test]
    fn every_code_says_something() {
        for code in codes::ALL {
            assert!(
                !code.title.is_empty() && code.explanation.len() > 60,
                "{} needs an explanation",
                code.id
            );
            assert!(!code.title.ends_with('.'), "{}: a title is a fragment", code.id);
        }
    }
}
