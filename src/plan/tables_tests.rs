use super::*;

/// `!` before a name: by name only; `+`: in the path.
fn catalogue(names: &[&str]) -> Vec<Listed> {
    let listed = |name: &&str| {
        let bare = name.trim_start_matches(['!', '+']);
        let (schema, name_alone) = parts(bare);
        Listed {
            schema: schema.unwrap_or_default(),
            name: name_alone,
            is_in_path: name.starts_with('+'),
            is_by_name_only: name.starts_with('!'),
        }
    };
    names.iter().map(listed).collect()
}

fn found(patterns: &[&str], listed: &[Listed]) -> Result<Vec<String>, Unmatched> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    matching(&patterns, listed).map(|tables| tables.iter().map(|table| table.written()).collect())
}

#[track_caller]
fn check(patterns: &[&str], listed: &[Listed], expected: &[&str]) {
    assert_eq!(found(patterns, listed).unwrap(), expected, "{patterns:?}");
}

#[track_caller]
fn refused(patterns: &[&str], listed: &[Listed], code: &str, message: &str, hint: &str) {
    let unmatched = found(patterns, listed).unwrap_err();
    let (found_code, found_message, found_hint) = unmatched.told("db1/erp");
    assert_eq!((found_code, found_message.as_str(), found_hint.as_str()), (code, message, hint), "{patterns:?}");
}

fn shop() -> Vec<Listed> {
    catalogue(&[
        "sales.orders",
        "+public.ord_items",
        "sales.customers",
        "+public.ord_lines",
        "!sales.orders_2026",
        "!pg_catalog.pg_class",
        "+public._etlsched_loads",
        "+public._ETLSCHED_files",
        "+public.\"odd.na*me\"",
        "+public.Ünïts",
    ])
}

#[test]
fn names_and_globs_find_tables_in_a_fixed_order() {
    check(&["sales.*"], &shop(), &["sales.customers", "sales.orders"]);
    check(&["ord_*", "sales.orders"], &shop(), &["public.ord_items", "public.ord_lines", "sales.orders"]);
    check(&["sales.orders", "*.ord*"], &shop(), &["sales.orders", "public.ord_items", "public.ord_lines"]);
    check(&["s*s.c?stomers"], &shop(), &["sales.customers"]);
    check(&["?n?ts"], &shop(), &["public.Ünïts"]);
    let mut other_order = shop();
    other_order.reverse();
    check(&["*.*"], &other_order, &found(&["*.*"], &shop()).unwrap().iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn what_only_a_name_finds_is_left_out_of_globs() {
    let all = ["public.\"odd.na*me\"", "public.ord_items", "public.ord_lines", "public.Ünïts", "sales.customers", "sales.orders"];
    check(&["*.*"], &shop(), &all);
    check(&["sales.orders_2026", "pg_catalog.pg_class"], &shop(), &["sales.orders_2026", "pg_catalog.pg_class"]);
    check(&["public._etlsched_loads"], &shop(), &["public._etlsched_loads"]);
}

#[test]
fn quotes_hold_dots_and_signs_together() {
    check(&["\"odd.na*me\""], &shop(), &["public.\"odd.na*me\""]);
    check(&["public.\"odd.na*me\""], &shop(), &["public.\"odd.na*me\""]);
    check(&["odd.*"], &catalogue(&["odd.x"]), &["odd.x"]);
    let listed = catalogue(&["+public.ord_items"]);
    refused(&["\"ord_*\""], &listed, "not_found", "there is no table \"ord_*\" in db1/erp", "its tables are public.ord_items");
    assert_eq!(Pattern::parse("\"a*\"").unwrap().table().as_deref(), Some("a*"));
    assert_eq!(Pattern::parse("s.a").unwrap().table().as_deref(), Some("a"));
    assert_eq!(Pattern::parse("s*.a").unwrap().table(), None);
}

#[test]
fn what_finds_nothing_is_told_with_what_there_is() {
    let listed = catalogue(&["sales.orders", "+public.items", "!public.items_1"]);
    refused(&["sales.Orders"], &listed, "not_found", "there is no table sales.Orders in db1/erp", "did you mean sales.orders?");
    refused(&["orders"], &listed, "not_found", "there is no table orders in db1/erp", "did you mean sales.orders?");
    refused(&["x"], &listed, "not_found", "there is no table x in db1/erp", "its tables are public.items, sales.orders");
    refused(
        &["items", "sales.z*"],
        &listed,
        "not_found",
        "no table matches sales.z* in db1/erp",
        "its tables are public.items, sales.orders",
    );
    let nothing = "the login sees no tables in this database: check database and user of the connection";
    refused(&["*"], &[], "not_found", "no table matches * in db1/erp", nothing);
    for malformed in ["", ".", "a.", ".b", "\"\""] {
        assert!(matches!(found(&[malformed], &listed), Err(Unmatched::Malformed(_))), "{malformed:?}");
    }
}

#[test]
fn two_tables_never_share_a_target() {
    let listed = catalogue(&["sales.orders", "+public.Orders", "sales.items"]);
    let hint = "make one of them a source of its own, with another target";
    refused(&["*.*"], &listed, "invalid", "public.Orders and sales.orders would be loaded into one table", hint);
    check(&["sales.*"], &listed, &["sales.items", "sales.orders"]);
    // The same table twice is once.
    check(&["sales.orders", "sales.*"], &listed, &["sales.orders", "sales.items"]);
    let many: Vec<Listed> = (0..=TABLES_MAX)
        .map(|number| Listed { schema: "s".to_owned(), name: format!("t{number}"), is_in_path: true, is_by_name_only: false })
        .collect();
    assert_eq!(matching(&["*".to_owned()], &many), Err(Unmatched::TooMany(TABLES_MAX + 1)));
}

#[test]
fn a_glob_of_many_stars_takes_no_time() {
    let pattern = Pattern::parse(&"*a".repeat(30)).unwrap();
    assert!(!is_match(&pattern.name, &format!("{}b", "a".repeat(100))));
    assert!(is_match(&pattern.name, &"a".repeat(100)));
}

#[test]
fn names_that_are_kept_are_no_targets() {
    for target in ["_etlsched_x", "_ETLSCHED_", "sqlite_a", "", " ", "a\u{202e}", &"x".repeat(129)] {
        assert!(target_fault(target).is_some(), "{target:?}");
    }
    for target in ["orders", "Ünïts", &"x".repeat(128)] {
        assert!(target_fault(target).is_none(), "{target:?}");
    }
}

#[test]
fn a_table_is_parted_at_the_dot_outside_of_quotes() {
    let parted = |table| {
        let (schema, name) = parts(table);
        (schema.unwrap_or_default(), name)
    };
    let owned = |schema: &str, name: &str| (schema.to_owned(), name.to_owned());
    assert_eq!(parted("orders"), owned("", "orders"));
    assert_eq!(parted("public.Orders"), owned("public", "Orders"));
    assert_eq!(parted("\"a.b\".\"c\"\"d\""), owned("a.b", "c\"d"));
    assert_eq!(parted("a.b.c"), owned("a", "b.c"));
}
