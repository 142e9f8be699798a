//! Names and reasons come from a tenant that others write to. Here they lose what could do harm in a text, a mail or a
//! spreadsheet. HTML escaping is the template's part.

/// Longer names are cut: no report is read for the 201st letter of a configuration's name.
pub const LONGEST: usize = 200;

/// One line without control characters, line ends and marks that turn the direction of writing; cut at [`LONGEST`].
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

/// A cell of a CSV file: cleaned, and never taken for a formula by a spreadsheet.
pub(crate) fn cell(text: &str) -> String {
    let starts_formula = |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '＝' | '＋' | '－' | '＠');
    // Judged before cleaning too, which takes a leading tab away.
    let formula = text.starts_with(starts_formula);
    let text = clean(text);
    if formula || text.starts_with(starts_formula) { format!("'{text}") } else { text }
}

/// Marks that are not seen but change what is: bidirectional controls, zero-width letters, tags.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, cell, clean, shorten};

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
    fn a_spreadsheet_sees_text_and_no_formula() {
        for (text, seen) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'=1"),
            ("\u{200b}=1", "'=1"),
            ("\r\nx", "'x"),
            ("a=1", "a=1"),
        ] {
            assert_eq!(cell(text), seen, "{text:?}");
        }
    }
}
