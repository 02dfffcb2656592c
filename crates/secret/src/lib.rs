//! Secrets and variables of pipelines: what they may be called, how they are sealed, and which of
//! them a job gets.
//!
//! - [`Secret`] is a value that cannot be printed.
//! - [`Key`] seals it for one place (AES-256-GCM); sealed for one, it opens at no other.
//! - [`Book`] holds what a tenant, its repositories and their environments have, as one document.
//!
//! Nothing here reads files or makes randomness: keys and nonces come in. Where the document and the
//! key are kept is whoever has a disk's to say; masking is done where output is read.
//!
//! ```
//! use grit_secret::{Key, Secret};
//! let key = Key::new([7; 32]);
//! let sealed = key.seal([1; 12], "here", &Secret::new("s3cret"));
//! assert_eq!(key.open("here", &sealed).unwrap().reveal(), "s3cret");
//! assert!(key.open("there", &sealed).is_err());
//! ```
#![forbid(unsafe_code)]

mod book;
mod name;
mod seal;

pub use book::{
    Book, BookError, Listed, SECRET_CHARS_MIN, SECRETS_MAX, Scope, VALUE_BYTES_MAX,
    VARIABLES_BYTES_MAX, VARIABLES_MAX,
};
pub use name::{NAME_BYTES_MAX, Name, NameError};
pub use seal::{Key, OpenError, Sealed, Secret};
