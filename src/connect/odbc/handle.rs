//! The environment, its drivers, and connections, by way of odbc-api. The calls are the wide ones, so that text is UTF-16 whatever the locale is.

use std::mem::ManuallyDrop;
use std::sync::{Mutex, OnceLock, PoisonError};

use odbc_api::handles::{self, OutputStringBuffer, SqlText};
use odbc_api::sys::{AttrOdbcVersion, ConnectionAttribute, DriverConnectOption, FetchOrientation, IS_UINTEGER, InfoType, SQLGetInfoW};

use super::call::{OdbcError, Outcome, checked, guarded, told, until_nul, value};
use super::statement::Statement;

/// SQL_MODE_READ_ONLY
const READ_ONLY: usize = 1;

/// The room for a driver's name and its attributes, in UTF-16 units.
const NAME_UNITS: usize = 1024;
const ATTRIBUTES_UNITS: usize = 4096;

/// The room for the connection string as the driver completes it, in UTF-16 units.
const COMPLETED_UNITS: usize = 1024;

/// The environment, of which a process has one.
struct Environment {
    handle: handles::Environment,
    /// Held while a connection is made: what a failed call reports is kept in the environment.
    calls: Mutex<()>,
}

// SAFETY: the driver manager guards an environment's handle ("Multithreading" in Microsoft's ODBC reference), and one thread at a time calls.
unsafe impl Sync for Environment {}

fn environment() -> Result<&'static Environment, OdbcError> {
    static ENVIRONMENT: OnceLock<Result<Environment, OdbcError>> = OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| {
        let handle = match guarded("SQLAllocHandle", handles::Environment::new)? {
            handles::SqlResult::Success(handle) | handles::SqlResult::SuccessWithInfo(handle) => handle,
            _ => return Err(OdbcError::own("SQLAllocHandle", "the ODBC driver manager doesn't start")),
        };
        let declared = guarded("SQLSetEnvAttr", || handle.declare_version(AttrOdbcVersion::Odbc3_80));
        checked(declared, "SQLSetEnvAttr", &handle)?;
        Ok(Environment { handle, calls: Mutex::new(()) })
    });
    made.as_ref().map_err(Clone::clone)
}

/// A driver that the driver manager knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// Its name in `odbcinst.ini`.
    pub name: String,
    /// Its file there, with its folder or without; `None` where the driver manager doesn't tell.
    pub file: Option<String>,
}

/// Returns the drivers that the driver manager knows.
///
/// # Errors
/// What the driver manager reports.
pub(super) fn known_drivers() -> Result<Vec<Driver>, OdbcError> {
    let Environment { handle, calls } = environment()?;
    let _alone = calls.lock().unwrap_or_else(PoisonError::into_inner);
    let mut drivers = Vec::new();
    let mut direction = FetchOrientation::First;
    loop {
        // Not odbc-api's own list, which gives attributes just the room that they are said to need: unixODBC ends them one unit beyond it.
        let (mut name, mut attributes) = (vec![0_u16; NAME_UNITS], vec![0_u16; ATTRIBUTES_UNITS + 1]);
        let room = &mut attributes[..ATTRIBUTES_UNITS];
        // SAFETY: nobody else goes through the list of this environment.
        let answer = guarded("SQLDrivers", || unsafe { handle.drivers_buffer_fill(direction, &mut name, room) });
        if checked(answer, "SQLDrivers", handle)?.0 == Outcome::NoData {
            return Ok(drivers);
        }
        // Each attribute ends with a NUL, as the list does.
        let file = attributes.split(|unit| *unit == 0).find_map(|attribute| {
            let attribute = String::from_utf16_lossy(attribute);
            let (key, value) = attribute.split_once('=')?;
            key.trim().eq_ignore_ascii_case("driver").then(|| value.trim().to_owned())
        });
        drivers.push(Driver { name: until_nul(&name), file });
        direction = FetchOrientation::Next;
    }
}

/// A connection. Its transaction is rolled back when it is dropped.
pub struct Connection {
    /// Freed by our own `drop`: odbc-api's panics where a driver refuses.
    handle: ManuallyDrop<handles::Connection<'static>>,
    is_connected: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Connection({:?})", self.handle.as_sys())
    }
}

impl Connection {
    /// Connects by a connection string.
    ///
    /// # Errors
    /// What the driver manager or the driver reports.
    pub fn open(string: &str, login_timeout_seconds: u64) -> Result<Self, OdbcError> {
        if string.encode_utf16().count() > i16::MAX as usize {
            return Err(OdbcError::own("SQLDriverConnect", "the connection string is too long"));
        }
        let Environment { handle: environment, calls } = environment()?;
        let handle = {
            let _alone = calls.lock().unwrap_or_else(PoisonError::into_inner);
            value(guarded("SQLAllocHandle", || environment.allocate_connection()), "SQLAllocHandle", environment)?
        };
        let mut connection = Self { handle: ManuallyDrop::new(handle), is_connected: false };
        // A driver that has no such timeout says so; the limits that count are the supervisor's.
        let timeout = u32::try_from(login_timeout_seconds).unwrap_or(0);
        let _ = guarded("SQLSetConnectAttr", || connection.handle.set_login_timeout_sec(timeout));
        let text = SqlText::new(string);
        let mut completed = OutputStringBuffer::with_buffer_size(COMPLETED_UNITS);
        let (window, way) = (std::ptr::null_mut(), DriverConnectOption::NoPrompt);
        // SAFETY: there is no window.
        let connect = || unsafe { connection.handle.driver_connect(&text, window, &mut completed, way) };
        let connected = guarded("SQLDriverConnect", connect);
        let (_, done) = checked(connected, "SQLDriverConnect", &*connection.handle)?;
        connection.is_connected = done.is_some();
        if !connection.is_connected {
            return Err(OdbcError::own("SQLDriverConnect", "the driver asks for what the connection doesn't say"));
        }
        Ok(connection)
    }

    /// Makes every statement from now on part of a transaction.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn begin(&self) -> Result<(), OdbcError> {
        let answer = guarded("SQLSetConnectAttr", || self.handle.set_autocommit(false));
        checked(answer, "SQLSetConnectAttr", &*self.handle).map(|_| ())
    }

    /// Says that nothing will be written.
    ///
    /// # Errors
    /// What the driver reports; not every driver has it, and none enforces it.
    pub fn only_read(&self) -> Result<(), OdbcError> {
        let (attribute, value) = (ConnectionAttribute::ACCESS_MODE, READ_ONLY as odbc_api::sys::Pointer);
        // SAFETY: the value of this attribute is a number and no place.
        let answer = guarded("SQLSetConnectAttr", || unsafe { self.handle.set_attribute(attribute, value, IS_UINTEGER) });
        checked(answer, "SQLSetConnectAttr", &*self.handle).map(|_| ())
    }

    /// Undoes everything since the last transaction ended; the next statement begins another.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn roll_back(&self) -> Result<(), OdbcError> {
        checked(guarded("SQLEndTran", || self.handle.rollback()), "SQLEndTran", &*self.handle).map(|_| ())
    }

    /// Returns what the driver says of itself or the server, as text. odbc-api has a call for the server's product alone.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn text(&self, what: InfoType) -> Result<String, OdbcError> {
        let (mut text, mut length) = ([0_u16; 512], 0_i16);
        // SAFETY: the handle is alive, and the buffer has the length that is told, in bytes.
        let code = unsafe { SQLGetInfoW(self.handle.as_sys(), what, text.as_mut_ptr().cast(), 1024, &raw mut length) };
        checked(Ok(told(code, "SQLGetInfo")), "SQLGetInfo", &*self.handle)?;
        Ok(until_nul(&text))
    }

    /// Returns the database of the connection; empty where the driver doesn't tell, or has none.
    pub fn database(&self) -> String {
        // Room that no name needs: drivers tell lengths in other units than asked.
        let mut name = Vec::with_capacity(1024);
        let asked = guarded("SQLGetConnectAttr", || self.handle.fetch_current_catalog(&mut name));
        match checked(asked, "SQLGetConnectAttr", &*self.handle) {
            Ok(_) => until_nul(&name),
            Err(_) => String::new(),
        }
    }

    /// Makes a statement.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn statement(&self) -> Result<Statement<'_>, OdbcError> {
        let made = guarded("SQLAllocHandle", || self.handle.allocate_statement());
        value(made, "SQLAllocHandle", &*self.handle).map(Statement::new)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_connected {
            let _ = self.roll_back();
            let _ = guarded("SQLDisconnect", || self.handle.disconnect());
        }
        // A driver that refuses to disconnect keeps the handle, which then leaks.
        // SAFETY: nobody uses the handle any more: no statement outlives the connection that it borrows.
        let _ = guarded("SQLFreeHandle", || unsafe { ManuallyDrop::drop(&mut self.handle) });
    }
}
