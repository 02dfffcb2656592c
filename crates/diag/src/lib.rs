//! What Grit says about a file that somebody wrote: where, what, why, and what to type instead.
//!
//! Every configuration format of Grit (`grit.yaml`, the workflow files of four CI systems) is read
//! through this crate, so that they all report alike: with file, line, column, the offending line,
//! a stable code that `grit explain CODE` expands, and a suggestion where there is one.
//!
//! - [`Source`], [`Span`]: a named text with its line index, and a range of bytes in it.
//! - [`Code`], [`define_codes!`], [`codes`]: stable codes. Any crate declares its own table; the
//!   binary passes all tables to [`code::explain_in`].
//! - [`Diagnostic`], [`Diagnostics`]: one finding, and the collector for one source. It serialises
//!   as a JSON list.
//! - [`yaml`]: YAML 1.2 (core schema) into a tree of [`yaml::Node`] in which each node knows its
//!   span and each scalar its text.
//! - [`decode`]: from nodes to values, with a report for each wrong type, missing key and unknown
//!   key.
//! - [`render`]: findings as text, plain or coloured.
//!
//! **Parsing never gives up early.** Everything here takes a `&mut Diagnostics` or returns `(T,
//! Diagnostics)`: the caller gets all that could be read beside all that was wrong, and decides
//! with [`Diagnostics::has_errors`].
//!
//! **Input is hostile.** Sizes, depths, alias expansion and the number of findings are bounded,
//! text is escaped before it reaches a terminal, and no input makes a function here panic.
//!
//! What this crate does not do: read files, print, know any dialect's keys, or keep comments and
//! formatting.
//!
//! ```
//! use grit_diag::{Source, decode::Fields, render, yaml};
//!
//! let source = Source::new("grit.yaml", "replicas: two\nimge: shop/api\n");
//! let (root, mut diagnostics) = yaml::parse(&source);
//! if let Some(mut fields) = root.as_ref().and_then(|node| Fields::of(node, &mut diagnostics)) {
//!     let replicas = fields.integer("replicas", &mut diagnostics); // expected a whole number
//!     let image = fields.string("image", &mut diagnostics);
//!     fields.finish(&mut diagnostics); // unknown key `imge`, did you mean `image`?
//!     assert!(replicas.is_none() && image.is_none());
//! }
//! assert!(diagnostics.has_errors());
//! let text = render::plain(&diagnostics);
//! assert!(text.contains("grit.yaml:1:11"));
//! ```

#![forbid(unsafe_code)]

pub mod code;
pub mod codes;
pub mod decode;
mod diagnostic;
mod json;
pub mod render;
mod source;
mod suggest;
pub mod yaml;

pub use code::Code;
pub use diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Diagnostics, Label, Severity};
pub use json::{JsonDiagnostic, JsonLabel};
pub use source::{Source, Span};
pub use suggest::suggest;
