//! The HTML of every mail, judged by what mail clients do to HTML.

use crate::report_support::{
    berlin, blocked, context, digest, good, hold, hostile, huge, last_week, missed, observed, partial, planned, trend,
    week,
};
use offhours::domain::locale::Locale;
use offhours::report::{PeriodReport, ReportContext, notice, period_report, run_report};

/// Every kind of mail, by name.
fn mails() -> Vec<(&'static str, String)> {
    let (zone, runs, period, trend) = (berlin(), week(), last_week(), trend());
    let context = context(&zone);
    let notes = ["The tenant has 2 reserved nodes; they go on costing whatever is stopped.".to_owned()];
    let digest = digest(&runs);
    let report = PeriodReport {
        period: &period,
        digest: &digest,
        trend: &trend,
        holds: &[hold()],
        notes: &notes,
        restates: None,
    };
    let rehearsal = ReportContext { banner: Some("Rehearsal: a simulated tenant, nothing was stopped"), ..context };
    let german = ReportContext { locale: Locale::De, ..context };
    let run = good();
    let before = notice(&run.firing.rule, run.firing.at, run.off_window, &planned(), &context);
    vec![
        ("notice", before.html),
        ("good", run_report(&run, &context).html),
        ("partial", run_report(&partial(), &rehearsal).html),
        ("blocked", run_report(&blocked(), &context).html),
        ("missed", run_report(&missed(), &context).html),
        ("observed", run_report(&observed(), &german).html),
        ("hostile", run_report(&hostile(), &context).html),
        ("huge", run_report(&huge(), &context).html),
        ("week", period_report(&report, &context).html),
    ]
}

/// The tags of a page, comments for Outlook included.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect()
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_runs() {
    for (name, html) in mails() {
        for tag in tags(&html) {
            let element = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap_or_default();
            let refused =
                ["script", "link", "img", "svg", "iframe", "object", "embed", "form", "input", "base", "video", "a"];
            assert!(!refused.contains(&element), "{name}: <{tag}>");
            for attribute in
                [" src=", " href=", " background=", " onclick=", " onerror=", " onload=", "url(", "@import"]
            {
                assert!(!tag.contains(attribute), "{name}: <{tag}>");
            }
        }
    }
}

#[test]
fn the_layout_is_tables_with_inlined_styles() {
    for (name, html) in mails() {
        for word in ["position:", "display:flex", "display:grid", "float:", "display:inline-block", "saved", "savings"]
        {
            assert!(!html.contains(word), "{name}: {word}");
        }
        // What `<style>` says is only for the dark and for phones: outside of media queries it may set the scheme only.
        let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
        let (mut depth, mut outside) = (0_i32, String::new());
        for letter in style.chars() {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            if depth == 0 && letter != '}' {
                outside.push(letter);
            }
        }
        let outside: Vec<&str> = outside.split_whitespace().collect();
        let expected = [":root", "@media", "(prefers-color-scheme:dark)", "@media", "(max-width:480px)"];
        assert_eq!(outside, expected, "{name}");
        // Without `<style>` each cell still has its colours and its space.
        for tag in tags(&html).into_iter().filter(|tag| tag.starts_with("td ") && !tag.contains("colspan")) {
            assert!(tag.contains("style=\""), "{name}: <{tag}>");
        }
    }
}

#[test]
fn a_screen_reader_finds_its_way() {
    for (name, html) in mails() {
        assert!(html.contains("<html lang=\"en\""), "{name}");
        assert!(html.contains("<meta name=\"color-scheme\" content=\"light dark\">"), "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        for tag in tags(&html).into_iter().filter(|tag| tag.starts_with("th ")) {
            assert!(tag.contains("scope=\"col\"") || tag.contains("scope=\"row\""), "{name}: <{tag}>");
        }
        // A table either is for layout and says so, or has headers.
        for (index, _) in html.match_indices("<table") {
            let table = &html[index..];
            let head = table.split('>').next().unwrap();
            let body = &table[..table.find("</table>").unwrap()];
            assert!(head.contains("role=\"presentation\"") || body.contains("<th "), "{name}: {head}>");
        }
    }
}

#[test]
fn every_tag_is_closed() {
    for (name, html) in mails() {
        let mut open: Vec<&str> = Vec::new();
        for tag in tags(&html) {
            let element = tag.split([' ', '\n']).next().unwrap();
            if tag.starts_with('!') || ["meta", "br"].contains(&element) {
                continue;
            }
            match element.strip_prefix('/') {
                // Outlook's own table opens and closes inside comments.
                Some(closed) => assert_eq!(open.pop(), Some(closed), "{name}: </{closed}>"),
                None => open.push(element),
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

/// Not a test: writes the mails into `$OFFHOURS_SAMPLES`, for `tests/screenshots.sh`.
#[test]
fn samples_for_the_eye() {
    let Some(directory) = std::env::var_os("OFFHOURS_SAMPLES").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&directory).unwrap();
    for (name, html) in mails() {
        std::fs::write(directory.join(format!("{name}.html")), html).unwrap();
    }
}
