//! The core schema of YAML 1.2.2, section 10.3.2, for plain scalars.

use super::{Style, Value};

/// What a plain scalar stands for.
///
/// saphyr's own resolution takes some texts for numbers that the schema does not (`+-5`, `0x-5`).
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        other => number(other).unwrap_or_else(|| Value::String(other.to_owned(), Style::Plain)),
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0o") {
        return in_base(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return in_base(digits, 16);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Float)).ok();
    }
    is_decimal(unsigned).then(|| text.parse().map(Value::Float).ok())?
}

fn in_base(digits: &str, base: u32) -> Option<Value> {
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    is_number.then(|| i64::from_str_radix(digits, base).map(Value::Int).ok())?
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digit = !whole.is_empty() || !fraction.is_empty();
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    has_digit
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|text| !text.is_empty() && digits(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        let table = [
            ("~", Value::Null),
            ("Null", Value::Null),
            ("True", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("12", Value::Int(12)),
            ("-3", Value::Int(-3)),
            ("+3", Value::Int(3)),
            ("010", Value::Int(10)),
            ("0o17", Value::Int(15)),
            ("0xfF", Value::Int(255)),
            ("3.10", Value::Float(3.1)),
            ("1.", Value::Float(1.0)),
            (".5", Value::Float(0.5)),
            ("1e3", Value::Float(1000.0)),
            ("-1.5E-1", Value::Float(-0.15)),
            ("-.INF", Value::Float(f64::NEG_INFINITY)),
            ("99999999999999999999", Value::Float(1e20)),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_string() {
        let strings = [
            "on",
            "yes",
            "no",
            "off",
            "y",
            "nUll",
            "tRUE",
            "+-5",
            "0x-5",
            "0x",
            "0o8",
            "-0x1",
            "1_000",
            "1e",
            ".",
            "e3",
            "-",
            "+",
            "inf",
            "nan",
            "1.2.3",
            "12:30",
            "0b1",
            "١",
            "1e+",
            ".e1",
            "0xFFFFFFFFFFFFFFFFFF",
        ];
        for text in strings {
            assert_eq!(resolve(text), Value::String(text.to_owned(), Style::Plain), "{text}");
        }
    }
}
