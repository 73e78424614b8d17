use super::*;

#[test]
fn names_are_never_sql() {
    assert_eq!(quoted("a`; DROP TABLE x; -- \""), "`a``; DROP TABLE x; -- \"`");
}

#[test]
fn bytes_are_written_as_rfc_4648_says() {
    for (bytes, text) in [("", ""), ("f", "Zg==\n"), ("fo", "Zm8=\n"), ("foo", "Zm9v\n"), ("foobar", "Zm9vYmFy\n")] {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
    assert_eq!(base64(&[255; 49]).lines().map(str::len).collect::<Vec<_>>(), [64, 4]);
}

#[test]
fn what_may_pass_is_told_from_what_stays() {
    let is_transient = |number| server_failure("x", number, "y").is_transient;
    assert!([1040, 1053, 1205, 1213, 2013].into_iter().all(is_transient));
    assert!(![1045, 1049, 1054, 1064, 1142, 1146].into_iter().any(is_transient));
}

#[cfg(unix)]
mod reached {
    use super::*;
    use crate::connect::servers::PASSWORD;
    use crate::connect::servers::mariadb::{mariadb, own_mariadb};
    use crate::secret::Secret;

    fn plan(port: u16, tls: MysqlTls) -> MysqlConnection {
        MysqlConnection {
            host: "127.0.0.1".to_owned(),
            port,
            database: "etl".to_owned(),
            user: "etl".to_owned(),
            password: Some(Secret::new(PASSWORD)),
            tls,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            connect_timeout_seconds: 15,
        }
    }

    fn told(plan: &MysqlConnection) -> (&'static str, String) {
        let error = Session::open(plan).expect_err("it must be refused");
        (error.code, format!("{} | {}", error.message, error.hint.unwrap_or_default()))
    }

    #[test]
    fn a_session_is_in_utc_and_its_statement_can_be_ended() {
        let mut session = Session::open(&plan(mariadb().port, MysqlTls::Preferred)).unwrap();
        assert!(session.is_mariadb);
        let zone: Option<String> = session.conn.query_first("SELECT @@session.time_zone").unwrap();
        assert_eq!(zone.as_deref(), Some("+00:00"));
        let canceller = session.canceller.clone();
        let ender = std::thread::spawn(move || {
            // Before the statement runs nothing is ended, so it is asked for until it is.
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(100));
                canceller.cancel();
            }
        });
        // Not query_drop: an error behind the first packet is lost with the result there.
        let ended = session.conn.query::<u64, _>("SELECT count(*) FROM seq_1_to_1000000000000 WHERE md5(seq) = 1").unwrap_err();
        assert_eq!(session.failure("read", &ended).code, "statement_cancelled");
        ender.join().unwrap();
    }

    #[test]
    fn a_unix_socket_is_a_host() {
        let host = mariadb().folder.join("socket").display().to_string();
        let there = MysqlConnection { host, ..plan(1, MysqlTls::Required) };
        Session::open(&there).unwrap();
    }

    #[test]
    fn what_keeps_a_server_from_being_reached_is_told_with_a_remedy() {
        let server = mariadb();
        let there = plan(server.port, MysqlTls::Preferred);
        let (code, text) = told(&MysqlConnection { password: Some(Secret::new("hunter22")), ..there.clone() });
        assert_eq!(code, "login_failed");
        assert!(text.contains("Access denied") && text.contains("check user, password") && !text.contains("hunter22"), "{text}");
        let (code, text) = told(&MysqlConnection { database: "nowhere".to_owned(), ..there.clone() });
        assert_eq!(code, "not_found", "{text}");
        let (code, text) = told(&MysqlConnection { host: "no-such-host.invalid".to_owned(), ..there.clone() });
        assert_eq!(code, "unreachable");
        assert!(text.contains("the name is not known"), "{text}");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (code, text) = told(&MysqlConnection { port: free, ..there.clone() });
        assert_eq!(code, "unreachable");
        assert!(text.contains("refused") && text.contains("whether the server runs"), "{text}");
        let (code, text) = told(&MysqlConnection { tls: MysqlTls::Required, ..there });
        assert_eq!(code, "tls");
        assert!(text.contains("the server does not have it") && text.contains("sslmode: prefer"), "{text}");
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let (code, text) = told(&MysqlConnection { connect_timeout_seconds: 1, ..plan(port, MysqlTls::Preferred) });
        assert_eq!(code, "unreachable");
        assert!(text.contains("no answer within 1 s"), "{text}");
    }

    #[test]
    fn each_word_of_sslmode_verifies_what_it_says() {
        let server = own_mariadb(&["--ssl"]);
        let path = |name: &str| Some(server.folder.join(name));
        let with = |tls, roots, host: &str| MysqlConnection { sslrootcert: roots, host: host.to_owned(), ..plan(server.port, tls) };
        let encrypted = |plan: &MysqlConnection| {
            let mut session = Session::open(plan).map_err(|error| error.message)?;
            let cipher: Option<(String, String)> = session.conn.query_first("SHOW STATUS LIKE 'Ssl_cipher'").unwrap();
            Ok::<bool, String>(cipher.is_some_and(|(_, cipher)| !cipher.is_empty()))
        };
        assert_eq!(encrypted(&with(MysqlTls::Disabled, None, "127.0.0.1")), Ok(false));
        assert_eq!(encrypted(&with(MysqlTls::Preferred, None, "127.0.0.1")), Ok(true));
        assert_eq!(encrypted(&with(MysqlTls::Required, None, "127.0.0.1")), Ok(true));
        assert_eq!(encrypted(&with(MysqlTls::Required, path("ca.crt"), "127.0.0.1")), Ok(true));
        assert_eq!(encrypted(&with(MysqlTls::VerifyCa, path("ca.crt"), "127.0.0.1")), Ok(true));
        assert_eq!(encrypted(&with(MysqlTls::VerifyIdentity, path("ca.crt"), "localhost")), Ok(true));
        for (refused, remedy) in [
            (with(MysqlTls::Required, path("other.crt"), "localhost"), "set sslrootcert"),
            (with(MysqlTls::VerifyCa, path("other.crt"), "localhost"), "set sslrootcert"),
            (with(MysqlTls::VerifyCa, None, "localhost"), "set sslrootcert"),
            (with(MysqlTls::VerifyIdentity, path("ca.crt"), "127.0.0.1"), "subjectAltName"),
            (with(MysqlTls::VerifyCa, path("missing.crt"), "localhost"), "check the files"),
        ] {
            let (code, text) = told(&refused);
            assert_eq!(code, "tls", "{text}");
            assert!(text.contains(remedy), "{text}");
        }
    }
}
