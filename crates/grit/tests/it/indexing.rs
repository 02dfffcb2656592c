//! Issues are read through an index, which is never more than what the refs say.

use std::path::{Path, PathBuf};

use crate::env::Env;

struct Desk {
    env: Env,
    one: PathBuf,
}

impl Desk {
    /// A clone of a hosted repository.
    fn new() -> Self {
        let env = Env::new();
        let seed = env.repository("seed", &[("README", "seed\n")]);
        env.host(&seed);
        std::fs::remove_dir_all(seed).unwrap();
        let desk = Self { one: env.path("one"), env };
        desk.clone("one");
        desk
    }

    fn clone(&self, name: &str) -> PathBuf {
        self.env.clone(name)
    }

    fn create(&self, title: &str) -> String {
        let out = self.env.grit(&self.one, &["issue", "create", "--title", title]);
        out.expect_code(0).stdout.trim_end().to_owned()
    }

    fn count(&self, clone: &Path) -> usize {
        let out = self.env.grit(clone, &["issue", "list"]).expect_code(0);
        assert_eq!(out.stderr, "", "nothing is wrong");
        out.stdout.lines().count()
    }

    fn index(&self) -> PathBuf {
        self.one.join(".git/grit/index.db")
    }
}

#[test]
fn refs_that_somebody_else_moved_are_noticed() {
    let desk = Desk::new();
    desk.create("a");
    desk.create("b");
    desk.env.grit(&desk.one, &["sync"]).expect_code(0);
    let two = desk.clone("two");
    assert_eq!(desk.count(&two), 0);
    desk.env.git(&two, &["fetch", "--quiet", "origin", "refs/grit/a/*:refs/grit/a/*"]);
    assert_eq!(desk.count(&two), 2);
    let lane = desk.env.git(&two, &["for-each-ref", "--format=%(refname)", "refs/grit/a"]);
    let lane = lane.lines().next().unwrap();
    desk.env.git(&two, &["update-ref", lane, &format!("{lane}^")]);
    assert_eq!(desk.count(&two), 1);
    desk.env.git(&two, &["update-ref", "-d", lane]);
    assert_eq!(desk.count(&two), 0);
    desk.env.git(&two, &["fetch", "--quiet", "origin", &format!("+{lane}:{lane}")]);
    desk.env.git(&two, &["pack-refs", "--all"]);
    desk.env.git(&two, &["gc", "--quiet"]);
    assert_eq!(desk.count(&two), 2);
}

#[test]
fn an_index_that_is_worth_nothing_is_made_anew() {
    let desk = Desk::new();
    let id = desk.create("a");
    for bytes in [&b""[..], b"garbage", &[0xa5; 40_000]] {
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(desk.one.join(format!(".git/grit/index.db{end}")));
        }
        std::fs::write(desk.index(), bytes).unwrap();
        assert_eq!(desk.count(&desk.one), 1);
    }
    std::fs::remove_file(desk.index()).unwrap();
    desk.env.grit(&desk.one, &["issue", "close", &id]).expect_code(0);
    assert_eq!(desk.count(&desk.one), 0);
}

#[test]
fn the_doctor_names_a_broken_index_and_mends_it() {
    let desk = Desk::new();
    desk.create("a");
    let healthy = desk.env.grit(&desk.one, &["doctor"]).expect_code(0).stdout;
    assert!(!healthy.contains("index"), "{healthy}");
    let _ = std::fs::remove_file(desk.one.join(".git/grit/index.db-wal"));
    std::fs::write(desk.index(), "garbage").unwrap();
    let findings = desk.env.grit(&desk.one, &["doctor"]).expect_code(1).stdout;
    assert!(findings.contains("index.db`, is broken: "), "{findings}");
    let findings = desk.env.grit(&desk.one, &["doctor", "--repair"]).expect_code(0).stdout;
    assert!(findings.contains("repaired: the index of issues"), "{findings}");
    let healthy = desk.env.grit(&desk.one, &["doctor"]).expect_code(0).stdout;
    assert!(!healthy.contains("index"), "{healthy}");
    assert_eq!(desk.count(&desk.one), 1);
}

#[test]
fn a_git_folder_that_takes_no_index_is_read_all_the_same() {
    let desk = Desk::new();
    desk.create("a");
    desk.env.grit(&desk.one, &["sync"]).expect_code(0);
    let two = desk.clone("two");
    desk.env.grit(&two, &["sync"]).expect_code(0);
    let name = two.join(".git/grit/index.lock");
    let _ = std::fs::remove_file(&name);
    // As in a folder that cannot be written, which root could all the same.
    std::fs::create_dir_all(&name).unwrap();
    assert_eq!(desk.count(&two), 1);
    desk.env.grit(&two, &["issue", "create", "--title", "b"]).expect_code(0);
    assert_eq!(desk.count(&two), 2);
    let findings = desk.env.grit(&two, &["doctor"]).expect_code(0).stdout;
    assert!(findings.contains("cannot be used"), "{findings}");
}

#[test]
fn issues_are_asked_for_and_changed_without_a_remote() {
    let desk = Desk::new();
    let id = desk.create("a");
    std::fs::rename(desk.env.path("hosted.git"), desk.env.path("away.git")).unwrap();
    desk.env.grit(&desk.one, &["issue", "comment", &id, "--body", "said"]).expect_code(0);
    assert_eq!(desk.count(&desk.one), 1);
    let told = desk.env.grit(&desk.one, &["issue", "history", &id]).expect_code(0);
    assert_eq!((told.stdout.lines().count(), told.stderr.as_str()), (3, ""));
    let told = desk.env.grit(&desk.one, &["history"]).expect_code(0).stderr;
    assert!(told.contains("`grit sync --audit`"), "{told}");
}
