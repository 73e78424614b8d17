//! What PostgreSQL, and the connection to it, report, as errors that name the cause and the way out.

use std::error::Error as _;

use postgres::error::DbError;

use crate::connect::ConnectError;
use crate::text;

/// Whether an error is one of the handshake: the library keeps its kind to itself and tells it by its text alone.
pub(super) fn is_tls(error: &postgres::Error) -> bool {
    error.to_string() == "error performing TLS handshake"
}

/// The library tells no more of a connection that ended than that it did.
const ENDED: &str = "the server, or a pooler in front of it, ended the connection: its log says why. PgBouncer does so where it has none left to give \
     (query_wait_timeout): a load needs one for its source and one for its destination at the same time, see pool_size";

/// Makes an error of what the server or the connection reports. `what` was attempted, and on what.
pub fn failure(what: &str, error: &postgres::Error) -> ConnectError {
    if let Some(error) = error.as_db_error() {
        return server_failure(what, error);
    }
    let mut texts = Vec::new();
    let mut cause = error.source();
    let mut kind = None;
    while let Some(error) = cause {
        texts.push(error.to_string());
        kind = kind.or_else(|| error.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
        cause = error.source();
    }
    texts.dedup();
    let text = if texts.is_empty() { error.to_string() } else { texts.join(": ") };
    let text = text::printable(&text).into_owned();
    if is_tls(error) {
        let hint = if text.contains("does not support TLS") {
            "the server has no TLS: set sslmode: prefer or disable, or switch ssl on at the server"
        } else if text.contains("UnknownIssuer") {
            "set sslrootcert: the file of the CA that signed the server's certificate"
        } else if text.contains("not valid for") || text.contains("NotValidForName") {
            "set host: a name that the certificate has as subjectAltName, or sslmode: verify-ca"
        } else {
            "check sslmode and sslrootcert of the connection"
        };
        let message = format!("{what}: TLS: {text}");
        return ConnectError { code: "tls", message, hint: Some(hint.to_owned()), is_transient: false, retry_after: None };
    }
    let (code, hint, is_transient) = match error.to_string().as_str() {
        _ if text.contains("received fatal alert") => {
            ("tls", Some("the server refuses the client's certificate: check sslcert and sslkey of the connection"), false)
        }
        "error connecting to server" if text.contains("lookup") => ("unreachable", Some("check host: the name is not known"), true),
        "error connecting to server" => ("unreachable", Some("check host and port of the connection, and whether the server runs"), true),
        "authentication error" | "invalid configuration" => ("login_failed", Some("check user and password of the connection"), false),
        "error communicating with the server" | "connection closed" | "timeout waiting for server" => ("disconnected", Some(ENDED), true),
        _ => ("database", None, false),
    };
    ConnectError { code, message: format!("{what}: {text}"), hint: hint.map(str::to_owned), is_transient, retry_after: None }
}

/// Makes an error of what the server says (PostgreSQL 15, appendix A).
fn server_failure(what: &str, error: &DbError) -> ConnectError {
    let state = error.code().code();
    // PgBouncer gives up on a transaction that waited for a server connection (query_wait_timeout).
    if error.message() == "query_wait_timeout" {
        let hint = "a load needs one connection for its source and one for its destination at the same time, see pool_size";
        let message = format!("{what}: the pooler had no server connection to give ({})", error.message());
        return ConnectError { code: "unreachable", message, hint: Some(hint.to_owned()), is_transient: true, retry_after: None };
    }
    let says = |words: &str| error.message().contains(words);
    let (code, hint, is_transient) = match state {
        "28P01" => ("login_failed", Some("check user and password of the connection"), false),
        // Its two words for it, before and since PostgreSQL 14.
        "28000" if says("no encryption") || says("SSL off") => {
            ("login_failed", Some("the server takes this login with TLS only: set sslmode: require, or better verify-full"), false)
        }
        "28000" if says("client certificate") => ("login_failed", Some("set sslcert and sslkey: the server asks for a certificate"), false),
        "28000" => ("login_failed", Some("check user and sslmode of the connection, and pg_hba.conf of the server"), false),
        "3D000" => ("not_found", Some("check database of the connection"), false),
        "3F000" | "42P01" => ("not_found", Some("check the names of tables: without a schema they go by the role's search_path"), false),
        "42703" => ("unknown_column", Some("check the names of columns in custom_sql, or in where"), false),
        "42501" => ("permission_denied", Some("grant the role what it needs: SELECT on what it reads, USAGE on its schema"), false),
        "25006" => ("permission_denied", Some("sources are read in a read-only transaction"), false),
        "53300" => ("unreachable", Some("the server takes no more connections now"), true),
        "57P01" => {
            ("disconnected", Some("an administrator ended the connection, or the server was stopped: nothing of it is visible"), true)
        }
        "57P05" | "25P03" => ("disconnected", Some("the server ends connections that wait: raise its timeout for this role"), true),
        "57P02" | "57P03" | "08000" | "08003" | "08006" | "08001" | "08004" => ("disconnected", None, true),
        // Not "cancelled", which is what a run is that was told to stop.
        "57014" => ("statement_cancelled", Some("an administrator or a timeout of the server ended the statement"), false),
        "55P03" => ("locked", Some("another session holds a lock on it"), true),
        "40001" | "40P01" => ("conflict", None, true),
        "54000" if says("out of memory") => {
            ("too_large", Some("a row is larger than the server can send (1 GB): leave columns out, or cut them in custom_sql"), false)
        }
        "53100" | "53200" | "53400" | "53000" => ("server_short", Some("the server lacks room, memory or handles"), true),
        _ if state.starts_with("42") => ("invalid_sql", None, false),
        _ if state.starts_with("22") || state.starts_with("23") => ("invalid_data", None, false),
        _ => ("database", None, false),
    };
    let mut message = format!("{what}: {}", error.message());
    if let Some(detail) = error.detail() {
        message += &format!(" ({detail})");
    }
    let own = error.hint().map(|hint| text::printable(hint).into_owned());
    ConnectError {
        code,
        message: text::printable(&message).into_owned(),
        hint: hint.map(str::to_owned).or(own),
        is_transient,
        retry_after: None,
    }
}
