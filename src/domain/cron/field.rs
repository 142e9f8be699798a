//! One field of a cron expression: what it may hold, and what is wrong with it in words for people.
//!
//! croner reads names by replacing letters (`SUN-SUN` becomes every day) and refuses in its own terms, so it is only
//! given what was understood here: numbers, in its own notation.

use crate::domain::cron::bad_cron::BadCron;

/// A field: its name, its numbers, and the names of some of them.
pub(super) struct CronField {
    name: &'static str,
    from: u32,
    to: u32,
    /// Names of the numbers from `from` on.
    names: &'static [&'static str],
    takes: &'static str,
}

/// All six, in the order in which they are written.
pub(super) const FIELDS: [CronField; 6] = [
    CronField { name: "second", from: 0, to: 59, names: &[], takes: "0 to 59" },
    CronField { name: "minute", from: 0, to: 59, names: &[], takes: "0 to 59" },
    CronField { name: "hour", from: 0, to: 23, names: &[], takes: "0 to 23" },
    CronField {
        name: "day",
        from: 1,
        to: 31,
        names: &[],
        takes: "1 to 31, `L` for the last, `LW` for the last weekday",
    },
    CronField {
        name: "month",
        from: 1,
        to: 12,
        names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
        takes: "JAN to DEC, or 1 to 12",
    },
    CronField {
        name: "weekday",
        from: 0,
        to: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        takes: "SUN to SAT, or 0 to 7",
    },
];

impl CronField {
    /// `text` in numbers, as croner takes it.
    pub(super) fn read(&self, text: &str) -> Result<String, BadCron> {
        if let Some(sign) = text.chars().find(|c| "@+?".contains(*c)) {
            return refuse(format!(
                "`{sign}` in the {} field is from another cron dialect; `*` means every",
                self.name
            ));
        }
        let parts: Vec<String> = text.split(',').map(|part| self.part(part, text)).collect::<Result<_, _>>()?;
        let has = |wanted: &str| parts.iter().any(|part| part == wanted);
        if parts.len() > 1 && has("*") {
            return refuse(format!("`*` in `{}` already means every {}: write it alone", clip(text), self.name));
        }
        if has("L") && has("LW") {
            return refuse("`L` and `LW` are mutually exclusive: choose one".to_owned());
        }
        Ok(parts.join(","))
    }

    fn part(&self, part: &str, whole: &str) -> Result<String, BadCron> {
        if part.is_empty() {
            return refuse(format!("the list `{}` of the {} field has an empty item", clip(whole), self.name));
        }
        let Some((range, step)) = part.split_once('/') else { return self.range(part) };
        if range != "*" && !range.contains('-') {
            return refuse(format!("`{}` is not a valid step: write `*/n` or `a-b/n`", clip(part)));
        }
        let range = self.range(range)?;
        match number(step) {
            Some(0) => refuse(format!("the step of `{}` is 0: it must be at least 1", clip(part))),
            Some(n) if n <= u64::from(self.to) => Ok(format!("{range}/{n}")),
            Some(_) => refuse(format!(
                "the step of `{}` is longer than the {} field, which ends at {}",
                clip(part),
                self.name,
                self.to
            )),
            None => refuse(format!("the step of `{}` is not a number", clip(part))),
        }
    }

    fn range(&self, text: &str) -> Result<String, BadCron> {
        if text == "*" {
            return Ok(text.to_owned());
        }
        match (self.name, text.to_ascii_uppercase()) {
            ("day", upper) if upper == "L" || upper == "LW" => return Ok(upper),
            ("day", upper) if upper.ends_with('W') => {
                return Ok(format!("{}W", self.value(upper.trim_end_matches('W'), text)?));
            }
            ("weekday", upper) if upper.contains('#') || upper.ends_with('L') => return self.nth(&upper, text),
            _ => {}
        }
        let Some((first, last)) = text.split_once('-') else { return Ok(self.value(text, text)?.to_string()) };
        let (a, b) = (self.value(first, text)?, self.value(last, text)?);
        if a <= b {
            return Ok(format!("{a}-{b}"));
        }
        let (top, bottom) = (self.shown_as(first, self.to.min(self.from + self.numbers() - 1)), self.from);
        let upper = if top.eq_ignore_ascii_case(first) { first.to_owned() } else { format!("{first}-{top}") };
        let bottom = self.shown_as(last, bottom);
        let lower = if bottom.eq_ignore_ascii_case(last) { last.to_owned() } else { format!("{bottom}-{last}") };
        refuse(format!("the range `{}` runs backwards: write both parts, as in `{upper},{lower}`", clip(text)))
    }

    /// `FRI#2` and `FRIL` (or `FRI#L`): the second and the last Friday of the month.
    fn nth(&self, upper: &str, written: &str) -> Result<String, BadCron> {
        let (day, which) = match upper.split_once('#') {
            Some(parts) => parts,
            None => (upper.trim_end_matches('L'), "L"),
        };
        let day = self.value(day, written)?;
        match which {
            "L" => Ok(format!("{day}L")),
            "1" | "2" | "3" | "4" | "5" => Ok(format!("{day}#{which}")),
            _ => refuse(format!(
                "`{}` is not a weekday of a month: `FRI#1` to `FRI#5`, or `FRIL` for the last",
                clip(written)
            )),
        }
    }

    /// The number that `text` is or names; `written` is the part it stands in.
    fn value(&self, text: &str, written: &str) -> Result<u32, BadCron> {
        if let Some(value) = number(text) {
            let within = u32::try_from(value).ok().filter(|value| (self.from..=self.to).contains(value));
            return within.ok_or(BadCron::OutOfRange { field: self.name, value, from: self.from, to: self.to });
        }
        let named = self.names.iter().zip(self.from..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        match named {
            Some((_, value)) => Ok(value),
            None => refuse(format!("`{}` is not a valid {}: {}", clip(written), self.name, self.takes)),
        }
    }

    /// How many different numbers there are: 7 is Sunday again.
    fn numbers(&self) -> u32 {
        if self.name == "weekday" { 7 } else { self.to - self.from + 1 }
    }

    /// `value` by name where `like` is a name.
    fn shown_as(&self, like: &str, value: u32) -> String {
        let index = usize::try_from(value - self.from).unwrap_or(usize::MAX);
        let name = self.names.get(index).filter(|_| number(like).is_none());
        name.map_or_else(|| value.to_string(), |name| (*name).to_owned())
    }
}

/// A number of any length; those beyond all ranges are as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn refuse<T>(why: String) -> Result<T, BadCron> {
    Err(BadCron::Field(why))
}

fn clip(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
