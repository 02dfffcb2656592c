/// The functions of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Contains,
    StartsWith,
    EndsWith,
    Format,
    Join,
    ToJson,
    FromJson,
    HashFiles,
    Case,
    Status(StatusFunction),
}

/// The functions that ask how things went so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFunction {
    Success,
    Failure,
    Always,
    Cancelled,
}

const ARGUMENTS_MAX: usize = 255;

impl Function {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Format,
        Self::Join,
        Self::ToJson,
        Self::FromJson,
        Self::HashFiles,
        Self::Case,
        Self::Status(StatusFunction::Success),
        Self::Status(StatusFunction::Failure),
        Self::Status(StatusFunction::Always),
        Self::Status(StatusFunction::Cancelled),
    ];

    /// As it is written; the language takes any case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Format => "format",
            Self::Join => "join",
            Self::ToJson => "toJSON",
            Self::FromJson => "fromJSON",
            Self::HashFiles => "hashFiles",
            Self::Case => "case",
            Self::Status(StatusFunction::Success) => "success",
            Self::Status(StatusFunction::Failure) => "failure",
            Self::Status(StatusFunction::Always) => "always",
            Self::Status(StatusFunction::Cancelled) => "cancelled",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name().eq_ignore_ascii_case(name))
    }

    /// How many arguments it takes, at least and at most.
    pub(super) fn arguments(self) -> (usize, usize) {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith => (2, 2),
            Self::Join => (1, 2),
            Self::ToJson | Self::FromJson => (1, 1),
            Self::Format | Self::HashFiles => (1, ARGUMENTS_MAX),
            Self::Case => (3, ARGUMENTS_MAX),
            // Jobs may be named; then only these count.
            Self::Status(StatusFunction::Success | StatusFunction::Failure) => (0, ARGUMENTS_MAX),
            Self::Status(StatusFunction::Always | StatusFunction::Cancelled) => (0, 0),
        }
    }
}
