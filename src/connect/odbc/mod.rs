//! Reaching databases through ODBC: the driver manager, drivers, connection strings, statements, errors. Knows no tables.
//!
//! The driver manager is part of the program on Unix (it starts where none is installed) and the system's on Windows. Drivers are the
//! machine's; what they do is never trusted further than their return codes and indicators.

pub mod drivers;
mod failure;
mod handle;
mod numbers;
mod parameter;
mod statement;
mod string;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use odbc_sys::{ConnectionAttribute, InfoType};

pub use drivers::Family;
pub use handle::{Connection, Diagnostic, OdbcError, Outcome};
pub use parameter::Parameter;
pub use statement::{ColumnFacts, Piece, Statement};

use super::ConnectError;
use crate::plan::odbc::{Engine, OdbcConnection};
use crate::secret::Masker;

/// A connection that only reads: whatever a statement does is undone at its end.
#[derive(Debug)]
pub struct Session {
    pub connection: Connection,
    /// The server and database as messages name them, without the login.
    pub place: String,
    pub engine: Engine,
    pub facts: Facts,
    masker: Masker,
}

/// What the driver says of itself and of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub family: Family,
    /// The driver's file and version.
    pub driver: String,
    /// The server's product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// What stands around identifiers; empty where nothing does.
    pub quote: String,
    /// Whether the driver hands text over as UTF-8.
    pub is_utf8: bool,
}

/// SQL_AUTOCOMMIT_OFF, SQL_MODE_READ_ONLY.
const OFF: usize = 0;
const READ_ONLY: usize = 1;

/// How much longer than the driver's own limit connecting may take.
const GRACE: Duration = Duration::from_secs(3);

impl Session {
    /// Connects. Statements are transactions of their own until [`Session::begin`].
    ///
    /// # Errors
    /// No driver, no server, no login.
    pub fn open(plan: &OdbcConnection) -> Result<Self, ConnectError> {
        let limit = Duration::from_secs(plan.connect_timeout_seconds.max(1)) + GRACE;
        let (sender, receiver) = channel();
        let own = plan.clone();
        // A driver that hangs is left behind with its thread: nothing can end it but the end of the process.
        let spawned = std::thread::Builder::new().name("odbc connect".to_owned()).spawn(move || {
            // Nobody may wait any more.
            let _ = sender.send(Self::connect(&own));
        });
        let failed = |message: String| ConnectError {
            code: "unreachable",
            message: format!("connect to {}: {message}", plan.place()),
            hint: Some("check host and port of the connection, and whether the server runs".to_owned()),
            is_transient: true,
            retry_after: None,
        };
        spawned.map_err(|error| failed(format!("start a thread: {error}")))?;
        match receiver.recv_timeout(limit) {
            Ok(session) => session,
            Err(RecvTimeoutError::Timeout) => Err(failed(format!("no answer within {} s", plan.connect_timeout_seconds))),
            Err(RecvTimeoutError::Disconnected) => Err(failed("the driver broke off".to_owned())),
        }
    }

    fn connect(plan: &OdbcConnection) -> Result<Self, ConnectError> {
        let place = plan.place();
        let masker = masker(plan);
        let driver = drivers::choose(plan)?;
        let invalid = |(message, hint): (String, &'static str)| ConnectError {
            code: "invalid",
            message: format!("connect to {place}: {message}"),
            hint: Some(hint.to_owned()),
            is_transient: false,
            retry_after: None,
        };
        let string = string::connection_string(plan, driver.word.as_deref(), driver.family).map_err(invalid)?;
        let mut connection = Connection::open(&string, plan.connect_timeout_seconds).map_err(|error| {
            let mut error = failure::failure(plan.engine, &format!("connect to {place}"), &error, &masker);
            if error.code == "no_driver" {
                let list = drivers::installed().unwrap_or_default();
                error = drivers::missing(plan, error.message.split_once(": ").map_or("", |(_, why)| why), &list);
            }
            error
        })?;
        // Not every driver has it, and none enforces it: what counts is that nothing is ever committed.
        let _ = connection.set(ConnectionAttribute::ACCESS_MODE, READ_ONLY);
        let text = |what| connection.text(what).unwrap_or_default();
        let (name, version) = (text(InfoType::DriverName), text(InfoType::DriverVer));
        let known = Family::of(&name);
        let facts = Facts {
            family: if known == Family::Other { driver.family } else { known },
            driver: format!("{name} {version}"),
            product: text(InfoType::DbmsName),
            version: text(InfoType::DbmsVer),
            quote: text(InfoType::IdentifierQuoteChar).trim().to_owned(),
            // What the connection string says itself; of a data source nobody knows.
            is_utf8: driver.family.utf8_keyword().is_some_and(|keyword| driver.word.is_some() && !is_said(plan, keyword)),
        };
        Ok(Self { connection, place, engine: plan.engine, facts, masker })
    }

    /// Makes every statement from now on part of a transaction, which is never committed.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn begin(&mut self) -> Result<(), OdbcError> {
        self.connection.set(ConnectionAttribute::AUTOCOMMIT, OFF)
    }

    /// Makes an error of what a call reports.
    pub fn failure(&self, verb: &str, error: &OdbcError) -> ConnectError {
        failure::failure(self.engine, &format!("{verb} on {}", self.place), error, &self.masker)
    }
}

/// Whether the job says a keyword of the driver's own.
fn is_said(plan: &OdbcConnection, keyword: &str) -> bool {
    plan.options.iter().any(|(said, _)| said.eq_ignore_ascii_case(keyword))
}

/// Returns what hides the secrets of a connection.
fn masker(plan: &OdbcConnection) -> Masker {
    let whole = plan.connection_string.as_ref().map(|string| string.expose().to_owned());
    let inner = ["pwd", "password"].into_iter().filter_map(|word| drivers::keyword(whole.as_deref()?, word));
    let own = plan.password.as_ref().map(|password| password.expose().to_owned());
    let values: Vec<String> = own.into_iter().chain(inner).chain(whole.clone()).filter(|value| !value.is_empty()).collect();
    Masker::new(values)
}
