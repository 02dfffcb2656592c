use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use grit_git::{EntryKind, Git, GitError, Repository};
use grit_testkit::{TestRepo, git, repo, temp_dir};
use grit_types::{CommitId, ObjectId, Timestamp};

fn shop() -> (TestRepo, Repository) {
    let shop = repo()
        .file("README", "shop\n")
        .file("api/src/main.rs", "fn main() {}\n")
        .executable("api/run.sh", "#!/bin/sh\n")
        .symlink("link", "README")
        .commit("first thing\n\nand why")
        .tag("v1.0.0")
        .file("README", "shop 2\n")
        .commit("second");
    let repository = Repository::open(shop.path()).unwrap();
    (shop, repository)
}

#[test]
fn found_from_anywhere_inside() {
    let (shop, repository) = shop();
    let inside = Repository::discover(&shop.path().join("api/src")).unwrap();
    assert_eq!(inside.git_dir(), repository.git_dir());
    assert_eq!(inside.worktree().unwrap(), shop.path().canonicalize().unwrap());
    let nowhere = temp_dir();
    for path in [nowhere.path().to_owned(), nowhere.path().join("missing")] {
        assert!(Repository::discover(&path).is_err());
        assert!(Repository::open(&path).is_err());
    }
    assert!(matches!(Repository::open(nowhere.path()), Err(GitError::NotARepository { .. })));
}

#[test]
fn a_linked_working_tree_shares_the_repository() {
    let (shop, repository) = shop();
    let place = temp_dir();
    let other = place.path().join("other");
    shop.git(&["worktree", "add", "--quiet", other.to_str().unwrap(), "v1.0.0"]);
    let linked = Repository::open(&other).unwrap();
    assert_eq!(linked.common_dir(), repository.common_dir());
    assert_eq!(linked.resolve("main").unwrap(), Some(shop.head()));
}

#[test]
fn revisions() {
    let (shop, repository) = shop();
    let head = shop.head();
    let first: CommitId = shop.git(&["rev-parse", "HEAD~1"]).parse().unwrap();
    for text in ["HEAD", "main", "refs/heads/main", head.as_str(), head.short()] {
        assert_eq!(repository.resolve(text).unwrap(), Some(head.clone()), "{text}");
    }
    for text in ["v1.0.0", "refs/tags/v1.0.0", &first.as_str()[..6]] {
        assert_eq!(repository.resolve(text).unwrap(), Some(first.clone()), "{text}");
    }
    let tags = repository.tags().unwrap();
    assert_eq!(tags.len(), 1);
    assert_eq!((tags[0].name.as_str(), &tags[0].commit), ("refs/tags/v1.0.0", &first));
    let at = repository.head().unwrap();
    assert_eq!((at.branch.unwrap().as_str(), at.commit), ("refs/heads/main", Some(head)));
}

#[test]
fn hostile_revisions_name_nothing() {
    let (shop, repository) = shop();
    let tree = shop.git(&["rev-parse", "HEAD^{tree}"]);
    let long = "a".repeat(10_000);
    for text in [
        "",
        " ",
        "-",
        "--all",
        "--upload-pack=x",
        "HEAD~1",
        "HEAD^",
        "main:README",
        ":/first",
        "main@{0}",
        "@{-1}",
        "@",
        "..",
        "main..HEAD",
        "../config",
        "refs/../config",
        "/etc/passwd",
        "\0",
        "\n",
        "ä",
        "abc",
        "ffffffffff",
        "0000000000000000000000000000000000000000",
        "refs/",
        &tree,
        &tree[..8],
        &long,
    ] {
        assert_eq!(repository.resolve(text).unwrap(), None, "{text:?}");
    }
}

#[test]
fn a_beginning_of_several_ids_is_ambiguous() {
    let shop = repo();
    // Among 2,000 ids, about thirty pairs share their first four digits.
    let mut stream = String::new();
    for number in 0..2_000 {
        let time = 1_767_323_045 + number;
        stream += &format!("commit refs/heads/main\ncommitter A <a@b> {time} +0000\ndata 1\nx\n");
    }
    let import = Git::new("fast-import").repository(&shop.path().join(".git")).flag("--quiet");
    import.input(stream.into_bytes()).run().unwrap();
    let mut ids: Vec<String> = shop.git(&["rev-list", "main"]).lines().map(str::to_owned).collect();
    ids.sort();
    let same_beginning = |pair: &&[String]| pair[0][..4] == pair[1][..4];
    let pair = ids.windows(2).find(same_beginning).expect("a pair that shares four digits");

    let repository = Repository::open(shop.path()).unwrap();
    let refused = repository.resolve(&pair[0][..4]);
    let Err(GitError::Ambiguous { first, others, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((first.as_str(), others >= 1), (pair[0].as_str(), true));
    for id in pair {
        assert_eq!(repository.resolve(id).unwrap().unwrap().as_str(), id);
    }
}

#[test]
fn an_unborn_branch_has_no_commit() {
    let place = temp_dir();
    let bare = Repository::init_bare(&place.path().join("x.git")).unwrap();
    let head = bare.head().unwrap();
    assert_eq!((head.branch.unwrap().as_str(), head.commit), ("refs/heads/main", None));
    assert_eq!(bare.resolve("HEAD").unwrap(), None);
    assert_eq!(bare.tags().unwrap(), []);
    assert_eq!(bare.worktree(), None);
}

#[test]
fn commits() {
    let (shop, repository) = shop();
    let head = shop.head();
    let info = repository.commit_info(&head).unwrap();
    let first = repository.commit_info(&info.parents[0]).unwrap();
    assert_eq!((info.subject.as_str(), first.subject.as_str()), ("second", "first thing"));
    assert_eq!(first.author, "Ada");
    assert_eq!(first.parents, []);
    assert_eq!(first.author_time, Timestamp::parse_rfc3339("2026-01-02T03:04:05Z").unwrap());
    assert_eq!(info.committer_time, Timestamp::parse_rfc3339("2026-01-02T03:05:05Z").unwrap());
    assert_eq!(info.tree.to_string(), shop.git(&["rev-parse", "HEAD^{tree}"]));

    let between = |from, limit| repository.commits_between(from, &head, limit).unwrap();
    assert_eq!(between(None, 10), [head.clone(), first.id.clone()]);
    assert_eq!(between(None, 1), std::slice::from_ref(&head));
    assert_eq!(between(Some(&first.id), 10), std::slice::from_ref(&head));
    assert_eq!(between(Some(&head), 10), []);
    let nothing: CommitId = "1".repeat(40).parse().unwrap();
    let unknown: CommitId = "1".repeat(64).parse().unwrap();
    for missing in [&nothing, &unknown] {
        assert!(matches!(repository.commit_info(missing), Err(GitError::NoObject { .. })));
        assert!(repository.commits_between(Some(missing), &head, 10).is_err());
        assert!(repository.commits_between(None, missing, 10).is_err());
    }
}

#[test]
fn files_and_folders() {
    let (shop, repository) = shop();
    let head = shop.head();
    let read = |path, limit| repository.read_file(&head, path, limit);
    assert_eq!(read("README", 7).unwrap().unwrap(), b"shop 2\n");
    assert_eq!(read("api/src/main.rs", 100).unwrap().unwrap(), b"fn main() {}\n");
    let refused = read("README", 6);
    assert!(matches!(refused, Err(GitError::TooLarge { bytes: 7, limit: 6, .. })), "{refused:?}");
    for path in ["", "/", "api", "link", "../x", "./README", "/README", "README/", "a//b", "\0"] {
        assert_eq!(read(path, 100).unwrap(), None, "{path:?}");
    }
    let oid = |path: &str| repository.tree_oid(&head, path).unwrap();
    assert_eq!(oid("api").unwrap().to_string(), shop.git(&["rev-parse", "HEAD:api"]));
    assert_eq!(oid("").unwrap(), repository.commit_info(&head).unwrap().tree);
    assert_eq!(oid("nothing"), None);

    let entries = repository.list_dir(&head, "").unwrap().unwrap();
    let shown: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    let (file, folder, link) = (EntryKind::File, EntryKind::Folder, EntryKind::Symlink);
    assert_eq!(shown, [("README", file), ("api", folder), ("link", link)]);
    let api = repository.list_dir(&head, "api").unwrap().unwrap();
    assert_eq!(api[0].kind, EntryKind::Executable);
    assert_eq!(repository.list_dir(&head, "README").unwrap(), None);
    assert_eq!(repository.list_dir(&head, "nothing").unwrap(), None);
}

#[test]
fn what_git_writes_later_is_seen() {
    let (shop, repository) = shop();
    let shop = shop.file("new", "x").commit("third");
    shop.git(&["gc", "--quiet"]);
    assert_eq!(repository.resolve("main").unwrap(), Some(shop.head()));
    assert!(repository.read_file(&shop.head(), "new", 10).unwrap().is_some());
}

#[test]
fn replacements_that_a_push_brought_are_not_followed() {
    let (shop, repository) = shop();
    let head = shop.head();
    shop.git(&["replace", "HEAD", "HEAD~1"]);
    let repository_again = Repository::open(shop.path()).unwrap();
    for repository in [repository, repository_again] {
        assert_eq!(repository.commit_info(&head).unwrap().subject, "second");
    }
}

#[test]
fn a_hosted_repository_is_whole_at_once() {
    let place = temp_dir();
    let path = place.path().join("deep/er/x.git");
    Repository::init_bare(&path).unwrap();
    assert!(matches!(Repository::init_bare(&path), Err(GitError::Exists { .. })));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a draft is left");
    let config = |name: &str| git(&path, &["config", "--get", name]);
    assert_eq!(config("core.fsync"), "all");
    assert_eq!(config("transfer.fsckObjects"), "true");
    assert_eq!(config("gc.auto"), "0");
    assert_eq!(git(&path, &["rev-parse", "--is-bare-repository"]), "true");
    assert!(!path.join("reftable").exists() && path.join("refs/heads").is_dir());
    git(&path, &["fsck", "--strict"]);
}

#[test]
fn another_ref_format_is_refused() {
    let place = temp_dir();
    let path = place.path().join("x");
    git(place.path(), &["init", "--quiet", "x"]);
    assert!(Repository::open(&path).is_ok());
    // As `git init --ref-format=reftable` lays it out, which older gits do not know.
    fs::create_dir(path.join(".git/reftable")).unwrap();
    git(&path, &["config", "core.repositoryFormatVersion", "1"]);
    git(&path, &["config", "extensions.refStorage", "reftable"]);
    assert!(Repository::open(&path).is_err());
}

#[test]
fn export_writes_what_was_committed() {
    let (shop, repository) = shop();
    let place = temp_dir();
    let into = place.path().join("work/space");
    repository.export_tree(&shop.head(), &into).unwrap();
    assert_eq!(fs::read(into.join("README")).unwrap(), b"shop 2\n");
    assert_eq!(fs::read_link(into.join("link")).unwrap(), PathBuf::from("README"));
    let mode = |path: &str| fs::metadata(into.join(path)).unwrap().permissions().mode() & 0o111;
    assert_ne!(mode("api/run.sh"), 0);
    assert_eq!(mode("api/src/main.rs"), 0);
    assert!(!into.join(".git").exists());
    let again = repository.export_tree(&shop.head(), &into);
    assert!(matches!(again, Err(GitError::Exists { .. })), "{again:?}");
}

/// A commit of a tree that git itself would never make.
fn commit_of(shop: &TestRepo, entries: &[(&str, &str, &str)]) -> CommitId {
    let mut tree = Vec::new();
    for (mode, name, id) in entries {
        tree.extend(format!("{mode} {name}\0").bytes());
        let digits = id.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        tree.extend(digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    }
    let hashed = Git::new("hash-object")
        .repository(&shop.path().join(".git"))
        .flag("--literally")
        .flag("--stdin")
        .flag("-w")
        .option("-t", "tree")
        .input(tree)
        .run()
        .unwrap();
    let tree = String::from_utf8(hashed.stdout).unwrap();
    let tree: ObjectId = tree.trim().parse().unwrap();
    shop.git(&["commit-tree", "-m", "hostile", tree.as_str()]).parse().unwrap()
}

#[test]
fn nothing_is_written_through_a_link() {
    let (shop, repository) = shop();
    let place = temp_dir();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(place.path().join("target"), outside.to_str().unwrap()).unwrap();
    let link = shop.git(&["hash-object", "-w", place.path().join("target").to_str().unwrap()]);
    let folder = shop.git(&["rev-parse", "HEAD:api"]);
    let file = shop.git(&["rev-parse", "HEAD:README"]);
    for entries in [
        [("120000", "a", link.as_str()), ("40000", "a", folder.as_str())],
        [("40000", "a", folder.as_str()), ("120000", "a", link.as_str())],
        [("120000", "a", link.as_str()), ("100644", "a/b", file.as_str())],
        [("100644", "ok", file.as_str()), ("40000", "..", folder.as_str())],
        [("100644", "ok", file.as_str()), ("40000", ".git", folder.as_str())],
    ] {
        let commit = commit_of(&shop, &entries);
        let into = temp_dir();
        assert!(repository.export_tree(&commit, into.path()).is_err(), "{entries:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{entries:?}");
    }
    // A link that leads out is only a link.
    let commit = commit_of(&shop, &[("120000", "a", &link), ("40000", "b", &folder)]);
    let into = temp_dir();
    repository.export_tree(&commit, into.path()).unwrap();
    assert_eq!(fs::read_link(into.path().join("a")).unwrap(), outside);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}
