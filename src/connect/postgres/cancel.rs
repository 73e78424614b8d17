//! A request to end a statement, whose sender waits until the server has closed the connection, as libpq's does: PgBouncer 1.18 falls over
//! one that goes before.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the server to end a statement. One that can't be reached has nothing left to end.
pub(super) fn send(token: &CancelToken, tls: Option<MakeRustlsConnect>, host: &str, port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of this thread alone can always be had");
    runtime.block_on(async {
        let _ = tokio::time::timeout(PATIENCE, over(token, tls, host, port)).await;
    });
}

async fn over(token: &CancelToken, tls: Option<MakeRustlsConnect>, host: &str, port: u16) {
    #[cfg(unix)]
    if host.starts_with('/') {
        if let Ok(stream) = tokio::net::UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await {
            let _ = token.cancel_query_raw(Patient(stream), NoTls).await;
        }
        return;
    }
    let Ok(stream) = tokio::net::TcpStream::connect((host, port)).await else { return };
    let stream = Patient(stream);
    let _ = match tls {
        Some(mut tls) => match MakeTlsConnect::<Patient<tokio::net::TcpStream>>::make_tls_connect(&mut tls, host) {
            Ok(tls) => token.cancel_query_raw(stream, tls).await,
            Err(_) => return,
        },
        None => token.cancel_query_raw(stream, NoTls).await,
    };
}

/// A connection that ends when the other side ends it.
#[derive(Debug)]
struct Patient<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut rest = [0; 64];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            let read = ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
