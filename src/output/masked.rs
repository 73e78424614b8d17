//! Texts that come out of job files, with known secrets replaced before anything is rendered: `name: ${NAME}` is as secret as a
//! password is. Words of ours, numbers and times stay as they are: a variable may well be 2026.

use serde_json::Value;

use crate::engine::{RunReport, TargetRecord};
use crate::error::Failure;
use crate::job::Job;
use crate::plan::WorkerError;
use crate::secret::Masker;
use crate::state::{AuditRecord, EventRecord, RecordedError, RunDetail, RunRecord};

/// Masks what a job says of itself.
pub fn job(job: &mut Job, masker: &Masker) {
    text(&mut job.name, masker);
    text(&mut job.description, masker);
    texts(&mut job.tags, masker);
    text(&mut job.destination.name, masker);
    for source in &mut job.sources {
        text(&mut source.name, masker);
        source.options.target.iter_mut().for_each(|target| text(target, masker));
        text(&mut source.options.table_prefix, masker);
        texts(&mut source.options.primary_key, masker);
        source.options.timestamp_column.iter_mut().for_each(|column| text(column, masker));
    }
}

/// Masks the names and errors of a run in the log.
pub fn run(run: &mut RunRecord, masker: &Masker) {
    let summary = &mut run.summary;
    for names in [&mut summary.sources_processed, &mut summary.sources_failed, &mut summary.sources_skipped] {
        texts(names, masker);
    }
    for words in [&mut summary.error_message, &mut summary.error_details].into_iter().flatten() {
        text(words, masker);
    }
}

/// Masks what a line of the audit trail says of a job.
pub fn audit(line: &mut AuditRecord, masker: &Masker) {
    line.details.iter_mut().for_each(|details| text(details, masker));
}

/// Masks a run in full.
pub fn detail(detail: &mut RunDetail, masker: &Masker) {
    run(&mut detail.run, masker);
    for source in &mut detail.sources {
        text(&mut source.source, masker);
        source.rejects_path.iter_mut().for_each(|path| text(path, masker));
        source.error.iter_mut().for_each(|error| recorded(error, masker));
    }
    for stream in &mut detail.streams {
        for name in [&mut stream.source, &mut stream.stream, &mut stream.target, &mut stream.schema_changes] {
            text(name, masker);
        }
        stream.error.iter_mut().for_each(|error| recorded(error, masker));
    }
    detail.events.iter_mut().for_each(|line| event(line, masker));
}

/// Masks how a run ended.
pub fn report(report: &mut RunReport, masker: &Masker) {
    report.error.iter_mut().for_each(|error| worker_error(error, masker));
    for path in &mut report.rejects {
        *path = masker.mask(&path.display().to_string()).into();
    }
    for source in &mut report.sources {
        text(&mut source.name, masker);
        source.error.iter_mut().for_each(|error| worker_error(error, masker));
        for stream in &mut source.streams {
            text(&mut stream.name, masker);
            text(&mut stream.target, masker);
            stream.error.iter_mut().for_each(|error| worker_error(error, masker));
            stream.result.iter_mut().for_each(|result| texts(&mut result.statements, masker));
        }
    }
}

/// Masks a line of the execution log.
pub fn event(event: &mut EventRecord, masker: &Masker) {
    event.source.iter_mut().chain(&mut event.stream).for_each(|name| text(name, masker));
    text(&mut event.message, masker);
}

/// Masks a name.
pub fn words(words: &mut String, masker: &Masker) {
    text(words, masker);
}

/// Masks the names of a target.
pub fn target(record: &mut TargetRecord, masker: &Masker) {
    for name in [&mut record.source, &mut record.stream, &mut record.target] {
        text(name, masker);
    }
}

/// Masks why a command could not do what it was told.
#[must_use]
pub fn failure(mut failure: Failure, masker: &Masker) -> Failure {
    text(&mut failure.message, masker);
    failure.hint.iter_mut().for_each(|hint| text(hint, masker));
    failure
}

/// Masks the names in an object that a process of ours wrote: what stands under `keys`, at any depth.
pub fn named(value: &mut Value, keys: &[&str], masker: &Masker) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| named(item, keys, masker)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(words) if keys.contains(&key.as_str()) => text(words, masker),
                    other => named(other, keys, masker),
                }
            }
        }
        _ => {}
    }
}

fn worker_error(error: &mut WorkerError, masker: &Masker) {
    text(&mut error.message, masker);
    error.hint.iter_mut().for_each(|hint| text(hint, masker));
}

fn recorded(error: &mut RecordedError, masker: &Masker) {
    text(&mut error.message, masker);
    error.hint.iter_mut().for_each(|hint| text(hint, masker));
}

fn texts(words: &mut [String], masker: &Masker) {
    words.iter_mut().for_each(|word| text(word, masker));
}

fn text(words: &mut String, masker: &Masker) {
    *words = masker.mask(words);
}
