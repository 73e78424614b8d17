use super::*;

fn faults(text: &str) -> Vec<String> {
    let (_, faults) = parse(Origin::Job, text);
    faults.iter().map(|fault| format!("{}:{}: {}", fault.place.line, fault.place.column, fault.message)).collect()
}

#[track_caller]
fn check_faults(text: &str, expected: &[&str]) {
    assert_eq!(faults(text), expected, "{text}");
}

#[test]
fn null_is_a_word_where_it_is_one_and_no_value_elsewhere() {
    let (tree, faults) = parse(Origin::Job, "etl_config: {invalid_values: null, null_cursor: null}\n\"null\": 1\n");
    assert!(faults.is_empty());
    let config = tree.unwrap().get("etl_config").unwrap().clone();
    assert_eq!(config.get("invalid_values").unwrap().as_scalar().map(|scalar| scalar.kind), Some(ScalarKind::Text));
    assert!(config.get("null_cursor").is_none_or(Node::is_null));
}

#[test]
fn keys_and_values_know_their_places() {
    let text = "# comment\nname: Ünï\ndata_sources:\n  - path: \"a\"\n    types: {x: date, ÿ: text}\n";
    let (node, faults) = parse(Origin::Job, text);
    assert_eq!(faults, []);
    let node = node.unwrap();
    let mut places = Vec::new();
    node.walk(&mut |node| {
        for entry in node.entries() {
            places.push((entry.key.clone(), (entry.place.line, entry.place.column), (entry.node.place.line, entry.node.place.column)));
        }
    });
    let expected = [
        ("name", (2, 1), (2, 7)),
        ("data_sources", (3, 1), (4, 3)),
        ("path", (4, 5), (4, 11)),
        ("types", (5, 5), (5, 12)),
        ("x", (5, 13), (5, 16)),
        ("ÿ", (5, 22), (5, 25)),
    ];
    assert_eq!(places, expected.map(|(key, place, value)| (key.to_owned(), place, value)));
}

#[test]
fn scalars_are_those_of_the_core_schema() {
    use ScalarKind::*;
    let cases = [
        ("yes", Text),
        ("no", Text),
        ("on", Text),
        ("True", Bool(true)),
        ("FALSE", Bool(false)),
        ("", Null),
        ("~", Null),
        ("nULL", Text),
        ("012", Int(12)),
        ("-5", Int(-5)),
        ("+5", Int(5)),
        ("0x1F", Int(31)),
        ("0o17", Int(15)),
        ("0b1", Text),
        ("1_000", Text),
        ("1.5", Float(1.5)),
        (".5", Float(0.5)),
        ("1e3", Float(1000.0)),
        ("1e", Text),
        ("-", Text),
        (".", Text),
        ("1.2.3", Text),
        ("12:30", Text),
        ("-.inf", Float(f64::NEG_INFINITY)),
        ("inf", Text),
        ("nan", Text),
        ("infinity", Text),
        ("9223372036854775808", Float(9_223_372_036_854_775_808.0)),
    ];
    for (text, expected) in cases {
        assert_eq!(resolve(text), expected, "{text}");
    }
}

/// serde_yaml reads what we read: the same values for every document that both accept.
#[test]
fn the_tree_says_what_serde_yaml_says() {
    let texts = [
        "a: 1\nb: [x, 'y', \"z\\n\"]\nc: {d: null, e: true}\n",
        "a: |\n  one\n  two\nb: >-\n  folded\n  text\n",
        "a: &x {k: v}\nb: *x\nc: [*x, *x]\n",
        "{\"json\": [1, 2.5, \"\\u00e9\", {\"deep\": []}], \"empty\": {}}",
        "a:\r\n  - 1\r\n  - b: 2\r\n    c: 3\r\n",
        "? a\n: 1\n",
    ];
    for text in texts {
        let (node, faults) = parse(Origin::Job, text);
        assert_eq!(faults, [], "{text}");
        let expected: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
        assert_eq!(crate::job::write::value(&node.unwrap()), expected, "{text}");
    }
}

#[test]
fn doubled_keys_merge_keys_tags_and_odd_keys_are_all_told() {
    check_faults("a: 1\nm: {x: 1, x: 2}\na: 3\n", &["2:11: x stands twice: first in line 2", "3:1: a stands twice: first in line 1"]);
    check_faults("base: &b {x: 1}\nm:\n  <<: *b\n", &["3:3: merge keys (<<) are not allowed"]);
    check_faults("a: !!int 3\nb: !x {}\n", &["1:10: tag tag:yaml.org,2002:int: tags are not allowed", "2:7: tag !x: tags are not allowed"]);
    check_faults("[a]: 1\n", &["1:1: a list or map where a key is expected"]);
}

#[test]
fn one_file_holds_one_document() {
    check_faults("a: 1\n---\nb: 2\n", &["2:1: a second document begins here"]);
    check_faults("---\na: 1\n...\n", &[]);
}

#[test]
fn hostile_documents_are_refused() {
    check_faults(&"[".repeat(1000), &["1:256: more than 64 lists and maps in each other"]);
    check_faults(&"- ".repeat(100), &["1:129: more than 64 lists and maps in each other"]);
    check_faults(&format!("a: {}{}", "[".repeat(63), "]".repeat(63)), &[]);
    check_faults("a: &a [*a]\n", &["1:8: an alias that stands inside its own anchor"]);
    let aliases = format!("a: &a 1\nb: [{}]\n", vec!["*a"; 101].join(","));
    assert_eq!(faults(&aliases), ["2:305: more than 100 aliases"]);
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        laughs.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(", ")));
    }
    assert_eq!(faults(&laughs), ["5:16: aliases that multiply without end"]);
    let many = format!("a: [{}]", "1,".repeat(60_000));
    assert_eq!(faults(&many), ["1:50003: more than 25000 values in one file"]);
    let kept = format!("{}{}{}", (0..60).map(|number| format!("&a{number} [")).collect::<String>(), "x,".repeat(2000), "]".repeat(60));
    assert!(faults(&kept)[0].ends_with("anchors inside anchors without end"), "{:?}", faults(&kept));
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    let place =
        |bytes: &[u8]| text(Origin::Job, bytes).map(str::to_owned).map_err(|fault| (fault.place.line, fault.place.column, fault.message));
    assert_eq!(place(b"\xef\xbb\xbfa: 1\r\n\tb"), Ok("a: 1\r\n\tb".to_owned()));
    assert_eq!(place(b"a: 1\nb: \xff"), Err((2, 4, "the file is not UTF-8 here".to_owned())));
    assert_eq!(place(b"a: x\0y"), Err((1, 5, "control character U+0000: YAML allows none".to_owned())));
    assert_eq!(place(b"a: \x1b[31m"), Err((1, 4, "control character U+001B: YAML allows none".to_owned())));
    assert_eq!(place(&vec![b'a'; BYTES_MAX + 1]), Err((0, 0, "the file has 1048577 bytes; at most 1048576 are read".to_owned())));
}

#[test]
fn an_unquoted_cron_line_is_an_alias_and_the_hint_says_quote_it() {
    let (_, faults) = parse(Origin::Job, "name: x\nschedule: */5 * * * *\n");
    assert_eq!(faults[0].message, "invalid YAML: a value that begins with * is an alias");
    assert_eq!(faults[0].hint.as_deref(), Some("quote it: \"*/5 * * * *\""));
    assert_eq!(faults[0].place.line, 2);
}

#[test]
fn the_hints_of_syntax_errors_name_the_remedy() {
    let hint = |text: &str| parse(Origin::Job, text).1.remove(0).hint.unwrap();
    assert_eq!(hint("path: \"C:\\data\\a.csv\"\n"), "in double quotes \\ begins an escape: write single quotes, or / in paths");
    assert_eq!(hint("a:\n  - path:\ta.csv\n"), "write a space after the colon, not a tab");
    assert_eq!(hint("a:\n\t- b\n"), "indent with spaces: YAML allows no tabs there");
    assert_eq!(hint("a: [1, 2\n"), "write ] where the list ends");
    assert_eq!(hint("name: @home\n"), "quote the value: it begins with a character that YAML keeps for itself");
    assert_eq!(hint("name: a: b\n"), "quote a value that has a colon and a space in it, and see that the indentation is right");
}
