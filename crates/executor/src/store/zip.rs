//! Archives of artifacts, as the service gives and takes them: ZIP.
//!
//! Written: files without compression, in the order of their names, with one mode and one time, so
//! that the bytes follow from names and contents alone. Read: what the toolkit writes, which is
//! hostile: sizes are bounded, checksums compared, and no name leads out.
//!
//! No library's: the bytes that are written must be those of any later version, since only their digest is kept, and
//! a stream of files without compression needs their sizes in front, which writers give only to what they can seek in.
//! Those that read keep a record of each file before anybody can count them.
//!
//! Source: APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use grit_blob::{EntryKind, Item, TREE_ENTRIES_MAX, Tree};
use grit_types::Digest;

use super::KEPT_BYTES_MAX;

/// The name under which the files of an artifact stand in its tree.
pub(crate) const ROOT: &str = "all";

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;

/// A regular file that everybody may read, as UNIX has it.
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// Made on UNIX, by version 4.5, which knows large files.
const MADE_BY: u16 = 3 << 8 | 45;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// The first day of 1980.
const DATE: u16 = 1 << 5 | 1;
const LARGE: u64 = 0xffff_ffff;

/// A list of files is never longer.
const CENTRAL_BYTES_MAX: u64 = 512 << 20;
const NAME_BYTES_MAX: usize = 4096;

/// Where the bytes of a file come from.
pub(crate) type Open<'a> = dyn Fn(Digest) -> io::Result<Box<dyn Read>> + 'a;

struct Written {
    name: String,
    crc: u32,
    size: u64,
    at: u64,
}

/// Writes the files of a tree, without the name of its root.
pub(crate) fn write(tree: &Tree, open: &Open<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut out = Out { to, at: 0 };
    let mut written = Vec::new();
    for entry in &tree.entries {
        let EntryKind::File { digest, size } = entry.kind else { continue };
        let name = entry.name.path();
        let name = name.strip_prefix(ROOT).unwrap_or(name).to_string_lossy().into_owned();
        let crc = checksum(&mut open(digest)?)?;
        let file = Written { name, crc, size, at: out.at };
        out.bytes(&local_header(&file))?;
        let copied = io::copy(&mut open(digest)?.take(size), &mut out)?;
        if copied != size {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        written.push(file);
    }
    let start = out.at;
    for file in &written {
        out.bytes(&central_header(file))?;
    }
    let end = ending(written.len() as u64, out.at - start, start);
    out.bytes(&end)
}

struct Out<'a> {
    to: &'a mut dyn Write,
    at: u64,
}

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn checksum(from: &mut dyn Read) -> io::Result<u32> {
    let (mut crc, mut buffer) = (Crc::new(), vec![0; 128 << 10]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(crc.sum()),
            count => crc.update(&buffer[..count]),
        }
    }
}

/// Little-endian fields, one after the other.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn two(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn four(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn eight(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Or all ones, where the value stands elsewhere.
    fn short(self, value: u64) -> Self {
        self.four(u32::try_from(value).unwrap_or(u32::MAX))
    }

    fn all(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// What 32 bits cannot hold.
fn extra(values: &[u64]) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    let length = u16::try_from(values.len() * 8).unwrap_or(u16::MAX);
    let fields = Fields::default().two(1).two(length);
    values.iter().fold(fields, |fields, value| fields.eight(*value)).0
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// Version needed to checksum and both sizes, which are in both headers.
fn common(fields: Fields, file: &Written) -> Fields {
    fields
        .two(45)
        .two(FLAGS)
        .two(0)
        .two(0)
        .two(DATE)
        .four(file.crc)
        .short(file.size.min(LARGE))
        .short(file.size.min(LARGE))
}

fn local_header(file: &Written) -> Vec<u8> {
    let large = if file.size >= LARGE { vec![file.size, file.size] } else { Vec::new() };
    let extra = extra(&large);
    common(Fields::default().four(LOCAL), file)
        .two(length(file.name.as_bytes()))
        .two(length(&extra))
        .all(file.name.as_bytes())
        .all(&extra)
        .0
}

fn central_header(file: &Written) -> Vec<u8> {
    let mut large = if file.size >= LARGE { vec![file.size, file.size] } else { Vec::new() };
    large.extend((file.at >= LARGE).then_some(file.at));
    let extra = extra(&large);
    common(Fields::default().four(CENTRAL).two(MADE_BY), file)
        .two(length(file.name.as_bytes()))
        .two(length(&extra))
        .two(0)
        .two(0)
        .two(0)
        .four(ATTRIBUTES)
        .short(file.at.min(LARGE))
        .all(file.name.as_bytes())
        .all(&extra)
        .0
}

fn ending(count: u64, size: u64, start: u64) -> Vec<u8> {
    let few = u16::try_from(count).unwrap_or(u16::MAX);
    let mut fields = Fields::default();
    if count >= u64::from(u16::MAX) || size >= LARGE || start >= LARGE {
        fields = fields
            .four(END64)
            .eight(44)
            .two(MADE_BY)
            .two(45)
            .four(0)
            .four(0)
            .eight(count)
            .eight(count)
            .eight(size)
            .eight(start)
            .four(LOCATOR64)
            .four(0)
            .eight(start + size)
            .four(1);
    }
    fields
        .four(END)
        .two(0)
        .two(0)
        .two(few)
        .two(few)
        .short(size.min(LARGE))
        .short(start.min(LARGE))
        .two(0)
        .0
}

/// Unpacks all files below `into`, which is made; answers them as the items of a tree.
pub(crate) fn unpack(archive: &mut File, into: &Path) -> io::Result<Vec<Item>> {
    let entries = directory(archive)?;
    fs::create_dir_all(into)?;
    let (mut items, mut seen, mut bytes) = (Vec::new(), HashSet::new(), 0_u64);
    for entry in entries {
        let below = clean(&entry.name)?;
        if entry.name.ends_with('/') {
            fs::create_dir_all(into.join(&below))?;
            continue;
        }
        if below.as_os_str().is_empty() || !seen.insert(below.clone()) {
            return Err(damaged("a file has no name, or is there twice"));
        }
        bytes = bytes.saturating_add(entry.size);
        if bytes > KEPT_BYTES_MAX {
            return Err(damaged("its files have more than 10 GiB"));
        }
        let path = into.join(&below);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        extract(archive, &entry, &path)?;
        items.push(Item { name: Path::new(ROOT).join(below), path, follow: false });
    }
    Ok(items)
}

struct Found {
    name: String,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    at: u64,
}

fn extract(archive: &mut File, entry: &Found, path: &Path) -> io::Result<()> {
    archive.seek(SeekFrom::Start(entry.at))?;
    let header = Bytes::read(archive, 30)?;
    if header.four(0)? != LOCAL {
        return Err(damaged("a file is not where its list says"));
    }
    let skipped = i64::from(header.two(26)?) + i64::from(header.two(28)?);
    archive.seek(SeekFrom::Current(skipped))?;
    let packed = archive.take(entry.packed);
    let content: Box<dyn Read> = match entry.method {
        0 => Box::new(packed),
        8 => Box::new(DeflateDecoder::new(packed)),
        _ => return Err(damaged("a file is packed in a way that is not known")),
    };
    let mut to = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut crc = Crc::new();
    // One byte more shows that there are more.
    let mut content = content.take(entry.size + 1);
    let (mut buffer, mut size) = (vec![0; 128 << 10], 0_u64);
    loop {
        let count = content.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        crc.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        size += count as u64;
    }
    if size != entry.size || crc.sum() != entry.crc {
        return Err(damaged("a file is not what its checksum says"));
    }
    Ok(())
}

/// The list of files, which stands at the end.
fn directory(archive: &mut File) -> io::Result<Vec<Found>> {
    let (count, size, start) = end(archive)?;
    let all = archive.metadata()?.len();
    if count > TREE_ENTRIES_MAX || size > CENTRAL_BYTES_MAX || start.saturating_add(size) > all {
        return Err(damaged("its list of files is too long"));
    }
    archive.seek(SeekFrom::Start(start))?;
    let list = Bytes::read(archive, size)?;
    let (mut at, mut found) = (0, Vec::new());
    for _ in 0..count {
        let (entry, next) = list.entry(at)?;
        found.push(entry);
        at = next;
    }
    Ok(found)
}

/// How many files there are, and how long their list is and where it begins.
fn end(archive: &mut File) -> io::Result<(u64, u64, u64)> {
    let all = archive.metadata()?.len();
    let tail = all.min(22 + 0xffff);
    archive.seek(SeekFrom::Start(all - tail))?;
    let bytes = Bytes::read(archive, tail)?;
    let last = (0..=bytes.0.len().saturating_sub(22)).rev();
    let mut candidates = last.filter(|at| bytes.four(*at).is_ok_and(|found| found == END));
    let at = candidates.next().ok_or_else(|| damaged("it is no ZIP archive"))?;
    let small = (bytes.two(at + 10)?, bytes.four(at + 12)?, bytes.four(at + 16)?);
    let is_large = small.0 == u16::MAX || small.1 == u32::MAX || small.2 == u32::MAX;
    let locator =
        at.checked_sub(20).filter(|at| bytes.four(*at).is_ok_and(|found| found == LOCATOR64));
    let Some(locator) = locator.filter(|_| is_large) else {
        return Ok((small.0.into(), small.1.into(), small.2.into()));
    };
    archive.seek(SeekFrom::Start(bytes.eight(locator + 8)?))?;
    let large = Bytes::read(archive, 56)?;
    if large.four(0)? != END64 {
        return Err(damaged("its end is not where it says"));
    }
    Ok((large.eight(32)?, large.eight(40)?, large.eight(48)?))
}

/// Bytes that are read by their places.
struct Bytes(Vec<u8>);

impl Bytes {
    fn read(from: &mut File, count: u64) -> io::Result<Self> {
        let mut bytes = Vec::new();
        from.take(count).read_to_end(&mut bytes)?;
        match bytes.len() as u64 == count {
            true => Ok(Self(bytes)),
            false => Err(damaged("it ends too early")),
        }
    }

    fn some<const N: usize>(&self, at: usize) -> io::Result<[u8; N]> {
        let bytes = self.0.get(at..at.saturating_add(N)).and_then(|some| some.try_into().ok());
        bytes.ok_or_else(|| damaged("it ends too early"))
    }

    fn two(&self, at: usize) -> io::Result<u16> {
        self.some(at).map(u16::from_le_bytes)
    }

    fn four(&self, at: usize) -> io::Result<u32> {
        self.some(at).map(u32::from_le_bytes)
    }

    fn eight(&self, at: usize) -> io::Result<u64> {
        self.some(at).map(u64::from_le_bytes)
    }

    /// The entry at that place, and the place of the next.
    fn entry(&self, at: usize) -> io::Result<(Found, usize)> {
        if self.four(at)? != CENTRAL {
            return Err(damaged("its list of files is broken"));
        }
        if self.two(at + 8)? & 1 != 0 {
            return Err(damaged("a file is encrypted"));
        }
        let lengths = [28, 30, 32].map(|field| self.two(at + field).map(usize::from));
        let [name, extra, comment] = lengths;
        let (name, extra, comment) = (name?, extra?, comment?);
        let text =
            self.0.get(at + 46..at + 46 + name).ok_or_else(|| damaged("it ends too early"))?;
        let text = std::str::from_utf8(text).map_err(|_| damaged("a name is no UTF-8"))?;
        let is_link = self.four(at + 38)? >> 16 & 0o170_000 == 0o120_000;
        if is_link {
            return Err(damaged("a file is a link"));
        }
        let mut large = Large::of(self, at + 46 + name, at + 46 + name + extra)?;
        let short = |field: usize| self.four(at + field).map(u64::from);
        let size = large.value(short(24)?)?;
        let packed = large.value(short(20)?)?;
        let start = large.value(short(42)?)?;
        let (method, crc) = (self.two(at + 10)?, self.four(at + 16)?);
        let found = Found { name: text.to_owned(), method, crc, packed, size, at: start };
        Ok((found, at + 46 + name + extra + comment))
    }
}

/// Values that 32 bits could not hold, in the order in which they are needed.
struct Large<'a> {
    bytes: &'a Bytes,
    at: usize,
    end: usize,
}

impl<'a> Large<'a> {
    /// The field of an entry's extra fields that holds them.
    fn of(bytes: &'a Bytes, start: usize, end: usize) -> io::Result<Self> {
        let mut at = start;
        while at + 4 <= end {
            let next = at + 4 + usize::from(bytes.two(at + 2)?);
            if bytes.two(at)? == 1 {
                return Ok(Self { bytes, at: at + 4, end: next.min(end) });
            }
            at = next;
        }
        Ok(Self { bytes, at: end, end })
    }

    fn value(&mut self, short: u64) -> io::Result<u64> {
        if short != LARGE {
            return Ok(short);
        }
        if self.at + 8 > self.end {
            return Err(damaged("the size of a large file is missing"));
        }
        self.at += 8;
        self.bytes.eight(self.at - 8)
    }
}

/// A name that leads nowhere but down.
fn clean(name: &str) -> io::Result<PathBuf> {
    let refused = || damaged("a name leads out of the archive");
    if name.len() > NAME_BYTES_MAX || name.starts_with('/') || name.contains(['\0', '\\']) {
        return Err(refused());
    }
    let mut clean = PathBuf::new();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(refused());
        }
        clean.push(part);
    }
    Ok(clean)
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the archive is refused: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use grit_blob::Trees;
    use proptest::prelude::*;

    struct Shelf {
        place: tempfile::TempDir,
        trees: Trees,
    }

    impl Shelf {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let trees = Trees::open(&place.path().join("store")).unwrap();
            Self { place, trees }
        }

        /// The archive of files, as a file.
        fn archive(&self, files: &[(String, Vec<u8>)]) -> File {
            let mut items = Vec::new();
            for (number, (name, content)) in files.iter().enumerate() {
                let path = self.place.path().join(format!("in-{number}"));
                fs::write(&path, content).unwrap();
                items.push(Item { name: Path::new(ROOT).join(name), path, follow: false });
            }
            let kept = self.trees.keep(&items, KEPT_BYTES_MAX).unwrap();
            let open = |digest: Digest| -> io::Result<Box<dyn Read>> {
                Ok(Box::new(self.trees.blobs().get(digest).unwrap()))
            };
            let path = self.place.path().join("archive.zip");
            write(&self.trees.tree(kept.tree).unwrap(), &open, &mut File::create(&path).unwrap())
                .unwrap();
            File::open(path).unwrap()
        }

        fn unpacked(&self, archive: &mut File) -> io::Result<Vec<(String, Vec<u8>)>> {
            let into = self.place.path().join("out");
            let _ = fs::remove_dir_all(&into);
            let items = unpack(archive, &into)?;
            let file = |item: Item| {
                let name = item.name.strip_prefix(ROOT).unwrap().display().to_string();
                (name, fs::read(item.path).unwrap())
            };
            Ok(items.into_iter().map(file).collect())
        }

        fn raw(&self, bytes: &[u8]) -> File {
            let path = self.place.path().join("raw.zip");
            fs::write(&path, bytes).unwrap();
            File::open(path).unwrap()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_packed_is_unpacked(
            files in proptest::collection::btree_map("[a-c\u{e4}]{1,3}(/x)?z", proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            at in any::<prop::sample::Index>(),
        ) {
            let shelf = Shelf::new();
            let files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
            let mut archive = shelf.archive(&files);
            prop_assert_eq!(shelf.unpacked(&mut archive).unwrap(), files);
            // Whatever is broken, it is an answer.
            let mut bytes = fs::read(shelf.place.path().join("archive.zip")).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 0x55;
            let _ = shelf.unpacked(&mut shelf.raw(&bytes));
            let _ = shelf.unpacked(&mut shelf.raw(&bytes[..at]));
        }
    }

    #[test]
    fn no_name_leads_out() {
        let shelf = Shelf::new();
        for name in ["../x", "/x", "a/../../x", "a\\x", ""] {
            let file = Written { name: name.to_owned(), crc: 0, size: 0, at: 0 };
            let local = local_header(&file);
            let central = central_header(&file);
            let end = ending(1, central.len() as u64, local.len() as u64);
            let refused = shelf.unpacked(&mut shelf.raw(&[local, central, end].concat()));
            assert!(refused.is_err(), "{name}");
        }
        assert!(shelf.unpacked(&mut shelf.raw(b"no archive at all, but long enough")).is_err());
    }

    #[test]
    fn large_files_and_places_are_told_apart() {
        let file = Written { name: "x".to_owned(), crc: 7, size: 5 << 30, at: 6 << 30 };
        let bytes = Bytes(central_header(&file));
        let (found, next) = bytes.entry(0).unwrap();
        assert_eq!((found.size, found.packed, found.at), (5 << 30, 5 << 30, 6 << 30));
        assert_eq!(next, bytes.0.len());
    }
}
