//! Folders kept file by file: what comes back is what was there, and nothing is written elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use grit_blob::{Anchor, BlobError, Entry, EntryKind, Item, Kept, Tree, TreeError, Trees};
use grit_testkit::order::{CALLS, Call, too_early, whole};
use grit_testkit::{temp_dir, tool};
use grit_types::Digest;
use proptest::prelude::*;

const PLENTY: u64 = 1 << 30;

/// Every name below a folder, under `all`.
fn items(folder: &Path) -> Vec<Item> {
    let mut items = Vec::new();
    let mut below = vec![PathBuf::new()];
    while let Some(at) = below.pop() {
        for entry in fs::read_dir(folder.join(&at)).unwrap() {
            let entry = entry.unwrap();
            let name = at.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                below.push(name.clone());
            }
            let name = Path::new("all").join(name);
            items.push(Item { name, path: entry.path(), follow: false });
        }
    }
    items
}

fn keep(trees: &Trees, folder: &Path) -> Kept {
    trees.keep(&items(folder), PLENTY).unwrap()
}

fn into(folder: &Path, follows: bool) -> impl Fn(&OsStr) -> Option<Anchor> {
    let folder = folder.to_owned();
    move |name| (name == "all").then(|| Anchor { folder: folder.clone(), follows })
}

fn restore(trees: &Trees, tree: Digest, to: &Path) -> Result<(), TreeError> {
    trees.restore(&trees.tree(tree)?, &into(to, false)).map(drop)
}

/// What there is to see of a folder: of each name the mode, the time, and what it holds.
fn seen(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, String)> {
    let look = |item: Item| {
        let found = fs::symlink_metadata(&item.path).unwrap();
        let holds = match (found.is_symlink(), found.is_file()) {
            (true, _) => format!("-> {}", fs::read_link(&item.path).unwrap().display()),
            (_, true) => String::from_utf8_lossy(&fs::read(&item.path).unwrap()).into_owned(),
            _ => "a folder".to_owned(),
        };
        let (mode, time) = match found.is_symlink() {
            true => (0, 0),
            false => (found.mode() & 0o777, found.mtime()),
        };
        (item.name, (mode, time, holds))
    };
    items(folder).into_iter().map(look).collect()
}

fn write(path: PathBuf, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}

fn age(path: &Path, seconds: u64) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(at)).unwrap();
}

/// Names, with what stands there: 0 a folder, 1 a link, else a file of so many bytes.
fn contents() -> impl Strategy<Value = Vec<(String, u32, u32, u64)>> {
    let part = prop_oneof!["[a-c]", Just("\u{e4} b".to_owned()), Just(".x".to_owned())];
    let path = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let mode = prop_oneof![Just(0o755), Just(0o644), Just(0o400), Just(0o777)];
    proptest::collection::vec((path, 0u32..5000, mode, 1u64..2_000_000_000), 0..24)
}

fn make(folder: &Path, contents: &[(String, u32, u32, u64)]) {
    fs::create_dir_all(folder).unwrap();
    let mut made = Vec::new();
    for (name, kind, mode, time) in contents {
        let path = folder.join(name);
        let blocked = path.ancestors().skip(1).any(|above| {
            above.starts_with(folder) && above.symlink_metadata().is_ok_and(|at| !at.is_dir())
        });
        if blocked || path.symlink_metadata().is_ok() {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match kind {
            0 => fs::create_dir(&path).unwrap(),
            1 => symlink("../somewhere/else", &path).unwrap(),
            bytes => fs::write(&path, "x".repeat(*bytes as usize)).unwrap(),
        }
        if *kind != 1 {
            made.push((path, *mode | 0o400, *time));
        }
    }
    made.sort();
    for (path, mode, time) in made.iter().rev() {
        age(path, *time);
        let executable = if path.is_dir() { 0o100 } else { 0 };
        fs::set_permissions(path, Permissions::from_mode(mode | executable)).unwrap();
    }
}

fn loosen(folder: &Path) {
    for item in items(folder) {
        if item.path.symlink_metadata().unwrap().is_dir() {
            fs::set_permissions(&item.path, Permissions::from_mode(0o755)).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_kept_comes_back_as_it_was(first in contents(), second in contents()) {
        let place = temp_dir();
        let trees = Trees::open(&place.path().join("store")).unwrap();
        let (one, two) = (place.path().join("one"), place.path().join("two"));
        make(&one, &first);
        make(&two, &second);
        let (kept, other) = (keep(&trees, &one), keep(&trees, &two));
        let back = place.path().join("back");
        fs::create_dir(&back).unwrap();
        restore(&trees, kept.tree, &back).unwrap();
        prop_assert_eq!(seen(&back), seen(&one));
        prop_assert_eq!(keep(&trees, &back), kept, "the same content has the same name");
        let apart = place.path().join("apart");
        fs::create_dir(&apart).unwrap();
        restore(&trees, other.tree, &apart).unwrap();
        prop_assert_eq!(seen(&apart), seen(&two), "trees do not mix");
        for folder in [&one, &two, &back, &apart] {
            loosen(folder);
        }
    }
}

#[test]
fn restoring_replaces_and_goes_through_no_link() {
    let place = temp_dir();
    let at = |name: &str| place.path().join(name);
    let trees = Trees::open(&at("store")).unwrap();
    write(at("from/sub/file"), "new", 0o600);
    write(at("from/top"), "new", 0o755);
    symlink("nowhere", at("from/link")).unwrap();
    let kept = keep(&trees, &at("from"));
    fs::create_dir_all(at("outside")).unwrap();
    write(at("to/link"), "a file in the way", 0o644);
    symlink(at("outside"), at("to/sub")).unwrap();
    fs::hard_link(at("to/link"), at("shared")).unwrap();
    restore(&trees, kept.tree, &at("to")).unwrap();
    assert_eq!(seen(&at("to")), seen(&at("from")));
    assert_eq!(fs::read_to_string(at("shared")).unwrap(), "a file in the way");
    assert!(fs::read_dir(at("outside")).unwrap().next().is_none(), "nothing went through");

    fs::remove_dir_all(at("to")).unwrap();
    fs::create_dir_all(at("to")).unwrap();
    symlink(at("outside"), at("to/sub")).unwrap();
    trees.restore(&trees.tree(kept.tree).unwrap(), &into(&at("to"), true)).unwrap();
    assert_eq!(fs::read_to_string(at("outside/file")).unwrap(), "new", "links there are followed");
    assert!(at("to/sub").symlink_metadata().unwrap().is_symlink());
}

fn hostile(name: &str, kind: EntryKind) -> Entry {
    Entry { name: PathBuf::from(name).into(), mode: 0o777, modified: (0, 0), kind }
}

#[test]
fn no_list_leads_out() {
    let place = temp_dir();
    let trees = Trees::open(&place.path().join("store")).unwrap();
    let blob = trees.blobs().put(&mut &b"evil"[..]).unwrap();
    let file = || EntryKind::File { digest: blob.digest, size: 4 };
    let link = |target: &str| EntryKind::Link { target: PathBuf::from(target).into() };
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let lists = [
        vec![hostile("all/../../outside/x", file())],
        vec![hostile("/all/x", file())],
        vec![hostile("other/x", file())],
        vec![hostile("all", file())],
        vec![hostile("all/l", link(outside.to_str().unwrap())), hostile("all/l/x", file())],
        vec![hostile("all/l", link("../outside")), hostile("all/l/d", EntryKind::Folder)],
        vec![hostile("all/x", file()), hostile("all/x", file())],
        vec![hostile("all/x", file()), hostile("all/x/y", file())],
    ];
    for (number, entries) in lists.into_iter().enumerate() {
        for follows in [false, true] {
            let to = place.path().join(format!("to-{number}-{follows}"));
            let restored = trees.restore(&Tree::new(entries.clone()), &into(&to, follows));
            assert!(restored.is_err(), "{entries:?}");
            assert!(fs::read_dir(&outside).unwrap().next().is_none(), "{entries:?}");
        }
    }
}

#[test]
fn damage_is_noticed_and_healed() {
    let place = temp_dir();
    let at = |name: &str| place.path().join(name);
    let trees = Trees::open(&at("store")).unwrap();
    write(at("from/file"), "as it was", 0o644);
    let kept = keep(&trees, &at("from"));
    let blob = at("store/blobs/sha256").join(Digest::of(b"as it was").hex());
    fs::write(&blob, "as it is!").unwrap();
    let restored = restore(&trees, kept.tree, &at("to"));
    assert!(matches!(restored, Err(TreeError::Blob(BlobError::Damaged { .. }))), "{restored:?}");
    assert!(!at("to/file").exists());
    assert_eq!(keep(&trees, &at("from")), kept);
    restore(&trees, kept.tree, &at("to")).unwrap();
    assert_eq!(fs::read_to_string(at("to/file")).unwrap(), "as it was");
}

#[test]
fn what_nobody_needs_is_collected_while_nobody_works() {
    let place = temp_dir();
    let at = |name: &str| place.path().join(name);
    let trees = Trees::open(&at("store")).unwrap();
    write(at("one/both"), "both", 0o644);
    write(at("one/own"), "one", 0o644);
    let one = keep(&trees, &at("one"));
    write(at("two/both"), "both", 0o644);
    let two = keep(&trees, &at("two"));
    let live = || -> Result<HashSet<Digest>, TreeError> { trees.blobs_of(two.tree) };
    let hold = trees.hold().unwrap();
    assert_eq!(trees.collect(live).unwrap(), 0, "somebody works");
    drop(hold);
    assert_eq!(trees.collect(live).unwrap(), 2, "the file of the first alone, and its list");
    assert!(trees.tree(one.tree).is_err());
    restore(&trees, two.tree, &at("to")).unwrap();
    assert_eq!(fs::read_to_string(at("to/both")).unwrap(), "both");
}

#[test]
fn sizes_are_bounded() {
    let place = temp_dir();
    let trees = Trees::open(&place.path().join("store")).unwrap();
    write(place.path().join("from/file"), &"x".repeat(3 << 20), 0o644);
    let kept = trees.keep(&items(&place.path().join("from")), 1 << 20);
    assert!(matches!(kept, Err(TreeError::TooMuch { .. })), "{kept:?}");
    assert_eq!(fs::read_dir(place.path().join("store/.grit/tmp")).unwrap().count(), 0);
}

const PLACE: &str = "GRIT_TEST_PLACE";

/// By itself a test that three trees are kept; under strace it shows in which order.
#[test]
fn each_tree_is_acknowledged() {
    let own = temp_dir();
    let place = std::env::var_os(PLACE).map_or(own.path().to_owned(), PathBuf::from);
    let trees = Trees::open(&place.join("store")).unwrap();
    for number in 0..3 {
        let from = place.join(format!("from-{number}"));
        write(from.join("file"), &format!("file {number}"), 0o644);
        write(from.join("sub/same"), "same", 0o644);
        let kept = keep(&trees, &from);
        use std::io::Write;
        std::io::stdout().write_all(format!("{}\n", kept.tree).as_bytes()).unwrap();
        assert_eq!(kept.files, 2);
    }
}

#[test]
fn synced_before_named_before_acknowledged() {
    let strace = tool("strace", "strace");
    let place = temp_dir();
    let trace = place.path().join("trace");
    let store = place.path().join("store");
    Trees::open(&store).unwrap();
    let mut traced = Command::new(strace);
    traced.args(["-f", "-y", "-s", "200", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace);
    traced.arg(std::env::current_exe().unwrap());
    traced.args(["--exact", "tree::each_tree_is_acknowledged", "--nocapture", "--test-threads=1"]);
    assert!(traced.env(PLACE, place.path()).output().unwrap().status.success());
    let text = fs::read_to_string(&trace).unwrap();
    let told = |told: &str| {
        told.split_whitespace().last().is_some_and(|word| word.parse::<Digest>().is_ok())
    };
    // Folders for what is not kept yet, and those of the test, may be lost.
    let counts = |call: &Call| match call {
        Call::Folder(path) => path.contains("/store/blobs"),
        _ => true,
    };
    let calls: Vec<Call> =
        whole(&text).iter().filter_map(|line| Call::read(line, told)).filter(counts).collect();
    let count = |wanted: fn(&Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
    assert_eq!(count(|call| matches!(call, Call::Acknowledge)), 3, "{calls:#?}");
    assert_eq!(count(|call| matches!(call, Call::Rename(..))), 7, "{calls:#?}");
    assert_eq!(too_early(&calls), None, "{calls:#?}");
}
