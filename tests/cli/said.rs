//! What a command says, made comparable: what depends on the hour of the test is masked.

use crate::process::bench::Bench;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `text` with each number, weekday and month masked, and runs of blanks as one: columns move with the numbers in them.
pub fn masked(text: &str) -> String {
    let mut masked = String::new();
    for line in text.lines() {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(|word| {
            let plain = word.trim_matches(|c: char| !c.is_alphanumeric());
            if DAYS.contains(&plain) {
                return word.replace(plain, "DAY");
            }
            if MONTHS.contains(&plain) {
                return word.replace(plain, "MONTH");
            }
            let mut out = String::new();
            for c in word.chars() {
                match c {
                    '0'..='9' if out.ends_with('#') => {}
                    '0'..='9' => out.push('#'),
                    c => out.push(c),
                }
            }
            // On the hour, 6.999 node hours are 7; on the minute, seconds are not shown.
            out.replace("#,#", "#").replace("#.#", "#").replace("#:#:#", "#:#")
        });
        let indent = line.len() - line.trim_start().len();
        masked.push_str(&" ".repeat(indent.min(2)));
        // Within one day, the day is not said twice; whether midnight lies in between is the clock's affair.
        let words = words.collect::<Vec<_>>().join(" ").replace("UTC to #:#", "UTC to DAY # MONTH #, #:#");
        masked.push_str(words.trim_end());
        masked.push('\n');
    }
    masked
}

/// `text` masked, and on one line.
pub fn flowing(text: &str) -> String {
    masked(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Bench {
    /// The command line, exit code and whole output of a command, with the home's and the tenant's address masked.
    pub fn transcript(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        let home = self.home.path().display().to_string();
        let tidy = |text: &str| text.replace(&home, "HOME").replace(self.simulator.base_url(), "TENANT");
        format!(
            "$ offhours {}\n{}{}[exit {}]\n",
            arguments.join(" "),
            tidy(&said.out),
            tidy(&said.err),
            said.code.unwrap()
        )
    }
}

/// No line of a table is wider than a terminal.
#[track_caller]
pub fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}
