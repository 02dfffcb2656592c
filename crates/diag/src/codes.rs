//! The codes of this crate: reading YAML (`E0001` to `E0019`) and decoding it (`E0020` to `E0029`).

use crate::Code;

/// The code of this crate with that id.
pub fn explain(id: &str) -> Option<&'static Code> {
    crate::code::explain_in(&[ALL], id)
}

crate::define_codes! {
    /// The text is not YAML.
    SYNTAX = "E0001", "the file is not valid YAML",
        "The YAML parser could not go on at the marked place; nothing after it was read.\n\
         \n\
         The usual reasons are a tab in the indentation (YAML allows spaces only), a value \
         that contains `: ` or starts with one of `@ ` % & * ! | > [ {` and is not quoted, a \
         quote or bracket that is never closed, or a line that is indented less than the list \
         or mapping it belongs to.\n\
         \n\
         name: build: all      # not valid: two colons\n\
         name: \"build: all\"    # valid";

    /// A mapping sets the same key twice.
    DUPLICATE_KEY = "E0002", "a key is set twice in the same mapping",
        "YAML requires the keys of one mapping to be unique. Parsers that accept a second one \
         silently drop one of the two values, so that a setting seems to be there and is not.\n\
         \n\
         Remove one of the two, or merge their values. Keys are compared by value: `on` and \
         \"on\" are the same key.";

    /// The file is larger than is read.
    TOO_LARGE = "E0003", "the file is too large",
        "Configuration is read up to 1 MiB and up to 100,000 values. A larger file is almost \
         always generated, or not the file that was meant; reading it would let one \
         repository slow down a server that many share.\n\
         \n\
         Split the file, or move data out of it.";

    /// Lists and mappings are nested too deeply.
    TOO_DEEP = "E0004", "lists and mappings are nested too deeply",
        "Lists and mappings may be nested 100 levels deep. No configuration written by hand \
         comes near; deeper files are generated or made to exhaust the reader.";

    /// Aliases expand to too much.
    ALIAS_BUDGET = "E0005", "aliases expand to too much",
        "An alias (`*name`) stands for a copy of what its anchor (`&name`) marks. A few \
         nested aliases can stand for billions of values (\"billion laughs\"), so the total \
         that aliases may expand to is bounded.\n\
         \n\
         Use fewer aliases of large parts.";

    /// An alias names no anchor.
    UNKNOWN_ALIAS = "E0006", "an alias refers to an anchor that is not defined before it",
        "`*name` repeats the value that was marked with `&name` earlier in the same file. \
         There is no such mark before this place.\n\
         \n\
         A value that should start with a star, such as a glob pattern, needs quotes: \
         \"*.rs\".";

    /// A character that YAML does not allow.
    INVALID_CHARACTER = "E0007", "the file contains a character that YAML does not allow",
        "YAML files are UTF-8 text without control characters other than tab and line breaks. \
         A file with others was usually damaged, is binary, or has another encoding (UTF-16, \
         Latin-1).\n\
         \n\
         Save it as UTF-8. Inside double quotes any character can be written as an escape, \
         for example \"\\x1b\" or \"\\0\".";

    /// More than one document in the file.
    MULTIPLE_DOCUMENTS = "E0008", "the file holds more than one YAML document",
        "A line `---` starts another document. Grit reads one document per file and does not \
         guess which one was meant.\n\
         \n\
         Remove the line, or put the other document into a file of its own.";

    /// `<<` on something that is not a mapping.
    INVALID_MERGE = "E0009", "`<<` does not name a mapping",
        "The merge key `<<` copies the keys of another mapping, or of each mapping of a list, \
         unless they are set beside it. Its value must be a mapping (mostly an alias of one) \
         or a list of mappings.\n\
         \n\
         base: &base { retries: 2 }\n\
         job: { <<: *base, timeout: 5m }";

    /// A value does not fit its own tag.
    TAG_MISMATCH = "E0010", "a value does not fit its tag",
        "A tag such as `!!int` demands a type, and the value after it is not written as one, \
         or the tag is not one of `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`, `!!seq`, \
         `!!map`.\n\
         \n\
         Remove the tag; the type follows from how the value is written.";

    /// A value of another type was expected.
    WRONG_TYPE = "E0020", "a value has the wrong type",
        "The setting takes another type of value than it was given: a list where text was \
         expected, text where a number was expected. Types follow from how a value is \
         written: `5` is a number, `\"5\"` is text, `yes` and `on` are text, only `true` and \
         `false` are booleans.";

    /// A key that is not known here.
    UNKNOWN_KEY = "E0021", "a key is not known here",
        "No setting of this name exists at this place. Unknown keys are errors, because a \
         setting with a typing error would otherwise silently keep its default.\n\
         \n\
         Check the spelling, and whether the key is indented under the right parent.";

    /// A key that must be there is not.
    MISSING_KEY = "E0022", "a required key is missing",
        "The mapping must set this key: there is no default that would be safe to assume.";

    /// The type is right and the value is not.
    INVALID_VALUE = "E0023", "a value is not one of those allowed",
        "The value has the right type, but lies outside what the setting allows, or is not \
         written in its form. Durations are a whole number and a unit: `500ms`, `30s`, `15m`, \
         `2h`, `1d`; a number alone means seconds.";
}
