use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use grit_blob::Layout;
use grit_types::Digest;
use proptest::prelude::*;

use crate::support::{layout, push};

#[derive(Clone, Debug, PartialEq)]
enum Node {
    File { content: Vec<u8>, executable: bool },
    Folder,
    Link,
}

/// What lies in a folder, by name; `d0` and `d1` are folders of it where a name begins with them.
fn tree() -> impl Strategy<Value = BTreeMap<String, Node>> {
    let name = "(d0/|d1/|d0/d1/)?[a-zA-Z._-]{0,3}[a-z]";
    let node = prop_oneof![
        4 => (proptest::collection::vec(any::<u8>(), 0..700), any::<bool>())
            .prop_map(|(content, executable)| Node::File { content, executable }),
        1 => Just(Node::Folder),
        1 => Just(Node::Link),
    ];
    proptest::collection::btree_map(name, node, 1..12)
}

/// Writes the tree in the given order, with times and surplus mode bits that differ by `salt`.
fn write(folder: &Path, tree: &[(&String, &Node)], salt: u64) {
    for (name, node) in tree {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match node {
            Node::Folder => fs::create_dir(&path).unwrap(),
            Node::Link => symlink("d0/x", &path).unwrap(),
            Node::File { content, executable } => {
                fs::write(&path, content).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + salt);
                fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
                let mode = if *executable { 0o700 } else { 0o600 };
                let surplus = if salt.is_multiple_of(2) { 0o000 } else { 0o044 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode | surplus)).unwrap();
            }
        }
    }
}

fn digest(layout: &Layout, tree: &[(&String, &Node)], salt: u64) -> Digest {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), tree, salt);
    push(layout, &format!("t:{salt}"), folder.path())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_digest_follows_from_the_content_alone(tree in tree(), salt in 1u64..1_000) {
        let (_root, layout) = layout();
        let mut order: Vec<_> = tree.iter().collect();
        let first = digest(&layout, &order, 0);
        order.reverse();
        let rotation = usize::try_from(salt).unwrap() % order.len();
        order.rotate_left(rotation);
        prop_assert_eq!(digest(&layout, &order, salt), first);
    }

    #[test]
    fn another_content_has_another_digest(tree in tree(), other in tree()) {
        let (_root, layout) = layout();
        let digests = [&tree, &other].map(|t| digest(&layout, &t.iter().collect::<Vec<_>>(), 0));
        prop_assert_eq!(tree == other, digests[0] == digests[1]);
    }

    #[test]
    fn what_is_unpacked_has_the_digest_it_came_from(tree in tree()) {
        let (root, layout) = layout();
        let packed = digest(&layout, &tree.iter().collect::<Vec<_>>(), 0);
        layout.unpack(packed, &root.path().join("root")).unwrap();
        prop_assert_eq!(push(&layout, "again", &root.path().join("root")), packed);
    }
}

/// The bytes of an archive are a promise: what was built before must keep its digest.
#[test]
fn the_digest_is_the_same_in_every_release() {
    let (root, layout) = layout();
    let dist = root.path().join("dist");
    crate::support::sample(&dist);
    assert_eq!(
        push(&layout, "api", &dist).to_string(),
        "sha256:cb9c7e2079e87637c4acff19dee49e728d257bad4625c59e103577d7f1c8d970"
    );
}
