//! Reads a result into batches.

use crate::batch::Schema;
use crate::connect::odbc::Session;
use crate::plan::odbc::OdbcSourcePlan;
use crate::plan::{ColumnRules, Level};
use crate::run::FileRecord;
use crate::secret::Secret;
use crate::source::{Read, ReadRequest, Reader, SourceError};

use super::dialect::Dialect;

#[derive(Debug)]
pub(super) struct OdbcReader {
    schema: Schema,
}

impl OdbcReader {
    #[allow(clippy::too_many_arguments)]
    pub fn open(
        _session: Session,
        _dialect: Box<dyn Dialect>,
        source: &str,
        _plan: &OdbcSourcePlan,
        _rules: &ColumnRules,
        _hash_key: Option<&Secret>,
        _request: &ReadRequest<'_>,
        _log: Vec<(Level, String)>,
    ) -> Result<Self, SourceError> {
        Err(SourceError::new("invalid", format!("source {source}: reading through ODBC is being built")))
    }
}

impl Reader for OdbcReader {
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn read(&mut self) -> Result<Read, SourceError> {
        Ok(Read::End)
    }
    fn bytes(&self) -> (u64, Option<u64>) {
        (0, None)
    }
    fn files(&self) -> Vec<FileRecord> {
        Vec::new()
    }
    fn take_log(&mut self) -> Vec<(Level, String)> {
        Vec::new()
    }
}
