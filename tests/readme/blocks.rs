//! What papers are made of: fenced blocks, sections, tables, headings.

use std::collections::BTreeSet;

use super::PAPERS;

/// A fenced block: its language and its text, without the indentation of a list it may stand in.
pub(super) struct Block {
    pub(super) language: String,
    pub(super) text: String,
}

/// The blocks of all papers.
pub(super) fn blocks() -> Vec<Block> {
    PAPERS.iter().flat_map(|(name, text)| blocks_of(name, text)).collect()
}

fn blocks_of(name: &str, text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for line in text.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                let indent = line.len() - line.trim_start().len();
                open = Some((indent, Block { language: language.to_owned(), text: String::new() }));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or(""));
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name}: a block without an end");
    blocks
}

/// The blocks of all papers in this language.
pub(super) fn blocks_in(language: &str) -> Vec<String> {
    let texts: Vec<String> =
        blocks().into_iter().filter(|block| block.language == language).map(|block| block.text).collect();
    assert!(!texts.is_empty(), "no {language} block");
    texts
}

/// The lines below a heading of a paper, up to the next one of any level.
pub(super) fn section(paper: &'static str, heading: &str) -> Vec<&'static str> {
    let mut is_code = false;
    let (mut lines, mut is_inside) = (Vec::new(), false);
    for line in paper.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let is_heading = !is_code && ["# ", "## ", "### "].iter().any(|level| line.starts_with(level));
        match (is_heading, is_inside) {
            (true, true) => return lines,
            (true, false) => is_inside = line.trim_start_matches('#').trim() == heading,
            (false, true) => lines.push(line),
            (false, false) => {}
        }
    }
    assert!(is_inside, "no heading `{heading}`");
    lines
}

/// The rows of every table below a heading, without heads; cells as they are written.
pub(super) fn raw_table(paper: &'static str, heading: &str) -> Vec<Vec<String>> {
    let rows = section(paper, heading).into_iter().filter(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<String> {
        let inner = row.trim_matches('|').replace("\\|", "\u{0}");
        inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    // A head is what stands above a line of dashes.
    let is_rule = |row: &Vec<String>| row.iter().all(|cell| cell == "---");
    let body =
        rows.iter().enumerate().filter(|(index, row)| !is_rule(row) && !rows.get(index + 1).is_some_and(is_rule));
    let body: Vec<Vec<String>> = body.map(|(_, row)| row.clone()).collect();
    assert!(!body.is_empty(), "no table below `{heading}`");
    body
}

/// The same, without back-ticks.
pub(super) fn table(paper: &'static str, heading: &str) -> Vec<Vec<String>> {
    let plain = |row: Vec<String>| row.into_iter().map(|cell| cell.replace('`', "")).collect();
    raw_table(paper, heading).into_iter().map(plain).collect()
}

/// What stands in back-ticks in a text.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Where links into a paper can lead.
pub(super) fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with("## ") || line.starts_with("### "));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}
