//! Connections whose thread waits for them itself: the runtime, the client, and the task that speaks with the server for it.

use std::time::Duration;

use postgres::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the server is given to hear that a connection ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// The task that speaks with the server.
pub(super) type Speaker = JoinHandle<Result<(), Error>>;

/// Connects.
pub(super) fn dial(config: &Config, tls: Option<MakeRustlsConnect>) -> Result<(Runtime, Client, Speaker), Error> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime of this thread alone can always be had");
    let (client, speaker) = runtime.block_on(async {
        Ok::<_, Error>(match tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls).await?;
                (client, tokio::spawn(connection))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(connection))
            }
        })
    })?;
    Ok((runtime, client, speaker))
}

/// Lets a connection whose client is gone take its leave.
pub(super) fn farewell(runtime: &Runtime, speaker: Speaker) {
    let _ = runtime.block_on(async { tokio::time::timeout(FAREWELL, speaker).await });
}
