//! The environment, connections and what they report: ODBC's calls, each with the check of what it returns.
//!
//! A call's return code decides alone whether it has failed: FreeTDS reports a cut connection with SQLSTATE 01000, which elsewhere is a
//! note. The calls are the wide ones, so that text is UTF-16 whatever the locale is.

use std::ptr::null_mut;
use std::sync::OnceLock;

use odbc_sys::{
    AttrOdbcVersion, CompletionType, ConnectionAttribute, DriverConnectOption, EnvironmentAttribute, FetchOrientation, HDbc, HEnv, Handle,
    HandleType, IS_UINTEGER, InfoType, Pointer, SQLAllocHandle, SQLDisconnect, SQLDriverConnectW, SQLDriversW, SQLEndTran, SQLFreeHandle,
    SQLGetDiagRecW, SQLGetInfoW, SQLSetConnectAttrW, SQLSetEnvAttr, SqlReturn,
};

use super::statement::Statement;

/// The most records of one failed call that are read; a driver may have a thousand.
const RECORDS_MAX: usize = 8;

/// The longest message of a record, in UTF-16 units.
const MESSAGE_UNITS_MAX: usize = 4096;

/// What a driver or the driver manager reports of a call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its SQLSTATE: five characters.
    pub state: String,
    /// The server's own number; 0 where it has none.
    pub native: i32,
    /// What it says.
    pub message: String,
}

/// What a failed call reports; without a record where the driver says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OdbcError {
    /// The function that failed.
    pub function: &'static str,
    /// Why, as far as it is told.
    pub records: Vec<Diagnostic>,
}

impl OdbcError {
    /// Makes an error of our own.
    pub fn own(function: &'static str, message: impl Into<String>) -> Self {
        Self { function, records: vec![Diagnostic { state: "HY000".to_owned(), native: 0, message: message.into() }] }
    }
}

/// How a call went that has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Done, and the driver has something to say of it.
    Noted,
    /// There is nothing, or nothing more.
    NoData,
}

/// Looks at a call's return code.
///
/// # Errors
/// Everything that is neither success nor the lack of data.
pub(super) fn checked(code: SqlReturn, function: &'static str, kind: HandleType, handle: Handle) -> Result<Outcome, OdbcError> {
    match code {
        SqlReturn::SUCCESS => Ok(Outcome::Done),
        SqlReturn::SUCCESS_WITH_INFO => Ok(Outcome::Noted),
        SqlReturn::NO_DATA => Ok(Outcome::NoData),
        SqlReturn::ERROR => Err(OdbcError { function, records: diagnostics(kind, handle) }),
        SqlReturn(other) => {
            let mut records = diagnostics(kind, handle);
            let message = format!("{function} returned {other}, which it may not");
            records.push(Diagnostic { state: "HY000".to_owned(), native: 0, message });
            Err(OdbcError { function, records })
        }
    }
}

/// Returns the records of the last call with a handle.
pub(super) fn diagnostics(kind: HandleType, handle: Handle) -> Vec<Diagnostic> {
    records(kind, handle).take(RECORDS_MAX).collect()
}

/// Returns those records of the last call with a handle that are no notes: a class of SQLSTATE other than 00 and 01.
pub(super) fn errors(kind: HandleType, handle: Handle) -> Vec<Diagnostic> {
    let is_error = |record: &Diagnostic| !record.state.starts_with("00") && !record.state.starts_with("01");
    records(kind, handle).filter(is_error).take(RECORDS_MAX).collect()
}

fn records(kind: HandleType, handle: Handle) -> impl Iterator<Item = Diagnostic> {
    let mut text = vec![0_u16; MESSAGE_UNITS_MAX];
    (1..=i16::MAX).map_while(move |number| {
        let (mut state, mut native, mut length) = ([0_u16; 6], 0_i32, 0_i16);
        let room = i16::try_from(MESSAGE_UNITS_MAX).unwrap_or(i16::MAX);
        // SAFETY: the handle is alive, the buffers have the lengths that are told, the state has its five units and an end.
        let code =
            unsafe { SQLGetDiagRecW(kind, handle, number, state.as_mut_ptr(), &raw mut native, text.as_mut_ptr(), room, &raw mut length) };
        if !matches!(code, SqlReturn::SUCCESS | SqlReturn::SUCCESS_WITH_INFO) {
            return None;
        }
        // Drivers tell lengths in bytes, or of what there was no room for: the end mark holds.
        let end = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
        let message = String::from_utf16_lossy(&text[..end]);
        let state = String::from_utf16_lossy(&state[..5]).trim_end_matches('\0').to_owned();
        Some(Diagnostic { state, native, message })
    })
}

/// Returns a text as ODBC's wide calls take it.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

struct Environment(HEnv);

// SAFETY: the driver manager guards an environment's handle ("Multithreading" in Microsoft's ODBC reference); it lives as long as the process.
unsafe impl Send for Environment {}
// SAFETY: as above.
unsafe impl Sync for Environment {}

/// Returns the environment, of which a process has one.
fn environment() -> Result<HEnv, OdbcError> {
    static ENVIRONMENT: OnceLock<Result<Environment, OdbcError>> = OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| {
        let mut handle = Handle::null();
        // SAFETY: an environment has no parent, and the pointer takes the new handle.
        let code = unsafe { SQLAllocHandle(HandleType::Env, Handle::null(), &raw mut handle) };
        if code != SqlReturn::SUCCESS {
            return Err(OdbcError::own("SQLAllocHandle", "the ODBC driver manager doesn't start"));
        }
        // SAFETY: the handle was just made; the value of this attribute is a number.
        let code = unsafe { SQLSetEnvAttr(handle.as_henv(), EnvironmentAttribute::OdbcVersion, AttrOdbcVersion::Odbc3_80.into(), 0) };
        checked(code, "SQLSetEnvAttr", HandleType::Env, handle)?;
        Ok(Environment(handle.as_henv()))
    });
    made.as_ref().map(|environment| environment.0).map_err(Clone::clone)
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
    let environment = environment()?;
    let mut drivers = Vec::new();
    let mut direction = FetchOrientation::First;
    loop {
        let (mut name, mut attributes) = (vec![0_u16; 1024], vec![0_u16; 4096]);
        let (mut name_length, mut attributes_length) = (0_i16, 0_i16);
        // SAFETY: the buffers have the lengths that are told.
        let code = unsafe {
            SQLDriversW(
                environment,
                direction,
                name.as_mut_ptr(),
                1024,
                &raw mut name_length,
                attributes.as_mut_ptr(),
                4096,
                &raw mut attributes_length,
            )
        };
        match checked(code, "SQLDrivers", HandleType::Env, environment.as_handle())? {
            Outcome::NoData => return Ok(drivers),
            Outcome::Done | Outcome::Noted => {
                let end = name.iter().position(|unit| *unit == 0).unwrap_or(name.len());
                // Each attribute ends with a NUL, as the list does.
                let file = attributes.split(|unit| *unit == 0).find_map(|attribute| {
                    let attribute = String::from_utf16_lossy(attribute);
                    let (key, value) = attribute.split_once('=')?;
                    key.trim().eq_ignore_ascii_case("driver").then(|| value.trim().to_owned())
                });
                drivers.push(Driver { name: String::from_utf16_lossy(&name[..end]), file });
            }
        }
        direction = FetchOrientation::Next;
    }
}

/// A connection. Its transaction is rolled back when it is dropped.
#[derive(Debug)]
pub struct Connection {
    handle: HDbc,
    is_connected: bool,
}

/// SQL_ATTR_TXN_ISOLATION, SQL_ATTR_AUTOCOMMIT and SQL_ATTR_ACCESS_MODE have numbers as values.
fn number(value: usize) -> Pointer {
    value as Pointer
}

impl Connection {
    /// Connects by a connection string.
    ///
    /// # Errors
    /// What the driver manager or the driver reports.
    pub fn open(string: &str, login_timeout_seconds: u64) -> Result<Self, OdbcError> {
        let environment = environment()?;
        let mut handle = Handle::null();
        // SAFETY: the environment lives as long as the process, and the pointer takes the new handle.
        let code = unsafe { SQLAllocHandle(HandleType::Dbc, environment.as_handle(), &raw mut handle) };
        checked(code, "SQLAllocHandle", HandleType::Env, environment.as_handle())?;
        let mut connection = Self { handle: handle.as_hdbc(), is_connected: false };
        // A driver that has no such timeout says so; the limits that count are the supervisor's.
        let _ = connection.set(ConnectionAttribute::LOGIN_TIMEOUT, usize::try_from(login_timeout_seconds).unwrap_or(0));
        let text = wide(string);
        let length = i16::try_from(text.len()).map_err(|_| OdbcError::own("SQLDriverConnect", "the connection string is too long"))?;
        let (mut out, mut out_length) = ([0_u16; 16], 0_i16);
        // SAFETY: there is no window, the strings have the lengths that are told.
        let code = unsafe {
            SQLDriverConnectW(
                connection.handle,
                null_mut(),
                text.as_ptr(),
                length,
                out.as_mut_ptr(),
                16,
                &raw mut out_length,
                DriverConnectOption::NoPrompt,
            )
        };
        match checked(code, "SQLDriverConnect", HandleType::Dbc, handle)? {
            Outcome::Done | Outcome::Noted => connection.is_connected = true,
            Outcome::NoData => return Err(OdbcError::own("SQLDriverConnect", "the driver asks for what the connection doesn't say")),
        }
        Ok(connection)
    }

    /// Sets an attribute whose value is a number.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn set(&mut self, attribute: ConnectionAttribute, value: usize) -> Result<(), OdbcError> {
        // SAFETY: the handle is alive and the value is a number.
        let code = unsafe { SQLSetConnectAttrW(self.handle, attribute, number(value), IS_UINTEGER) };
        checked(code, "SQLSetConnectAttr", HandleType::Dbc, self.handle.as_handle()).map(|_| ())
    }

    /// Undoes everything since the last transaction ended; the next statement begins another.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn roll_back(&self) -> Result<(), OdbcError> {
        // SAFETY: the handle is alive.
        let code = unsafe { SQLEndTran(HandleType::Dbc, self.handle.as_handle(), CompletionType::Rollback) };
        checked(code, "SQLEndTran", HandleType::Dbc, self.handle.as_handle()).map(|_| ())
    }

    /// Returns what the driver says of itself or the server, as text.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn text(&self, what: InfoType) -> Result<String, OdbcError> {
        let (mut text, mut length) = ([0_u16; 512], 0_i16);
        // SAFETY: the buffer has the length that is told, in bytes.
        let code = unsafe { SQLGetInfoW(self.handle, what, text.as_mut_ptr().cast(), 1024, &raw mut length) };
        checked(code, "SQLGetInfo", HandleType::Dbc, self.handle.as_handle())?;
        let end = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
        Ok(String::from_utf16_lossy(&text[..end]))
    }

    /// Makes a statement.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn statement(&self) -> Result<Statement<'_>, OdbcError> {
        let mut handle = Handle::null();
        // SAFETY: the connection is alive, and the pointer takes the new handle.
        let code = unsafe { SQLAllocHandle(HandleType::Stmt, self.handle.as_handle(), &raw mut handle) };
        checked(code, "SQLAllocHandle", HandleType::Dbc, self.handle.as_handle())?;
        Ok(Statement::new(handle.as_hstmt()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_connected {
            let _ = self.roll_back();
            // SAFETY: no statement outlives the connection that it borrows.
            let _ = unsafe { SQLDisconnect(self.handle) };
        }
        // SAFETY: as above. A driver that refuses to disconnect keeps the handle, which then leaks.
        let _ = unsafe { SQLFreeHandle(HandleType::Dbc, self.handle.as_handle()) };
    }
}
