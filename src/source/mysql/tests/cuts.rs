//! Connections that are cut at any byte: the rows come whole, or the read fails.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::*;

/// Stands between us and a server, and cuts what the server says after so many bytes: all of its connections together.
fn cutter(port: u16, bytes_max: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", port))) else { return };
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || pass(server, client, bytes_max));
        }
    });
    own
}

fn pass(mut server: TcpStream, mut client: TcpStream, bytes_max: usize) {
    let mut buffer = [0; 4096];
    let mut left = bytes_max;
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        let passed = length.min(left);
        if client.write_all(&buffer[..passed]).is_err() || passed < length {
            break;
        }
        left -= passed;
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

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
