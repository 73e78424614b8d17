//! What a run writes while it works: its sources, their streams, the execution log.

use super::backends::StoreConnection;
use diesel::prelude::*;

use super::connection::{Store, naive};
use super::error::StateError;
use super::records::{EventRecord, SourceRecord, StreamRecord};
use super::rows::{SourceChanges, StreamChanges, level_word};
use super::schema::{run_events, run_sources, run_streams};

impl Store {
    /// Writes the streams of a source before the first of them begins: repair asks for their targets. A later attempt
    /// begins them anew, except those that are published.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn streams_begun(&mut self, run_id: &str, source: &str, streams: &[(String, String)]) -> Result<(), StateError> {
        self.write(|connection| {
            for (position, (stream, target)) in (0_i64..).zip(streams) {
                let record = StreamRecord::waiting(source, stream, target);
                let row = (
                    run_streams::run_id.eq(run_id),
                    run_streams::source.eq(source),
                    run_streams::stream.eq(stream),
                    run_streams::target.eq(target),
                    run_streams::position.eq(position),
                    run_streams::status.eq(record.status.as_str()),
                );
                let known = run_streams::table.find((run_id, source, stream));
                let is_known: bool = diesel::select(diesel::dsl::exists(known)).get_result(connection)?;
                if !is_known {
                    diesel::insert_into(run_streams::table).values(row).execute(connection)?;
                }
            }
            Ok(())
        })
    }

    /// Writes how a source stands.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn update_source(&mut self, run_id: &str, record: &SourceRecord) -> Result<(), StateError> {
        self.write(|connection| write_source(connection, run_id, record))
    }

    /// Writes how a stream stands.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn update_stream(&mut self, run_id: &str, record: &StreamRecord) -> Result<(), StateError> {
        self.write(|connection| write_stream(connection, run_id, record))
    }

    /// Adds lines to a run's execution log, in one transaction.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn add_events(&mut self, run_id: &str, events: &[EventRecord]) -> Result<(), StateError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write(|connection| write_events(connection, run_id, events))
    }
}

pub(super) fn write_source(connection: &mut StoreConnection, run_id: &str, record: &SourceRecord) -> QueryResult<()> {
    diesel::update(run_sources::table.find((run_id, &record.source))).set(SourceChanges::of(record)).execute(connection).map(drop)
}

pub(super) fn write_stream(connection: &mut StoreConnection, run_id: &str, record: &StreamRecord) -> QueryResult<()> {
    let row = run_streams::table.find((run_id, &record.source, &record.stream));
    diesel::update(row).set(StreamChanges::of(record)).execute(connection).map(drop)
}

pub(super) fn write_events(connection: &mut StoreConnection, run_id: &str, events: &[EventRecord]) -> QueryResult<()> {
    let last = run_events::table.filter(run_events::run_id.eq(run_id)).select(diesel::dsl::max(run_events::sequence));
    let last: Option<i64> = last.first(connection)?;
    for (sequence, event) in (last.unwrap_or(0) + 1..).zip(events) {
        let EventRecord { at, level, source, stream, message } = event;
        let row = (
            run_events::run_id.eq(run_id),
            run_events::sequence.eq(sequence),
            run_events::at.eq(naive(*at)),
            run_events::level.eq(level_word(*level)),
            run_events::source.eq(source),
            run_events::stream.eq(stream),
            run_events::message.eq(message),
        );
        diesel::insert_into(run_events::table).values(row).execute(connection)?;
    }
    Ok(())
}
