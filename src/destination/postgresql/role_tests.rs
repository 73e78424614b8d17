//! Loads by roles that may do less than a superuser, into tables of others.

use super::Postgres;
use super::table_tests::{PLAIN, THREE, added, load_rows, refused};
use super::tests::{Place, servers};
use crate::destination::conformance::{FULL, people, people_rows, publication, request};
use crate::destination::{Access, Destination, DestinationError};
use crate::plan::postgresql::PostgresConnection;
use crate::run::Counts;

/// Opens the place as another role, which is made with these rights.
fn as_role(place: &Place, role: &str, rights: &str) -> Postgres {
    let (name, schema) = (super::types::quoted(role), super::types::quoted(&place.schema));
    place.psql(&format!("DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD '{}'", servers::PASSWORD.replace('\'', "''")));
    place.psql(&rights.replace("{role}", &name).replace("{schema}", &schema));
    let connection = PostgresConnection { user: role.to_owned(), ..place.connection() };
    Postgres::open("dwh", &connection, Some(&place.schema), Access::Write).unwrap()
}

fn load_as(postgres: &mut Postgres, number: u32) -> Result<Counts, DestinationError> {
    let mut load = postgres.begin(&request(number, "people", &people(), FULL))?;
    load.write(&people_rows(THREE))?;
    load.finish(3)?;
    load.publish(&publication()).map(|committed| committed.counts)
}

#[test]
fn a_table_of_another_role_is_loaded_by_membership_or_by_grants_or_not_at_all() {
    let owner = "CREATE ROLE people_owner; GRANT ALL ON SCHEMA {schema} TO people_owner; ALTER TABLE people OWNER TO people_owner;";
    let place = Place::with(&format!("{PLAIN} CREATE INDEX ON people (id)"));
    let oid = || place.psql("SELECT oid, pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'people'::regclass");
    let rights = format!("DROP ROLE IF EXISTS people_owner; {owner} GRANT ALL ON SCHEMA {{schema}} TO {{role}};");
    // No right at all.
    let mut loader = as_role(&place, "loader of people", &rights);
    refused(load_as(&mut loader, 1), "not_permitted", &["people", "the role needs"]);
    // Rights on the rows: it stays.
    place.psql("GRANT SELECT, INSERT, DELETE, UPDATE ON people TO \"loader of people\"");
    let before = oid();
    assert_eq!(load_as(&mut loader, 2).unwrap(), added(3, 0));
    assert_eq!(load_as(&mut loader, 3).unwrap(), added(3, 3));
    assert_eq!(oid(), before);
    // A member of its owner swaps it, and it stays the owner's.
    place.psql("GRANT people_owner TO \"loader of people\"");
    assert_eq!(load_as(&mut loader, 4).unwrap(), added(3, 3));
    assert_ne!(oid(), before);
    assert!(oid().ends_with("|people_owner"), "{}", oid());
    // Policies would hide rows from the load.
    place.psql("REVOKE people_owner FROM \"loader of people\"; ALTER TABLE people ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON people USING (id > 1)");
    refused(load_as(&mut loader, 5), "not_permitted", &["row-level security", "BYPASSRLS"]);
    assert_eq!(place.psql("SELECT count(*) FROM people"), "3");
}

#[test]
fn a_role_without_create_is_told_what_it_needs() {
    let place = Place::new();
    let mut loader = as_role(&place, "reader of people", "GRANT USAGE ON SCHEMA {schema} TO {role};");
    refused(load_as(&mut loader, 1), "not_permitted", &["permission denied for schema", "CREATE and USAGE on the schema"]);
    load_rows(&place, 2, FULL, THREE).unwrap();
    let mut second = as_role(&place, "second of people", "GRANT ALL ON SCHEMA {schema} TO {role};");
    refused(load_as(&mut second, 3), "not_permitted", &["permission denied for table _etlsched_loads", "GRANT SELECT, INSERT, UPDATE"]);
}

#[test]
fn a_role_whose_transactions_are_serializable_loads_as_any_other() {
    let place = Place::with(PLAIN);
    let mut loader = as_role(
        &place,
        "careful",
        "GRANT ALL ON SCHEMA {schema} TO {role}; ALTER TABLE people OWNER TO {role}; \
         ALTER ROLE {role} SET default_transaction_isolation = 'serializable'; ALTER ROLE {role} SET default_transaction_read_only = on;",
    );
    for number in 1..=2 {
        assert_eq!(load_as(&mut loader, number).unwrap(), added(3, if number == 1 { 0 } else { 3 }));
    }
}
