//! Takes what threads read, each of which owns its connection: what waits is bounded by batches.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use crate::batch::{Column, ColumnType, Schema};
use crate::connect::postgres::{Canceller, ReadingSession as Session};
use crate::plan::postgresql::PostgresSourcePlan;
use crate::plan::{ColumnRules, Level};
use crate::run::FileRecord;
use crate::secret::Secret;
use crate::source::columns::{Hasher, OutputColumn, layout};
use crate::source::nulled::Nulled;
use crate::source::{Read, ReadRequest, Reader, SourceError};
use crate::text;

use super::parts::{self, Range};
use super::pass::{Item, Outlet, Part, Work};
use super::query::{self, Described, Query};
use super::types::{Asked, Mapping, Wire};

/// Takes what the reading threads hand over, one for each part of the rows.
pub(super) struct PostgresReader {
    schema: Schema,
    /// What begins with the first read: whoever asks for columns alone makes the server send nothing.
    pending: Option<(Work, Vec<Part>)>,
    items: Option<Receiver<Item>>,
    /// The bytes that each part has taken.
    bytes: Vec<u64>,
    /// What ends the parts that are still read.
    cancellers: Vec<Option<Canceller>>,
    nulled: Nulled,
    /// Held while statements are cancelled: until then their threads keep the connections.
    gate: Arc<Mutex<()>>,
    log: Vec<(Level, String)>,
}

impl std::fmt::Debug for PostgresReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PostgresReader({:?})", self.schema)
    }
}

impl PostgresReader {
    /// Finds columns and types, and starts to read.
    pub fn open(
        mut session: Session,
        source: &str,
        plan: &PostgresSourcePlan,
        rules: &ColumnRules,
        hash_key: Option<&Secret>,
        request: &ReadRequest<'_>,
        mut log: Vec<(Level, String)>,
    ) -> Result<Self, SourceError> {
        let described = query::describe(&mut session, source, plan)?;
        query::forget(&mut session, source)?;
        let columns = layout(source, &described.names, rules, hash_key)?;
        let bounds = query::bounds(source, &described, rules, request)?;
        let mapping = |column: &OutputColumn| {
            let place = described.names.iter().position(|name| *name == column.source).expect("the layout is of these names");
            let server_type = described.types[place];
            match column.declared {
                _ if column.is_hashed => hashed(server_type.mapping()),
                Some(declared) => server_type.declared(declared),
                None => server_type.mapping(),
            }
        };
        let mappings: Vec<Mapping> = columns.iter().map(mapping).collect();
        let asked: Vec<(String, Mapping)> = columns.iter().map(|column| column.source.clone()).zip(mappings.iter().copied()).collect();
        let parts = of_rows(session, source, plan, &described, &mut log, |base| {
            query::bounded(source, base, &asked, bounds.as_ref(), request.moments)
        })?;
        let fields = columns.iter().zip(&mappings).map(|(column, mapping)| Column::new(&column.name, mapping.column_type));
        let schema = Schema::new(fields.collect());
        let as_text: Vec<&str> = asked
            .iter()
            .zip(&columns)
            .filter(|((_, mapping), column)| mapping.asked != Asked::Plain && mapping.column_type == ColumnType::Text && !column.is_hashed)
            .map(|((name, _), _)| name.as_str())
            .collect();
        if !as_text.is_empty() {
            log.push((
                Level::Info,
                text::printable(&format!("read as the text that PostgreSQL writes: {}", as_text.join(", "))).into_owned(),
            ));
        }
        let hasher = columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten();
        let nulled = Nulled::default();
        let work = Work {
            source: source.to_owned(),
            parts: parts.len(),
            columns,
            mappings,
            schema: schema.clone(),
            hasher,
            invalid_values: request.options.invalid_values,
            nulled: nulled.clone(),
            batch_rows_max: request.options.batch_size,
        };
        let bytes = vec![0; parts.len()];
        Ok(Self { schema, pending: Some((work, parts)), items: None, bytes, cancellers: Vec::new(), nulled, gate: Arc::default(), log })
    }

    /// Begins to read every part.
    fn begin(&mut self) -> Result<(), SourceError> {
        let Some((work, parts)) = self.pending.take() else { return Ok(()) };
        // One place for all: what waits doesn't grow with the parts.
        let (sender, items) = sync_channel(1);
        let work = Arc::new(work);
        for (number, part) in parts.into_iter().enumerate() {
            let (work, outlet) = (Arc::clone(&work), Outlet { part: number, sender: sender.clone(), gate: Arc::clone(&self.gate) });
            self.cancellers.push(Some(part.session.canceller.clone()));
            std::thread::Builder::new()
                .name("postgresql source".to_owned())
                .spawn(move || work.run(part, &outlet))
                .map_err(|error| SourceError::new("io", format!("start a thread: {error}")))?;
        }
        self.items = Some(items);
        Ok(())
    }
}

/// Returns what becomes of a column whose values are hashed: the text of the value, or the bytes themselves.
fn hashed(mapping: Mapping) -> Mapping {
    match (mapping.wire, mapping.asked) {
        (Wire::Bytea | Wire::Text, _) | (_, Asked::Numeric) => Mapping { column_type: ColumnType::Text, ..mapping },
        _ => Mapping { column_type: ColumnType::Text, wire: Wire::Text, asked: Asked::Cast },
    }
}

impl Reader for PostgresReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn read(&mut self) -> Result<Read, SourceError> {
        self.begin()?;
        loop {
            let Some(items) = self.items.as_ref().filter(|_| self.cancellers.iter().any(Option::is_some)) else { return Ok(Read::End) };
            let silent = |_| SourceError::new("internal", "a thread that reads the source ended without saying why");
            let (part, received) = items.recv().map_err(silent)?;
            let (read, bytes) = received.inspect_err(|_| self.cancellers[part] = None)?;
            self.bytes[part] = bytes;
            match read {
                Read::End => {
                    self.cancellers[part] = None;
                    let is_last = self.cancellers.iter().all(Option::is_none);
                    self.log.extend(self.nulled.line().filter(|_| is_last));
                }
                read => return Ok(read),
            }
        }
    }

    fn bytes(&self) -> (u64, Option<u64>) {
        (self.bytes.iter().sum(), None)
    }

    fn files(&self) -> Vec<FileRecord> {
        Vec::new()
    }

    fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.log)
    }
}

impl Drop for PostgresReader {
    /// Ends what the server still does for any part: nobody waits for it any more.
    fn drop(&mut self) {
        let _gate = self.gate.lock();
        self.items = None;
        self.cancellers.iter().flatten().for_each(Canceller::cancel);
    }
}

/// Parts the rows as the plan says, each with a session of its own; `query` makes a part's statement of its base.
fn of_rows(
    mut session: Session,
    source: &str,
    plan: &PostgresSourcePlan,
    described: &Described,
    log: &mut Vec<(Level, String)>,
    query: impl Fn(&str) -> Result<Query, SourceError>,
) -> Result<Vec<Part>, SourceError> {
    let label = plan.table.clone().unwrap_or_else(|| source.to_owned());
    let Some(table) = described.table.as_ref().filter(|_| plan.partitions > 1) else {
        let query = query(&described.base)?;
        query::settle(&mut session, source, &query)?;
        return Ok(vec![Part { session, query, label }]);
    };
    let ranges = parts::opened(session, source, plan, table, log)?;
    let count = ranges.len();
    let part = |(number, (mut session, range)): (usize, (Session, Range))| {
        let mut query = query(&query::of_table(table, plan.filter.as_deref(), Some(&range.condition)))?;
        query.settings.extend(range.settings);
        query::settle(&mut session, source, &query)?;
        Ok(Part { session, query, label: format!("{label}, part {} of {count}", number + 1) })
    };
    ranges.into_iter().enumerate().map(part).collect()
}
