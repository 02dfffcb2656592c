/// The number that a string stands for in a comparison: decimal, `0x…`, `0o…`, `Infinity`, an
/// empty one is 0; anything else is NaN.
pub(super) fn parse(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o").or_else(|| text.strip_prefix("0O")) {
        return radix(digits, 8);
    }
    match text {
        "Infinity" | "+Infinity" => return f64::INFINITY,
        "-Infinity" => return f64::NEG_INFINITY,
        _ => {}
    }
    // Rust would also read `inf` and `nan`.
    let allowed = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    if text.bytes().all(allowed) { text.parse().unwrap_or(f64::NAN) } else { f64::NAN }
}

fn radix(digits: &str, radix: u32) -> f64 {
    if digits.is_empty() {
        return f64::NAN;
    }
    let mut number = 0.0;
    for c in digits.chars() {
        match c.to_digit(radix) {
            Some(digit) => number = number * f64::from(radix) + f64::from(digit),
            None => return f64::NAN,
        }
    }
    number
}

/// .NET's `G15`: 15 significant digits, exponent form from 1E+15 and below 1E-05.
pub(super) fn format(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{:.14e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}", layout(digits.trim_end_matches('0'), exponent))
}

fn layout(digits: &str, exponent: i32) -> String {
    if !(-5..15).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{first}{dot}{rest}E{sign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("0.{zeros}{digits}");
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_dotnet_writes_them() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (120.0, "120"),
            (0.012, "0.012"),
            (-123_456.789, "-123456.789"),
            (0.1 + 0.2, "0.3"),
            (1e15, "1E+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1.5e-7, "1.5E-07"),
        ] {
            assert_eq!(format(number), text);
        }
    }

    #[test]
    fn strings_that_are_no_number_are_nan() {
        for text in ["abc", "1a", "inf", "nan", "-0xFF", "0x", "0x1p2", "1 2"] {
            assert!(parse(text).is_nan(), "{text}");
        }
        assert_eq!(parse(" 0xff "), 255.0);
        assert_eq!(parse("0o10"), 8.0);
        assert_eq!(parse(""), 0.0);
    }
}
