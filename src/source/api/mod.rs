//! REST APIs as a source: pages of JSON, NDJSON or CSV.
//!
//! `request` makes requests, `pages` finds the next ones, `gather` fetches them all, and `answer` reads each as it comes: `walk` and `scan` find
//! the records, `flat` makes rows of them, `spool` keeps these in a file until the types of all that came are known. Then `reader` makes
//! batches. A record is loaded exactly, or rejected with its page, its number and the reason.

mod answer;
#[cfg(test)]
#[cfg(unix)]
pub(super) mod conformance;
mod flat;
mod gather;
mod link;
mod pages;
mod parameter;
mod reader;
mod request;
mod scan;
mod spool;
mod syntax;
mod take;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod walk;

use chrono::DateTime;

use crate::batch::ColumnType;
use crate::plan::api::ApiSourcePlan;
use crate::plan::{ColumnRules, SourcePlan};
use crate::secret::Secret;

use super::{Moments, ReadRequest, Reader, Source, SourceError, Stream};
use gather::Gather;
use request::Values;

/// A resource of an API.
#[derive(Debug)]
pub(super) struct ApiSource {
    name: String,
    plan: ApiSourcePlan,
    rules: ColumnRules,
    hash_key: Option<Secret>,
}

impl ApiSource {
    /// Takes a plan; nothing is sent yet.
    pub fn new(plan: &SourcePlan, api: &ApiSourcePlan) -> Self {
        Self { name: plan.name.clone(), plan: api.clone(), rules: plan.columns.clone(), hash_key: plan.hash_key.clone() }
    }
}

impl Source for ApiSource {
    fn test(&mut self) -> Result<String, SourceError> {
        let epoch = DateTime::UNIX_EPOCH;
        let values = Values { lower_bound: None, cursor_type: None, moments: Moments { slot: epoch, run_started: epoch }, parent: &[] };
        let (status, records) = Gather::open(&self.plan, Some(1))?.look(&self.plan, &values)?;
        let whose = if self.plan.for_each.is_some() { " of the parent" } else { "" };
        let status = if status == 200 { "200 OK".to_owned() } else { format!("status {status}") };
        Ok(format!("{status}, {} in the first page{whose}", take::counted(records)))
    }

    fn discover(&mut self) -> Result<Vec<Stream>, SourceError> {
        Ok(vec![Stream::only(&self.name)])
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(reader::ApiReader::open(&self.name, &self.plan, &self.rules, self.hash_key.as_ref(), request)?))
    }

    fn cursor_type(&mut self, _stream: &Stream, column: &str) -> Result<Option<ColumnType>, SourceError> {
        if let Some(declared) = reader::declared(&self.rules, column) {
            return Ok(Some(declared));
        }
        reader::seen(&self.plan, &self.rules, column).map(Some)
    }
}
