//! The connection of a source. The library's own client enters its runtime anew for each row of a COPY, which costs more than the row; here a
//! COPY is one task from its beginning to its end.

use std::ops::ControlFlow;
use std::pin::pin;

use futures_util::StreamExt as _;
use postgres::types::{ToSql, Type};
use postgres::{Error, Row, Statement};
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::dial::{Speaker, dial, farewell};
use super::{Connection, Token};

/// An open connection, used by one thread at a time.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    /// `None` only while it is dropped.
    client: Option<tokio_postgres::Client>,
    connection: Option<Speaker>,
}

impl Connection for Client {
    fn connect(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<(Self, Token), Error> {
        let (runtime, client, connection) = dial(config, tls)?;
        let token = Token::Reading(client.cancel_token());
        Ok((Self { runtime, client: Some(client), connection: Some(connection) }, token))
    }
}

impl Client {
    fn client(&self) -> &tokio_postgres::Client {
        self.client.as_ref().expect("it is there until the end")
    }

    /// Runs statements without parameters.
    ///
    /// # Errors
    /// What the server or the connection reports.
    pub fn batch_execute(&mut self, sql: &str) -> Result<(), Error> {
        self.runtime.block_on(self.client().batch_execute(sql))
    }

    /// Runs a query whose parameters have these types, without preparing it.
    ///
    /// # Errors
    /// As for [`Client::batch_execute`].
    pub fn query_typed(&mut self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, Error> {
        self.runtime.block_on(self.client().query_typed(sql, parameters))
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// As for [`Client::batch_execute`].
    pub fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        self.runtime.block_on(self.client().prepare(sql))
    }

    /// Runs a COPY to its end and hands over each piece as it comes, until `take` breaks off; returns what it broke off with, `None` at
    /// the true end. A connection whose copy was broken off is good for nothing any more; cancel its statement before it is dropped.
    ///
    /// # Errors
    /// As for [`Client::batch_execute`].
    pub fn copy_out<T>(&mut self, sql: &str, mut take: impl FnMut(&[u8]) -> ControlFlow<T>) -> Result<Option<T>, Error> {
        self.runtime.block_on(async {
            let mut pieces = pin!(self.client().copy_out(sql).await?);
            while let Some(piece) = pieces.next().await {
                if let ControlFlow::Break(value) = take(&piece?) {
                    return Ok(Some(value));
                }
            }
            Ok(None)
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.client = None;
        if let Some(connection) = self.connection.take() {
            // The server is told, so that it has nothing to complain of in its log, and PgBouncer 1.18 doesn't fall over a client that is gone
            // while its statement is cancelled; whether they hear it is their own affair.
            farewell(&self.runtime, connection);
        }
    }
}
