//! What can go wrong between here and the rows: each error says what, where, and what to do.

use super::{change_settings, run, schema, sql, workspace};
use crate::servers::{self, Server, postgresql, psql};

#[test]
fn errors_name_what_is_wrong_and_never_the_password() {
    let schema = schema("CREATE TABLE {s}.t (id int); CREATE ROLE {s} LOGIN PASSWORD 'pw-of-nobody'");
    let check = |keys: &str, source: &str, expected: &[&str]| {
        let etl = workspace(postgresql(), "", source);
        let (from, to) = keys.split_once(" -> ").unwrap_or(("erp", "erp"));
        change_settings(&etl, from, to);
        let ended = run(&etl);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(1), "{said}");
        let logs = etl.run(&["logs", "--run", "last"]).stdout;
        assert!(!format!("{said}{logs}").contains("hunter22") && !said.contains("pg-secret"), "{said}{logs}");
        for text in expected {
            assert!(said.contains(text), "{keys} {source}: {text:?} should be in:\n{said}");
        }
    };
    let table = format!("    table: {schema}.t\n");
    check("\"${PG_PASSWORD}\" -> hunter22", &table, &["password authentication failed for user \"etl\"", "check user and password"]);
    check("database: etl -> database: nowhere", &table, &["database \"nowhere\" does not exist", "check database"]);
    check(&format!("port: {} -> port: 1", postgresql().port), &table, &["Connection refused", "check host and port"]);
    check("host: 127.0.0.1 -> host: no-such-host.invalid", &table, &["check host"]);
    check("", &format!("    table: {schema}.tt\n"), &["there is no table", &format!("did you mean {schema}.t?")]);
    check("", "    table: nowhere.t\n", &["there is no table nowhere.t in 127.0.0.1:", "did you mean "]);
    let query = |sql: &str| format!("    custom_sql: {sql}\n    name: s\n");
    check("", &query("SELECT idd FROM pg_class"), &["column \"idd\" does not exist", "check the names of columns"]);
    check("", &query("SELECT 1 AS a FROM nowhere.t"), &["relation \"nowhere.t\" does not exist", "go by the role's search_path"]);
    check("", &format!("{table}    where: idd > 1\n"), &["column \"idd\" does not exist", "in custom_sql, or in where"]);
    check("", &query("SELECT FROM WHERE"), &["syntax error"]);
    let login = format!("user: etl, password: \"${{PG_PASSWORD}}\" -> user: {schema}, password: pw-of-nobody");
    check(&login, &table, &["permission denied for schema", "SELECT on what it reads"]);
}

/// Makes the server ask for this of everybody who comes by TCP.
fn demand(server: &Server, rule: &str) {
    let path = server.folder.join("data/pg_hba.conf");
    std::fs::write(&path, format!("{rule}\n")).expect("the server's rules");
    servers::signal(server, "HUP");
}

#[test]
fn a_server_that_demands_tls_or_a_certificate_says_so() {
    let server = servers::own_postgresql(&["ssl=on"]);
    psql(&server, "etl", "CREATE TABLE t AS SELECT 1 AS id");
    let file = |name: &str| server.folder.join(name).display().to_string();
    let check = |keys: &str, expected: Result<(), [&str; 2]>| {
        let etl = workspace(&server, keys, "    table: t\n");
        let ended = run(&etl);
        match expected {
            Ok(()) => drop(ended.exits(0)),
            Err([message, hint]) => drop(ended.exits(1).mentions(message).mentions(hint)),
        }
    };
    psql(&server, "etl", &format!("ALTER SYSTEM SET ssl_ca_file = '{}'", file("other.crt")));
    demand(&server, "hostssl all all 127.0.0.1/32 scram-sha-256");
    servers::wait_until("the rules hold", || {
        let etl = workspace(&server, ", sslmode: disable", "    table: t\n");
        run(&etl).code == Some(1)
    });
    check(", sslmode: disable", Err(["no pg_hba.conf entry", "the server takes this login with TLS only: set sslmode: require"]));
    check("", Ok(()));
    check(", sslmode: require", Ok(()));
    check(", sslmode: verify-full", Err(["UnknownIssuer", "set sslrootcert"]));
    let verified = format!(", sslmode: verify-full, sslrootcert: {}", file("ca.crt"));
    check(&verified, Err(["not valid for name", "set host: a name that the certificate has"]));
    let own =
        |name: &str| format!(", sslmode: require, sslcert: {}, sslkey: {}", file(&format!("{name}.crt")), file(&format!("{name}.key")));
    demand(&server, "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca");
    servers::wait_until("the rules hold", || run(&workspace(&server, "", "    table: t\n")).code == Some(1));
    check(", sslmode: require", Err(["client certificate", "set sslcert and sslkey"]));
    check(&own("other"), Ok(()));
    check(&own("ca"), Err(["received fatal alert: UnknownCA", "the server refuses the client's certificate"]));
}

/// A view whose rows come so slowly that an administrator has time.
const SLOW: &str =
    "CREATE VIEW {s}.a AS SELECT g AS id, repeat('x', 1000) AS pad, pg_sleep(0.0005)::text FROM generate_series(1, 10000000) AS g;
    CREATE TABLE {s}.b AS SELECT 2 AS id";

#[test]
fn what_an_administrator_ends_is_told_and_the_next_stream_goes_on() {
    for (function, message, hint) in [
        ("pg_cancel_backend", "canceling statement due to user request", "an administrator or a timeout of the server ended the statement"),
        ("pg_terminate_backend", "terminating connection due to administrator command", "an administrator ended the connection"),
    ] {
        let schema = schema(SLOW);
        let etl = workspace(postgresql(), "", "");
        let source = format!("{{name: s, connection: erp, tables: [\"{schema}.*\"]}}");
        etl.write("jobs/load.yaml", format!("schedule_type: manual\ndata_sources: [{source}]\n"));
        let at_work = etl.start("load");
        let copy = format!("query LIKE 'COPY%{schema}\".\"a\"%' AND state = 'active'");
        psql(postgresql(), "etl", &format!("SELECT {function}(pid) FROM pg_stat_activity WHERE {copy}"));
        let (code, said) = at_work.end();
        assert_eq!(code, Some(3), "{said}");
        for text in [message, hint, &format!("source s, table {schema}.a on 127.0.0.1:")] {
            assert!(said.contains(text), "{text:?} should be in:\n{said}");
        }
        assert_eq!(etl.warehouse().value("SELECT id FROM b"), "2");
        assert_eq!(etl.state().value("SELECT status FROM runs"), "failed");
    }
}

#[test]
fn timeouts_that_a_role_has_do_not_end_a_load() {
    let schema = schema("CREATE VIEW {s}.t AS SELECT g AS id, pg_sleep(0.02)::text FROM generate_series(1, 20) AS g");
    sql(
        &schema,
        "CREATE ROLE {s} LOGIN PASSWORD 'pw-of-nobody'; GRANT USAGE ON SCHEMA {s} TO {s}; GRANT SELECT ON {s}.t TO {s};
         ALTER ROLE {s} SET statement_timeout = '100ms'; ALTER ROLE {s} SET idle_in_transaction_session_timeout = '1ms'; ALTER ROLE {s} SET datestyle = 'German'",
    );
    let etl = workspace(postgresql(), "", &format!("    table: {schema}.t\n"));
    change_settings(&etl, "user: etl, password: \"${PG_PASSWORD}\"", &format!("user: {schema}, password: pw-of-nobody"));
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().value("SELECT count(*) FROM t"), "20");
}

#[test]
fn a_pooler_that_has_nothing_to_give_says_so() {
    let pooler = servers::pgbouncer(postgresql(), 1);
    let schema = schema("CREATE TABLE {s}.t AS SELECT 1 AS id");
    let mut other = servers::session(&pooler, "etl");
    other.say("BEGIN; SELECT 1 \\g /dev/null");
    let etl = workspace(&pooler, "", &format!("    table: {schema}.t\n"));
    run(&etl).exits(1).mentions("the pooler had no server connection to give").mentions("see pool_size");
    other.say("COMMIT;");
    run(&etl).exits(0);
    assert_eq!(etl.warehouse().value("SELECT id FROM t"), "1");
}
