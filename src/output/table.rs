//! Results as tables for people and as CSV for scripts.

use std::borrow::Cow;
use std::io::{self, IsTerminal};

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width};

use super::wrap::{columns, cut, wrapped, wrapped_whole};
use crate::text::printable;

/// Where a column's values stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a header. Headers and cells are cleaned of control characters before they are printed.
#[derive(Debug, Clone)]
pub struct Rows {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    /// Columns that a narrow terminal leaves out, the first first.
    spare: Vec<usize>,
    /// The column whose words may be broken.
    breakable: Option<usize>,
    /// Whether no cell is ever broken: a table without room is shown row by row.
    is_whole: bool,
    /// The most columns of the screen that a cell takes.
    cell_max: usize,
    /// What has the columns that a narrow terminal leaves out: an option of the command.
    elsewhere: Option<&'static str>,
}

impl Rows {
    /// Makes a table with a header.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(name, align)| (name.to_owned(), align)).collect();
        Self { columns, rows: Vec::new(), spare: Vec::new(), breakable: None, is_whole: false, cell_max: usize::MAX, elsewhere: None }
    }

    /// Names what gives way where the terminal is too narrow: columns left out, one by one, then one whose words are broken.
    #[must_use]
    pub fn giving_way(mut self, spare: &[&str], breakable: &str) -> Self {
        let place = |name: &str| self.columns.iter().position(|(column, _)| column == name);
        self.spare = spare.iter().filter_map(|name| place(name)).collect();
        self.breakable = place(breakable);
        self
    }

    /// As [`Rows::giving_way`], and no cell is broken: without room for the other columns each row is a block of lines.
    #[must_use]
    pub fn giving_way_whole(mut self, spare: &[&str]) -> Self {
        self = self.giving_way(spare, "");
        self.is_whole = true;
        self
    }

    /// Says below the table which columns a narrow terminal left out, and which option of the command has them.
    #[must_use]
    pub fn leaving_rest_to(mut self, option: &'static str) -> Self {
        self.elsewhere = Some(option);
        self
    }

    /// Cuts what is longer than so many columns of the screen, for people alone: CSV has it whole.
    #[must_use]
    pub fn cutting(mut self, cell_max: usize) -> Self {
        self.cell_max = cell_max;
        self
    }

    /// Returns a header or a cell as people see it.
    fn seen(&self, text: &str) -> String {
        cut(&printable(text), self.cell_max)
    }

    /// Adds a row; it has as many cells as the header.
    pub fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a row has as many cells as the header");
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the table as text, without a frame, as wide as the terminal (or as it needs to be away from one).
    pub fn text(&self) -> String {
        self.text_within(terminal_width())
    }

    /// As [`Rows::text`], in a width that is given. Where no table has room in it each row is a block of lines, with every column.
    pub(super) fn text_within(&self, width: Option<u16>) -> String {
        let text = self.table(width);
        match width.map(usize::from) {
            Some(width) if text.lines().any(|line| columns(&plain(line)) > width) => self.blocks(width),
            Some(columns) => text + &self.left_out(width, columns),
            None => text,
        }
    }

    /// Returns a line about the columns that this width leaves out, where somebody is to know.
    fn left_out(&self, width: Option<u16>, columns: usize) -> String {
        let shown = self.shown(width);
        let is_telling = |column: usize| self.rows.iter().any(|row| !matches!(row[column].as_str(), "" | "-"));
        let left_out = (0..self.columns.len()).filter(|column| !shown.contains(column) && is_telling(*column));
        let names: Vec<&str> = left_out.map(|column| self.columns[column].0.as_str()).collect();
        let Some(option) = self.elsewhere.filter(|_| !names.is_empty()) else { return String::new() };
        let said = format!("not shown in {columns} columns: {}; `{option}` has them", self.seen(&names.join(", ")));
        let lines = wrapped_whole(&said, (0, 2), columns);
        lines.lines().map(|line| format!("\n{}", super::toned(line, super::Tone::Faint))).collect()
    }

    /// Returns each row as a block: a line, or more, for each cell that has a value.
    fn blocks(&self, width: usize) -> String {
        let labels: Vec<String> = self.columns.iter().map(|(name, _)| self.seen(name)).collect();
        if self.rows.is_empty() {
            return wrapped(&labels.join("  "), (0, 0), width, usize::MAX);
        }
        let longest = labels.iter().map(|label| columns(label)).max().unwrap_or(0) + usize::from(GAP);
        // However long the labels are, half of the line is the values'.
        let indent = longest.min(width / 2);
        let line = |(label, cell): (&String, &String)| {
            let label = cut(label, indent.saturating_sub(1));
            let gap = " ".repeat(indent.saturating_sub(columns(&label)));
            let value = self.seen(cell);
            let value = if indent + columns(&value) <= width {
                painted(&value)
            } else {
                wrapped(&value, (indent, indent), width, usize::MAX)[indent..].to_owned()
            };
            format!("{}{gap}{value}", super::toned(&label, super::Tone::Bold))
        };
        let block =
            |row: &Vec<String>| labels.iter().zip(row).filter(|(_, cell)| !cell.is_empty()).map(line).collect::<Vec<_>>().join("\n");
        self.rows.iter().map(block).collect::<Vec<_>>().join("\n\n")
    }

    fn table(&self, width: Option<u16>) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if super::is_colored() {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if let Some(width) = width {
            table.set_width(width);
        }
        let shown = self.shown(width);
        let header = shown.iter().map(|column| &self.columns[*column]);
        table.set_header(header.map(|(name, align)| aligned(Cell::new(self.seen(name)).add_attribute(Attribute::Bold), *align)));
        for row in &self.rows {
            table.add_row(shown.iter().map(|column| aligned(toned(&self.seen(&row[*column])), self.columns[*column].1)));
        }
        let widths = table.column_max_content_widths();
        for ((column, index), width) in table.column_iter_mut().zip(&shown).zip(widths) {
            // Nothing stands behind the last one.
            column.set_padding((0, if Some(index) == shown.last() { 0 } else { GAP }));
            column.set_constraint(self.constraint(*index, width));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// Returns the columns that are shown in this width.
    fn shown(&self, width: Option<u16>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = width else { return shown };
        let characters = |text: &str| columns(&self.seen(text));
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| characters(&row[column]));
                cells.chain([characters(&self.columns[column].0)]).max().unwrap_or(0) + usize::from(GAP)
            })
            .collect();
        // Columns that say nothing go first.
        let is_void = |column: usize| self.rows.iter().all(|row| matches!(row[column].as_str(), "" | "-" | "0"));
        let (void, telling): (Vec<usize>, Vec<usize>) = self.spare.iter().partition(|column| is_void(**column));
        for spare in void.iter().chain(&telling) {
            if shown.iter().map(|column| widths[*column]).sum::<usize>() > usize::from(width.saturating_add(GAP)) {
                shown.retain(|column| column != spare);
            }
        }
        shown
    }

    /// Numbers and short words keep their line; where a terminal is narrow, the long texts give way.
    fn constraint(&self, column: usize, width: u16) -> ColumnConstraint {
        let (name, align) = &self.columns[column];
        let header = u16::try_from(columns(&self.seen(name))).unwrap_or(u16::MAX);
        if self.is_whole {
            ColumnConstraint::ContentWidth
        } else if self.breakable == Some(column) {
            ColumnConstraint::LowerBoundary(Width::Fixed(BREAKABLE_MIN.min(width) + GAP))
        } else if *align == Align::Right || width <= UNBROKEN_MAX.max(header) {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(12))
        }
    }

    /// Returns the rows as CSV (RFC 4180) with the header in lower snake case, as all listings have it.
    pub fn csv(&self) -> String {
        self.csv_under(self.columns.iter().map(|(name, _)| name.to_lowercase().replace(' ', "_")))
    }

    /// Returns the rows as CSV (RFC 4180) with the header as it is: the columns of somebody's data.
    pub fn csv_as_named(&self) -> String {
        self.csv_under(self.columns.iter().map(|(name, _)| name.clone()))
    }

    fn csv_under(&self, header: impl Iterator<Item = String>) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // A file gets values as they are; a terminal would do what they say.
        let is_seen = io::stdout().is_terminal();
        let shown = |text: &String| if is_seen { printable(text).into_owned() } else { text.clone() };
        let header: Vec<String> = header.collect();
        let mut records = std::iter::once(&header).chain(&self.rows);
        let written = records.try_for_each(|record| writer.write_record(record.iter().map(shown)));
        written.expect("writing to memory can't fail");
        let bytes = writer.into_inner().expect("writing to memory can't fail");
        String::from_utf8(bytes).expect("made of strings")
    }
}

/// Between columns.
const GAP: u16 = 2;

/// The longest words that are never broken: a time, a status, a run's id.
const UNBROKEN_MAX: u16 = 19;

/// So wide at least stays a column whose words may be broken.
const BREAKABLE_MIN: u16 = 8;

fn aligned(cell: Cell, align: Align) -> Cell {
    cell.set_alignment(match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    })
}

/// Colours the words of statuses; every word stays readable without colour.
fn toned(text: &str) -> Cell {
    match tone(text) {
        Some(color) => Cell::new(text).fg(color),
        None => Cell::new(text),
    }
}

fn tone(text: &str) -> Option<Color> {
    match text.trim_end() {
        "success" | "active" => Some(Color::Green),
        "failed" | "error" | "timeout" | "interrupted" => Some(Color::Red),
        "running" | "started" => Some(Color::Cyan),
        "cancelled" | "paused" | "inactive" | "skipped" | "warn" => Some(Color::Yellow),
        _ => None,
    }
}

/// Returns a word of a status with its colour, where this process colours its output (ECMA-48, SGR).
pub(super) fn painted(word: &str) -> String {
    let code = match tone(word).filter(|_| super::is_colored()) {
        Some(Color::Green) => 32,
        Some(Color::Red) => 31,
        Some(Color::Cyan) => 36,
        Some(_) => 33,
        None => return word.to_owned(),
    };
    format!("\u{1b}[{code}m{word}\u{1b}[0m")
}

/// Returns a line without its colours.
fn plain(line: &str) -> Cow<'_, str> {
    if !line.contains('\u{1b}') {
        return Cow::Borrowed(line);
    }
    // All that is coloured here is SGR: ESC [ numbers m.
    let pieces = line.split('\u{1b}').enumerate();
    let text = |(index, piece): (usize, &str)| {
        if index == 0 { piece.to_owned() } else { piece.split_once('m').map_or("", |(_, rest)| rest).to_owned() }
    };
    Cow::Owned(pieces.map(text).collect())
}

/// Returns columns and rows of the terminal on standard output, where there is one.
pub fn terminal_size() -> Option<(u16, u16)> {
    size_of(&io::stdout())
}

#[cfg(unix)]
fn size_of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Option<(u16, u16)> {
    if !stream.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(stream).ok().map(|size| (size.ws_col, size.ws_row))
}

/// Unknown on this system.
#[cfg(not(unix))]
fn size_of(_stream: &impl IsTerminal) -> Option<(u16, u16)> {
    None
}

/// Returns how wide the terminal on standard output is, where there is one.
pub fn terminal_width() -> Option<u16> {
    terminal_size().map(|(columns, _)| columns).filter(|width| *width > 0)
}

/// Returns how wide the terminal on standard error is, where there is one.
pub(super) fn note_width() -> Option<u16> {
    size_of(&io::stderr()).map(|(columns, _)| columns).filter(|width| *width > 0)
}

pub(super) fn terminal_height() -> Option<u16> {
    terminal_size().map(|(_, rows)| rows).filter(|height| *height > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let columns = [("Job", Align::Left), ("Started", Align::Left), ("Rows", Align::Right), ("Trigger", Align::Left)];
        let mut rows = Rows::new(columns).giving_way(&["Trigger"], "Job");
        rows.push(["warehouse_stock_497", "2026-11-23 22:55:00", "299,987", "schedule"].map(str::to_owned).to_vec());
        rows
    }

    #[test]
    fn a_wide_table_is_whole() {
        let text =
            "Job                  Started                 Rows  Trigger\nwarehouse_stock_497  2026-11-23 22:55:00  299,987  schedule";
        assert_eq!(rows().text_within(None), text);
        assert_eq!(rows().text_within(Some(80)), text);
    }

    #[test]
    fn a_narrow_table_leaves_columns_out_and_breaks_the_one_that_may_be_broken() {
        let text = "Job                  Started                 Rows\nwarehouse_stock_497  2026-11-23 22:55:00  299,987";
        assert_eq!(rows().text_within(Some(58)), text);
        assert_eq!(
            rows().text_within(Some(44)),
            "Job             Started                 Rows\nwarehouse_stoc  2026-11-23 22:55:00  299,987\nk_497"
        );
    }

    #[test]
    fn columns_that_are_left_out_are_named_where_they_can_be_had_otherwise() {
        let rows = rows().leaving_rest_to("-o csv");
        let text = "Job                  Started                 Rows\nwarehouse_stock_497  2026-11-23 22:55:00  299,987";
        assert_eq!(rows.text_within(Some(58)), format!("{text}\nnot shown in 58 columns: Trigger; `-o csv` has them"));
        assert!(!rows.text_within(Some(80)).contains("not shown") && !rows.text_within(None).contains("not shown"));
        assert!(!rows.text_within(Some(20)).contains("not shown"), "blocks have every column");
    }

    #[test]
    fn columns_that_say_nothing_are_left_out_first() {
        let columns = [("Source", Align::Left), ("Rows", Align::Right), ("Added", Align::Right), ("Cursor", Align::Left)];
        let mut rows = Rows::new(columns).giving_way(&["Cursor", "Added"], "Source");
        rows.push(["orders", "12", "0", "2026-11-24"].map(str::to_owned).to_vec());
        assert_eq!(rows.text_within(Some(25)), "Source  Rows  Cursor\norders    12  2026-11-24");
    }

    #[test]
    fn rows_for_which_no_table_has_room_are_blocks_with_every_column() {
        let columns = [("Source", Align::Left), ("Rows", Align::Right), ("Added", Align::Right), ("Cursor", Align::Left)];
        let mut rows = Rows::new(columns).giving_way(&["Added"], "Source");
        rows.push(["表表表表表表表表表表表表表", "123,456,789,012", "1", "a b"].map(str::to_owned).to_vec());
        rows.push(["short", "2", "", "c"].map(str::to_owned).to_vec());
        let blocks = "\
Source  表表表表表表
        表表表表表表
        表
Rows    123,456,789,
        012
Added   1
Cursor  a b

Source  short
Rows    2
Cursor  c";
        assert_eq!(rows.text_within(Some(20)), blocks);
        let wide = rows.text_within(Some(200));
        assert!(wide.starts_with("Source ") && wide.lines().count() == 3, "{wide}");
    }

    #[test]
    fn colours_take_no_room() {
        assert_eq!(plain("a\u{1b}[31mfailed\u{1b}[0m b"), "afailed b");
        assert_eq!(plain("plain"), "plain");
    }

    #[test]
    fn headers_can_t_steer_the_terminal_and_csv_keeps_them_as_they_are() {
        let mut rows = Rows::new([("a\u{1b}[31m\u{202e}\n", Align::Left)]);
        rows.push(vec!["1".to_owned()]);
        assert_eq!(rows.text_within(None), "a\\u{1b}[31m\\u{202e}\\n\n1");
        assert_eq!(rows.csv_as_named(), "\"a\u{1b}[31m\u{202e}\n\"\n1\n");
    }

    #[test]
    fn long_cells_are_cut_for_people_alone() {
        let long = "x".repeat(3000);
        let mut rows = Rows::new([("A", Align::Left), ("b", Align::Left)]).cutting(10);
        rows.push(vec![long.clone(), "y".to_owned()]);
        assert_eq!(rows.text_within(None), "A           b\nxxxxxxxxx…  y");
        assert_eq!(rows.csv(), format!("a,b\n{long},y\n"));
    }

    #[test]
    fn cells_can_t_steer_the_terminal_and_csv_keeps_them_as_they_are() {
        let mut rows = Rows::new([("A b", Align::Left)]);
        rows.push(vec!["x\u{1b}[2J\n".to_owned()]);
        assert_eq!(rows.text_within(None), "A b\nx\\u{1b}[2J\\n");
        assert_eq!(rows.csv(), "a_b\n\"x\u{1b}[2J\n\"\n");
    }
}
