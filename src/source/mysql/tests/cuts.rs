//! Connections that are cut at any byte: the rows come whole, or the read fails.

use super::*;
use crate::connect::servers::cutter::cutter;

#[test]
fn a_connection_that_is_cut_at_any_byte_is_never_the_end_of_the_rows() {
    let mut case =
        Case::new("CREATE TABLE t (id int PRIMARY KEY, t varchar(20)); INSERT INTO t SELECT seq, repeat('x', seq % 20) FROM seq_1_to_200");
    case.plan.connection.tls = crate::plan::mysql::MysqlTls::Disabled;
    let whole = case.read().unwrap().lines;
    assert_eq!(whole.len(), 200);
    let port = case.plan.connection.port;
    let (mut cut, mut done) = (0, 0);
    // What comes before the rows and the rows themselves are some 12 KB.
    for bytes_max in (0..200).map(|number| number * 73 + number % 7) {
        case.plan.connection.port = cutter(port, bytes_max);
        match case.read() {
            Ok(outcome) => {
                assert_eq!(outcome.lines, whole, "cut after {bytes_max} bytes");
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
