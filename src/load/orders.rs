//! The six orders.

use std::sync::mpsc::Receiver;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::Fault;
use super::rejects;
use super::stream::{Session, StreamFault, target};
use super::voice::{Stop, Voice};
use crate::batch::Schema;
use crate::batch::text::cell_text;
use crate::clock;
use crate::destination::{self, Access, LoadRecord, Mended};
use crate::plan::{Answer, Event, InspectPlan, LoadOptions, LoadPlan, MendPlan, Mode, Order, PreviewPlan, SourceOrder};
use crate::source::{self, Moments, Read, ReadRequest, Reader, Source, Stream};

/// Serves an order.
pub(super) fn serve(order: Order, voice: &Voice, answers: &Receiver<Answer>, stop: &Stop) -> Result<(), Fault> {
    let value = match order {
        Order::Load(plan) => return load(&plan, voice, answers, stop),
        Order::Test(order) => test(&order)?,
        Order::Discover(order) => discover(&order)?,
        Order::Preview(order) => preview(&order, stop)?,
        Order::Inspect(plan) => inspect(&plan)?,
        Order::Mend(plan) => mend(&plan)?,
    };
    voice.say(&Event::Answered { value });
    Ok(())
}

fn load(plan: &LoadPlan, voice: &Voice, answers: &Receiver<Answer>, stop: &Stop) -> Result<(), Fault> {
    let mut source = source::open(&plan.source)?;
    load_from(source.as_mut(), plan, voice, answers, stop)
}

/// Loads the streams of an open source, one after the other. One that fails doesn't keep the next from being loaded.
pub(super) fn load_from(
    source: &mut dyn Source,
    plan: &LoadPlan,
    voice: &Voice,
    answers: &Receiver<Answer>,
    stop: &Stop,
) -> Result<(), Fault> {
    let streams = source.discover()?;
    let named = streams.iter().map(|stream| (stream.name.clone(), target(&plan.options, stream))).collect();
    voice.say(&Event::Streams { streams: named });
    if plan.dry_run.is_none() && plan.published_streams.is_empty() {
        // An attempt before this one of the same run may have left its rejected rows, which are read again now.
        rejects::forget(&plan.rejects_path)?;
    }
    let access = if plan.dry_run.is_some() { Access::Read } else { Access::Write };
    let mut opened = destination::open(&plan.destination, access)?;
    for stream in streams.iter().filter(|stream| !plan.published_streams.contains(&stream.name)) {
        if stop.is_raised() {
            return Err(Fault::cancelled());
        }
        let destination = opened.as_mut().map(|destination| destination.as_mut() as &mut dyn destination::Destination);
        let mut session = Session { plan, source, destination, voice, answers, stop };
        match session.load(stream) {
            Ok(result) => voice.say(&Event::Published(result)),
            Err(StreamFault { fault, rejected }) => {
                let is_cancelled = fault.is_cancelled();
                voice.say(&Event::StreamFailed { stream: stream.name.clone(), error: fault.error, rejected });
                if is_cancelled {
                    return Err(Fault::cancelled());
                }
            }
        }
    }
    Ok(())
}

/// `{"message": text}`
fn test(order: &SourceOrder) -> Result<Value, Fault> {
    let mut source = source::open(&order.source)?;
    Ok(json!({ "message": source.test()? }))
}

/// `{"streams": [{"name", "target", "schema": [{"name", "type"}], "notes": [text]}]}`
fn discover(order: &SourceOrder) -> Result<Value, Fault> {
    let mut source = source::open(&order.source)?;
    let mut streams = Vec::new();
    for stream in source.discover()? {
        let mut reader = open(source.as_mut(), &stream, &order.options)?;
        let notes: Vec<String> = reader.take_log().into_iter().map(|(_, note)| note).collect();
        let target = target(&order.options, &stream);
        streams.push(json!({ "name": stream.name, "target": target, "schema": reader.schema(), "notes": notes }));
    }
    Ok(json!({ "streams": streams }))
}

/// `{"streams": [{"name", "schema": [..], "rows": [[text or null, ..]]}]}`
fn preview(order: &PreviewPlan, stop: &Stop) -> Result<Value, Fault> {
    let mut source = source::open(&order.source)?;
    let mut streams = Vec::new();
    for stream in source.discover()? {
        let reader = open(source.as_mut(), &stream, &order.options)?;
        let (schema, rows) = first_rows(reader, order.rows, stop)?;
        streams.push(json!({ "name": stream.name, "schema": schema, "rows": rows }));
    }
    Ok(json!({ "streams": streams }))
}

/// A row as text, `None` for NULL.
type TextRow = Vec<Option<String>>;

fn first_rows(mut reader: Box<dyn Reader>, rows_max: usize, stop: &Stop) -> Result<(Schema, Vec<TextRow>), Fault> {
    let mut rows: Vec<TextRow> = Vec::new();
    while rows.len() < rows_max {
        if stop.is_raised() {
            return Err(Fault::cancelled());
        }
        match reader.read()? {
            Read::Batch(batch) => {
                let taken = batch.num_rows().min(rows_max - rows.len());
                rows.extend((0..taken).map(|row| (0..batch.num_columns()).map(|column| cell_text(&batch, column, row)).collect()));
            }
            Read::Rejected(_) => {}
            Read::Restart { .. } => rows.clear(),
            Read::End => break,
        }
    }
    Ok((reader.schema().clone(), rows))
}

fn open(source: &mut dyn Source, stream: &Stream, options: &LoadOptions) -> Result<Box<dyn Reader>, Fault> {
    let now = clock::now();
    Ok(source.open(&ReadRequest::whole(stream, options, Moments { slot: now, run_started: now }))?)
}

/// `{"exists": bool, "records": [{"target", "job", "source", "stream", "version", "run_id", "slot", "mode", "cursor", "rows",
/// "counts", "rows_in_target", "schema", "committed_at"}]}`
fn inspect(plan: &InspectPlan) -> Result<Value, Fault> {
    let Some(mut destination) = destination::open(&plan.destination, Access::Read)? else {
        return Ok(json!({ "exists": false, "records": [] }));
    };
    let records = if plan.targets.is_empty() {
        destination.records(&plan.workspace_id, &plan.job)?
    } else {
        let mut records = Vec::new();
        for target in &plan.targets {
            records.extend(destination.record(target)?);
        }
        records
    };
    let records: Vec<Value> = records.iter().map(record_json).collect();
    Ok(json!({ "exists": true, "records": records }))
}

fn record_json(record: &LoadRecord) -> Value {
    let LoadRecord { target, owner, version, run_id, slot, mode, cursor, rows, counts, rows_in_target, schema, committed_at } = record;
    json!({
        "target": target,
        "workspace_id": owner.workspace_id,
        "job": owner.job,
        "source": owner.source,
        "stream": owner.stream,
        "version": version,
        "run_id": run_id,
        "slot": slot,
        "mode": mode.map(Mode::as_str),
        "cursor": cursor,
        "rows": rows,
        "counts": counts,
        "rows_in_target": rows_in_target,
        "schema": schema,
        "committed_at": committed_at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
    })
}

/// `{"dropped": [staging table], "changed": [target]}`
fn mend(plan: &MendPlan) -> Result<Value, Fault> {
    // A file that isn't there has nothing to mend, and mending makes none.
    let exists = destination::open(&plan.destination, Access::Read)?.is_some();
    let opened = if exists { destination::open(&plan.destination, Access::Write)? } else { None };
    let Mended { dropped, changed } = match opened {
        Some(mut destination) => destination.mend(plan)?,
        None => Mended::default(),
    };
    Ok(json!({ "dropped": dropped, "changed": changed }))
}
