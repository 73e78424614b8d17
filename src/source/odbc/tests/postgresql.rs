//! PostgreSQL through psqlODBC.

use super::*;

#[test]
fn what_a_query_yields_is_what_psql_prints() {
    let sql = "SELECT 1::smallint AS s, 2::int AS i, 3::bigint AS l, true AS b, 1.5::real AS f, 0.1::double precision AS d, \
        12.50::numeric(10,2) AS n, '1.12345678901234567890'::numeric AS u, 'naïve ☃ 😀'::text AS t, 'abc'::varchar(5) AS v, 'ab'::char(4) AS c, \
        '\\x00ff0a'::bytea AS x, '2024-02-29'::date AS day, '23:59:59.999999'::time AS clock, '2024-02-29 23:59:59.999999'::timestamp AS at, \
        '2024-02-29 23:59:59.999999+02'::timestamptz AS z, '00112233-4455-6677-8899-aabbccddeeff'::uuid AS id, '{\"a\": 1}'::jsonb AS j, \
        '1 day 02:00:00'::interval AS span, '10.0.0.1'::inet AS ip, ARRAY[1,2] AS list, NULL::int AS nothing";
    let outcome = Case::postgresql(sql).read().unwrap();
    assert_eq!(
        outcome.schema,
        "s smallint, i integer, l bigint, b boolean, f real, d double, n decimal(10,2), u text, t text, v text, c text, x binary, day date, \
         clock time, at timestamp, z timestamp_utc, id uuid, j json, span text, ip text, list text, nothing integer"
    );
    assert_eq!(
        outcome.lines,
        ["1|2|3|true|1.5|0.1|12.50|1.12345678901234567890|naïve ☃ 😀|abc|ab  |\\x00ff0a|2024-02-29|23:59:59.999999|2024-02-29T23:59:59.999999|\
          2024-02-29T21:59:59.999999Z|00112233-4455-6677-8899-aabbccddeeff|{\"a\": 1}|P1DT2H|10.0.0.1|{1,2}|NULL"]
    );
    assert_eq!(outcome.log, ["read as text: u, span"]);
}
