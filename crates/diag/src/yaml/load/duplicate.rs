//! Reads on after duplicate keys.
//!
//! saphyr ends with an error at the first key that its mapping already has, and tells only where
//! the second one is. So that the tree and all duplicates can be had, one character of that key is
//! replaced by one that occurs nowhere, which moves nothing else, and the text is read again;
//! [`Masked::restore`] undoes it in the tree.

use super::Offsets;
use saphyr::{LoadableYamlNode, MarkedYaml, ScanError};

/// How often a text is read again.
const DUPLICATES_MAX: usize = 16;
/// Bytes that are read again in total.
const REREAD_BYTES_MAX: usize = 4 << 20;
/// The first of the characters that are put in place: the start of the last plane, which is for
/// private use.
const MASK_FIRST: u32 = 0x10_0000;

/// A text in which later duplicates of keys have other names.
pub(super) struct Masked {
    text: String,
    masks: Vec<Mask>,
}

struct Mask {
    /// Where the key starts, in bytes of the original text.
    key: u32,
    original: char,
    replaced_by: char,
}

impl Masked {
    pub(super) fn load(text: &str, offsets: &Offsets) -> Self {
        let rereads_max = (REREAD_BYTES_MAX / text.len().max(1)).min(DUPLICATES_MAX);
        let mut masked = Self { text: text.to_owned(), masks: Vec::new() };
        for _ in 0..rereads_max {
            let Err(error) = masked.parse() else { break };
            if !error.info().contains("duplicated key")
                || !masked.mask(error.marker().index(), offsets)
            {
                break;
            }
        }
        masked
    }

    pub(super) fn parse(&self) -> Result<Vec<MarkedYaml<'_>>, ScanError> {
        MarkedYaml::load_from_str(&self.text)
    }

    /// The text of the scalar that starts at byte `start`, as it was before masking.
    pub(super) fn restore(&self, start: u32, decoded: &str) -> String {
        match self.masks.iter().find(|mask| mask.key == start) {
            Some(mask) => {
                decoded.replacen(mask.replaced_by, mask.original.encode_utf8(&mut [0; 4]), 1)
            }
            None => decoded.to_owned(),
        }
    }

    /// Masks the key at a character index. Keys with an anchor or a tag, aliases, lists, mappings,
    /// empty keys and keys that start with an escape cannot be.
    fn mask(&mut self, character: usize, offsets: &Offsets) -> bool {
        let mut rest = self.text.char_indices().skip(character);
        let Some(mut found) = rest.next() else { return false };
        if let (_, quote @ ('"' | '\'')) = found {
            match rest.next() {
                Some(inner) if inner.1 != quote && inner.1 != '\\' => found = inner,
                _ => return false,
            }
        } else if found.1.is_whitespace() || "&*!|>?:[]{},#".contains(found.1) {
            return false;
        }
        let Some(replaced_by) = self.unused() else { return false };
        let (at, original) = found;
        self.text.replace_range(at..at + original.len_utf8(), replaced_by.encode_utf8(&mut [0; 4]));
        self.masks.push(Mask { key: offsets.byte(character), original, replaced_by });
        true
    }

    fn unused(&self) -> Option<char> {
        (MASK_FIRST..)
            .take(2 * DUPLICATES_MAX)
            .filter_map(char::from_u32)
            .find(|c| !self.text.contains(*c))
    }
}
