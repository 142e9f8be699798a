//! Texts from the other side, made fit to be kept: no control or direction-changing characters, no great length.

/// Characters kept of any text.
const LIMIT: usize = 200;
/// Stands for what was cut out.
const ELLIPSIS: char = '…';

/// `text` without characters that act on a terminal or a reader's eye. A long one loses its middle, not its end:
/// globs such as `*-keep` look at the end, and a deployment must not lose its protection by a long name.
pub(super) fn clean(text: &str) -> String {
    let cleaned: Vec<char> = text.chars().filter(|c| !is_hidden(*c)).collect();
    if cleaned.len() <= LIMIT {
        return cleaned.into_iter().collect();
    }
    let head = LIMIT / 2;
    let tail = LIMIT - head - 1;
    let end = cleaned.len() - tail;
    cleaned[..head].iter().chain(&[ELLIPSIS]).chain(&cleaned[end..]).collect()
}

/// Control characters, line and paragraph separators, and the bidirectional and zero-width ones.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn a28_a_hostile_name_becomes_harmless_and_keeps_both_ends() {
        assert_eq!(clean("a\r\nb\u{1b}[31m\u{202e}c\u{2066}\u{0}"), "ab[31mc");
        let long = clean(&format!("dev-{}-keep", "x".repeat(10_000)));
        assert_eq!(long.chars().count(), 200);
        assert!(long.starts_with("dev-x") && long.ends_with("x-keep"));
    }
}
