use grit_types::Timestamp;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// What moment.js writes by letters, the longest first.
const TOKENS: [&str; 31] = [
    "YYYY", "MMMM", "DDDD", "dddd", "MMM", "DDD", "ddd", "SSS", "YY", "MM", "DD", "Do", "HH", "hh",
    "mm", "ss", "ZZ", "WW", "dd", "M", "D", "d", "E", "Q", "H", "h", "m", "s", "A", "a", "W",
];

/// A moment in UTC as moment.js formats it; what stands in `[…]`, and what is no token of it, stays.
pub(super) fn date(format: &str, at: Timestamp) -> String {
    let parts = Parts::of(at);
    let (mut made, mut rest) = (String::new(), format);
    while let Some(first) = rest.chars().next() {
        if let Some((literal, after)) =
            rest.strip_prefix('[').and_then(|inner| inner.split_once(']'))
        {
            made.push_str(literal);
            rest = after;
        } else if let Some(token) = TOKENS.iter().find(|token| rest.starts_with(**token)) {
            made.push_str(&parts.written(token));
            rest = &rest[token.len()..];
        } else {
            made.push_str(&match first {
                'X' => at.millis().div_euclid(1_000).to_string(),
                'x' => at.millis().to_string(),
                'Z' => "+00:00".to_owned(),
                other => other.to_string(),
            });
            rest = &rest[first.len_utf8()..];
        }
    }
    made
}

struct Parts {
    year: i64,
    /// From 1, as the day is.
    month: i64,
    day: i64,
    /// From Sunday, 0.
    weekday: i64,
    /// Of the year, from 1.
    ordinal: i64,
    /// Within the day, in milliseconds.
    millis: i64,
}

impl Parts {
    /// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    fn of(at: Timestamp) -> Self {
        let days = at.millis().div_euclid(86_400_000);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * years + years / 4 - years / 100);
        let turned = (5 * of_year + 2) / 153;
        let day = of_year - (153 * turned + 2) / 5 + 1;
        let month = if turned < 10 { turned + 3 } else { turned - 9 };
        let year = years + era * 400 + i64::from(month <= 2);
        let leap = i64::from(is_leap(year));
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let index = usize::try_from(month - 1).unwrap_or(0);
        let ordinal = before[index] + day + if month > 2 { leap } else { 0 };
        let weekday = (days + 4).rem_euclid(7);
        Self { year, month, day, weekday, ordinal, millis: at.millis().rem_euclid(86_400_000) }
    }

    fn written(&self, token: &str) -> String {
        let (hour, minute) = (self.millis / 3_600_000, self.millis / 60_000 % 60);
        let second = self.millis / 1_000 % 60;
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        let two = |number: i64| format!("{number:02}");
        let named = |names: &[&str], at: i64, length: usize| {
            let name = usize::try_from(at).ok().and_then(|at| names.get(at)).copied();
            let name = name.unwrap_or_default();
            name.get(..length).unwrap_or(name).to_owned()
        };
        match token {
            "YYYY" => format!("{:04}", self.year),
            "YY" => two(self.year.rem_euclid(100)),
            "MMMM" => named(&MONTHS, self.month - 1, usize::MAX),
            "MMM" => named(&MONTHS, self.month - 1, 3),
            "MM" => two(self.month),
            "M" => self.month.to_string(),
            "DDDD" => format!("{:03}", self.ordinal),
            "DDD" => self.ordinal.to_string(),
            "DD" => two(self.day),
            "Do" => ordinal(self.day),
            "D" => self.day.to_string(),
            "dddd" => named(&DAYS, self.weekday, usize::MAX),
            "ddd" => named(&DAYS, self.weekday, 3),
            "dd" => named(&DAYS, self.weekday, 2),
            "d" => self.weekday.to_string(),
            "E" => self.weekday_iso().to_string(),
            "WW" => two(self.week()),
            "W" => self.week().to_string(),
            "Q" => ((self.month + 2) / 3).to_string(),
            "HH" => two(hour),
            "H" => hour.to_string(),
            "hh" => two(twelve),
            "h" => twelve.to_string(),
            "mm" => two(minute),
            "m" => minute.to_string(),
            "ss" => two(second),
            "s" => second.to_string(),
            "SSS" => format!("{:03}", self.millis % 1_000),
            "A" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            "a" => if hour < 12 { "am" } else { "pm" }.to_owned(),
            _ => "+0000".to_owned(),
        }
    }

    fn weekday_iso(&self) -> i64 {
        if self.weekday == 0 { 7 } else { self.weekday }
    }

    /// Source: ISO 8601.
    fn week(&self) -> i64 {
        let week = (self.ordinal - self.weekday_iso() + 10) / 7;
        if week < 1 {
            weeks_in(self.year - 1)
        } else if week > weeks_in(self.year) {
            1
        } else {
            week
        }
    }
}

fn weeks_in(year: i64) -> i64 {
    let of = |year: i64| {
        (year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)).rem_euclid(7)
    };
    if of(year) == 4 || of(year - 1) == 3 { 53 } else { 52 }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn ordinal(day: i64) -> String {
    let ending = match (day % 10, day % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_by_letters() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let leap = at("2024-02-29T03:04:05.678Z");
        for (format, made) in [
            ("YYYYMMDD", "20240229"),
            ("YYYY-MM-DDTHH:mm:ss.SSS[Z]", "2024-02-29T03:04:05.678Z"),
            ("YY.M.D", "24.2.29"),
            ("dddd, MMMM Do YYYY, h:mm:ss a", "Thursday, February 29th 2024, 3:04:05 am"),
            ("ddd MMM DD hh A", "Thu Feb 29 03 AM"),
            ("DDDD DDD Q E W WW", "060 60 1 4 9 09"),
            ("X x", "1709175845 1709175845678"),
            ("[at] Z ZZ", "at +00:00 +0000"),
        ] {
            assert_eq!(date(format, leap), made, "{format}");
        }
        assert_eq!(date("YYYY-MM-DD W", at("2021-01-01T00:00:00Z")), "2021-01-01 53");
        assert_eq!(date("YYYY-MM-DD W", at("2024-12-30T00:00:00Z")), "2024-12-30 1");
        assert_eq!(date("D MMM YYYY H h", at("1969-12-31T12:00:00Z")), "31 Dec 1969 12 12");
    }
}
