//! The notations in which programs write a text so that it survives in another one.

/// One notation; the characters that mean nothing in it stay as they are.
pub(crate) type Escape = fn(&str) -> String;

/// All of them, by name.
pub(crate) const ESCAPES: &[(&str, Escape)] = &[
    ("percent", percent),
    ("percent, lower case", percent_lower),
    ("form", form),
    ("json", json),
    ("json, ASCII", json_ascii),
    ("argument", argument),
    ("shell", shell),
    ("expression", expression),
    ("xml", xml),
    ("xml, numbers", xml_numbers),
    ("unquoted", unquoted),
    ("percent, in a command", percent_in_command),
    ("percent, in what a command is given", percent_in_property),
];

/// `text` in each of them, without those that change nothing, and the parts around its ampersands.
pub(crate) fn all(text: &str) -> Vec<String> {
    let forms = ESCAPES.iter().map(|(_, escape)| escape(text));
    forms.chain(around_ampersand(text)).filter(|form| form != text).collect()
}

/// RFC 3986: all but the unreserved characters as `%XX`.
fn percent(text: &str) -> String {
    percent_by(text, |byte| format!("%{byte:02X}"))
}

fn percent_lower(text: &str) -> String {
    percent_by(text, |byte| format!("%{byte:02x}"))
}

/// `application/x-www-form-urlencoded`: the same with `+` for a space.
fn form(text: &str) -> String {
    percent(text).replace("%20", "+")
}

/// What is left of the notation once a workflow command has been read: it has some of it, too.
fn percent_in_command(text: &str) -> String {
    percent(text).replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

fn percent_in_property(text: &str) -> String {
    let text = percent(text).replace("%0D", "\r").replace("%0A", "\n");
    text.replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
}

fn percent_by(text: &str, escape: impl Fn(u8) -> String) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&escape(byte));
        }
    }
    encoded
}

/// RFC 8259, with only what must be escaped.
fn json(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// The same in ASCII alone.
fn json_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for character in json(text).chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let units = &mut [0; 2];
            let units = character.encode_utf16(units).iter();
            ascii.extend(units.map(|unit| format!("\\u{unit:04x}")));
        }
    }
    ascii
}

/// Between double quotes on a command line.
fn argument(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Between single quotes in a shell.
fn shell(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// Between single quotes in an expression of a workflow, in YAML or in SQL.
fn expression(text: &str) -> String {
    text.replace('\'', "''")
}

fn xml(text: &str) -> String {
    xml_with(text, "&quot;", "&apos;")
}

/// As most template engines write quotes in HTML.
fn xml_numbers(text: &str) -> String {
    xml_with(text, "&#34;", "&#39;")
}

fn xml_with(text: &str, double: &str, single: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', double).replace('\'', single)
}

/// A secret that is kept with quotes around it is often shown without them.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.filter(|inner| inner.len() >= PART_LEN_MIN).unwrap_or(text).to_owned()
}

/// A part of a secret is one from this length on.
const PART_LEN_MIN: usize = 6;

/// PowerShell cuts a command at an ampersand, and shows the parts in its errors.
fn around_ampersand(text: &str) -> impl Iterator<Item = String> + '_ {
    let parts = text.contains('&').then(|| text.split('&')).into_iter().flatten();
    parts.map(str::trim).filter(|part| part.len() >= PART_LEN_MIN).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notation() {
        let text = "a 'b' \"c\" <&> \\ /é";
        let seen = |name: &str| {
            let (_, escape) = ESCAPES.iter().find(|(known, _)| *known == name).unwrap();
            escape(text)
        };
        assert_eq!(seen("percent"), "a%20%27b%27%20%22c%22%20%3C%26%3E%20%5C%20%2F%C3%A9");
        assert_eq!(
            seen("percent, lower case"),
            "a%20%27b%27%20%22c%22%20%3c%26%3e%20%5c%20%2f%c3%a9"
        );
        assert_eq!(seen("form"), "a+%27b%27+%22c%22+%3C%26%3E+%5C+%2F%C3%A9");
        assert_eq!(seen("json"), r#"a 'b' \"c\" <&> \\ /é"#);
        assert_eq!(seen("json, ASCII"), r#"a 'b' \"c\" <&> \\ /\u00e9"#);
        assert_eq!(seen("argument"), r#"a 'b' \"c\" <&> \\ /é"#);
        assert_eq!(seen("shell"), r#"a '\''b'\'' "c" <&> \ /é"#);
        assert_eq!(seen("expression"), r#"a ''b'' "c" <&> \ /é"#);
        assert_eq!(seen("xml"), r"a &apos;b&apos; &quot;c&quot; &lt;&amp;&gt; \ /é");
        assert_eq!(seen("xml, numbers"), r"a &#39;b&#39; &#34;c&#34; &lt;&amp;&gt; \ /é");
        assert_eq!(seen("unquoted"), text);
        assert_eq!(percent_in_command("a%:\n/"), "a%%3A\n%2F");
        assert_eq!(percent_in_property("a%:\n/"), "a%:\n%2F");
        assert_eq!(unquoted("\"abcdef\""), "abcdef");
        assert_eq!(around_ampersand("x&secret& part").collect::<Vec<_>>(), ["secret"]);
    }
}
