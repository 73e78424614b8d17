//! What a worker is told ([`Order`], [`Answer`]) and what it says back ([`Event`]). Pure data, JSON on the wire.
//!
//! The supervisor writes one order as one JSON line on the worker's standard input, then an [`Answer`] for each
//! [`Event::Ready`]. The worker writes one [`Event`] a line on its standard output. Rows never cross the pipe.

pub mod api;
mod event;
pub mod kinds;
mod load;
pub mod mysql;
pub mod odbc;
mod order;
pub mod postgresql;
pub mod tables;
pub mod verdict;
mod window;

pub use event::{Event, Level, Phase, SchemaChange, StreamResult, WorkerError};
pub use load::{
    BadRows, ColumnRules, CsvPlan, DestinationKind, DestinationPlan, Encoding, Expect, LoadOptions, Lookback, Mode, NullCursor, OnBadRow,
    OnInvalidValue, Publish, SchemaPolicy, SourceKind, SourcePlan, SqlitePlan, SqliteSourcePlan,
};
pub use order::{Answer, DryRun, InspectPlan, LoadPlan, MendAction, MendPlan, Order, Owner, PreviewPlan, RunRef, SourceOrder};
pub use window::{Window, WindowEnd};
