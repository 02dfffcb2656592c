//! The versions that files of a repository ask for: `.nvmrc`, `.tool-versions`, `go.mod`,
//! `rust-toolchain.toml` and their like.

use serde_json::Value;

use super::version::Tool;

/// What a Rust toolchain file asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toolchain {
    pub channel: String,
    pub components: Vec<String>,
    pub targets: Vec<String>,
}

/// The versions that the file of this name asks for, in its order; empty where it names none.
pub fn asked_in(tool: Tool, name: &str, text: &str) -> Vec<String> {
    let found = match name.rsplit('/').next().unwrap_or(name) {
        ".tool-versions" | ".mise.tool-versions" => tool_versions(tool, text),
        "package.json" => package_json(text),
        "go.mod" | "go.work" => go_mod(text),
        "global.json" => global_json(text),
        "pyproject.toml" => quoted_after(text, &["requires-python", "python"]),
        "Pipfile" => quoted_after(text, &["python_full_version", "python_version"]),
        "Gemfile" => text.lines().find_map(|line| quoted(line.trim().strip_prefix("ruby")?)),
        ".sdkmanrc" => setting(text, "java").map(|text| digits(&text)),
        _ => return lines(text).map(|line| plain(tool, line)).collect(),
    };
    found.into_iter().collect()
}

/// What a `rust-toolchain.toml`, or the older form of one word, asks for.
pub fn rust_toolchain(text: &str) -> Option<Toolchain> {
    if !text.contains("[toolchain]") {
        let channel = lines(text).next()?.to_owned();
        return (!channel.contains(['=', '[']))
            .then(|| Toolchain { channel, ..Toolchain::default() });
    }
    let channel = quoted_after(text, &["channel"])?;
    Some(Toolchain {
        channel,
        components: list(text, "components"),
        targets: list(text, "targets"),
    })
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty())
}

fn plain(tool: Tool, line: &str) -> String {
    match tool {
        Tool::Java => digits(line),
        _ => line.trim_start_matches('v').to_owned(),
    }
}

/// `temurin-17.0.9+9` without the vendor.
fn digits(text: &str) -> String {
    let at = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let number = &text[at..];
    number.split(['-', '+']).next().unwrap_or(number).to_owned()
}

fn tool_versions(tool: Tool, text: &str) -> Option<String> {
    let names: &[&str] = match tool {
        Tool::Node => &["nodejs", "node"],
        Tool::Python => &["python"],
        Tool::Java => &["java"],
        Tool::Go => &["golang", "go"],
        Tool::Dotnet => &["dotnet", "dotnet-core"],
        Tool::Ruby => &["ruby"],
        Tool::Other => &[],
    };
    lines(text).find_map(|line| {
        let mut words = line.split_whitespace();
        let is_named = words.next().is_some_and(|name| names.contains(&name));
        words.next().filter(|_| is_named).map(|version| plain(tool, version))
    })
}

/// As setup-node looks: `volta`, then `devEngines`, then `engines`.
fn package_json(text: &str) -> Option<String> {
    let json: Value = serde_json::from_str(text).ok()?;
    let runtime = &json["devEngines"]["runtime"];
    let runtimes = runtime.as_array().map_or(std::slice::from_ref(runtime), Vec::as_slice);
    let dev = runtimes.iter().find(|runtime| runtime["name"] == "node").map(|it| &it["version"]);
    let found = [Some(&json["volta"]["node"]), dev, Some(&json["engines"]["node"])];
    found.into_iter().flatten().find_map(|version| version.as_str().map(str::to_owned))
}

/// `toolchain go1.22.3` over `go 1.22`.
fn go_mod(text: &str) -> Option<String> {
    let after = |word: &str| {
        let mut found = text.lines().filter_map(|line| line.trim().strip_prefix(word));
        found.find_map(|rest| rest.split_whitespace().next().map(str::to_owned))
    };
    let toolchain = after("toolchain ").filter(|name| name != "default");
    toolchain.or_else(|| after("go ")).map(|text| text.trim_start_matches("go").to_owned())
}

/// `rollForward` widens it as the SDK's own host does.
fn global_json(text: &str) -> Option<String> {
    let json: Value = serde_json::from_str(text).ok()?;
    let sdk = &json["sdk"];
    let version = sdk["version"].as_str()?;
    let mut numbers = version.split('.');
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some(match sdk["rollForward"].as_str().unwrap_or_default() {
        "latestPatch" => format!("{major}.{minor}.{}xx", patch.get(..1)?),
        "latestFeature" => format!("{major}.{minor}.x"),
        "latestMinor" => format!("{major}.x"),
        "latestMajor" => "*".to_owned(),
        _ => version.to_owned(),
    })
}

/// The value of `NAME = "VALUE"`, of the first name that has one.
fn quoted_after(text: &str, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        lines(text).find_map(|line| {
            let rest = line.strip_prefix(name)?.trim_start();
            quoted(rest.strip_prefix('=')?)
        })
    })
}

fn setting(text: &str, name: &str) -> Option<String> {
    let found = lines(text).find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.map(|value| value.trim().to_owned())
}

fn quoted(text: &str) -> Option<String> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (value, _) = text[1..].split_once(quote)?;
    Some(value.to_owned())
}

/// `NAME = ["a", "b"]`, over several lines as well.
fn list(text: &str, name: &str) -> Vec<String> {
    let begins = |line: &&str| {
        line.trim().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let Some(line) = text.lines().find(begins) else { return Vec::new() };
    // The line is a part of the text.
    let at = line.as_ptr().addr() - text.as_ptr().addr();
    let Some((_, rest)) = text[at..].split_once('[') else { return Vec::new() };
    let inside = rest.split(']').next().unwrap_or_default();
    inside.split(',').filter_map(|item| quoted(item.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_versions_are_read() {
        for (tool, name, text, wanted) in [
            (Tool::Node, ".nvmrc", "v20.1.0\n", "20.1.0"),
            (Tool::Node, ".nvmrc", "# ours\nlts/iron\n", "lts/iron"),
            (Tool::Node, "web/package.json", r#"{"engines":{"node":">=18"}}"#, ">=18"),
            (
                Tool::Node,
                "package.json",
                r#"{"volta":{"node":"20.1.0"},"engines":{"node":"1"}}"#,
                "20.1.0",
            ),
            (Tool::Node, ".tool-versions", "ruby 3.2.2\nnodejs 20.1.0 # it\n", "20.1.0"),
            (Tool::Python, ".python-version", "3.12\n", "3.12"),
            (
                Tool::Python,
                "pyproject.toml",
                "[project]\nrequires-python = \">=3.9,<3.13\"\n",
                ">=3.9,<3.13",
            ),
            (Tool::Java, ".tool-versions", "java temurin-17.0.9+9\n", "17.0.9"),
            (Tool::Java, ".sdkmanrc", "java=21.0.2-tem\n", "21.0.2"),
            (Tool::Java, ".java-version", "17\n", "17"),
            (Tool::Go, "go.mod", "module a\n\ngo 1.22\n", "1.22"),
            (Tool::Go, "go.mod", "module a\ngo 1.21.0\ntoolchain go1.22.3\n", "1.22.3"),
            (Tool::Dotnet, "global.json", r#"{"sdk":{"version":"8.0.104"}}"#, "8.0.104"),
            (
                Tool::Dotnet,
                "global.json",
                r#"{"sdk":{"version":"8.0.104","rollForward":"latestPatch"}}"#,
                "8.0.1xx",
            ),
            (Tool::Ruby, "Gemfile", "source 'x'\nruby '3.2.2'\n", "3.2.2"),
            (Tool::Ruby, ".ruby-version", "ruby-3.2.2\n", "ruby-3.2.2"),
        ] {
            assert_eq!(asked_in(tool, name, text), [wanted], "{name}: {text}");
        }
        assert_eq!(asked_in(Tool::Python, ".python-version", "3.12\n3.11\n"), ["3.12", "3.11"]);
        assert_eq!(asked_in(Tool::Node, "package.json", "{}"), [""; 0]);
    }

    #[test]
    fn toolchain_files_of_rust_are_read() {
        let text =
            "[toolchain]\nchannel = \"1.70\"\ncomponents = [\n  \"clippy\",\n  'rustfmt',\n]\n";
        let wanted = Toolchain {
            channel: "1.70".into(),
            components: vec!["clippy".into(), "rustfmt".into()],
            targets: vec![],
        };
        assert_eq!(rust_toolchain(text), Some(wanted));
        assert_eq!(rust_toolchain("nightly-2024-01-01\n").unwrap().channel, "nightly-2024-01-01");
        assert_eq!(rust_toolchain("[toolchain]\n"), None);
        assert_eq!(rust_toolchain(""), None);
    }
}
