//! Stands between a client and a server, and cuts what the server says.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

/// Passes everything on to a server, and what it says only so far, on each connection; returns the port.
pub fn cutter(port: u16, bytes_max: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
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
