use std::path::{Component, Path};

/// Whether a link that stands `depth` folders below a root leads to a place within it.
///
/// `..` may stand only in front, where it climbs real folders; behind a name it would climb from
/// wherever that name, itself a link, leads to. What obeys this can be followed through any number
/// of such links and stays inside.
pub(crate) fn link_stays_inside(depth: usize, target: &Path) -> bool {
    let mut climbed = 0;
    let mut named = false;
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if !named && climbed < depth => climbed += 1,
            Component::Normal(_) => named = true,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_in_and_out() {
        for (depth, target) in [(0, "a"), (0, "./a/b"), (1, ".."), (2, "../../a"), (1, "../.bin/x")]
        {
            assert!(link_stays_inside(depth, Path::new(target)), "{depth} {target}");
        }
        for (depth, target) in
            [(0, ""), (0, ".."), (0, "/etc"), (1, "../.."), (3, "a/.."), (2, "../up/../..")]
        {
            assert!(!link_stays_inside(depth, Path::new(target)), "{depth} {target}");
        }
    }

    /// Folders `a/b/c`, and links with any targets in each of them.
    fn links() -> impl Strategy<Value = Vec<(usize, String)>> {
        let part = prop_oneof![Just(".."), Just("a"), Just("b"), Just("c"), Just("l0"), Just("l1")];
        let target = proptest::collection::vec(part, 1..6).prop_map(|parts| parts.join("/"));
        proptest::collection::vec((0usize..4, target), 1..6)
    }

    proptest! {
        #[test]
        fn no_chain_of_accepted_links_leads_out(links in links()) {
            let outer = tempfile::tempdir().unwrap();
            let root = outer.path().canonicalize().unwrap().join("root");
            let folders = ["", "a", "a/b", "a/b/c"].map(|folder| root.join(folder));
            fs::create_dir_all(&folders[3]).unwrap();
            for (number, (depth, target)) in links.iter().enumerate() {
                if link_stays_inside(*depth, Path::new(target)) {
                    let _taken = symlink(target, folders[*depth].join(format!("l{}", number % 2)));
                }
            }
            for place in folders.iter().flat_map(|folder| [folder.join("l0"), folder.join("l1")]) {
                if let Ok(end) = place.canonicalize() {
                    prop_assert!(end.starts_with(&root), "{} {}", place.display(), end.display());
                }
            }
        }
    }
}
