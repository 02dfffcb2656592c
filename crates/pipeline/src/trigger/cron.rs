//! Cron lines of five fields, in UTC, as POSIX has them with ranges, steps and names.

use std::str::FromStr;

use grit_types::Timestamp;

/// When something is due: minute, hour, day of the month, month, day of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    /// Both are said, and one of them is enough.
    either_day: bool,
}

/// A line that is no cron line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no cron line of five fields")]
pub struct CronError(pub String);

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl FromStr for Cron {
    type Err = CronError;
    fn from_str(line: &str) -> Result<Self, CronError> {
        let wrong = || CronError(line.chars().take(80).collect());
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return Err(wrong()) };
        let weekdays = field(weekday, 0, 7, &WEEKDAYS).ok_or_else(wrong)?;
        Ok(Self {
            minutes: field(minute, 0, 59, &[]).ok_or_else(wrong)?,
            hours: field(hour, 0, 23, &[]).ok_or_else(wrong)?,
            days: field(day, 1, 31, &[]).ok_or_else(wrong)?,
            months: field(month, 1, 12, &MONTHS).ok_or_else(wrong)?,
            // Sunday is 7 as well.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !day.starts_with(['*', '?']) && !weekday.starts_with(['*', '?']),
        })
    }
}

impl Cron {
    /// Whether it is due in the minute that the time is in.
    pub fn is_due(&self, at: Timestamp) -> bool {
        let minutes = at.millis().div_euclid(60_000);
        let (days, of_day) = (minutes.div_euclid(1_440), minutes.rem_euclid(1_440));
        let (month, day) = civil(days);
        let has = |set: u64, value: i64| set >> value & 1 == 1;
        let by_day = has(self.days, day);
        // The epoch began on a Thursday.
        let by_weekday = has(self.weekdays, (days + 4).rem_euclid(7));
        let on_day = if self.either_day { by_day || by_weekday } else { by_day && by_weekday };
        on_day
            && has(self.months, month)
            && has(self.hours, of_day / 60)
            && has(self.minutes, of_day % 60)
    }
}

/// The values that a field selects, as a set of bits.
fn field(text: &str, from: u32, to: u32, names: &[&str]) -> Option<u64> {
    text.split(',').try_fold(0, |set, part| Some(set | self::part(part, from, to, names)?))
}

fn part(text: &str, from: u32, to: u32, names: &[&str]) -> Option<u64> {
    let value = |text: &str| {
        let lower = text.to_ascii_lowercase();
        let named = names.iter().position(|name| *name == lower);
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + from);
        named.or_else(|| text.parse().ok()).filter(|value| (from..=to).contains(value))
    };
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
        None => (text, None),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (value(first)?, value(last)?),
        None if range == "*" || range == "?" => (from, to),
        None => (value(range)?, if step.is_some() { to } else { value(range)? }),
    };
    if first > last {
        return None;
    }
    let step = usize::try_from(step.unwrap_or(1)).ok()?;
    Some((first..=last).step_by(step).fold(0, |set, value| set | 1 << value))
}

/// Month and day of a day since the epoch, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64) {
    // Years that begin in March, so that the day that comes and goes is their last.
    let shifted = days + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 1_440 * MINUTE;
    /// Friday, 2026-01-02 03:04 UTC.
    const NOW: i64 = 20_455 * DAY + (3 * 60 + 4) * MINUTE;

    fn due(line: &str, at: i64) -> bool {
        line.parse::<Cron>().unwrap().is_due(Timestamp::from_millis(at))
    }

    #[test]
    fn fields_select_by_value_range_step_and_name() {
        for line in [
            "* * * * *",
            "4 3 2 1 *",
            "4 3 * * 5",
            "4 3 * * FRI",
            "*/2 * * jan *",
            "0-10/4 3 * * *",
            "1,4 */3 * * *",
            "4 3 2 1 1",
            "4 3 15 * fri",
            "4/10 * * * *",
        ] {
            assert!(due(line, NOW + 30_000), "{line}");
        }
        for line in
            ["5 * * * *", "4 3 3 1 *", "4 3 * * 4", "*/5 * * * *", "4 3 * feb *", "4 3 2 * "]
        {
            let read: Result<Cron, _> = line.parse();
            assert!(read.is_err() || !due(line, NOW), "{line}");
        }
        assert!(due("0 0 29 2 *", (19_782) * DAY), "2024 had a 29 February");
        assert!(due("0 0 1 3 *", (19_783) * DAY));
        assert!(
            due("0 0 * * 7", 3 * DAY) && due("0 0 * * 0", 3 * DAY),
            "the fourth day was a Sunday"
        );
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for line in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "@daily",
            "x * * * *",
        ] {
            assert!(line.parse::<Cron>().is_err(), "{line}");
        }
    }
}
