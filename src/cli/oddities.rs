//! What `check` says of an odd schedule.

use chrono::{DateTime, Utc};

use crate::domain::oddity::{MOST_COUNTED, OFTEN, Oddity, oddities};
use crate::domain::rule::Rule;
use crate::domain::schedule::OffWindow;

/// A sentence for each oddity of `rule`.
pub(crate) fn sentences(rule: &Rule, now: DateTime<Utc>) -> impl Iterator<Item = String> {
    oddities(&rule.schedule, now).into_iter().map(|oddity| sentence(rule, &oddity))
}

fn sentence(rule: &Rule, oddity: &Oddity) -> String {
    match oddity {
        Oddity::Often { side, times, on, instead } => {
            let times = if *times >= MOST_COUNTED { format!("over {MOST_COUNTED}") } else { times.to_string() };
            let key = side.key();
            let hint = match instead {
                Some(cron) => format!("six fields begin with seconds; did you mean `{cron}`?"),
                None => format!("more than {OFTEN} times a day is rarely meant"),
            };
            format!("`{key}` occurs {times} times on {on}: {hint}")
        }
        Oddity::EitherDay { side, day, weekday, instead } => {
            let hint = match instead {
                Some(cron) => format!("for the days that are both, write `{cron}`"),
                None => "write `*` for the one that is not meant".to_owned(),
            };
            format!(
                "`{}` gives a day of the month and a weekday, and either is enough: it occurs on each day `{day}` and on \
                 each `{weekday}`; {hint}",
                side.key()
            )
        }
        Oddity::Short(window) => {
            let minutes = (window.to - window.from).num_minutes();
            format!(
                "the off window from {} lasts {minutes} minutes, which avoids almost nothing",
                local(rule, window).0
            )
        }
        Oddity::OverWork { window, day } => {
            let (from, to) = local(rule, window);
            let hint = match &rule.schedule.until {
                Some(_) => "see that `until` is right",
                None => "`until` says when the deployments are wanted again",
            };
            format!("off from {from} to {to}, over the working hours of {}: {hint}", day.format("%a %Y-%m-%d"))
        }
    }
}

fn local(rule: &Rule, window: &OffWindow) -> (String, String) {
    let at = |at| rule.schedule.zone.wall_clock(at).format("%a %Y-%m-%d %H:%M").to_string();
    (at(window.from), at(window.to))
}
