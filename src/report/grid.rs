//! Columns of text: as wide as the terminal, and whole where there is none. Not the tables of mails: see `page`.

use std::collections::BTreeSet;

use anstyle::{AnsiColor, Style};

use crate::report::text::wrapped;

const GAP: usize = 2;
const INDENT: usize = 1;
/// No column that can be broken becomes narrower than this.
const NARROWEST: usize = 8;
/// After these letters a long name may go on in the next line.
const JOINTS: [char; 7] = ['-', '_', '.', '/', '@', ':', ','];

/// Where text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns of the terminal; none in a pipe or a file, where no line is broken.
    pub(crate) columns: Option<usize>,
    /// Whether colours are wanted.
    pub(crate) has_colour: bool,
}

impl Screen {
    /// A pipe or a file.
    pub const PIPE: Self = Self { columns: None, has_colour: false };
    /// A terminal of 80 columns without colours.
    pub const NARROW: Self = Self { columns: Some(80), has_colour: false };

    pub(crate) fn lines(self, sentence: &str) -> Vec<String> {
        match self.columns {
            Some(columns) => wrapped(sentence, columns),
            None => vec![sentence.to_owned()],
        }
    }

    /// `text` in the colour of `tone`, where colours are wanted.
    pub(crate) fn paint(self, text: &str, tone: Tone) -> String {
        match tone.style() {
            Some(style) if self.has_colour => format!("{style}{text}{style:#}"),
            _ => text.to_owned(),
        }
    }
}

/// What a reader should see at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Like everything else.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Will be, or would be, changed.
    Change,
    /// Needs a person.
    Bad,
    Faint,
    /// The head of a column.
    Head,
}

impl Tone {
    fn style(self) -> Option<Style> {
        let of = |colour: AnsiColor| Some(colour.on_default());
        match self {
            Self::Plain => None,
            Self::Good => of(AnsiColor::Green),
            Self::Change => of(AnsiColor::Yellow),
            Self::Bad => Some(AnsiColor::Red.on_default().bold()),
            Self::Faint => Some(Style::new().dimmed()),
            Self::Head => Some(Style::new().bold()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GridCell {
    text: String,
    tone: Tone,
}

impl GridCell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl From<String> for GridCell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<&str> for GridCell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Rows of fields below their heads.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    heads: Vec<&'static str>,
    rows: Vec<Vec<GridCell>>,
    right: BTreeSet<usize>,
    whole: BTreeSet<usize>,
}

impl Grid {
    /// A grid without rows.
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), ..Self::default() }
    }

    /// Adds a row, with a field for each head.
    pub(crate) fn add_row<F: Into<GridCell>>(&mut self, fields: impl IntoIterator<Item = F>) {
        self.rows.push(fields.into_iter().map(Into::into).collect());
    }

    /// True where it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// These columns stand at the right, as numbers do.
    pub(crate) fn align_right(&mut self, columns: &[usize]) {
        self.right.extend(columns);
    }

    /// These columns are always shown and never broken; the others share what is left of the line.
    pub(crate) fn keep_whole(&mut self, columns: &[usize]) {
        self.whole.extend(columns);
    }

    /// The grid as lines. A column that says the same in every row is said once, above.
    pub(crate) fn draw(&self, screen: Screen) -> String {
        let (columns, same) = self.columns();
        let mut text = String::new();
        if !same.is_empty() {
            for line in screen.lines(&format!("in all rows: {}", same.join(" · "))) {
                push(&mut text, &screen.paint(&line, Tone::Faint));
            }
        }
        let widths = self.widths(&columns, screen);
        let heads: Vec<GridCell> = self.heads.iter().map(|head| GridCell::new(*head, Tone::Head)).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            self.draw_row(&mut text, row, &columns, &widths, screen);
        }
        text
    }

    /// The columns to be shown, and what the others say. The first one is what a row is about, and always shown.
    fn columns(&self) -> (Vec<usize>, Vec<String>) {
        let (mut shown, mut same) = (Vec::new(), Vec::new());
        for (column, head) in self.heads.iter().enumerate() {
            let mut texts = self.rows.iter().map(|row| field(row, column));
            let first = texts.next().unwrap_or("");
            let is_kept = column == 0 || self.whole.contains(&column) || self.rows.len() < 2;
            if is_kept || texts.any(|text| text != first) {
                shown.push(column);
            } else if !first.is_empty() {
                same.push(format!("{head} {first}"));
            }
        }
        (shown, same)
    }

    fn widths(&self, columns: &[usize], screen: Screen) -> Vec<usize> {
        let of = |column: &usize, measure: fn(&str) -> usize| {
            let texts = self.rows.iter().map(|row| field(row, *column));
            texts.chain([self.heads[*column]]).map(measure).max().unwrap_or(0)
        };
        let natural: Vec<usize> = columns.iter().map(|column| of(column, letters)).collect();
        let Some(room) = screen.columns else { return natural };
        let room = room.saturating_sub(INDENT + GAP * columns.len().saturating_sub(1));
        if natural.iter().sum::<usize>() <= room {
            return natural;
        }
        let is_fixed = |column: &usize| self.whole.contains(column) || self.right.contains(column);
        let narrow = |(column, natural): (&usize, &usize)| {
            if is_fixed(column) { *natural } else { of(column, longest_piece).max(NARROWEST).min(*natural) }
        };
        let mut widths: Vec<usize> = columns.iter().zip(&natural).map(narrow).collect();
        let may_change: Vec<usize> = (0..columns.len()).filter(|at| !is_fixed(&columns[*at])).collect();
        // A name without a joint is broken where it must, the longest first.
        while widths.iter().sum::<usize>() > room {
            let widest = may_change.iter().copied().max_by_key(|at| widths[*at]);
            match widest.filter(|at| widths[*at] > NARROWEST) {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        while widths.iter().sum::<usize>() < room {
            // Whoever lacks most gets the next column.
            let lacking = may_change.iter().copied().max_by_key(|at| natural[*at] - widths[*at]);
            match lacking.filter(|at| natural[*at] > widths[*at]) {
                Some(at) => widths[at] += 1,
                None => break,
            }
        }
        widths
    }

    fn draw_row(&self, text: &mut String, row: &[GridCell], columns: &[usize], widths: &[usize], screen: Screen) {
        let broken = |(column, width): (&usize, &usize)| broken(field(row, *column), *width);
        let cells: Vec<Vec<String>> = columns.iter().zip(widths).map(broken).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
        for at in 0..height {
            let mut line = " ".repeat(INDENT);
            // Blanks are written only before something, so that no line ends with them.
            let mut blanks = 0;
            for ((cell, column), width) in cells.iter().zip(columns).zip(widths) {
                let part = cell.get(at).map_or("", String::as_str);
                let room = width.saturating_sub(letters(part));
                if part.is_empty() {
                    blanks += width + GAP;
                    continue;
                }
                let (before, after) = if self.right.contains(column) { (room, 0) } else { (0, room) };
                line.push_str(&" ".repeat(blanks + before));
                line.push_str(&screen.paint(part, row.get(*column).map_or(Tone::Plain, |field| field.tone)));
                blanks = after + GAP;
            }
            push(text, line.trim_end());
        }
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn field(row: &[GridCell], column: usize) -> &str {
    row.get(column).map_or("", |field| &field.text)
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

/// The parts of a text between which it may be broken.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ').flat_map(|word| word.split_inclusive(JOINTS))
}

fn longest_piece(text: &str) -> usize {
    pieces(text).map(|piece| letters(piece.trim_end())).max().unwrap_or(0)
}

/// Breaks at spaces and joints, and inside a piece only where it is longer than a line.
fn broken(text: &str, width: usize) -> Vec<String> {
    if letters(text) <= width {
        return vec![text.to_owned()];
    }
    let (mut lines, mut line) = (Vec::new(), String::new());
    for piece in pieces(text) {
        if !line.is_empty() && letters(&line) + letters(piece.trim_end()) > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        line.push_str(piece);
        while letters(line.trim_end()) > width {
            let rest: String = line.chars().skip(width).collect();
            line = line.chars().take(width).collect();
            lines.push(std::mem::replace(&mut line, rest));
        }
    }
    if !line.trim_end().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Grid, GridCell, Screen, Tone};

    fn grid() -> Grid {
        let mut grid = Grid::new(&["WHEN", "RULE", "RESULT", "COUNT"]);
        grid.align_right(&[3]);
        grid.add_row(["Mon 19:00", "team-a-sandboxes-every-night", "done", "7"]);
        grid.add_row(["Tue 19:00", "dev-evenings", "the list was away for a while", "12"]);
        grid
    }

    fn at(columns: usize) -> Screen {
        Screen { columns: Some(columns), has_colour: false }
    }

    #[test]
    fn in_a_pipe_nothing_is_broken_and_on_a_terminal_nothing_is_wider_than_it() {
        let (grid, pipe) = (grid(), grid().draw(Screen::PIPE));
        assert_eq!(pipe.lines().count(), 3, "{pipe}");
        assert_eq!(grid.draw(at(200)), pipe, "a wide terminal shows each row in a line");
        for columns in [60, 72, 80] {
            let text = grid.draw(at(columns));
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
        }
    }

    #[test]
    fn a_name_is_broken_at_its_joints_and_never_in_the_middle_of_a_word() {
        let text = grid().draw(at(48));
        let words = ["team-", "sandboxes-", "evenings", "every-", "night", "while"];
        let whole = |word: &str| text.split([' ', '\n']).any(|part| part.contains(word));
        assert!(words.iter().all(|word| whole(word)), "{text}");
    }

    #[test]
    fn a_column_that_says_the_same_everywhere_is_said_once() {
        let mut grid = Grid::new(&["ID", "GROUP", "WHY", "EMPTY"]);
        grid.add_row(["d1", "dev-a", "one", ""]);
        assert!(grid.draw(Screen::PIPE).contains(" ID  GROUP  WHY"), "one row is shown as it is");
        grid.add_row(["d2", "dev-a", "two", ""]);
        assert_eq!(grid.draw(Screen::PIPE), "in all rows: GROUP dev-a\n ID  WHY\n d1  one\n d2  two\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let row = || [GridCell::new("stop", Tone::Change), GridCell::from("d1")];
        let mut grid = Grid::new(&["DECISION", "ID"]);
        grid.add_row(row());
        let plain = grid.draw(Screen::PIPE);
        let painted = grid.draw(Screen { has_colour: true, ..Screen::PIPE });
        assert!(painted.contains("\u{1b}["), "{painted:?}");
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
    }
}
