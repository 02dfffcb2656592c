//! The order in which a traced program makes things durable: what `strace -f -y` wrote, against the
//! rule that a file is synced before it gets its name, the objects before the ref that names them,
//! and every folder before the answer.

use std::collections::{BTreeMap, BTreeSet};

/// The calls that [`Call::read`] knows, as `strace -e trace=` wants them.
pub const CALLS: &str = "fsync,fdatasync,link,linkat,mkdir,mkdirat,rename,renameat,renameat2,write";

/// One call that had an effect; paths as the program gave them, or absolute where it was a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A file or folder is durable.
    Sync(String),
    /// A folder was made.
    Folder(String),
    /// A second name: from, to.
    Link(String, String),
    /// Another name: from, to.
    Rename(String, String),
    /// The program has told that it is done.
    Acknowledge,
}

impl Call {
    /// Reads one line of `strace -f -y -e trace=CALLS`. Calls that failed had no effect; what was
    /// written to standard output is an acknowledgement where `acknowledges` says so.
    pub fn read(line: &str, acknowledges: impl Fn(&str) -> bool) -> Option<Self> {
        let (_, line) = line.split_once(' ')?;
        let (name, rest) = line.trim_start().split_once('(')?;
        let quoted: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        if rest.contains(" = -1 ") {
            return None;
        }
        let first = || Some((*quoted.first()?).to_owned());
        let two = || Some((first()?, (*quoted.get(1)?).to_owned()));
        match name {
            "fsync" | "fdatasync" => {
                let (_, path) = rest.split_once('<')?;
                Some(Self::Sync(path.split_once('>')?.0.to_owned()))
            }
            "mkdir" | "mkdirat" => first().map(Self::Folder),
            "link" | "linkat" => two().map(|(from, to)| Self::Link(from, to)),
            "rename" | "renameat" | "renameat2" => two().map(|(from, to)| Self::Rename(from, to)),
            "write" if rest.starts_with("1<") => {
                let text = quoted.first()?.trim_end_matches("\\n");
                acknowledges(text).then_some(Self::Acknowledge)
            }
            _ => None,
        }
    }
}

/// The lines of a trace, each call whole, where it ended: `strace` writes one that another thread's
/// came in between as two.
pub fn whole(trace: &str) -> Vec<String> {
    let (mut begun, mut lines) = (BTreeMap::new(), Vec::new());
    for line in trace.lines() {
        let (task, call) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(start) = line.strip_suffix("<unfinished ...>") {
            begun.insert(task, start);
        } else if let Some((_, end)) = call.split_once(" resumed>") {
            lines.extend(begun.remove(task).map(|start| format!("{}{end}", start.trim_end())));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// The first thing that was done too early, said in words; none where all is in order.
pub fn too_early(calls: &[Call]) -> Option<String> {
    let mut synced = BTreeSet::new();
    let mut unsynced_folders = BTreeSet::new();
    for call in calls {
        match call {
            Call::Sync(path) => {
                synced.insert(path.clone());
                unsynced_folders.remove(path);
            }
            Call::Folder(path) => drop(unsynced_folders.insert(folder(path))),
            Call::Link(from, to) => {
                if !synced.contains(from) {
                    return Some(format!("{from} got a second name before it was synced"));
                }
                synced.insert(to.clone());
                unsynced_folders.insert(folder(to));
            }
            Call::Rename(from, to) => {
                if !synced.contains(from) {
                    return Some(format!("{to} got its name before it was synced"));
                }
                let objects = unsynced_folders.iter().find(|path| path.contains("/objects"));
                if let Some(objects) = objects.filter(|_| to.contains("/refs/")) {
                    return Some(format!("{to} moved before {objects} was durable"));
                }
                unsynced_folders.insert(folder(to));
            }
            Call::Acknowledge if !unsynced_folders.is_empty() => {
                return Some(format!("acknowledged before {unsynced_folders:?} were synced"));
            }
            Call::Acknowledge => {}
        }
    }
    None
}

fn folder(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_in_two_lines_is_one() {
        let trace = "1 mkdir(\"/a\", 0777 <unfinished ...>\n2 fsync(3</b>) = 0\n\
                     1 <... mkdir resumed>) = -1 EEXIST (File exists)\n";
        let calls = whole(trace);
        assert_eq!(calls[1], "1 mkdir(\"/a\", 0777) = -1 EEXIST (File exists)");
        let read: Vec<Call> = calls.iter().filter_map(|line| Call::read(line, |_| false)).collect();
        assert_eq!(read, [Call::Sync("/b".to_owned())]);
    }

    #[test]
    fn what_is_out_of_order_is_seen() {
        let sync = |path: &str| Call::Sync(path.to_owned());
        let rename = Call::Rename("/o/tmp".to_owned(), "/o/x".to_owned());
        let right = vec![sync("/o/tmp"), rename, sync("/o"), Call::Acknowledge];
        assert_eq!(too_early(&right), None);
        for left_out in [0, 2] {
            let mut wrong = right.clone();
            wrong.remove(left_out);
            assert!(too_early(&wrong).is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn a_ref_moves_after_its_objects() {
        let path = |path: &str| path.to_owned();
        let calls = [
            Call::Sync(path("/x.git/objects/tmp")),
            Call::Rename(path("/x.git/objects/tmp"), path("/x.git/objects/ab/cd")),
            Call::Sync(path("/x.git/refs/lock")),
            Call::Rename(path("/x.git/refs/lock"), path("/x.git/refs/a")),
        ];
        assert!(too_early(&calls).is_some_and(|what| what.contains("objects/ab")));
    }

    #[test]
    fn lines_of_strace() {
        let read = |line| Call::read(line, |text| text == "done");
        assert_eq!(read("7 fsync(3</x/y>) = 0"), Some(Call::Sync("/x/y".to_owned())));
        assert_eq!(
            read(r#"7 rename("/x/a", "/x/b") = 0"#),
            Some(Call::Rename("/x/a".to_owned(), "/x/b".to_owned()))
        );
        assert_eq!(read(r#"7 mkdir("/x", 0777) = -1 EEXIST (File exists)"#), None);
        assert_eq!(read(r#"7 write(1</dev/pts/0>, "done\n", 5) = 5"#), Some(Call::Acknowledge));
        assert_eq!(read(r#"7 write(1</dev/pts/0>, "else\n", 5) = 5"#), None);
    }
}
