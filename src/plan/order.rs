//! The six orders that a worker takes, and the supervisor's answers while it works.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{DestinationPlan, LoadOptions, SourcePlan};

/// What a worker is to do: the first line on its standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one order lives in a process")]
pub enum Order {
    /// Read one source and load its streams.
    Load(LoadPlan),
    /// Reach the source, read nothing.
    Test(SourceOrder),
    /// List the source's streams with their schemas.
    Discover(SourceOrder),
    /// Read the first rows.
    Preview(PreviewPlan),
    /// Read the `_etlsched_` rows of targets: what is published, which cursors hold.
    Inspect(InspectPlan),
    /// Drop the staging of dead runs, settle, reset or take over the row of a target.
    Mend(MendPlan),
}

/// The supervisor's answer to [`Event::Ready`](super::Event::Ready), one line on the worker's standard input.
///
/// No answer within 30 s, or the end of standard input, means `Drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Publish: the lease was renewed, no limit has passed, nobody cancelled.
    Publish,
    /// Drop everything that was staged.
    Drop,
    /// Stop reading, roll back and end, as at SIGTERM (the stop signal where a system has none).
    Stop,
    /// Make smaller batches: the run comes near its `memory_limit_mb`. Said at any time, and more than once.
    Shrink,
}

/// Who owns a target: nobody else may publish into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The workspace's UUID, made with its state store.
    pub workspace_id: String,
    /// The job's id.
    pub job: String,
    /// The source's name.
    pub source: String,
    /// The stream's name.
    pub stream: String,
}

/// The run that a load belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The workspace's UUID, made with its state store.
    pub workspace_id: String,
    /// The job's id.
    pub job: String,
    /// UUID v7 of the run.
    pub run_id: String,
    /// The attempt at this source, from 1.
    pub attempt: u32,
    /// The slot's key, where a slot started the run.
    pub slot: Option<String>,
    /// When the run began.
    pub started_at: DateTime<Utc>,
}

/// Everything that a load needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadPlan {
    /// The run it belongs to.
    pub run: RunRef,
    /// Where the rows come from.
    pub source: SourcePlan,
    /// Where they go.
    pub destination: DestinationPlan,
    /// How they are loaded.
    pub options: LoadOptions,
    /// The file for rejected rows, made (0600, its folder 0700) when the first row is rejected.
    pub rejects_path: PathBuf,
    /// Streams already published by this run or slot, or settled by an attempt before; they are left alone.
    pub published_streams: Vec<String>,
    /// When the run was due, where a slot started it.
    pub slot_at: Option<DateTime<Utc>>,
    /// Read, type and check only; write nothing anywhere.
    pub dry_run: Option<DryRun>,
}

/// A load that writes nothing anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    /// The most rows that are read of each stream.
    pub limit: Option<u64>,
}

/// An order that concerns a source only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceOrder {
    /// The source.
    pub source: SourcePlan,
    /// `sample_rows` and the rest of what reading needs.
    pub options: LoadOptions,
}

/// Read the first rows of each stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviewPlan {
    /// The source.
    pub source: SourcePlan,
    /// `sample_rows` and the rest of what reading needs.
    pub options: LoadOptions,
    /// How many rows.
    pub rows: usize,
}

/// Read the `_etlsched_loads` rows of targets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InspectPlan {
    /// The destination.
    pub destination: DestinationPlan,
    /// The tables to look at; empty means every row of this owner's workspace and job.
    pub targets: Vec<String>,
    /// The job whose rows are asked for.
    pub workspace_id: String,
    /// The job's id.
    pub job: String,
    /// More jobs whose rows are asked for: then the answer has of each row its job and its target alone.
    pub other_jobs: Vec<String>,
}

/// Put a destination in order: after runs that died, or because someone asks for a fresh start. Only the holder of the job's lease orders this.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MendPlan {
    /// The destination.
    pub destination: DestinationPlan,
    /// The workspace's UUID.
    pub workspace_id: String,
    /// The job's id.
    pub job: String,
    /// What is put in order.
    pub action: MendAction,
}

/// What a [`MendPlan`] does. The tables themselves and their rows stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum MendAction {
    /// Drop what dead runs left.
    DropStaging {
        /// Runs whose staging tables are dropped.
        dead_runs: Vec<String>,
    },
    /// Forget how far the sources of these tables were read: the next incremental run is a first run. Only rows of this job.
    Reset {
        /// The tables.
        targets: Vec<String>,
    },
    /// Give tables to this job, with a fresh start as after `Reset`: the former owner's cursor says nothing about another source.
    /// A load of the former owner that is under way can't publish any more.
    TakeOver {
        /// Table and new owner. A table that nobody loaded is this owner's then, rows and all; one that is this owner's already stays as it
        /// is, and one that isn't there too.
        owners: Vec<(String, Owner)>,
    },
}
