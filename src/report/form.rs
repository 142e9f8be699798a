//! Numbers, amounts, dates and durations in the reader's form.

use chrono::{DateTime, Datelike, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::avoided::Money;
use crate::domain::locale::Locale;
use crate::domain::plural::noun;
use crate::domain::zone::Zone;

/// Decimal places of hours and capacity units in a report that people read; the CSV has all of them.
const PLACES: u32 = 3;

const WEEKDAYS_DE: [&str; 7] = ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"];

/// How a reader wants to see values.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    pub locale: Locale,
    /// Whose wall clock is shown.
    pub zone: &'a Zone,
}

impl Form<'_> {
    /// A decimal with all its digits: `1,234.50`, `1.234,50`.
    pub(crate) fn decimal(&self, value: Decimal) -> String {
        let (group, point) = match self.locale {
            Locale::En => (',', '.'),
            Locale::De => ('.', ','),
        };
        let plain = value.to_string();
        let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut text = sign.to_owned();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                text.push(group);
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push(point);
            text.push_str(fraction);
        }
        text
    }

    /// Hours or capacity units: at most three places, none that say nothing.
    pub(crate) fn quantity(&self, value: Decimal) -> String {
        self.decimal(value.round_dp_with_strategy(PLACES, RoundingStrategy::MidpointNearestEven).normalize())
    }

    /// `1 deployment`, `1,200 deployments`.
    pub(crate) fn counted(&self, count: usize, singular: &str) -> String {
        format!("{} {}", self.count(count), noun(count, singular))
    }

    pub(crate) fn count(&self, value: usize) -> String {
        self.decimal(Decimal::from(value))
    }

    /// `EUR 1,234.50`.
    pub fn money(&self, money: Money) -> String {
        format!("{} {}", money.currency.code(), self.decimal(money.amount))
    }

    /// `Mon 23 Nov 2026, 19:00 CET`; `Mo 23.11.2026, 19:00 CET`.
    pub(crate) fn instant(&self, at: DateTime<Utc>) -> String {
        format!("{}, {}", self.date(at), self.time(at))
    }

    /// The same, for sentences that have instants in them.
    pub(crate) fn instants(&self) -> impl Fn(DateTime<Utc>) -> String {
        |at| self.instant(at)
    }

    /// `19:00 CET`; seconds only where there are any.
    pub(crate) fn time(&self, at: DateTime<Utc>) -> String {
        let wall = self.zone.wall_clock(at);
        let clock = if wall.format("%S").to_string() == "00" { "%H:%M" } else { "%H:%M:%S" };
        format!("{} {}", wall.format(clock), self.zone.abbreviation(at))
    }

    /// `Mon 23 Nov 2026`; `Mo 23.11.2026`.
    pub(crate) fn date(&self, at: DateTime<Utc>) -> String {
        let wall = self.zone.wall_clock(at);
        match self.locale {
            Locale::En => wall.format("%a %-d %b %Y").to_string(),
            Locale::De => format!("{} {}", weekday_de(wall), wall.format("%d.%m.%Y")),
        }
    }

    /// A line's worth: `Mon 23 Nov 19:00`, without the zone.
    pub(crate) fn stamp(&self, at: DateTime<Utc>) -> String {
        format!("{} {}", self.short_date(at), self.zone.wall_clock(at).format("%H:%M"))
    }

    /// A day, without the year: `Mon 23 Nov`; `Mo 23.11.`.
    pub(crate) fn short_date(&self, at: DateTime<Utc>) -> String {
        let wall = self.zone.wall_clock(at);
        match self.locale {
            Locale::En => wall.format("%a %-d %b").to_string(),
            Locale::De => format!("{} {}", weekday_de(wall), wall.format("%d.%m.")),
        }
    }

    /// `1 Jan 2026`; `01.01.2026`.
    pub(crate) fn day(&self, day: chrono::NaiveDate) -> String {
        match self.locale {
            Locale::En => day.format("%-d %b %Y").to_string(),
            Locale::De => day.format("%d.%m.%Y").to_string(),
        }
    }

    /// The days of a period, its last one included; instants where it does not run from midnight to midnight.
    pub(crate) fn days(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> String {
        let midnight = |at| self.zone.wall_clock(at).time() == NaiveTime::MIN;
        if !(midnight(from) && midnight(to) && from < to) {
            return self.span(from, to);
        }
        let (first, last) = (self.date(from), self.date(to - TimeDelta::seconds(1)));
        if first == last { first } else { format!("{first} to {last}") }
    }

    /// From one instant to another, without saying the day twice.
    pub(crate) fn span(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> String {
        if self.zone.wall_clock(from).date() == self.zone.wall_clock(to).date() {
            format!("{} to {}", self.instant(from), self.time(to))
        } else {
            format!("{} to {}", self.instant(from), self.instant(to))
        }
    }
}

fn weekday_de(wall: NaiveDateTime) -> &'static str {
    WEEKDAYS_DE.get(wall.weekday().num_days_from_monday() as usize).copied().unwrap_or("")
}

/// `2nd`, `11th`, `23rd`.
pub(crate) fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::Form;
    use crate::domain::locale::Locale;
    use crate::domain::zone::Zone;

    #[test]
    fn numbers_and_dates_in_both_forms() {
        let zone = Zone::new("Europe/Berlin", jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
        let (en, de) = (Form { locale: Locale::En, zone: &zone }, Form { locale: Locale::De, zone: &zone });
        let number = |text: &str| text.parse().unwrap();
        for (value, english, german) in [
            ("0", "0", "0"),
            ("184.20", "184.20", "184,20"),
            ("1234567.5", "1,234,567.5", "1.234.567,5"),
            ("-1000", "-1,000", "-1.000"),
            ("999", "999", "999"),
        ] {
            assert_eq!((en.decimal(number(value)), de.decimal(number(value))), (english.to_owned(), german.to_owned()));
        }
        assert_eq!(en.quantity(number("60.8750")), "60.875");
        assert_eq!(en.quantity(number("11.916667")), "11.917");
        let winter: DateTime<Utc> = "2026-11-23T18:00:00Z".parse().unwrap();
        let summer: DateTime<Utc> = "2026-07-01T17:04:09Z".parse().unwrap();
        assert_eq!(en.instant(winter), "Mon 23 Nov 2026, 19:00 CET");
        assert_eq!(de.instant(winter), "Mo 23.11.2026, 19:00 CET");
        assert_eq!(en.time(summer), "19:04:09 CEST");
    }
}
