//! Gets ready to read a result on a thread of its own, see [`super::pass`].

use crate::connect::odbc::Session;
use crate::plan::odbc::OdbcSourcePlan;
use crate::plan::{ColumnRules, Level};
use crate::secret::Secret;
use crate::source::columns::{Hasher, layout};
use crate::source::nulled::Nulled;
use crate::source::threaded::ThreadedReader;
use crate::source::{ReadRequest, SourceError};

use super::dialect::Dialect;
use super::lane::{self, Lane};
use super::pass::Work;
use super::{describe, query};

/// What a reader is made of.
pub(super) struct Opening<'a> {
    pub session: Session,
    pub dialect: Box<dyn Dialect>,
    pub source: &'a str,
    pub plan: &'a OdbcSourcePlan,
    pub rules: &'a ColumnRules,
    pub hash_key: Option<&'a Secret>,
    /// What the log is told first.
    pub log: Vec<(Level, String)>,
}

/// Finds columns and types, and gets ready to read.
pub(super) fn open(opening: Opening<'_>, request: &ReadRequest<'_>) -> Result<ThreadedReader, SourceError> {
    let Opening { session, dialect, source, plan, rules, hash_key, mut log } = opening;
    let described = describe::describe(&session, &*dialect, source, plan)?;
    let columns = layout(source, &described.names, rules, hash_key)?;
    let bounds = query::bounds(source, &*dialect, &described, rules, request)?;
    let expected = |name: &str| {
        let schema = request.expected?;
        schema.position(name).map(|place| schema.columns[place].column_type)
    };
    let lanes: Vec<Lane> = columns
        .iter()
        .map(|column| {
            let place = described.names.iter().position(|name| *name == column.source).expect("the layout is of these names");
            Lane::new(column, dialect.mapping(&described.facts[place]), expected(&column.name))
        })
        .collect();
    log.extend(lane::as_text(&lanes));
    let schema = lane::schema(&lanes);
    let hasher = columns.iter().any(|column| column.is_hashed).then(|| hash_key.map(Hasher::new)).flatten();
    let nulled = Nulled::default();
    let work = Work {
        source: source.to_owned(),
        label: plan.table.clone().unwrap_or_else(|| source.to_owned()),
        form: super::text_form(&session),
        dialect,
        described,
        bounds,
        moments: request.moments,
        lanes,
        hasher,
        invalid_values: request.options.invalid_values,
        nulled: nulled.clone(),
        batch_rows_max: request.options.batch_size,
    };
    Ok(ThreadedReader::new("odbc source", schema, nulled, log, move |sender| work.run(session, sender)))
}
