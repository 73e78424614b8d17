use proptest::prelude::*;

use super::*;

const ID: &str = "w1-0badcafe";
const BLOCK: &[u8] = b"# BEGIN etlsched w1-0badcafe\n# Daily at 06:00, UTC\n0 6 * * * /bin/true\n# END etlsched w1-0badcafe\n";

/// Puts the block in and takes it out again; returns the crontab that held it.
#[track_caller]
fn check(crontab: &[u8]) -> Vec<u8> {
    let with = put(crontab, ID, BLOCK).unwrap();
    let found = find(&with, ID).unwrap().expect("it was put in");
    assert_eq!(found.text, BLOCK);
    assert_eq!(put(&with, ID, BLOCK).unwrap(), with, "putting it in again changes nothing");
    assert_eq!(remove(&with, ID).unwrap(), crontab, "the crontab comes back");
    with
}

#[test]
fn a_block_goes_to_the_end_and_comes_out_without_a_trace() {
    assert_eq!(check(b""), BLOCK);
    assert_eq!(check(b"5 4 * * * x\n"), [b"5 4 * * * x\n", BLOCK].concat());
    check(b"5 4 * * * x\r\n\r\n# caf\xe9 \x00\xff\r\n");
    check(b"\n\n");
}

#[test]
fn a_last_line_without_a_line_end_is_ended_and_opened_again() {
    let with = check(b"5 4 * * * x");
    let expected = "5 4 * * * x\n# BEGIN etlsched w1-0badcafe\n# (the line above had no line end before)\n# Daily at 06:00, UTC\n\
                    0 6 * * * /bin/true\n# END etlsched w1-0badcafe\n";
    assert_eq!(String::from_utf8(with.clone()).unwrap(), expected);
    check(b"5 4 * * * x\r");
    // Somebody added a line below: the two lines stay two.
    let more = [with.as_slice(), b"6 4 * * * y\n"].concat();
    assert_eq!(remove(&more, ID).unwrap(), b"5 4 * * * x\n6 4 * * * y\n");
}

#[test]
fn a_block_is_replaced_where_it_stands() {
    let around = |block: &[u8]| [b"MAILTO=ops\n".as_slice(), block, b"# END something else\n5 4 * * * x"].concat();
    let other = b"# BEGIN etlsched w1-0badcafe\nold\n# END etlsched w1-0badcafe\n";
    assert_eq!(put(&around(other), ID, BLOCK).unwrap(), around(BLOCK));
    assert_eq!(find(&around(other), ID).unwrap().unwrap().line, 2);
    // An editor turned the line ends, or cut the last one: it is the same block.
    assert_eq!(put(&around(b"# BEGIN etlsched w1-0badcafe\r\nold\r\n# END etlsched w1-0badcafe \r\n"), ID, BLOCK).unwrap(), around(BLOCK));
    assert_eq!(put(b"# BEGIN etlsched w1-0badcafe\n# END etlsched w1-0badcafe", ID, BLOCK).unwrap(), BLOCK);
}

#[test]
fn other_blocks_are_strangers() {
    for crontab in [
        "# BEGIN etlsched w2-0badcafe\n1\n# END etlsched w2-0badcafe\n",
        "# BEGIN etlsched w1-0badcafe2\n",
        "# END etlsched w1\n",
        "## BEGIN etlsched w1-0badcafe\n",
        "x # BEGIN etlsched w1-0badcafe\n",
        "# BEGIN ANSIBLE MANAGED BLOCK\n# END etlsched\n",
    ] {
        check(crontab.as_bytes());
    }
}

#[test]
fn a_block_of_the_same_folder_under_an_older_id_is_found() {
    let crontab =
        b"x\n# BEGIN etlsched w0-0badcafe\n# END etlsched w0-0badcafe\n# BEGIN etlsched w0-1badcafe\n# END etlsched w0-1badcafe\n";
    let crontab = put(crontab, ID, BLOCK).unwrap();
    assert_eq!(left_behind(&crontab, ID), [(2, "w0-0badcafe".to_owned())]);
}

#[test]
fn spoiled_blocks_are_refused_with_their_lines() {
    let (begin, end) = ("# BEGIN etlsched w1-0badcafe\n", "# END etlsched w1-0badcafe\n");
    let (other_begin, other_end) = ("# BEGIN etlsched w2-1\n", "# END etlsched w2-1\n");
    let check = |parts: &[&str], expected: &str, hint: &str| {
        let crontab = parts.concat();
        let refused = [find(crontab.as_bytes(), ID).err(), put(crontab.as_bytes(), ID, BLOCK).err(), remove(crontab.as_bytes(), ID).err()];
        for spoiled in refused {
            let spoiled = spoiled.unwrap_or_else(|| panic!("{crontab:?} is taken"));
            assert_eq!((spoiled.to_string().as_str(), spoiled.hint().as_str()), (expected, hint), "{crontab:?}");
        }
    };
    let no_end = "add the missing END line, or take out what is left of the block by hand: crontab -e";
    let no_begin = "add the missing BEGIN line, or take out what is left of the block by hand: crontab -e";
    let several = "take out all of them but one by hand: crontab -e";
    let nested = "part the two blocks by hand: crontab -e";
    check(&["x\n", begin, "y\n"], "line 2 begins the block of this workspace, and no line ends it", no_end);
    check(&["x\n", end], "line 2 ends the block of this workspace, and no line begins it", no_begin);
    check(&[end, begin], "line 1 ends the block of this workspace, and no line begins it", no_begin);
    check(&[begin, end, end], "line 3 ends the block of this workspace, and no line begins it", no_begin);
    check(&[end, begin, end], "line 1 ends the block of this workspace, and no line begins it", no_begin);
    check(&[begin, end, "x\n", begin, end], "lines 1 and 4 each begin a block of this workspace", several);
    check(&[begin, begin, end], "lines 1 and 2 each begin a block of this workspace", several);
    check(&[begin, other_begin, other_end, end], "line 2 is a marker inside of the block that line 1 begins", nested);
    check(&[begin, other_begin, end, other_end], "line 2 is a marker inside of the block that line 1 begins", nested);
    check(&[other_begin, begin, end, other_end], "line 2 is a marker inside of the block that line 1 begins", nested);
}

/// Bytes as crontabs have them: lines of any bytes, markers whole and broken, line ends of each kind, a last line with or without one.
fn crontabs() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => Just(b"# BEGIN etlsched w1-0badcafe".to_vec()),
        1 => Just(b"# END etlsched w1-0badcafe".to_vec()),
        1 => Just(b"# BEGIN etlsched other-1".to_vec()),
        1 => Just(b"# END etlsched other-1".to_vec()),
        1 => Just(LINE_ENDED[..LINE_ENDED.len() - 1].to_vec()),
    ];
    let ends = prop_oneof![3 => Just(b"\n".to_vec()), 1 => Just(b"\r\n".to_vec()), 1 => Just(b"\r".to_vec()), 1 => Just(Vec::new())];
    prop::collection::vec((lines, ends), 0..12).prop_map(|lines| lines.into_iter().flat_map(|(line, end)| [line, end].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_of_a_stranger_is_ever_changed(crontab in crontabs()) {
        match find(&crontab, ID) {
            Err(spoiled) => {
                prop_assert_eq!(put(&crontab, ID, BLOCK), Err(spoiled.clone()));
                prop_assert_eq!(remove(&crontab, ID), Err(spoiled));
            }
            Ok(None) => {
                let with = put(&crontab, ID, BLOCK).unwrap();
                prop_assert!(with.starts_with(&crontab));
                prop_assert_eq!(put(&with, ID, BLOCK).unwrap(), with.clone());
                prop_assert_eq!(remove(&with, ID).unwrap(), crontab);
            }
            Ok(Some(found)) => {
                let with = put(&crontab, ID, BLOCK).unwrap();
                prop_assert!(with.starts_with(&crontab[..found.range.start]) && with.ends_with(&crontab[found.range.end..]));
                prop_assert_eq!(find(&with, ID).unwrap().unwrap().text, BLOCK);
                let without = remove(&crontab, ID).unwrap();
                prop_assert!(without.ends_with(&crontab[found.range.end..]));
                prop_assert!(crontab.starts_with(&without[..without.len() - (crontab.len() - found.range.end)]));
            }
        }
    }
}
