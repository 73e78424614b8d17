//! Results as tables for people and as CSV for scripts.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width};

use crate::text::printable;

/// Where a column's values stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a header. Cells are cleaned of control characters before they are printed.
#[derive(Debug, Clone)]
pub struct Rows {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// Makes a table with a header.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        Self { columns: columns.into_iter().map(|(name, align)| (name.to_owned(), align)).collect(), rows: Vec::new() }
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
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if super::is_colored() {
            table.enforce_styling();
        } else {
            table.force_no_tty();
            if let Some(width) = terminal_width() {
                table.set_width(width);
            }
        }
        table.set_header(self.columns.iter().map(|(name, align)| aligned(Cell::new(name).add_attribute(Attribute::Bold), *align)));
        for row in &self.rows {
            table.add_row(row.iter().zip(&self.columns).map(|(text, (_, align))| aligned(toned(&printable(text)), *align)));
        }
        let widths = table.column_max_content_widths();
        for ((column, (name, align)), width) in table.column_iter_mut().zip(&self.columns).zip(widths) {
            column.set_padding((0, 2));
            column.set_constraint(constraint(name, *align, width));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// Returns the rows as CSV (RFC 4180) with the header in lower snake case.
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = self.columns.iter().map(|(name, _)| name.to_lowercase().replace(' ', "_"));
        let written = writer.write_record(header).and_then(|()| self.rows.iter().try_for_each(|row| writer.write_record(row)));
        written.expect("writing to memory can't fail");
        let bytes = writer.into_inner().expect("writing to memory can't fail");
        String::from_utf8(bytes).expect("made of strings")
    }
}

/// The longest words that are never broken: a time, a status, a run's id.
const UNBROKEN_MAX: u16 = 19;

/// Numbers and short words keep their line; where a terminal is narrow, the long texts give way.
fn constraint(name: &str, align: Align, width: u16) -> ColumnConstraint {
    let header = u16::try_from(name.chars().count()).unwrap_or(u16::MAX);
    if align == Align::Right || width <= UNBROKEN_MAX.max(header) {
        ColumnConstraint::ContentWidth
    } else {
        ColumnConstraint::LowerBoundary(Width::Fixed(12))
    }
}

fn aligned(cell: Cell, align: Align) -> Cell {
    cell.set_alignment(match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    })
}

/// Colours the words of statuses; every word stays readable without colour.
fn toned(text: &str) -> Cell {
    let color = match text {
        "success" | "active" => Some(Color::Green),
        "failed" | "error" | "timeout" | "interrupted" => Some(Color::Red),
        "running" | "started" => Some(Color::Cyan),
        "cancelled" | "paused" | "inactive" | "skipped" => Some(Color::Yellow),
        _ => None,
    };
    match color {
        Some(color) => Cell::new(text).fg(color),
        None => Cell::new(text),
    }
}

#[cfg(unix)]
fn terminal_width() -> Option<u16> {
    let stdout = std::io::stdout();
    if !std::io::IsTerminal::is_terminal(&stdout) {
        return None;
    }
    rustix::termios::tcgetwinsize(stdout).ok().map(|size| size.ws_col).filter(|width| *width > 0)
}

#[cfg(not(unix))]
fn terminal_width() -> Option<u16> {
    None
}
