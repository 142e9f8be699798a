//! Text that comes from outside, made harmless: one line, nothing that hides or turns what is read, no great length.

use std::fmt::{self, Write as _};

/// Characters that are kept of a text. Nobody reads a report for the 201st letter of a configuration's name.
pub const LONGEST: usize = 200;

/// True where `text` has a line end or another control character.
pub(crate) fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Control characters, line ends, and the marks that change what is seen without being seen: bidirectional controls,
/// zero-width letters, tags.
pub(crate) fn is_harmful(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') || is_invisible(letter)
}

fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text in which harmful characters are written out: `\n`, `\u{202e}`. For keys and paths in messages, where nothing may
/// be missing.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: AsRef<str>> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.as_ref().chars() {
            if is_harmful(letter) { write!(f, "{}", letter.escape_default())? } else { f.write_char(letter)? }
        }
        Ok(())
    }
}

/// One line without harmful characters, cut at [`LONGEST`].
pub(crate) fn clean(text: &str) -> String {
    shorten(text, LONGEST)
}

/// The same, cut at `longest` letters, with an ellipsis where something is missing.
pub(crate) fn shorten(text: &str, longest: usize) -> String {
    // Letters that are dropped must not be read for ever either.
    let mut kept = String::new();
    let mut count = 0;
    let mut gap = false;
    for letter in text.chars().take(longest.saturating_mul(8)) {
        if is_invisible(letter) {
            continue;
        }
        if letter.is_control() || letter.is_whitespace() {
            gap = !kept.is_empty();
            continue;
        }
        let needed = 1 + usize::from(gap);
        if count + needed > longest {
            while count >= longest.max(1) {
                kept.pop();
                count -= 1;
            }
            kept.push('…');
            return kept;
        }
        if gap {
            kept.push(' ');
        }
        kept.push(letter);
        count += needed;
        gap = false;
    }
    kept
}

/// A name without harmful characters. A long one loses its middle and keeps its end: globs such as `*-keep` look at the
/// end, and a deployment must not lose its protection by a long name.
pub(crate) fn clean_name(text: &str) -> String {
    let kept: Vec<char> = text.chars().filter(|c| !is_harmful(*c)).collect();
    if kept.len() <= LONGEST {
        return kept.into_iter().collect();
    }
    let head = LONGEST / 2;
    let end = kept.len() - (LONGEST - head - 1);
    kept[..head].iter().chain(&['…']).chain(&kept[end..]).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, clean, clean_name, shorten};

    #[test]
    fn a28_line_ends_escapes_and_direction_marks_are_gone() {
        assert_eq!(
            clean("a\r\nBcc: x\u{1b}[31mred\u{202e}txt.exe\u{2066} \u{2028}b\t\tc "),
            "a Bcc: x [31mredtxt.exe b c"
        );
    }

    #[test]
    fn e11_ten_kilobytes_are_cut() {
        let cut = clean(&"ä".repeat(10_000));
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(cut.ends_with('…'));
        assert_eq!(clean(&"x".repeat(LONGEST)).len(), LONGEST, "200 letters stay as they are");
        assert_eq!(shorten("one two", 4), "one…");
        assert_eq!(shorten("one two", 7), "one two");
    }

    #[test]
    fn a28_a_hostile_name_becomes_harmless_and_keeps_both_ends() {
        assert_eq!(clean_name("a\r\nb\u{1b}[31m\u{202e}c\u{2066}\u{0}"), "ab[31mc");
        let long = clean_name(&format!("dev-{}-keep", "x".repeat(10_000)));
        assert_eq!(long.chars().count(), 200);
        assert!(long.starts_with("dev-x") && long.ends_with("x-keep"));
    }
}
