use std::fs;
use std::path::Path;

use grit_blob::{ARTIFACT_TYPE, Layout, LayoutError, MANIFEST_TYPE, TAR_TYPE};
use grit_types::Digest;
use serde_json::{Value, json};
use tar::{EntryType, Header};

use crate::support::{layout, names};

/// One entry of an archive, written as an attacker would: without any check.
#[derive(Clone)]
struct Entry {
    kind: EntryType,
    name: Vec<u8>,
    link: &'static str,
    mode: u32,
    content: Vec<u8>,
}

fn entry(kind: EntryType, name: &str, link: &'static str) -> Entry {
    let name = name.as_bytes().to_vec();
    Entry { kind, name, link, mode: 0o644, content: Vec::new() }
}

fn file(name: &str) -> Entry {
    Entry { content: b"content".to_vec(), ..entry(EntryType::Regular, name, "") }
}

fn link(name: &str, target: &'static str) -> Entry {
    entry(EntryType::Symlink, name, target)
}

fn header(entry: &Entry, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..entry.name.len()].copy_from_slice(&entry.name);
    header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
    header.set_entry_type(entry.kind);
    header.set_mode(entry.mode);
    header.set_size(size);
    header.set_cksum();
    header
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(header(entry, entry.content.len() as u64).as_bytes());
        bytes.extend_from_slice(&entry.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

fn manifest(layout: &Layout, archive: &[u8], change: impl FnOnce(&mut Value)) -> Digest {
    let layer = layout.blobs().put(&mut &*archive).unwrap();
    let config = layout.blobs().put(&mut &b"{}"[..]).unwrap();
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": ARTIFACT_TYPE,
        "config": {"mediaType": "m", "digest": config.digest, "size": 2},
        "layers": [{"mediaType": TAR_TYPE, "digest": layer.digest, "size": layer.size}],
    });
    change(&mut manifest);
    layout.blobs().put(&mut manifest.to_string().as_bytes()).unwrap().digest
}

fn unpack(layout: &Layout, entries: &[Entry], into: &Path) -> Result<(), LayoutError> {
    layout.unpack(manifest(layout, &archive(entries), |_| ()), into)
}

#[test]
fn attacks_leave_nothing_behind() {
    let (root, layout) = layout();
    let place = root.path().join("place");
    let folder = |name: &str| entry(EntryType::Directory, name, "");
    let extension = |kind: u8, text: &str| Entry {
        content: text.as_bytes().to_vec(),
        ..entry(EntryType::new(kind), "extension", "")
    };
    let setuid = Entry { mode: 0o4755, ..file("su") };
    let setgid = Entry { mode: 0o2755, ..folder("group") };
    let attacks: Vec<(&str, Vec<Entry>)> = vec![
        ("a parent", vec![file("../out")]),
        ("a parent within", vec![folder("a"), file("a/../../out")]),
        ("an absolute path", vec![file("/tmp/grit-attack")]),
        ("no name", vec![file("")]),
        ("the root as a file", vec![file(".")]),
        ("an absolute link", vec![link("l", "/etc")]),
        ("a link out", vec![link("l", "..")]),
        ("a link out from below", vec![folder("a"), link("a/l", "../../x")]),
        ("a link back through a link", vec![link("up", "."), link("l", "up/../..")]),
        ("an empty link", vec![link("l", "")]),
        ("a file through a link", vec![folder("d"), link("l", "d"), file("l/x")]),
        ("a folder through a link", vec![folder("d"), link("l", "d"), folder("l/x")]),
        ("a file over a link", vec![link("l", "x"), file("l")]),
        ("a link over a folder", vec![folder("d"), link("d", "x")]),
        ("a folder over a link", vec![link("l", "x"), folder("l")]),
        ("a file twice", vec![file("a"), file("./a")]),
        ("a file below a file", vec![file("a"), file("a/b")]),
        ("a hard link out", vec![entry(EntryType::Link, "h", "../place")]),
        ("a hard link to a root file", vec![entry(EntryType::Link, "h", "/etc/passwd")]),
        ("a hard link to a link", vec![link("l", "x"), entry(EntryType::Link, "h", "l")]),
        ("a hard link to nothing", vec![entry(EntryType::Link, "h", "x")]),
        ("a device", vec![entry(EntryType::Char, "null", "")]),
        ("a block device", vec![entry(EntryType::Block, "sda", "")]),
        ("a pipe", vec![entry(EntryType::Fifo, "pipe", "")]),
        ("another type", vec![entry(EntryType::new(b'Z'), "z", "")]),
        ("a sparse file", vec![entry(EntryType::GNUSparse, "s", "")]),
        ("setuid", vec![setuid]),
        ("setgid", vec![setgid]),
        ("the marker", vec![file(".grit-artifact")]),
        ("a long name out", vec![extension(b'L', "../out\0"), file("x")]),
        ("a long link out", vec![extension(b'K', "/etc\0"), link("x", "y")]),
        ("a NUL in a long name", vec![extension(b'L', "a\0b"), file("x")]),
        ("an extended name out", vec![extension(b'x', "15 path=../out\n"), file("x")]),
        ("an extended link out", vec![extension(b'x', "17 linkpath=/etc\n"), link("x", "y")]),
        ("an extended size", vec![extension(b'x', "10 size=7\n"), file("x")]),
        ("a broken extension", vec![extension(b'x', "99 x\n"), file("x")]),
        ("a name of 5,000", vec![extension(b'L', &"n/".repeat(2_500)), file("x")]),
        ("depth", vec![extension(b'L', &"n/".repeat(200)), file("x")]),
        ("a name of 100,000", vec![extension(b'L', &"n".repeat(100_000)), file("x")]),
    ];
    for (what, entries) in attacks {
        let sound_first = [vec![file("sound")], entries].concat();
        let error = unpack(&layout, &sound_first, &place.join("root"));
        let Err(
            LayoutError::Refused { .. } | LayoutError::TooMuch { .. } | LayoutError::Archive { .. },
        ) = error
        else {
            panic!("{what}: {error:?}");
        };
        assert_eq!(names(&place), [""; 0], "{what}");
    }
    assert!(!Path::new("/tmp/grit-attack").exists());
}

#[test]
fn archives_of_other_tools_are_unpacked() {
    let (root, layout) = layout();
    let into = root.path().join("root");
    let extended = Entry {
        content: b"15 path=a/long\n20 SCHILY.x=ignored\n".to_vec(),
        ..entry(EntryType::XHeader, "PaxHeaders/x", "")
    };
    let entries = [
        entry(EntryType::XGlobalHeader, "pax_global_header", ""),
        entry(EntryType::Directory, "./", ""),
        file("./implied/folders/x"),
        entry(EntryType::Regular, "old/", ""),
        entry(EntryType::Link, "hard", "./implied/folders/x"),
        extended,
        file("shortened"),
    ];
    unpack(&layout, &entries, &into).unwrap();
    let expected = [
        ".grit-artifact",
        "a",
        "a/long",
        "hard",
        "implied",
        "implied/folders",
        "implied/folders/x",
        "old",
    ];
    assert_eq!(names(&into), expected);
    assert_eq!(fs::read_to_string(into.join("hard")).unwrap(), "content");
}

#[test]
fn a_size_beyond_the_limit_is_refused_before_it_is_written() {
    let (root, layout) = layout();
    let into = root.path().join("root");
    for (size, what) in [(9 << 30, "too much"), (u64::MAX / 2, "too much"), (1 << 20, "cut off")] {
        let bytes = header(&file("bomb"), size).as_bytes().to_vec();
        let error = layout.unpack(manifest(&layout, &bytes, |_| ()), &into).unwrap_err();
        let told = match error {
            LayoutError::TooMuch { .. } => "too much",
            LayoutError::Archive { .. } => "cut off",
            other => panic!("{size}: {other:?}"),
        };
        assert_eq!(told, what);
        assert!(!into.exists());
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let (root, layout) = layout();
    let garbage = manifest(&layout, &[b'x'; 5_000], |_| ());
    let error = layout.unpack(garbage, &root.path().join("root")).unwrap_err();
    assert!(matches!(error, LayoutError::Archive { .. }), "{error:?}");
}

#[test]
fn manifests_of_other_things_are_refused() {
    let (root, layout) = layout();
    let into = root.path().join("root");
    let bytes = archive(&[file("x")]);
    let unsupported = |change: fn(&mut Value)| {
        let error = layout.unpack(manifest(&layout, &bytes, change), &into).unwrap_err();
        assert!(matches!(error, LayoutError::Unsupported { .. }), "{error:?}");
    };
    unsupported(|m| m["schemaVersion"] = json!(1));
    unsupported(|m| m["artifactType"] = json!("application/other"));
    unsupported(|m| m["layers"] = json!([]));
    unsupported(|m| m["layers"] = json!([m["layers"][0], m["layers"][0]]));
    unsupported(|m| m["layers"][0]["mediaType"] = json!(format!("{TAR_TYPE}+gzip")));
    unsupported(|m| m["layers"][0]["size"] = json!(1));
    for digest in ["sha256:../../etc/passwd", "sha512:00", "../x"] {
        let hostile = manifest(&layout, &bytes, |m| m["layers"][0]["digest"] = json!(digest));
        let error = layout.unpack(hostile, &into).unwrap_err();
        assert!(matches!(error, LayoutError::Malformed { .. }), "{error:?}");
    }
    assert!(!into.exists());
}
