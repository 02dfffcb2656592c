//! What kind of file a file is, in the words of `types`.
//!
//! Source: the tags that pre-commit's documentation names; which extension is which language is
//! common knowledge.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// So much of a file is looked at, in bytes.
const HEAD_BYTES: u64 = 1024;

/// Extensions, without their dot, and what they say.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("bash", &["text", "shell", "bash"]),
    ("bat", &["text", "batch"]),
    ("bmp", &["binary", "image", "bitmap"]),
    ("c", &["text", "c"]),
    ("cc", &["text", "c++"]),
    ("cfg", &["text", "ini"]),
    ("clj", &["text", "clojure"]),
    ("cmake", &["text", "cmake"]),
    ("conf", &["text", "ini"]),
    ("cpp", &["text", "c++"]),
    ("cs", &["text", "c#"]),
    ("css", &["text", "css"]),
    ("csv", &["text", "csv"]),
    ("cxx", &["text", "c++"]),
    ("dart", &["text", "dart"]),
    ("dockerfile", &["text", "dockerfile"]),
    ("ex", &["text", "elixir"]),
    ("exs", &["text", "elixir"]),
    ("gif", &["binary", "image", "gif"]),
    ("go", &["text", "go"]),
    ("gradle", &["text", "groovy"]),
    ("graphql", &["text", "graphql"]),
    ("groovy", &["text", "groovy"]),
    ("gz", &["binary", "gzip"]),
    ("h", &["text", "header", "c", "c++"]),
    ("hcl", &["text", "hcl"]),
    ("hpp", &["text", "header", "c++"]),
    ("hs", &["text", "haskell"]),
    ("htm", &["text", "html"]),
    ("html", &["text", "html"]),
    ("ini", &["text", "ini"]),
    ("ipynb", &["text", "jupyter", "json"]),
    ("jar", &["binary", "zip", "jar"]),
    ("java", &["text", "java"]),
    ("jpeg", &["binary", "image", "jpeg"]),
    ("jpg", &["binary", "image", "jpeg"]),
    ("js", &["text", "javascript"]),
    ("json", &["text", "json"]),
    ("json5", &["text", "json5"]),
    ("jsonc", &["text", "json"]),
    ("jsx", &["text", "jsx"]),
    ("kt", &["text", "kotlin"]),
    ("kts", &["text", "kotlin"]),
    ("less", &["text", "less"]),
    ("lua", &["text", "lua"]),
    ("m", &["text", "objective-c"]),
    ("md", &["text", "markdown"]),
    ("mdx", &["text", "mdx"]),
    ("mjs", &["text", "javascript"]),
    ("cjs", &["text", "javascript"]),
    ("nix", &["text", "nix"]),
    ("pdf", &["binary", "pdf"]),
    ("php", &["text", "php"]),
    ("pl", &["text", "perl"]),
    ("pm", &["text", "perl"]),
    ("png", &["binary", "image", "png"]),
    ("properties", &["text", "java-properties"]),
    ("proto", &["text", "proto"]),
    ("ps1", &["text", "powershell"]),
    ("py", &["text", "python"]),
    ("pyi", &["text", "pyi"]),
    ("pyx", &["text", "cython"]),
    ("r", &["text", "r"]),
    ("rb", &["text", "ruby"]),
    ("rs", &["text", "rust"]),
    ("rst", &["text", "rst"]),
    ("sass", &["text", "sass"]),
    ("scala", &["text", "scala"]),
    ("scss", &["text", "scss"]),
    ("sh", &["text", "shell", "sh"]),
    ("sql", &["text", "sql"]),
    ("svelte", &["text", "svelte"]),
    ("svg", &["text", "image", "svg", "xml"]),
    ("swift", &["text", "swift"]),
    ("tar", &["binary", "tar"]),
    ("tex", &["text", "tex"]),
    ("tf", &["text", "terraform"]),
    ("tfvars", &["text", "terraform"]),
    ("toml", &["text", "toml"]),
    ("ts", &["text", "ts"]),
    ("tsx", &["text", "tsx"]),
    ("txt", &["text", "plain-text"]),
    ("vue", &["text", "vue"]),
    ("wasm", &["binary", "wasm"]),
    ("webp", &["binary", "image", "webp"]),
    ("xml", &["text", "xml"]),
    ("yaml", &["text", "yaml"]),
    ("yml", &["text", "yaml"]),
    ("zig", &["text", "zig"]),
    ("zip", &["binary", "zip"]),
    ("zsh", &["text", "shell", "zsh"]),
];

/// Whole names, and what they say.
const NAMES: &[(&str, &[&str])] = &[
    (".bashrc", &["text", "shell", "bash"]),
    (".dockerignore", &["text", "dockerignore"]),
    (".editorconfig", &["text", "editorconfig"]),
    (".gitattributes", &["text", "gitattributes"]),
    (".gitignore", &["text", "gitignore"]),
    ("CMakeLists.txt", &["text", "cmake"]),
    ("Cargo.lock", &["text", "toml", "cargo-lock"]),
    ("Dockerfile", &["text", "dockerfile"]),
    ("Gemfile", &["text", "ruby"]),
    ("Jenkinsfile", &["text", "jenkins", "groovy"]),
    ("LICENSE", &["text", "plain-text"]),
    ("Makefile", &["text", "makefile"]),
    ("Rakefile", &["text", "ruby"]),
    ("go.mod", &["text", "go-mod"]),
    ("go.sum", &["text", "go-sum"]),
    ("poetry.lock", &["text", "toml"]),
];

/// Interpreters of a first line `#!`, and what they say.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("ash", &["shell", "ash"]),
    ("bash", &["shell", "bash"]),
    ("dash", &["shell", "dash"]),
    ("ksh", &["shell", "ksh"]),
    ("node", &["javascript"]),
    ("perl", &["perl"]),
    ("php", &["php"]),
    ("python", &["python"]),
    ("ruby", &["ruby"]),
    ("sh", &["shell", "sh"]),
    ("zsh", &["shell", "zsh"]),
];

/// Everything that is true of the file; nothing where there is none.
pub fn of(path: &Path) -> BTreeSet<&'static str> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return BTreeSet::new() };
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return BTreeSet::from(["symlink"]);
    }
    if kind.is_dir() {
        return BTreeSet::from(["directory"]);
    }
    if !kind.is_file() {
        return BTreeSet::from(["socket"]);
    }
    let executable = metadata.permissions().mode() & 0o111 != 0;
    let mut tags =
        BTreeSet::from(["file", if executable { "executable" } else { "non-executable" }]);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let named = of_name(name);
    tags.extend(named);
    let head = head(path);
    if named.is_empty() && executable {
        tags.extend(of_shebang(&head));
    }
    if !tags.contains("text") && !tags.contains("binary") {
        tags.insert(if is_text(&head) { "text" } else { "binary" });
    }
    tags
}

/// What the name says: all of it, the part before its first dot, or its extension.
fn of_name(name: &str) -> &'static [&'static str] {
    let find = |table: &[(&str, &'static [&'static str])], wanted: &str| {
        table.iter().find(|(own, _)| *own == wanted).map(|(_, tags)| *tags)
    };
    let first = name.split('.').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    find(NAMES, name)
        .or_else(|| extension.and_then(|extension| find(EXTENSIONS, &extension)))
        .or_else(|| find(NAMES, first))
        .unwrap_or_default()
}

fn of_shebang(head: &[u8]) -> &'static [&'static str] {
    let Some(line) = head.strip_prefix(b"#!").and_then(|rest| rest.split(|b| *b == b'\n').next())
    else {
        return &[];
    };
    let line = String::from_utf8_lossy(line);
    let words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let mut words = words.filter(|word| *word != "env" && !word.starts_with('-'));
    let program =
        words.next().unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let found = INTERPRETERS.iter().find(|(name, _)| *name == program);
    found.map(|(_, tags)| *tags).unwrap_or_default()
}

fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    // A file that cannot be read is none of which anything is known.
    let _ = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    head
}

/// No control characters but those of text.
fn is_text(head: &[u8]) -> bool {
    head.iter().all(|byte| matches!(byte, 7..=13 | 27 | 32..=126 | 128..=255))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_their_names_and_first_lines_say() {
        let folder = tempfile::tempdir().unwrap();
        let tags = |name: &str, text: &[u8], mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            of(&path).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(tags("a.PY", b"x", 0o644), "file non-executable python text");
        assert_eq!(
            tags("run", b"#!/usr/bin/env -S python3.12\n", 0o755),
            "executable file python text"
        );
        assert_eq!(tags("run2", b"#!/bin/sh\n", 0o644), "file non-executable text");
        assert_eq!(tags("Dockerfile.prod", b"", 0o644), "dockerfile file non-executable text");
        assert_eq!(tags("x.unknown", b"a\0b", 0o644), "binary file non-executable");
        std::os::unix::fs::symlink("a.PY", folder.path().join("l.py")).unwrap();
        assert_eq!(of(&folder.path().join("l.py")), ["symlink"].into());
        assert!(of(&folder.path().join("none")).is_empty());
    }
}
