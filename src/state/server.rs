//! A store on a PostgreSQL server that hosts share: reaching it, its clock, poolers that must not stand between.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use uuid::Uuid;

use super::backends::StoreConnection;
use super::connection::Work;
use super::error::StateError;
use super::location::{Place, StateLocation};
use super::postgresql::{SESSION_COLUMN, ServerConnection};
use crate::connect::postgres::Session;
use crate::plan::postgresql::PostgresConnection;

/// What every transaction that writes begins with: a process that was stopped in the midst of one must not hold the others up, and what was
/// committed must outlive a crash of the server. The last statement tells whose session it is.
const WRITE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE; \
     SET LOCAL idle_in_transaction_session_timeout = '20s'; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '30s'";

/// What goes on with any of those: it takes the snapshot.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// So long may a process be silent in its turn: one that is stopped then loses its session, and the next one's turn comes.
const TURN_SILENCE: Duration = Duration::from_secs(3);

/// So long is a row waited for in a turn: whoever holds it doesn't queue, and what is wanted may be done without a turn.
const TURN_LOCK: Duration = Duration::from_secs(2);

/// No turn is waited for for less.
const TURN_WAIT_MIN: Duration = Duration::from_millis(100);

/// What every transaction that only reads begins with.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30s'";

/// What the transaction of migrations begins with: nobody else's comes between ("etlsched" in hexadecimal). It doesn't stand before others
/// in the queue of a table for long, where a dump that takes hours holds it.
const MIGRATE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock(x'65746c7363686564'::bigint); \
     SET LOCAL lock_timeout = '1s'";

/// Gives every text the order of its bytes, as SQLite has it: pages and ids must not be ordered by the database's language.
pub(super) const ORDER_BY_BYTES: &str = "DO $$ DECLARE own record; BEGIN FOR own IN \
     SELECT n.nspname, c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'workspace'::regclass) \
     AND c.relname IN ('workspace', 'jobs', 'runs', 'run_sources', 'run_streams', 'run_events', 'slots', 'leases', 'audit', 'outbox', 'told') \
     AND a.atttypid = 'text'::regtype AND a.attcollation <> '\"C\"'::regcollation \
     LOOP EXECUTE format('ALTER TABLE %I.%I ALTER COLUMN %I TYPE text COLLATE \"C\"', own.nspname, own.relname, own.attname); \
     END LOOP; END $$";

/// The server's codes for a lock that wasn't free in time, and for a right that the role lacks.
const NO_LOCK: &str = "55P03";
const NO_RIGHT: &str = "42501";

/// The server's code for a table that isn't there.
pub(super) const UNDEFINED_TABLE: &str = "42P01";

/// Why a transaction is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
    /// To write what many write at one instant: begins and ends of runs.
    WriteInTurn,
    Migrate,
}

/// When a transaction that writes begins. Those that meet undo each other, since in small tables each reads what all write, and the more
/// they are, the less comes of trying again: a hundred runs that end together undid each other a thousand times in 8 s, and sixty were not
/// closed (2026-11-29). So begins and ends of runs come one after another, and any other that was undone joins them. What keeps the store
/// right is the isolation alone; a turn only saves work, so it is not waited for for ever.
///
/// A turn is the lock of the table `workspace`, which nobody writes after the store was made. LOCK takes no snapshot (PostgreSQL 15, LOCK),
/// so the transaction sees what the one before it left; the SELECT of an advisory lock takes one, and would see what was before it waited.
/// And it ends with the transaction, however its process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// At once.
    Free,
    /// Behind those that wait, for at most so long.
    Queued(Duration),
}

impl Turn {
    /// Returns how a transaction is begun, with the time that there is for it.
    pub(super) fn first(purpose: Purpose, patience: Duration) -> Self {
        if purpose == Purpose::WriteInTurn { Self::queued(patience) } else { Self::Free }
    }

    /// A quarter of the time is kept for going on without.
    fn queued(left: Duration) -> Self {
        Self::Queued((left * 3 / 4).max(TURN_WAIT_MIN))
    }

    /// Returns how a transaction is begun anew that failed so, with the time that is left for it.
    pub(super) fn after(error: &DieselError, left: Duration) -> Self {
        let error = match error {
            DieselError::RollbackErrorOnCommit { commit_error, .. } => commit_error,
            error => error,
        };
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure | DatabaseErrorKind::UniqueViolation, _) => {
                Self::queued(left)
            }
            _ => Self::Free,
        }
    }

    /// Whether the turn itself is why a transaction failed: it didn't come, another process doesn't let go of a row, or the role may not
    /// wait for it. Then it goes on without.
    pub(super) fn was_in_vain(self, error: &DieselError) -> bool {
        let DieselError::DatabaseError(_, said) = error else { return false };
        self != Self::Free && [NO_LOCK, NO_RIGHT].iter().any(|code| said.details() == Some(code))
    }

    /// Returns what a transaction that writes begins with.
    fn begin(self) -> String {
        match self {
            Self::Free => format!("{WRITE}; {DURABLE}"),
            Self::Queued(wait) => format!(
                "{WRITE}; SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL lock_timeout = {}; \
                 LOCK TABLE workspace IN SHARE ROW EXCLUSIVE MODE; SET LOCAL lock_timeout = {}; {DURABLE}",
                TURN_SILENCE.as_millis(),
                wait.as_millis(),
                TURN_LOCK.as_millis(),
            ),
        }
    }
}

#[derive(QueryableByName)]
struct Greeting {
    #[diesel(sql_type = Bool)]
    is_standby: bool,
    #[diesel(sql_type = Text)]
    port: String,
    #[diesel(sql_type = Nullable<Text>)]
    address: Option<String>,
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = Nullable<Text>)]
    session: Option<String>,
}

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = BigInt)]
    micros: i64,
}

/// How long a second connection is tried that tells a pooler: one that parts sessions by clients may have none left to give.
const PROBE_SECONDS: u64 = 3;

/// Connects; returns the connection, and whether the server takes no writes. The statements of `questions` are sent together with the
/// greeting: who asks them next, in that order, finds them answered.
///
/// # Errors
/// It can't be reached, doesn't let us in, or stands behind a pooler that parts sessions.
pub(super) fn open(plan: &PostgresConnection, patience: Duration, questions: Work<'_, ()>) -> Result<(StoreConnection, bool), StateError> {
    let place = StateLocation::Postgresql(Box::new(plan.clone())).place();
    let mut server = connect(plan, patience.as_secs().max(1), &place)?;
    let name = server.name.clone();
    server.note_down(true);
    let _ = greet(&mut server, &name);
    let mut connection = StoreConnection::Server(server);
    // Nothing is asked yet, so nothing is answered.
    let _ = questions(&mut connection);
    let greeting = match &mut connection {
        StoreConnection::Server(server) => {
            server.note_down(false);
            greet(server, &name).map_err(|error| StateError::of(error, &place))?
        }
        StoreConnection::Sqlite(_) => return Err(StateError::of_message("a server became a file".to_owned(), place)),
    };
    if is_elsewhere(plan, &greeting) {
        refuse_pooler(plan, &name, &place)?;
    }
    Ok((connection, greeting.is_standby))
}

/// Gives the session its name and asks who answers.
fn greet(server: &mut ServerConnection, name: &str) -> QueryResult<Greeting> {
    let hello = diesel::sql_query(
        "SELECT pg_is_in_recovery() AS is_standby, current_setting('port') AS port, host(inet_server_addr()) AS address, \
         set_config('etlsched.session', $1, false)",
    );
    hello.bind::<Text, _>(name).get_result(server)
}

fn connect(plan: &PostgresConnection, seconds: u64, place: &Place) -> Result<ServerConnection, StateError> {
    let plan = PostgresConnection { connect_timeout_seconds: plan.connect_timeout_seconds.min(seconds), ..plan.clone() };
    let session = Session::open(&plan).map_err(|error| StateError::Server { place: place.clone(), error })?;
    Ok(ServerConnection::new(session, Uuid::new_v4().to_string()))
}

/// Whether the server is another one than the plan names: something stands between, which may be a pooler.
fn is_elsewhere(plan: &PostgresConnection, greeting: &Greeting) -> bool {
    let is_socket = plan.host.starts_with('/');
    if greeting.port != plan.port.to_string() || greeting.address.is_none() != is_socket {
        return true;
    }
    let Some(address) = greeting.address.as_ref().and_then(|address| address.parse::<IpAddr>().ok()) else { return false };
    let named = (plan.host.as_str(), plan.port).to_socket_addrs();
    !named.is_ok_and(|mut addresses| addresses.any(|named| named.ip() == address))
}

/// Refuses a pooler that gives the session of a connection to another one while both are open.
fn refuse_pooler(plan: &PostgresConnection, name: &str, place: &Place) -> Result<(), StateError> {
    // Where there is no second connection to be had, each transaction still looks whose session it is.
    let Ok(mut second) = connect(plan, PROBE_SECONDS, place) else { return Ok(()) };
    second.client().set_patience(Duration::from_secs(PROBE_SECONDS));
    let ask = diesel::sql_query("SELECT current_setting('etlsched.session', true) AS session");
    match ask.get_result::<Seen>(&mut second) {
        Ok(seen) if seen.session.as_deref() == Some(name) => Err(StateError::Pooled { place: place.clone() }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Begins a transaction.
pub(super) fn begin(connection: &mut ServerConnection, purpose: Purpose, turn: Turn) -> QueryResult<()> {
    let sql = match purpose {
        Purpose::Read => READ.to_owned(),
        Purpose::Write | Purpose::WriteInTurn => turn.begin(),
        Purpose::Migrate => MIGRATE.to_owned(),
    };
    let begun = connection.begin(&format!("{sql}; SELECT current_setting('etlsched.session', true) AS {SESSION_COLUMN}"));
    if begun.is_err() && !connection.client().is_over() {
        // The server has begun it and diesel doesn't know.
        let _ = connection.batch_execute("ROLLBACK");
    }
    begun
}

/// Returns the server's clock since 1970, by which leases live on a store that hosts share; `None` where the store is a file.
pub(super) fn clock(connection: &mut StoreConnection) -> QueryResult<Option<Duration>> {
    let StoreConnection::Server(server) = connection else { return Ok(None) };
    let ask = diesel::sql_query("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros");
    Ok(Some(Duration::from_micros(ask.get_result::<Clock>(server)?.micros.unsigned_abs())))
}
