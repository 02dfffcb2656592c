use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use serde::{Deserialize, Serialize};

/// Text that cannot be printed: it has no `Display`, and its `Debug` tells nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever needs it: a process that is started, the key that seals it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What seals: AES-256-GCM (NIST SP 800-38D).
#[derive(Clone)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

/// A secret as it lies on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    v: u32,
    /// In hexadecimal, as the bytes.
    nonce: String,
    bytes: String,
}

/// What was sealed does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("it was sealed by a newer Grit")]
    Newer,
    #[error("it was sealed with another key, for another place, or is damaged")]
    Damaged,
}

impl Key {
    /// The key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Seals for `place`; the nonce must be another one each time.
    pub fn seal(&self, nonce: [u8; 12], place: &str, secret: &Secret) -> Sealed {
        let payload = Payload { msg: secret.0.as_bytes(), aad: place.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload);
        // It fails only beyond 64 GiB.
        let bytes = sealed.expect("a text in memory can be sealed");
        Sealed { v: 1, nonce: hex::encode(nonce), bytes: hex::encode(bytes) }
    }

    /// What was sealed for `place`.
    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<Secret, OpenError> {
        if sealed.v != 1 {
            return Err(OpenError::Newer);
        }
        let damaged = |_| OpenError::Damaged;
        let mut nonce = [0; 12];
        hex::decode_to_slice(&sealed.nonce, &mut nonce).map_err(damaged)?;
        let bytes = hex::decode(&sealed.bytes).map_err(damaged)?;
        let payload = Payload { msg: &bytes, aad: place.as_bytes() };
        let opened = self.cipher().decrypt(&Nonce::from(nonce), payload);
        let opened = opened.map_err(|_| OpenError::Damaged)?;
        String::from_utf8(opened).map(Secret).map_err(|_| OpenError::Damaged)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_of_it_is_printed() {
        let secret = Secret::new("hunter2hunter2");
        assert_eq!(format!("{secret:?} {:?}", Key::new([104; 32])), "Secret(***) Key(***)");
        let sealed = Key::new([1; 32]).seal([2; 12], "a", &secret);
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("hunter2") && !text.contains(&hex::encode("hunter2")), "{text}");
    }

    #[test]
    fn a_newer_form_is_refused() {
        let mut sealed = Key::new([1; 32]).seal([2; 12], "a", &Secret::new("x"));
        sealed.v = 2;
        assert_eq!(Key::new([1; 32]).open("a", &sealed), Err(OpenError::Newer));
    }

    proptest! {
        #[test]
        fn it_opens_with_its_key_at_its_place_only(
            text in ".{0,200}", key: [u8; 32], other: [u8; 32], nonce: [u8; 12], at in 0_usize..64,
        ) {
            let secret = Secret::new(text);
            let sealed = Key::new(key).seal(nonce, "here", &secret);
            prop_assert_eq!(Key::new(key).open("here", &sealed), Ok(secret));
            prop_assert_eq!(Key::new(key).open("there", &sealed), Err(OpenError::Damaged));
            if other != key {
                prop_assert_eq!(Key::new(other).open("here", &sealed), Err(OpenError::Damaged));
            }
            let mut bytes = hex::decode(&sealed.bytes).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1;
            let bent = Sealed { bytes: hex::encode(bytes), ..sealed };
            prop_assert_eq!(Key::new(key).open("here", &bent), Err(OpenError::Damaged));
        }
    }
}
