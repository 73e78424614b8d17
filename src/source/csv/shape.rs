//! How each file of a source is laid out, and the columns and types of them all.

use std::io::{self, Read as _};

use crate::batch::{ColumnType, Inference, Schema};
use crate::plan::{CsvPlan, Encoding, Level};
use crate::source::SourceError;

use super::decode::Decoded;
use super::input::InputFile;
use super::invalid;
use super::nulls::NullTexts;
use super::sniff::{self, Sample};
use super::splitter::{Dialect, Found, Splitter};
use crate::source::columns::{OutputColumn, whole_names};

/// The most columns of a file.
const COLUMNS_MAX: usize = 10_000;

/// How a file is laid out.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub dialect: Dialect,
    pub has_header: bool,
    /// The names of its fields; empty for a file without a record.
    pub names: Vec<String>,
    /// For each loaded column, its field.
    pub fields: Vec<Option<usize>>,
}

/// Looks at the beginning of each file.
///
/// # Errors
/// Files that can't be read, that have no column at all, or that have no column in common.
pub(super) fn shapes(files: &[InputFile], plan: &CsvPlan, log: &mut Vec<(Level, String)>) -> Result<Vec<Shape>, SourceError> {
    let mut shapes: Vec<Shape> = Vec::with_capacity(files.len());
    let mut first: Option<usize> = None;
    for (index, file) in files.iter().enumerate() {
        let mut shape = probe(file, plan, first.map(|first| &shapes[first]), log)?;
        if let Some(model) = first.map(|first| &shapes[first])
            && !shape.names.is_empty()
            && !has_common_name(&shape, model)
        {
            // Perhaps it is written otherwise than the first.
            shape = probe(file, plan, None, log)?;
            if !has_common_name(&shape, model) {
                let message =
                    format!("{} has no column of {}: its columns are {}", file.name, files[first.unwrap_or(0)].name, listed(&shape.names));
                return Err(
                    invalid("invalid_data", message).hint("files of one source need the same header; narrow the glob, or make two sources")
                );
            }
        }
        if shape.names.is_empty() {
            log.push((Level::Warn, format!("{} is empty", file.name)));
        } else {
            first = first.or(Some(index));
        }
        shapes.push(shape);
    }
    if first.is_none() {
        let message = if files.len() == 1 {
            format!("{} is empty: there is no column to load", files[0].identity)
        } else {
            "every file is empty: there is no column to load".to_owned()
        };
        return Err(invalid("invalid_data", message).hint("a file without rows still needs its header"));
    }
    Ok(shapes)
}

fn has_common_name(shape: &Shape, model: &Shape) -> bool {
    let names: std::collections::HashSet<String> = model.names.iter().map(|name| name.to_lowercase()).collect();
    shape.names.iter().any(|name| names.contains(&name.to_lowercase()))
}

fn listed(names: &[String]) -> String {
    crate::text::printable(&crate::text::shortened(&names.join(", "), 300)).into_owned()
}

fn probe(file: &InputFile, plan: &CsvPlan, model: Option<&Shape>, log: &mut Vec<(Level, String)>) -> Result<Shape, SourceError> {
    let mut decoded = file.open(plan.encoding)?;
    let mut text = Vec::new();
    decoded.by_ref().take(sniff::SAMPLE_BYTES as u64).read_to_end(&mut text).map_err(|error| file.read_error(&error))?;
    let sample = Sample { text: &text, is_whole: text.len() < sniff::SAMPLE_BYTES };
    let quote = plan.quote.map_or(b'"', |quote| quote as u8);
    let declared = plan.delimiter.map(|delimiter| delimiter as u8);
    let delimiter = declared.or(model.map(|model| model.dialect.delimiter)).unwrap_or_else(|| sniff::delimiter(sample, quote));
    let dialect = Dialect { delimiter, quote };
    let has_header = plan.header.or(model.map(|model| model.has_header)).unwrap_or_else(|| sniff::has_header(sample, dialect));
    let mut splitter = Splitter::new(io::Cursor::new(text).chain(decoded), dialect);
    let names = match splitter.advance().map_err(|error| file.read_error(&error))? {
        Found::End => Vec::new(),
        Found::Record => names(file, &splitter, has_header, plan.encoding, log)?,
        Found::Flawed(_) | Found::OpenQuote => {
            let error =
                invalid("invalid_data", format!("{}, line {}: the first row can't be split into fields", file.name, splitter.line()));
            return Err(error.hint("check delimiter and quote"));
        }
    };
    if model.is_none() && !names.is_empty() {
        let row = if has_header { "names in the first row" } else { "no header" };
        let columns = crate::text::count(names.len() as u64, "column");
        log.push((Level::Info, format!("{}: delimiter {:?}, {row}, {columns}", file.name, char::from(delimiter))));
    }
    Ok(Shape { dialect, has_header, names, fields: Vec::new() })
}

fn names(
    file: &InputFile,
    splitter: &Splitter<io::Chain<io::Cursor<Vec<u8>>, Decoded>>,
    has_header: bool,
    encoding: Encoding,
    log: &mut Vec<(Level, String)>,
) -> Result<Vec<String>, SourceError> {
    if splitter.len() > COLUMNS_MAX {
        let error = invalid("invalid_data", format!("{} has {} columns; {COLUMNS_MAX} is the most", file.name, splitter.len()));
        return Err(error.hint("check the delimiter"));
    }
    if !has_header {
        return Ok((1..=splitter.len()).map(|number| format!("column_{number}")).collect());
    }
    let mut scratch = Vec::new();
    let mut given = Vec::with_capacity(splitter.len());
    for index in 0..splitter.len() {
        let bytes = splitter.field(index, &mut scratch).0;
        let name = std::str::from_utf8(bytes).ok().filter(|name| !name.contains('\0'));
        let Some(name) = name else {
            let error = invalid(
                "invalid_data",
                format!("{}: the name of column {} is not valid text in the file's encoding", file.name, index + 1),
            );
            return Err(error.hint(other_encodings(encoding)));
        };
        given.push(name.to_owned());
    }
    let (names, notes) = whole_names(&given);
    log.extend(notes.into_iter().map(|note| (Level::Warn, format!("{}: {note}", file.name))));
    Ok(names)
}

/// Says what to declare where this encoding was wrong.
fn other_encodings(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Auto | Encoding::Utf8 => "declare the file's encoding: windows-1252, latin-1 or utf-16",
        Encoding::Utf16 => "declare the file's byte order, utf-16le or utf-16be, or another encoding: utf-8, windows-1252, latin-1",
        Encoding::Utf16Le | Encoding::Utf16Be => "declare the other byte order (utf-16 finds it out), or utf-8, windows-1252, latin-1",
        Encoding::Windows1252 | Encoding::Latin1 => "leave encoding out to have it found, or declare utf-8 or utf-16",
    }
}

/// Returns the names of all files, in the order in which they first appear.
pub(super) fn all_names(shapes: &[Shape]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in shapes.iter().flat_map(|shape| &shape.names) {
        if seen.insert(name.to_lowercase()) {
            names.push(name.clone());
        }
    }
    names
}

/// Finds each loaded column in each file.
pub(super) fn place(shapes: &mut [Shape], files: &[InputFile], columns: &[OutputColumn], log: &mut Vec<(Level, String)>) {
    for (shape, file) in shapes.iter_mut().zip(files) {
        let places: std::collections::HashMap<String, usize> =
            shape.names.iter().enumerate().map(|(index, name)| (name.to_lowercase(), index)).collect();
        shape.fields = columns.iter().map(|column| places.get(&column.source.to_lowercase()).copied()).collect();
        let missing: Vec<String> =
            columns.iter().zip(&shape.fields).filter(|(_, field)| field.is_none()).map(|(column, _)| column.source.clone()).collect();
        if !missing.is_empty() && !shape.names.is_empty() {
            log.push((Level::Warn, format!("{} has no column {}: NULL", file.name, listed(&missing))));
        }
    }
}

/// What keeps a whole row from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowFlaw {
    /// How many fields it has, and should have.
    Fields(usize, usize),
    /// Bytes that the encoding has no meaning for.
    Encoding,
}

/// Checks the present record; returns whether there is a NUL in it.
#[inline]
pub(super) fn check_row<R: io::Read>(splitter: &Splitter<R>, shape: &Shape) -> Result<bool, RowFlaw> {
    if splitter.len() != shape.names.len() {
        return Err(RowFlaw::Fields(splitter.len(), shape.names.len()));
    }
    let raw = splitter.raw();
    if std::str::from_utf8(raw).is_err() {
        return Err(RowFlaw::Encoding);
    }
    Ok(memchr::memchr(0, raw).is_some())
}

/// Takes the values of up to so many rows of a file into the inference of each column; returns the input at its place.
///
/// # Errors
/// Whatever keeps the file from being read.
pub(super) fn observe(
    file: &InputFile,
    shape: &Shape,
    plan: &CsvPlan,
    nulls: &NullTexts,
    rows_max: u64,
    inferences: &mut [Option<Inference>],
) -> Result<Splitter<Decoded>, SourceError> {
    let mut splitter = Splitter::new(file.open(plan.encoding)?, shape.dialect);
    let mut scratch = Vec::new();
    let mut is_header = shape.has_header;
    let mut rows = 0;
    while rows < rows_max {
        match splitter.advance().map_err(|error| file.read_error(&error))? {
            Found::End | Found::OpenQuote => break,
            _ if std::mem::take(&mut is_header) => continue,
            Found::Flawed(_) => continue,
            Found::Record => {}
        }
        rows += 1;
        let Ok(has_nul) = check_row(&splitter, shape) else { continue };
        for (inference, field) in inferences.iter_mut().zip(&shape.fields) {
            let (Some(inference), Some(field)) = (inference, field) else { continue };
            let (text, is_quoted) = splitter.field(*field, &mut scratch);
            let is_null = !is_quoted && (nulls.holds(text) || nulls.usual_word(text).is_some());
            let is_nul = has_nul && text.contains(&0);
            if !is_null && !is_nul {
                inference.observe(text);
            }
        }
    }
    Ok(splitter)
}

/// Returns the type of each column: declared, text where hashed, else inferred, or as published before where no value tells.
pub(super) fn types(columns: &[OutputColumn], inferences: &[Option<Inference>], expected: &Schema) -> Vec<ColumnType> {
    let before = |name: &str| {
        let column = expected.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        column.map(|column| column.column_type)
    };
    let inferred = |column: &OutputColumn, inference: &Option<Inference>| {
        inference.as_ref().map_or(ColumnType::Text, |inference| inference.column_type_or(before(&column.name)))
    };
    columns
        .iter()
        .zip(inferences)
        .map(|(column, inference)| column.declared.filter(|_| !column.is_hashed).unwrap_or_else(|| inferred(column, inference)))
        .collect()
}

/// Returns a fresh inference for each column whose type is not fixed.
pub(super) fn inferences(columns: &[OutputColumn]) -> Vec<Option<Inference>> {
    columns.iter().map(|column| (column.declared.is_none() && !column.is_hashed).then(Inference::default)).collect()
}
