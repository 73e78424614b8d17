//! The six orders.

use std::sync::mpsc::Receiver;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::Fault;
use super::names::Names;
use super::rejects;
use super::stream::{Session, StreamFault, target};
use super::voice::{Stop, Voice};
use crate::batch::Schema;
use crate::batch::text::cell_text;
use crate::clock;
use crate::destination::{self, Access, LoadRecord, Mended};
use crate::plan::{
    Answer, Event, InspectPlan, Level, LoadOptions, LoadPlan, MendPlan, Mode, Order, PreviewPlan, SourceOrder, SourcePlan, WorkerError,
};
use crate::source::{self, Attendant, Moments, Read, ReadRequest, Reader, Source, Stream};

/// Serves an order.
pub(super) fn serve(order: Order, voice: &Voice, answers: &Receiver<Answer>, stop: &Stop) -> Result<(), Fault> {
    let names = Names::of_order(&order);
    served(order, voice, answers, stop).map_err(|fault| names.told(fault))
}

fn served(order: Order, voice: &Voice, answers: &Receiver<Answer>, stop: &Stop) -> Result<(), Fault> {
    let value = match order {
        Order::Load(plan) => return load(&plan, voice, answers, stop),
        Order::Test(order) => test(&order, stop)?,
        Order::Discover(order) => discover(&order, stop)?,
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
    if let Some(destination) = &mut opened {
        let voice = voice.clone();
        destination.attend(Box::new(move |message| voice.say(&Event::Log { level: Level::Warn, stream: None, message })));
    }
    if let Some(destination) = opened.as_mut().filter(|_| plan.source.kind.has_several_streams()) {
        tell_gone(destination.as_mut(), plan, &streams, voice)?;
    }
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
                let error = Names::of(&plan.source, Some(&plan.destination)).told(fault).error;
                voice.say(&Event::StreamFailed { stream: stream.name.clone(), error, rejected });
                if is_cancelled {
                    return Err(Fault::cancelled());
                }
            }
        }
    }
    Ok(())
}

/// Says which tables of the source were loaded before and are no longer found: a glob doesn't miss them.
fn tell_gone(destination: &mut dyn destination::Destination, plan: &LoadPlan, streams: &[Stream], voice: &Voice) -> Result<(), Fault> {
    let records = destination.records(&plan.run.workspace_id, &plan.run.job)?;
    for LoadRecord { owner, target, .. } in records {
        if owner.source == plan.source.name && streams.iter().all(|stream| stream.name != owner.stream) {
            let message = format!("{} is not among the source's tables any more; table {target} stays as it is", owner.stream);
            voice.say(&Event::Log { level: Level::Warn, stream: None, message });
        }
    }
    Ok(())
}

/// Opens a source that ends what it does when it is told to.
fn attended(plan: &SourcePlan, stop: &Stop) -> Result<Box<dyn Source>, Fault> {
    let mut source = source::open(plan)?;
    source.attend(Attendant::new(stop.flag(), |_, _| {}));
    Ok(source)
}

/// `{"message": text}`
fn test(order: &SourceOrder, stop: &Stop) -> Result<Value, Fault> {
    let mut source = attended(&order.source, stop)?;
    Ok(json!({ "message": source.test()? }))
}

/// `{"streams": [{"name", "target", "schema": [{"name", "type"}], "notes": [text]}]}`; of a source with several streams one may have an
/// `error` in place of the last two.
fn discover(order: &SourceOrder, stop: &Stop) -> Result<Value, Fault> {
    let mut source = attended(&order.source, stop)?;
    each_stream(source.as_mut(), &order.source, |source, stream, told| {
        told["target"] = target(&order.options, stream).into();
        let mut reader = open(source, stream, &order.options, order.options.sample_rows)?;
        let notes: Vec<String> = reader.take_log().into_iter().map(|(_, note)| note).collect();
        (told["schema"], told["notes"]) = (json!(reader.schema()), json!(notes));
        Ok(())
    })
}

/// `{"streams": [{"name", "schema": [..], "rows": [[text or null, ..]]}]}`; `error` as in [`discover`].
fn preview(order: &PreviewPlan, stop: &Stop) -> Result<Value, Fault> {
    let mut source = attended(&order.source, stop)?;
    each_stream(source.as_mut(), &order.source, |source, stream, told| {
        let (schema, rows) = first_rows(open(source, stream, &order.options, order.rows)?, order.rows, stop)?;
        (told["schema"], told["rows"]) = (json!(schema), json!(rows));
        Ok(())
    })
}

/// Asks for each stream. Where there may be several, one that can't be read doesn't keep the others from being told.
fn each_stream(
    source: &mut dyn Source,
    plan: &SourcePlan,
    mut ask: impl FnMut(&mut dyn Source, &Stream, &mut Value) -> Result<(), Fault>,
) -> Result<Value, Fault> {
    let mut streams = Vec::new();
    for stream in source.discover()? {
        let mut told = json!({ "name": stream.name });
        match ask(source, &stream, &mut told) {
            Ok(()) => {}
            Err(fault) if plan.kind.has_several_streams() && !fault.is_cancelled() => {
                let WorkerError { code, message, hint, is_transient: _, retry_after: _ } = Names::of(plan, None).told(fault).error;
                told["error"] = json!({ "code": code, "message": message, "hint": hint });
            }
            Err(fault) => return Err(fault),
        }
        streams.push(told);
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

fn open(source: &mut dyn Source, stream: &Stream, options: &LoadOptions, rows_max: usize) -> Result<Box<dyn Reader>, Fault> {
    let now = clock::now();
    let whole = ReadRequest::whole(stream, options, Moments { slot: now, run_started: now });
    Ok(source.open(&ReadRequest { rows_max: Some(rows_max as u64), ..whole })?)
}

/// `{"exists": bool, "records": [{"target", "job", "source", "stream", "version", "run_id", "slot", "mode", "cursor", "rows",
/// "counts", "rows_in_target", "schema", "committed_at"}]}`
fn inspect(plan: &InspectPlan) -> Result<Value, Fault> {
    let Some(mut destination) = destination::open(&plan.destination, Access::Read)? else {
        return Ok(json!({ "exists": false, "records": [] }));
    };
    if !plan.other_jobs.is_empty() {
        let mut records = Vec::new();
        for job in std::iter::once(&plan.job).chain(&plan.other_jobs) {
            let of_job = destination.records(&plan.workspace_id, job)?;
            records.extend(of_job.iter().map(|record| json!({ "target": record.target, "job": record.owner.job })));
        }
        return Ok(json!({ "exists": true, "records": records }));
    }
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
