//! From nodes to values, with a finding for whatever does not fit.
//!
//! [`Fields`] reads a mapping key by key and reports at the end the keys that nobody asked for. The
//! functions in [`read`] turn one node into one value. All return `None` after reporting, so that a
//! caller can go on with what is there, and values keep their place as [`Spanned`].

mod fields;
pub mod read;

pub use fields::Fields;

use crate::Span;

/// A value and where it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Spanned<T> {
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), span: self.span }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
