//! A page as plain text, 72 columns wide.

use crate::report::page::{Bar, Column, Figure, Page, ReportSection, SectionBody, Table};

/// Columns of a mail's plain text.
const WIDTH: usize = 72;
const BAR: usize = 20;

/// Renders `page`.
pub(super) fn render(page: &Page) -> String {
    let mut out = Lines(String::new());
    if let Some(banner) = &page.banner {
        out.paragraph(&banner.to_uppercase(), "");
        out.blank();
    }
    out.paragraph(&format!("offhours · {}", page.about), "");
    out.paragraph(&page.when, "");
    out.blank();
    if !page.needs.is_empty() {
        out.line("NEEDS A PERSON");
        page.needs.iter().for_each(|need| out.item(need));
        out.blank();
    }
    out.paragraph(&page.headline, "");
    for sentence in &page.lead {
        out.paragraph(sentence, "");
    }
    out.blank();
    if let Some(figure) = &page.figure {
        render_figure(&mut out, figure);
    }
    if page.needs.is_empty() {
        out.paragraph(page.calm, "");
    }
    if !page.facts.is_empty() {
        out.blank();
        let facts: Vec<String> = page.facts.iter().map(|fact| format!("{} {}", fact.value, fact.label)).collect();
        out.paragraph(&facts.join(" · "), "");
    }
    for section in &page.sections {
        render_section(&mut out, section);
    }
    out.blank();
    out.line("--");
    page.footer.iter().for_each(|sentence| out.paragraph(sentence, ""));
    out.0
}

fn render_figure(out: &mut Lines, figure: &Figure) {
    out.paragraph(&format!("{}  {}", figure.amounts.join(" and "), figure.caption), "");
    for detail in &figure.details {
        out.paragraph(detail, "");
    }
    out.blank();
}

fn render_section(out: &mut Lines, section: &ReportSection) {
    out.blank();
    out.paragraph(&section.heading.to_uppercase(), "");
    for sentence in &section.intro {
        out.paragraph(sentence, "");
    }
    match &section.body {
        SectionBody::Bars { bars } => render_bars(out, bars),
        SectionBody::Chart { columns } => render_chart(out, columns),
        SectionBody::Table(table) => render_table(out, table),
        SectionBody::List { items } => items.iter().for_each(|item| out.item(item)),
        SectionBody::Commands { lines } => lines.iter().for_each(|line| out.line(&format!("  {line}"))),
    }
}

fn render_bars(out: &mut Lines, bars: &[Bar]) {
    let value_width = bars.iter().map(|bar| letters(&bar.value)).max().unwrap_or(0);
    let label_width = (WIDTH - BAR).saturating_sub(value_width + 6).max(12);
    for bar in bars {
        let blocks = "█".repeat(length(bar.percent));
        out.aligned(&bar.label, label_width, &format!("{:>value_width$}  {blocks}", bar.value));
    }
}

fn render_chart(out: &mut Lines, columns: &[Column]) {
    let label_width = columns.iter().map(|column| letters(&column.label)).max().unwrap_or(0).min(30);
    let value_width = columns.iter().map(|column| letters(&column.value)).max().unwrap_or(0);
    for column in columns {
        let blocks = "█".repeat(column.percent.map_or(0, length));
        let mark = if column.current { " <" } else { "" };
        out.aligned(&column.label, label_width, &format!("{:>value_width$}  {blocks}{mark}", column.value));
    }
}

/// A bar that stands for anything at all is seen.
fn length(percent: u32) -> usize {
    let length = (percent as usize * BAR).div_ceil(100);
    length.min(BAR)
}

/// The figure of each row stands at the right; the cells between go under the first.
fn render_table(out: &mut Lines, table: &Table) {
    for row in &table.rows {
        let (Some(first), Some(last)) = (row.first(), row.last()) else { continue };
        let figure = if row.len() > 1 { last.main.as_str() } else { "" };
        out.leader(&format!("  {}", first.main), figure);
        let between = row.iter().skip(1).take(row.len().saturating_sub(2));
        let mut details = vec![first.sub.clone()];
        details.extend(between.flat_map(|cell| [cell.main.clone(), cell.sub.clone()]));
        details.push(last.sub.clone());
        details.retain(|detail| !detail.is_empty());
        out.details(&details, "    ");
    }
    for (label, figure) in table.rest.iter().chain(&table.total) {
        out.leader(&format!("  {label}"), figure);
    }
    if let Some(more) = &table.more {
        out.paragraph(more, "  ");
    }
}

struct Lines(String);

impl Lines {
    fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn blank(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }

    fn item(&mut self, text: &str) {
        for (index, line) in wrapped(text, WIDTH - 2).iter().enumerate() {
            self.line(&format!("{}{line}", if index == 0 { "- " } else { "  " }));
        }
    }

    fn paragraph(&mut self, text: &str, indent: &str) {
        for line in wrapped(text, WIDTH - indent.len()) {
            self.line(&format!("{indent}{line}"));
        }
    }

    /// Pieces in a row, broken between them where that is enough.
    fn details(&mut self, pieces: &[String], indent: &str) {
        let mut line = String::new();
        for piece in pieces {
            if line.is_empty() {
                line.clone_from(piece);
            } else if letters(indent) + letters(&line) + 3 + letters(piece) <= WIDTH {
                line = format!("{line} · {piece}");
            } else {
                self.paragraph(&line, indent);
                line.clone_from(piece);
            }
        }
        self.paragraph(&line, indent);
    }

    /// Text at the left, a figure at the right edge; a long text gets a line of its own.
    fn leader(&mut self, left: &str, right: &str) {
        let room = WIDTH.saturating_sub(letters(right) + 2);
        if right.is_empty() || letters(left) <= room {
            let gap = WIDTH.saturating_sub(letters(left) + letters(right));
            self.line(&format!("{left}{}{right}", " ".repeat(if right.is_empty() { 0 } else { gap })));
        } else {
            self.paragraph(left.trim_start(), "  ");
            self.line(&format!("{right:>WIDTH$}"));
        }
    }

    fn aligned(&mut self, label: &str, width: usize, rest: &str) {
        if letters(label) <= width {
            self.line(&format!("  {label:<width$}  {rest}"));
        } else {
            self.paragraph(label, "  ");
            self.line(&format!("  {:<width$}  {rest}", ""));
        }
    }
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

/// True for a currency and the amount after it, between which no line is broken.
pub(super) fn stay_together(word: &str, next: &str) -> bool {
    let code = word.trim_start_matches(|letter: char| !letter.is_alphanumeric());
    code.len() == 3
        && code.bytes().all(|letter| letter.is_ascii_uppercase())
        && next.starts_with(|letter: char| letter.is_ascii_digit())
}

/// The words between which a line may be broken.
fn breakable(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match words.last_mut() {
            Some(last) if stay_together(last, word) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Breaks at spaces, and inside a word only where it is longer than a line.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in breakable(text) {
        if !line.is_empty() && letters(&line) + 1 + letters(&word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
        while letters(&line) > width {
            let rest: String = line.chars().skip(width).collect();
            line = line.chars().take(width).collect();
            lines.push(std::mem::replace(&mut line, rest));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn text_is_broken_at_spaces_and_long_words_inside() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("", 4), Vec::<String>::new());
        assert_eq!(wrapped("so much: EUR 12.00", 13), ["so much:", "EUR 12.00"], "no amount without its currency");
    }
}
