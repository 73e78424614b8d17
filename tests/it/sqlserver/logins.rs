//! Reaching the server: logins that are refused, drivers that aren't there, values that try to be more than values.

use super::*;
use crate::servers::sqlserver::encrypted_sqlserver;

const TABLE: &str = "CREATE TABLE dbo.t (id INT); INSERT INTO dbo.t VALUES (7)";

#[track_caller]
fn change_settings(etl: &Etl, from: &str, to: &str) {
    let settings = std::fs::read_to_string(etl.path("etlsched.yaml")).expect("the settings");
    assert!(settings.contains(from), "{settings}");
    etl.write("etlsched.yaml", settings.replace(from, to));
}

/// Runs and returns the source's error as JSON, and all that was said and logged.
#[track_caller]
fn refused(etl: &Etl) -> (serde_json::Value, String) {
    let ended = etl.run(&["run", "load", "-o", "json"]);
    assert_eq!(ended.code, Some(1), "{}", said(&ended));
    let error = ended.json()["runs"][0]["sources"][0]["error"].clone();
    let logs = etl.run(&["logs", "--run", "last"]).stdout;
    (error, said(&ended) + &logs)
}

#[test]
fn refused_logins_are_permanent_and_tell_no_secret() {
    let server = sqlserver(TABLE);
    let etl = of_table(&server, "").env("ERP_PASSWORD", "hunter22");
    let (error, told) = refused(&etl);
    assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some("login_failed"), Some(false)), "{error}");
    assert!(!told.contains("hunter22") && !server.said().contains("hunter22"), "{told}");
    let etl = of_table(&server, "");
    change_settings(&etl, "database: shop", "database: nowhere");
    let (error, told) = refused(&etl);
    assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some("not_found"), Some(false)), "{told}");
    server.faults(r#"{"refuse_login": [40613, 20, "Database is not currently available. Please retry the connection later."]}"#);
    let (error, _) = refused(&of_table(&server, ""));
    assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some("unreachable"), Some(true)), "{error}");
}

#[test]
fn a_port_that_nobody_listens_on_is_told_with_a_hint() {
    let server = sqlserver(TABLE);
    let etl = of_table(&server, "");
    change_settings(&etl, &format!("port: {}", server.server.port), "port: 1");
    let (error, _) = refused(&etl);
    assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some("unreachable"), Some(true)), "{error}");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("host and port")), "{error}");
}

#[test]
fn a_server_that_never_answers_a_login_ends_at_our_limit() {
    let server = sqlserver(TABLE);
    server.faults(r#"{"hang_at_login": true, "is_deaf": true}"#);
    let start = std::time::Instant::now();
    let (error, told) = refused(&workspace(&server, ", connect_timeout_seconds: 2", "    table: dbo.t\n"));
    assert_eq!(error["is_transient"].as_bool(), Some(true), "{told}");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn a_password_or_a_database_can_t_add_words_to_the_connection_string() {
    let server = sqlserver(TABLE);
    // Another server's port, another login, another database: none of them is reached.
    for value in ["x;UID=sa", "x};UID={sa", "{x;UID=sa", "}{=;", "x;PORT=1;", "x}};SERVER=10.255.255.1;{", "a=b", "'\"\\"] {
        for key in ["password: \"${ERP_PASSWORD}\"", "database: shop"] {
            let etl = of_table(&server, "");
            let word = key.split(':').next().expect("a key");
            change_settings(&etl, key, &format!("{word}: \"${{VALUE}}\""));
            let (_, told) = refused(&etl.env("VALUE", value));
            assert!(word == "database" || !told.contains(value), "{told}");
        }
    }
    let log = server.said();
    assert!(!log.contains("user=sa") && log.contains("user=etl"), "{log}");
    for line in log.lines().filter(|line| line.contains("login user=")) {
        assert!(line.contains("user=etl"), "{line}");
    }
}

#[test]
fn passwords_of_all_signs_get_through_or_are_refused_before_anything_is_said() {
    for password in ["a b", "a;b", "a=b", "a{b", "a}b", "{=;", "näïve ☃", "'\"\\$"] {
        let server = sqlserver(TABLE);
        std::fs::write(server.server.folder.join("password"), password).expect("the password's file");
        let again = crate::servers::sqlserver::restarted(server);
        let etl = of_table(&again, "").env("ERP_PASSWORD", password);
        run(&etl).exits(0);
        assert_eq!(etl.warehouse().value("SELECT id FROM t"), "7", "{password}");
    }
}

#[test]
fn a_machine_without_a_driver_lists_those_it_has_and_how_one_is_installed() {
    let server = sqlserver(TABLE);
    let check = |drivers: &str, expected: &[&str]| {
        std::fs::write(server.server.folder.join("odbcinst.ini"), drivers).expect("the drivers' file");
        let (error, told) = refused(&of_table(&server, ""));
        assert_eq!((error["code"].as_str(), error["is_transient"].as_bool()), (Some("no_driver"), Some(false)), "{told}");
        for text in expected {
            assert!(error.to_string().contains(text), "{text:?} should be in {error}");
        }
    };
    check("", &["no driver", "tdsodbc", "msodbcsql18"]);
    check("[Other]\nDriver=/nowhere/libother.so\n", &["Other", "tdsodbc", "msodbcsql18"]);
    check("[FreeTDS]\nDriver=/nowhere/libtdsodbc.so\n", &["libtdsodbc.so"]);
}

#[test]
fn a_connection_is_encrypted_unless_it_is_told_otherwise() {
    let server = encrypted_sqlserver(TABLE);
    let etl = workspace(&server, ", encrypt: mandatory", "    table: dbo.t\n    target: t\n");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().value("SELECT id FROM t"), "7");
    assert!(server.said().contains("tls=yes"), "{}", server.said());
    // A server without TLS is not spoken to where it is demanded.
    let plain = sqlserver(TABLE);
    let (_, told) = refused(&workspace(&plain, ", encrypt: mandatory", "    table: dbo.t\n    target: t\n"));
    assert!(!plain.said().contains("login user="), "{told}");
}
