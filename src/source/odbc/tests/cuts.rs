//! Connections that are cut at any byte: the rows come whole, or the read fails.

use super::*;
use crate::connect::servers::cutter::cutter;

/// Cuts a read of some rows again and again, from a number of bytes on.
fn cut_everywhere(mut case: Case, steps: usize, step: usize) {
    let whole = case.read().unwrap().lines;
    let port = case.plan.connection.port.unwrap();
    let (mut cut, mut done) = (0, 0);
    for bytes_max in (0..steps).map(|number| number * step + number % 7) {
        case.plan.connection.port = Some(cutter(port, bytes_max));
        match case.read() {
            Ok(outcome) => {
                assert!(outcome.lines == whole, "cut after {bytes_max} bytes: {} rows", outcome.lines.len());
                done += 1;
            }
            Err(error) => {
                assert!(error.is_transient, "cut after {bytes_max} bytes: {error:?}");
                cut += 1;
            }
        }
    }
    assert!(cut > 50 && done > 0, "{cut} cut, {done} done");
}

/// Without a cursor: psqlODBC 13.02 crashes where a connection is cut below its cursor, and MariaDB's driver wherever one is cut. That ends a worker,
/// and is no end of the rows (`tests/it/odbc_source.rs`).
#[test]
fn a_cut_connection_to_postgresql_is_never_the_end_of_the_rows() {
    let mut case = Case::postgresql("SELECT n, repeat('x', n % 20) AS t FROM generate_series(1, 400) AS n");
    case.plan.connection.options = vec![("UseDeclareFetch".to_owned(), "0".to_owned()), ("SSLmode".to_owned(), "disable".to_owned())];
    cut_everywhere(case, 150, 211);
}
