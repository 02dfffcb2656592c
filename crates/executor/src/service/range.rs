/// The bytes that a request wants: from, and how many. `None`: all; an error: there are none such.
///
/// Source: RFC 9110, section 14.1.2; of several ranges only one is ever given.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some(range) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Ok(None);
    };
    let (from, to) = range.split_once('-').ok_or(())?;
    let (from, to) = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) => (from, to.min(size.saturating_sub(1))),
        (Ok(from), Err(_)) if to.trim().is_empty() => (from, size.saturating_sub(1)),
        (Err(_), Ok(last)) if from.trim().is_empty() => {
            (size.saturating_sub(last), size.saturating_sub(1))
        }
        _ => return Err(()),
    };
    if from > to || from >= size { Err(()) } else { Ok(Some((from, to - from + 1))) }
}

/// Where the bytes of a `Content-Range: bytes 0-99/*` begin.
pub(super) fn start(header: &str) -> Option<(u64, u64)> {
    let (range, _) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse::<u64>().ok()?);
    (from <= to).then(|| (from, to - from + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        assert_eq!(wanted(None, 10), Ok(None));
        assert_eq!(wanted(Some("bytes=0-3"), 10), Ok(Some((0, 4))));
        assert_eq!(wanted(Some("bytes=8-99"), 10), Ok(Some((8, 2))));
        assert_eq!(wanted(Some("bytes=4-"), 10), Ok(Some((4, 6))));
        assert_eq!(wanted(Some("bytes=-3"), 10), Ok(Some((7, 3))));
        for none in ["bytes=10-", "bytes=5-4", "bytes=x-y", "bytes=5"] {
            assert_eq!(wanted(Some(none), 10), Err(()), "{none}");
        }
        assert_eq!(wanted(Some("bytes=0-0"), 0), Err(()));
        assert_eq!(start("bytes 5-9/*"), Some((5, 5)));
        assert_eq!(start("bytes 9-5/*"), None);
    }
}
