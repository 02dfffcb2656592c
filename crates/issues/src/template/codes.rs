//! The codes of templates (`E0301` to `E0309`).

grit_diag::define_codes! {
    /// The head of a template never ends.
    UNCLOSED_HEAD = "E0301", "the head of a template never ends",
        "A template of issues may begin with a head between two lines `---`, which says its \
         name, title, labels and assignees. The first line is there and the second is not, so \
         that all of the file would be the head.\n\
         \n\
         ---\n\
         title: \"Release {{version}}\"\n\
         labels: [release]\n\
         ---\n\
         ## Pre-release\n\
         - [ ] All PRs merged";

    /// A placeholder that is none.
    NOT_A_PLACEHOLDER = "W0302", "`{{` begins no placeholder",
        "`{{name}}` stands for a value that is given when an issue is created from the \
         template. A name consists of lower-case letters, digits, `-` and `_`, begins with a \
         letter, and stands between its braces on one line. What is marked here is left in the \
         text as it is.";

    /// A template without text.
    EMPTY_TEMPLATE = "E0303", "the template says nothing",
        "A template has a title, a body, or both. This one has neither, so an issue made from \
         it would be empty.";
}
