use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use grit_blob::{BlobError, FileBlobs};
use grit_types::Digest;

use crate::support::names;

fn blobs() -> (tempfile::TempDir, FileBlobs) {
    let root = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(root.path()).unwrap();
    (root, blobs)
}

fn unfinished(root: &Path) -> Vec<String> {
    names(&root.join(".grit/tmp"))
}

#[test]
fn what_is_put_is_found_under_its_digest() {
    let (root, blobs) = blobs();
    let content = b"content ".repeat(100_000);
    let put = blobs.put(&mut &content[..]).unwrap();
    assert_eq!((put.digest, put.size), (Digest::of(&content), content.len() as u64));
    let path = root.path().join("blobs/sha256").join(put.digest.hex());
    assert_eq!(fs::read(path).unwrap(), content);

    assert_eq!(blobs.put(&mut &content[..]).unwrap(), put);
    assert!(blobs.contains(put.digest).unwrap());
    assert_eq!(blobs.verify(put.digest).unwrap(), put);
    let mut read = Vec::new();
    blobs.get(put.digest).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, content);
    assert_eq!(names(&root.path().join("blobs")).len(), 2);
    assert_eq!(unfinished(root.path()), [""; 0]);
}

#[test]
fn the_empty_blob_is_one() {
    let (_root, blobs) = blobs();
    let put = blobs.put(&mut io::empty()).unwrap();
    assert_eq!((put.size, put.digest), (0, Digest::of(b"")));
    assert_eq!(blobs.read(put.digest, 0).unwrap(), b"");
}

#[test]
fn what_is_not_there_is_missing() {
    let (_root, blobs) = blobs();
    let digest = Digest::of(b"never put");
    assert!(!blobs.contains(digest).unwrap());
    for missing in [blobs.get(digest).map(drop), blobs.verify(digest).map(drop)] {
        assert!(matches!(missing, Err(BlobError::Missing { .. })), "{missing:?}");
    }
}

#[test]
fn damage_is_detected_and_healed_by_putting_again() {
    let (root, blobs) = blobs();
    let put = blobs.put(&mut &b"sound"[..]).unwrap();
    fs::write(root.path().join("blobs/sha256").join(put.digest.hex()), "SOUND").unwrap();
    let found = Digest::of(b"SOUND");
    for damaged in [blobs.verify(put.digest).map(drop), blobs.read(put.digest, 10).map(drop)] {
        assert!(
            matches!(damaged, Err(BlobError::Damaged { found: f, .. }) if f == found),
            "{damaged:?}"
        );
    }
    blobs.put(&mut &b"sound"[..]).unwrap();
    assert_eq!(blobs.verify(put.digest).unwrap(), put);
}

struct Failing(io::ErrorKind, usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1 == 0 {
            return Err(self.0.into());
        }
        self.1 -= 1;
        buffer[..100].fill(b'x');
        Ok(100)
    }
}

#[test]
fn what_cannot_be_finished_leaves_nothing_behind() {
    let (root, blobs) = blobs();
    let source = blobs.put(&mut Failing(io::ErrorKind::ConnectionReset, 3)).unwrap_err();
    assert!(matches!(source, BlobError::Source(_)), "{source:?}");
    assert!(!source.is_full());
    let large = blobs.put_at_most(&mut &[0; 11][..], 10).unwrap_err();
    assert!(matches!(large, BlobError::TooLarge { max: 10 }), "{large:?}");
    blobs.put_at_most(&mut &[0; 10][..], 10).unwrap();
    let mut writer = blobs.writer().unwrap();
    writer.write_all(b"given up").unwrap();
    assert_eq!(unfinished(root.path()).len(), 1);
    drop(writer);
    assert_eq!(unfinished(root.path()), [""; 0]);
    assert_eq!(names(&root.path().join("blobs/sha256")).len(), 1);
}

#[test]
fn a_full_disk_is_told_from_other_failures() {
    let full = |kind: io::ErrorKind| {
        let (path, source) = ("x".into(), kind.into());
        BlobError::File { action: "write", path, source }.is_full()
    };
    assert!(full(io::ErrorKind::StorageFull) && full(io::ErrorKind::QuotaExceeded));
    assert!(!full(io::ErrorKind::PermissionDenied));
}

#[test]
fn opening_clears_what_was_left_and_not_what_is_being_written() {
    let (root, blobs) = blobs();
    let mut writer = blobs.writer().unwrap();
    writer.write_all(b"half").unwrap();
    fs::write(root.path().join(".grit/tmp/1-0"), "left by a killed process").unwrap();
    FileBlobs::open(root.path()).unwrap();
    assert_eq!(unfinished(root.path()).len(), 1);
    writer.write_all(b" and half").unwrap();
    let put = writer.finish().unwrap();
    assert_eq!(blobs.read(put.digest, 100).unwrap(), b"half and half");
}

#[test]
fn many_put_at_once() {
    let (root, blobs) = blobs();
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let (root, blobs) = (root.path(), &blobs);
            scope.spawn(move || {
                for number in 0..20u8 {
                    // Half of them the same as another thread's.
                    let content = [number, thread / 2];
                    let put = blobs.put(&mut &content[..]).unwrap();
                    assert_eq!(blobs.verify(put.digest).unwrap(), put);
                    FileBlobs::open(root).unwrap();
                }
            });
        }
    });
    assert_eq!(names(&root.path().join("blobs/sha256")).len(), 80);
    assert_eq!(unfinished(root.path()), [""; 0]);
}
