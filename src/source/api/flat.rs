//! Makes flat rows of records: objects become columns `a__b` to a depth, lists and what lies deeper stay JSON. Types are inferred over all
//! that comes; numbers keep their text.
//!
//! A column is called by the keys that lead to it, in any case: `ID` and `id`, and a key `a__b` beside an object `a` with a key `b`, are one
//! column. A record that gives a column two values, by a key that stands twice or by two keys of one name, is rejected: one would be lost.

use std::collections::HashMap;

use super::syntax::{Kind, Parser, Quoted, Wrong, unescape};
use crate::batch::{ColumnType, Inference};

/// The most columns of a source.
const COLUMNS_MAX: usize = 10_000;

/// Between the keys of a column's name.
const BETWEEN: &str = "__";

/// How a value of a row is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A number or a boolean by its text, or a text whose type its looks decide.
    Bare,
    /// Text.
    Text,
    /// JSON: a list, or an object that lies too deep.
    Json,
    /// An object without members, of which other records may show the columns.
    Empty,
}

/// A value of the present row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub column: usize,
    pub form: Form,
    /// Whether it lies in the scratch: it was written with escapes.
    is_unescaped: bool,
    start: usize,
    end: usize,
}

/// What keeps a record from being a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is no JSON.
    Wrong(Wrong),
    /// It is no UTF-8.
    Bytes,
    /// A column has two values.
    Twice(String),
    /// A text is none.
    Surrogate(String),
    /// There are too many columns.
    Columns,
}

impl From<Wrong> for Flaw {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

/// A column that was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub name: String,
    pub inference: Inference,
    /// Whether an object without members is all that was seen of it.
    has_empty: bool,
    /// Whether the job wants it.
    is_wanted: bool,
    /// Whether it is the name of an object that has columns of its own.
    has_parts: bool,
    /// The record that gave it a value last.
    record: u64,
}

/// A key with what stands below it.
#[derive(Debug, Default)]
struct Node {
    name: String,
    depth: u32,
    keys: Vec<(Box<[u8]>, usize)>,
    places: HashMap<Box<[u8]>, usize>,
    column: Option<usize>,
}

/// The columns of a source as far as they were seen, and the present row.
#[derive(Debug)]
pub(super) struct Flat {
    depth: u32,
    /// Whether the job wants a column of this name in small letters.
    selected: Option<Vec<String>>,
    excluded: Vec<String>,
    nodes: Vec<Node>,
    columns: Vec<Seen>,
    by_name: HashMap<String, usize>,
    cells: Vec<Cell>,
    scratch: Vec<u8>,
    record: u64,
}

impl Flat {
    /// Begins without columns; `selected` empty means all.
    pub fn new(depth: u32, selected: &[String], excluded: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
        Self {
            depth,
            selected: (!selected.is_empty()).then(|| lower(selected)),
            excluded: lower(excluded),
            nodes: vec![Node::default()],
            columns: Vec::new(),
            by_name: HashMap::new(),
            cells: Vec::new(),
            scratch: Vec::new(),
            record: 0,
        }
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[Seen] {
        &self.columns
    }

    /// Returns the place of a column by its name, in any case.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_lowercase()).copied()
    }

    /// Makes a column, or finds it; `None` where there are too many.
    pub fn column(&mut self, name: &str) -> Option<usize> {
        let lower = name.to_lowercase();
        if let Some(place) = self.by_name.get(&lower) {
            return Some(*place);
        }
        if self.columns.len() == COLUMNS_MAX {
            return None;
        }
        let is_wanted = self.selected.as_ref().is_none_or(|selected| selected.contains(&lower)) && !self.excluded.contains(&lower);
        self.columns.push(Seen {
            name: name.to_owned(),
            inference: Inference::default(),
            has_empty: false,
            is_wanted,
            has_parts: false,
            record: 0,
        });
        self.by_name.insert(lower, self.columns.len() - 1);
        Some(self.columns.len() - 1)
    }

    /// Begins a row.
    pub fn begin(&mut self) {
        self.record += 1;
        self.cells.clear();
        self.scratch.clear();
    }

    /// Adds a value that doesn't lie in the record to the row.
    pub fn add(&mut self, column: usize, form: Form, text: &[u8]) -> Result<(), Flaw> {
        let start = self.scratch.len();
        self.scratch.extend_from_slice(text);
        self.place_cell(Cell { column, form, is_unescaped: true, start, end: self.scratch.len() })
    }

    /// Adds NULL to the row.
    pub fn add_null(&mut self, column: usize) -> Result<(), Flaw> {
        self.claim(column)
    }

    /// Adds the values of a record to the row: an object's members; anything else becomes the column `value`.
    pub fn record(&mut self, raw: &[u8]) -> Result<(), Flaw> {
        if std::str::from_utf8(raw).is_err() {
            return Err(Flaw::Bytes);
        }
        let mut parser = Parser::new(raw);
        if parser.kind()? == Kind::Object {
            self.object(&mut parser, 0)?;
        } else {
            let node = self.below(0, Quoted { inner: b"value", has_escapes: false })?;
            self.value(&mut parser, node)?;
        }
        Ok(parser.end()?)
    }

    /// Ends a row: its values count for the types of their columns.
    pub fn end(&mut self, raw: &[u8]) {
        for cell in &self.cells {
            let text = if cell.is_unescaped { &self.scratch[cell.start..cell.end] } else { &raw[cell.start..cell.end] };
            let column = &mut self.columns[cell.column];
            match cell.form {
                Form::Bare => column.inference.observe(text),
                Form::Text => column.inference.observe_string(text),
                Form::Json => column.inference.observe_json(),
                Form::Empty => column.has_empty = true,
            }
        }
    }

    /// Returns the values of the row that aren't NULL and are wanted.
    pub fn cells<'a>(&'a self, raw: &'a [u8]) -> impl Iterator<Item = (usize, Form, &'a [u8])> {
        self.cells.iter().map(move |cell| {
            let text = if cell.is_unescaped { &self.scratch[cell.start..cell.end] } else { &raw[cell.start..cell.end] };
            (cell.column, cell.form, text)
        })
    }

    /// Takes a value out of the row: it is NULL.
    pub fn clear(&mut self, column: usize) {
        self.cells.retain(|cell| cell.column != column);
    }

    fn object<'a>(&mut self, parser: &mut Parser<'a>, node: usize) -> Result<(), Flaw> {
        let mut number = 0;
        let depth = self.nodes[node].depth as usize;
        parser.members(
            |parser, key| {
                let place = match self.nodes[node].keys.get(number) {
                    Some((known, place)) if **known == *key.inner => *place,
                    _ => self.below(node, key)?,
                };
                number += 1;
                self.value(parser, place)
            },
            depth,
        )
    }

    fn value<'a>(&mut self, parser: &mut Parser<'a>, node: usize) -> Result<(), Flaw> {
        let kind = parser.kind()?;
        let depth = self.nodes[node].depth;
        if kind == Kind::Object && depth <= self.depth {
            let start = parser.at;
            if !is_empty_object(*parser) {
                return self.object(parser, node);
            }
            parser.value(depth as usize)?;
            let column = self.own_column(node)?;
            return self.place_cell(Cell { column, form: Form::Empty, is_unescaped: false, start, end: parser.at });
        }
        let column = self.own_column(node)?;
        let (form, text, is_unescaped) = match kind {
            Kind::Null => {
                parser.scalar(kind)?;
                return self.claim(column);
            }
            Kind::Boolean | Kind::Number => (Form::Bare, parser.scalar(kind)?, false),
            Kind::List | Kind::Object => (Form::Json, parser.value(depth as usize)?, false),
            Kind::String => {
                let quoted = parser.string()?;
                (Form::Text, quoted.inner, quoted.has_escapes)
            }
        };
        let (start, end) = if is_unescaped {
            let start = self.scratch.len();
            if !unescape(text, &mut self.scratch) {
                return Err(Flaw::Surrogate(self.columns[column].name.clone()));
            }
            (start, self.scratch.len())
        } else {
            let end = if form == Form::Text { parser.at - 1 } else { parser.at };
            (end - text.len(), end)
        };
        self.place_cell(Cell { column, form, is_unescaped, start, end })
    }

    fn place_cell(&mut self, cell: Cell) -> Result<(), Flaw> {
        self.claim(cell.column)?;
        if self.columns[cell.column].is_wanted {
            self.cells.push(cell);
        }
        Ok(())
    }

    /// Notes that the record has a value of a column.
    fn claim(&mut self, column: usize) -> Result<(), Flaw> {
        let seen = &mut self.columns[column];
        if seen.record == self.record && seen.is_wanted {
            return Err(Flaw::Twice(seen.name.clone()));
        }
        seen.record = self.record;
        Ok(())
    }

    fn own_column(&mut self, node: usize) -> Result<usize, Flaw> {
        if let Some(column) = self.nodes[node].column {
            return Ok(column);
        }
        let name = self.nodes[node].name.clone();
        let column = self.column(&name).ok_or(Flaw::Columns)?;
        self.nodes[node].column = Some(column);
        Ok(column)
    }

    /// Returns the node of a key below another.
    fn below(&mut self, node: usize, key: Quoted<'_>) -> Result<usize, Flaw> {
        if let Some(place) = self.nodes[node].places.get(key.inner) {
            return Ok(*place);
        }
        if self.nodes.len() > 4 * COLUMNS_MAX {
            return Err(Flaw::Columns);
        }
        let mut text = Vec::new();
        let is_text = unescape(key.inner, &mut text);
        let text = String::from_utf8(text).ok().filter(|text| is_text && !text.contains('\0'));
        let text = text.ok_or_else(|| Flaw::Surrogate(self.nodes[node].name.clone()))?;
        let key_name = if text.trim().is_empty() { "unnamed" } else { text.trim() };
        let parent = &self.nodes[node];
        let name = if node == 0 { key_name.to_owned() } else { format!("{}{BETWEEN}{key_name}", parent.name) };
        let depth = parent.depth + 1;
        let place = self.nodes.len();
        self.nodes.push(Node { name, depth, ..Node::default() });
        self.nodes[node].keys.push((key.inner.into(), place));
        self.nodes[node].places.insert(key.inner.into(), place);
        Ok(place)
    }

    /// Returns the columns that there are: a name of an object is none where nothing but null and objects without members was seen of it.
    pub fn settle(&mut self, expected: &[String]) -> Vec<usize> {
        let expected: Vec<String> = expected.iter().map(|name| name.to_lowercase()).collect();
        let parts: Vec<usize> = self.nodes.iter().filter(|node| !node.keys.is_empty()).filter_map(|node| node.column).collect();
        parts.into_iter().for_each(|column| self.columns[column].has_parts = true);
        let is_object = |seen: &Seen| {
            let (own, below) = (seen.name.to_lowercase(), format!("{}{BETWEEN}", seen.name.to_lowercase()));
            !expected.contains(&own) && (seen.has_parts || expected.iter().any(|name| name.starts_with(&below)))
        };
        let is_column = |seen: &Seen| seen.is_wanted && (seen.inference.seen().is_some() || !is_object(seen));
        (0..self.columns.len()).filter(|place| is_column(&self.columns[*place])).collect()
    }

    /// Returns the type of a column; as published before where no value tells.
    pub fn column_type(&self, column: usize, before: Option<ColumnType>) -> ColumnType {
        let seen = &self.columns[column];
        match (seen.inference.seen(), seen.has_empty) {
            (None, false) => before.unwrap_or(ColumnType::Text),
            (None | Some(ColumnType::Json), true) => ColumnType::Json,
            (Some(_), true) => ColumnType::Text,
            (Some(column_type), false) => column_type,
        }
    }
}

/// Whether an object without members begins here.
fn is_empty_object(mut parser: Parser<'_>) -> bool {
    parser.at += 1;
    parser.peek() == Some(b'}')
}
