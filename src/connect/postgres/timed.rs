//! The connection of the state store: every answer is waited for so long and no longer, since the run that asks must keep its own limits
//! whatever the server does. Statements are of one round trip and leave nothing behind in the session.

use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type};
use postgres::{Error, Row, SimpleQueryMessage};
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::dial::{Speaker, dial, farewell};
use super::{Connection, Token, failure};
use crate::connect::ConnectError;

/// How long an answer is waited for where nothing else was said.
const PATIENCE: Duration = Duration::from_secs(15);

/// An open connection, used by one thread at a time.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    /// `None` only while it is dropped.
    client: Option<tokio_postgres::Client>,
    connection: Option<Speaker>,
    patience: Duration,
    is_given_up: bool,
}

/// A value as the server takes it, in the binary form of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub Option<Vec<u8>>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres::types::to_sql_checked!();
}

/// Why a statement failed.
#[derive(Debug)]
pub enum Failure {
    /// What the server or the connection reports.
    Reported(Error),
    /// No answer came in time; the connection is of no use any more.
    Late(Duration),
}

impl Failure {
    /// Returns the server's code (PostgreSQL 15, appendix A), where it said anything.
    pub fn state(&self) -> Option<&str> {
        match self {
            Self::Reported(error) => error.code().map(postgres::error::SqlState::code),
            Self::Late(_) => None,
        }
    }

    /// Makes an error of it; `what` was attempted.
    pub fn told(&self, what: &str) -> ConnectError {
        match self {
            Self::Reported(error) => failure(what, error),
            Self::Late(patience) => ConnectError {
                code: "unreachable",
                message: format!("{what}: no answer within {:.0} s", patience.as_secs_f64()),
                hint: Some("look whether the server runs and answers".to_owned()),
                is_transient: true,
                retry_after: None,
            },
        }
    }
}

impl Connection for Client {
    fn connect(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<(Self, Token), Error> {
        let (runtime, client, connection) = dial(config, tls)?;
        let token = Token::Reading(client.cancel_token());
        let own = Self { runtime, client: Some(client), connection: Some(connection), patience: PATIENCE, is_given_up: false };
        Ok((own, token))
    }
}

impl Client {
    /// Sets how long each answer is waited for from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience.min(PATIENCE);
    }

    /// Whether nothing more can come of this connection.
    pub fn is_over(&self) -> bool {
        self.is_given_up || self.client.as_ref().is_none_or(tokio_postgres::Client::is_closed)
    }

    /// Runs statements without parameters; returns the rows as texts.
    ///
    /// # Errors
    /// What the server or the connection reports, or that no answer came.
    pub fn batch(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Failure> {
        let client = self.client.take().expect("it is there until the end");
        let answer = self.runtime.block_on(async { tokio::time::timeout(self.patience, client.simple_query(sql)).await });
        self.client = Some(client);
        self.settled(answer)
    }

    /// Runs a statement; returns its rows and how many it changed.
    ///
    /// # Errors
    /// As for [`Client::batch`].
    pub fn run(&mut self, sql: &str, parameters: Vec<(Raw, Type)>) -> Result<(Vec<Row>, u64), Failure> {
        let client = self.client.take().expect("it is there until the end");
        let work = answered(&client, sql, parameters);
        let answer = self.runtime.block_on(async { tokio::time::timeout(self.patience, work).await });
        self.client = Some(client);
        self.settled(answer)
    }

    /// Runs statements that are sent in one go, each a transaction of its own, and returns the answer to each: one round trip for all.
    pub fn run_together(&mut self, statements: Vec<(&str, Vec<(Raw, Type)>)>) -> Vec<Result<(Vec<Row>, u64), Failure>> {
        let client = self.client.take().expect("it is there until the end");
        let patience = self.patience;
        let answers = self.runtime.block_on(join_all(statements.into_iter().map(|(sql, parameters)| {
            let work = answered(&client, sql, parameters);
            async move { tokio::time::timeout(patience, work).await }
        })));
        self.client = Some(client);
        answers.into_iter().map(|answer| self.settled(answer)).collect()
    }

    fn settled<T>(&mut self, answer: Result<Result<T, Error>, tokio::time::error::Elapsed>) -> Result<T, Failure> {
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // Whatever has no code is the connection's fault.
                self.is_given_up |= error.code().is_none_or(|state| ends_session(state.code()));
                Err(Failure::Reported(error))
            }
            Err(_) => {
                self.is_given_up = true;
                Err(Failure::Late(self.patience))
            }
        }
    }
}

/// Whether the server's code says that the session is over: class 08 and 57P, and 25P03 of one that was silent in its transaction.
pub fn ends_session(state: &str) -> bool {
    state.starts_with("08") || state.starts_with("57P") || state == "25P03"
}

async fn answered(client: &tokio_postgres::Client, sql: &str, parameters: Vec<(Raw, Type)>) -> Result<(Vec<Row>, u64), Error> {
    let mut stream = pin!(client.query_typed_raw(sql, parameters).await?);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(row);
    }
    Ok((rows, stream.rows_affected().unwrap_or(0)))
}

impl Drop for Client {
    fn drop(&mut self) {
        self.client.take();
        let Some(connection) = self.connection.take() else { return };
        if self.is_given_up {
            connection.abort();
            return;
        }
        // The farewell is the connection's last act.
        farewell(&self.runtime, connection);
    }
}
