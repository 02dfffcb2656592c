use super::{EXPRESSION_DEPTH_MAX, EXPRESSION_LENGTH_MAX, RESULT_BYTES_MAX};

/// Text that is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ExprError {
    pub problem: Problem,
    /// Bytes from the beginning of the text that was read to where it goes wrong.
    pub offset: usize,
    /// How many bytes the wrong part has; 0 where something is missing.
    pub length: usize,
}

impl ExprError {
    pub(crate) fn new(problem: Problem, offset: usize, length: usize) -> Self {
        Self { problem, offset, length }
    }

    /// The same error, in a text that has `bytes` more before it.
    pub(crate) fn shifted(mut self, bytes: usize) -> Self {
        self.offset += bytes;
        self
    }

    /// The place as GitHub counts it: UTF-16 code units from 1, in `source`.
    pub fn position(&self, source: &str) -> usize {
        let before = source.get(..self.offset).unwrap_or(source);
        before.encode_utf16().count() + 1
    }
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("the expression is empty")]
    Empty,
    #[error("the expression is longer than {EXPRESSION_LENGTH_MAX} characters")]
    TooLong,
    #[error("the expression is nested deeper than {EXPRESSION_DEPTH_MAX} levels")]
    TooDeep,
    #[error("`${{{{` is not closed with `}}}}`")]
    NotClosed,
    #[error("unexpected `{0}` in the expression")]
    UnexpectedSymbol(String),
    #[error("the expression ends too early, after `{0}`")]
    UnexpectedEnd(String),
    #[error("unrecognized named-value `{0}`")]
    UnknownName(String),
    #[error("unrecognized function `{0}`")]
    UnknownFunction(String),
    #[error("`{0}` is not available here")]
    NotHere(String),
    #[error("too few arguments for `{0}`")]
    TooFew(&'static str),
    #[error("too many arguments for `{0}`")]
    TooMany(&'static str),
    #[error("`{0}` takes an odd number of arguments: predicate, value, …, default")]
    Even(&'static str),
}

/// An expression that has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("the format string `{0}` is invalid")]
    Format(String),
    #[error("the format string `{0}` names more arguments than there are")]
    FormatArguments(String),
    #[error("fromJSON: {0}")]
    Json(String),
    #[error("a predicate of `case` must be a boolean")]
    CasePredicate,
    #[error("hashFiles: {0}")]
    HashFiles(String),
    #[error("the result is larger than {RESULT_BYTES_MAX} bytes")]
    TooLarge,
    #[error("it looks into what only the runner knows: a secret, or files")]
    Sealed,
}
