//! etlsched keeps a team's warehouse fresh without running a daemon.
//!
//! # Map
//! A file imports only from a lower layer or its own folder; `tests/it/layers.rs` holds it.
//!
//! | layer | files | never |
//! | --- | --- | --- |
//! | 0 | `exit_code`, `clock`, `secret`, `text`, `private`, `process/` | import anything of ours |
//! | 1 | `zone/`, `schedule/`, `batch/` | touch files (`zone/database` alone reads the system's rules), network, clock |
//! | 2 | `plan/`, `run/` | do anything: words and rules that both processes share |
//! | 2 | `connect/` | move rows: it reaches servers, for both ends, and asks web servers |
//! | 3 | `source/`, `destination/`, `scheduler/`, `state/`, `notify/` | know each other, print, read clock or environment |
//! | 4 | `job/`, `workspace` | open a source, a destination or the store |
//! | 5 | `load/` (the worker), `engine/` (the supervisor) | the worker opens no store; the supervisor opens no end |
//! | 6 | `output/`, `error` | decide anything |
//! | 7 | `command/` | work beyond arguments, order of calls and exit code |
//! | 8 | `cli`, `main` | |

pub mod batch;
pub mod cli;
pub mod clock;
pub mod command;
pub mod connect;
pub mod destination;
pub mod engine;
pub mod error;
pub mod exit_code;
pub mod job;
pub mod load;
pub mod notify;
pub mod output;
pub mod plan;
pub mod private;
pub mod process;
pub mod run;
pub mod schedule;
pub mod scheduler;
pub mod secret;
pub mod source;
pub mod state;
pub mod text;
pub mod workspace;
pub mod zone;

pub use cli::main;
