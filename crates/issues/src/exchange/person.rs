use grit_types::Principal;

const CHARS_MAX: usize = 64;

/// Who that is here: the name where it is one, else the address, else the name with `-` for what
/// names cannot have (`dependabot[bot]` is `dependabot-bot`).
pub fn person(name: &str, address: Option<&str>) -> Principal {
    let name = name.trim();
    let address = address.map(str::trim).unwrap_or_default();
    let plain = || [name, address].into_iter().find_map(|text| text.parse().ok());
    plain()
        .unwrap_or_else(|| [name, address].into_iter().find_map(made_plain).unwrap_or_else(unknown))
}

fn made_plain(text: &str) -> Option<Principal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    let mut plain = String::new();
    for c in text.chars() {
        if allowed(c) {
            plain.push(c);
        } else if !plain.ends_with('-') {
            plain.push('-');
        }
    }
    let plain = plain.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let cut = &plain[..plain.len().min(CHARS_MAX)];
    cut.trim_end_matches('-').parse().ok()
}

/// Accounts that are gone leave what they wrote.
fn unknown() -> Principal {
    // A valid name by its form.
    "unknown".parse().unwrap_or_else(|_| Principal::grit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_other_trackers_become_names_here() {
        for (name, address, expected) in [
            ("octocat", None, "octocat"),
            ("Jane Doe", Some("jane@example.org"), "jane@example.org"),
            ("Jane Doe", None, "Jane-Doe"),
            ("dependabot[bot]", None, "dependabot-bot"),
            ("Łukasz", Some("not an address"), "ukasz"),
            ("", None, "unknown"),
            ("世界", None, "unknown"),
        ] {
            assert_eq!(person(name, address).as_str(), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_name_is_somebody_comes_of_it(name: String, address: Option<String>) {
            let found = person(&name, address.as_deref());
            prop_assert_eq!(found.as_str().parse::<Principal>().unwrap(), found);
        }
    }
}
