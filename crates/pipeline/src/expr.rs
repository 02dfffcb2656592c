//! GitHub's expression language: `${{ … }}`.
//!
//! Read once ([`Expr`], [`Template`], [`Condition`]), evaluated as often as wanted against a
//! [`Lookup`]. Positions in errors are those of the source text, so that a dialect can point into
//! the file. Coercions, case folding and limits are those of GitHub's own evaluator.

mod condition;
mod deferred;
mod error;
mod eval;
mod function;
mod lexer;
mod number;
mod parser;
mod template;
mod value;

pub use condition::{Answer, Condition};
pub use deferred::{Deferred, Digests, Known};
pub use error::{EvalError, ExprError, Problem};
pub use eval::{Lookup, NoNames};
pub use function::{Function, StatusFunction};
pub use parser::{Compare, Expr, Node, Scope};
pub use template::Template;
pub use value::{Object, Value};

/// An expression is never longer than this, in UTF-16 code units.
pub const EXPRESSION_LENGTH_MAX: usize = 21_000;
/// Nor nested deeper than this.
pub const EXPRESSION_DEPTH_MAX: usize = 50;
/// No string that an expression makes is longer than this, in bytes.
pub const RESULT_BYTES_MAX: usize = 1 << 20;
