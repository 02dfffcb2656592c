//! Layers 0 to 3 decide: time, randomness, files, processes and the network come in as arguments.
//!
//! The scan is quick and sees every line outside tests; clippy.toml's bans, which `cargo xtask test` turns into
//! errors for the same crates, see through aliases and imports.

use crate::layers;

use super::{
    Findings,
    source::{self, Source},
};

/// Modules of the standard library that reach out of the process.
const MODULES: &[(&str, &str)] = &[
    ("env", "the environment is read once, in the binary, and handed down"),
    ("fs", "files belong to adapters; take bytes, or define a port"),
    ("net", "sockets belong to adapters; protocol cores take bytes"),
    ("process", "processes belong to grit-host; return an effect"),
];

/// Calls that answer differently each time.
const CALLS: &[(&str, &str)] = &[
    ("Instant::now", "take `now: Timestamp` as an argument"),
    ("SystemTime::now", "take `now: Timestamp` as an argument"),
    ("Timestamp::now", "take `now: Timestamp` as an argument"),
    ("TimeZone::system", "take the time zone as an argument"),
    ("Zoned::now", "take `now: Timestamp` as an argument"),
    ("thread::sleep", "waiting is an effect: WakeAt"),
    ("thread::spawn", "concurrency belongs to shells"),
];

pub fn check(source: &Source, findings: &mut Findings) {
    let Some(name) = pure_crate(&source.path) else { return };
    let mut forbid = |at: usize, what: &str, remedy: &str| {
        if !source.is_test(at) {
            let message =
                format!("`{what}` in {name}, which only decides (layers 0 to 3); {remedy}");
            findings.add(&source.path, source.line(at), message);
        }
    };
    for (call, remedy) in CALLS {
        for at in source.find(call) {
            forbid(at, call, remedy);
        }
    }
    for (module, remedy) in MODULES {
        let path = format!("std::{module}");
        for at in source.find(&path).into_iter().chain(grouped(&source.code, module)) {
            forbid(at, &path, remedy);
        }
    }
}

/// The pure crate whose sources the file belongs to.
fn pure_crate(path: &str) -> Option<&'static str> {
    let (folder, inside) = path.strip_prefix("crates/")?.split_once('/')?;
    let found = layers::pure_crates().find(|name| name.strip_prefix("grit-") == Some(folder));
    found.filter(|_| inside.starts_with("src/"))
}

/// Places of `MODULE` directly in a `std::{…}` group.
fn grouped(code: &str, module: &str) -> Vec<usize> {
    let mut places = Vec::new();
    for (at, opening) in code.match_indices("std::{") {
        let open = at + opening.len() - 1;
        let end = source::closing(code, open);
        for place in source::find_word(&code[open..end], module) {
            let before = &code[open..open + place];
            let depth = before.matches('{').count() - before.matches('}').count();
            if depth == 1 && before.trim_end().ends_with(['{', ',']) {
                places.push(open + place);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(&Source::new(path.into(), text.into()), &mut findings);
        findings.lines()
    }

    #[test]
    fn reaching_out_is_refused_in_pure_crates_only() {
        let text = "use std::{collections::BTreeMap, fs, io::{self, Read}};\nfn f() { std::time::Instant::now(); }\n";
        let found = findings("crates/rollout/src/machine.rs", text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("crates/rollout/src/machine.rs:2: `Instant::now` in grit-rollout")
        );
        assert!(found[1].starts_with("crates/rollout/src/machine.rs:1: `std::fs` in grit-rollout"));
        assert!(findings("crates/host/src/spawn.rs", text).is_empty());
        assert!(findings("crates/rollout/tests/it/main.rs", text).is_empty());
    }

    #[test]
    fn tests_comments_and_neighbours_are_free() {
        let text = "\
//! Never calls `SystemTime::now`.
use std::{io::{net, process}, fmt};
fn f(environment: &str) { my_std::fs(); MyInstant::now(); format!(\"std::env\"); }
#[cfg(test)]
mod tests { fn t() { std::fs::read(\"x\"); } }
";
        assert_eq!(findings("crates/types/src/lib.rs", text), Vec::<String>::new());
    }
}
