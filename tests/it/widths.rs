//! What commands print at a terminal: with long and wide names no line is wider than it, in colour and without, and no name is cut.

use std::process::{Command, Stdio};

use unicode_width::UnicodeWidthStr;

use crate::etl::Etl;
use crate::install::fake::Machine;

/// As long as the id of a job may nearly be.
const JOB: &str = "the_orders_of_every_shop_in_every_country_and_their_returns_";
/// A source of 29 characters, each two columns wide.
const SOURCE: &str = "全国店舗売上明細日次集計表全国店舗売上明細日次集計表全国末";

/// A machine with a job that runs, one that fails, one whose file is broken, and mails that nobody takes.
fn machine() -> Machine {
    let settings = "timezone: Europe/Berlin\nsmtp: {url: \"smtp://127.0.0.1:9\", tls: none, from: etl@example.com, timeout_seconds: 1}\n\
                    defaults: {notification_emails: [operations-of-the-warehouse@example.com]}\n";
    let sources = format!("data_sources:\n  - {{name: {SOURCE}, path: data/good.csv, columns: {{types: {{id: integer}}}}}}\n");
    let failing = format!("{sources}  - {{name: missing_{SOURCE}, path: data/{SOURCE}.csv}}\n");
    let etl = Etl::new()
        .file("etlsched.yaml", settings)
        .file(&format!("jobs/{JOB}.yaml"), format!("name: {SOURCE}\nschedule_type: daily\nhour: 6\n{sources}"))
        .file(
            &format!("jobs/{JOB}ko.yaml"),
            format!(
                "description: {}\nschedule_type: daily\nhour: 6\n{}",
                "words of it ".repeat(20),
                failing.replace(SOURCE, &format!("{SOURCE}二"))
            ),
        )
        .file(&format!("jobs/{JOB}no.yaml"), "hour: 99\n")
        .file("data/good.csv", "id,item\n1,a\nx,b\n2,c\n");
    let machine = Machine::bare(etl);
    machine.etl.run(&["schedule", "install", "--yes"]).exits(3);
    machine.etl.run(&["run", JOB]).exits(0);
    machine.etl.run(&["run", &format!("{JOB}ko")]).exits(3);
    machine
}

/// Runs the program at a terminal of so many columns; returns what it shows, with its colours.
fn shown(machine: &Machine, columns: usize, color: &str, arguments: &[&str]) -> String {
    let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
    let call = format!("stty cols {columns} rows 60 && exec '{}' --color {color} {}", env!("CARGO_BIN_EXE_etlsched"), words.join(" "));
    let plain = machine.etl.command(&[]);
    let mut command = Command::new("script");
    command.args(["-qfc", &call, "/dev/null"]).current_dir(machine.etl.path("")).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm").env("SHELL", "/bin/sh");
    let output = command.env("LANG", "C.UTF-8").stdin(Stdio::null()).output().expect("script, of Debian's bsdutils, starts");
    String::from_utf8(output.stdout).expect("UTF-8").replace('\r', "")
}

/// Cuts colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or("", |(_, rest)| rest))
}

/// Whether a text has every character of a name as often.
fn holds_signs(text: &str, name: &str) -> bool {
    name.chars().all(|sign| text.matches(sign).count() >= name.matches(sign).count())
}

#[track_caller]
fn check(machine: &Machine, arguments: &[&str], names: &[&str]) {
    for columns in [80, 200] {
        let mut plains = Vec::new();
        for color in ["always", "never"] {
            let said = shown(machine, columns, color, arguments);
            assert_eq!(said.contains('\u{1b}'), color == "always" && said != plain(&said), "{arguments:?}");
            let text = plain(&said);
            // What can be typed stays whole: the terminal breaks it.
            let is_typed = |line: &str| line.starts_with("etlsched ") || line.split_whitespace().nth(2).is_none();
            let wide: Vec<&str> = text.lines().filter(|line| line.width() > columns && !is_typed(line.trim_start())).collect();
            assert!(wide.is_empty(), "{arguments:?} at {columns}, colour {color}: {wide:#?} in\n{text}");
            // Where there is room names stand whole; in narrow columns their pieces stand beside those of others, and none is missing.
            let packed: String = text.split_whitespace().collect();
            let has = |name: &str| packed.contains(name) || ((columns == 80 || name.width() > 40) && holds_signs(&packed, name));
            let cut: Vec<&&str> = names.iter().filter(|name| !has(&name.replace(' ', ""))).collect();
            assert!(cut.is_empty() && !text.contains('…'), "{arguments:?} at {columns}: no {cut:?} in\n{text}");
            plains.push(text);
        }
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_name_is_cut() {
    let machine = machine();
    let failing = format!("{JOB}ko");
    let broken = format!("{JOB}no");
    let missing = format!("missing_{SOURCE}二");
    let messages = "messages wait to be sent, the oldest of";
    check(&machine, &["status"], &[&failing, &broken, messages, "by any run from then on", "etlsched validate"]);
    check(&machine, &["check"], &[&failing, &broken, "was not refreshed when it was last tried"]);
    check(&machine, &["list"], &["success", "failed", "active", "left out"]);
    check(&machine, &["logs"], &["success", "failed"]);
    check(&machine, &["logs", "--run", "last"], &[&failing, &missing, "no such file", "3 processed", "Told"]);
    check(&machine, &["logs", JOB, "--run", "last"], &["1 row in", SOURCE]);
    check(&machine, &["show", &failing], &[&missing, &failing, "a load becomes visible whole", "words of it words of it"]);
    check(&machine, &["stats"], &["100 %"]);
    check(&machine, &["stats", &failing], &[&missing, "no success"]);
    check(&machine, &["audit"], &["run", "schedule install"]);
    check(&machine, &["plan"], &["Run at once", "These minutes leave"]);
    check(&machine, &["next"], &[JOB, "2026"]);
    check(&machine, &["schedule", "status"], &[&broken, "as it should"]);
    check(&machine, &["source", "list"], &[&missing, "data/good.csv"]);
    check(&machine, &["state", "show"], &[SOURCE, "State store: "]);
    check(&machine, &["doctor", "--offline"], &[&broken, "remedy: ", "scheduler"]);
    check(&machine, &["run", "-q", &failing], &[&missing, "no such file", "refreshed all the same", "log: etlsched logs --run"]);
    check(&machine, &["run", "-q", JOB], &[SOURCE, "1 row rejected, kept in", "success, 3 rows in"]);
}

#[test]
fn sources_with_many_streams_take_a_line_each_and_columns_left_out_are_named() {
    let source = |number: u32| format!("  - {{name: orders_of_the_shop_number_{number:02}, path: data/orders.csv}}\n");
    let sources: String = (0..3).map(source).collect();
    let keys = "schedule_type: daily\nhour: 2\netl_config: {mode: incremental, timestamp_column: at}\n";
    let etl = Etl::new().file("data/orders.csv", "id,at\n1,2026-11-24T02:00:00Z\n");
    let machine = Machine::bare(etl.file("jobs/orders.yaml", format!("{keys}data_sources:\n{sources}")));
    machine.etl.run(&["run", "orders"]).exits(0);
    let lines = |arguments: &[&str]| shown(&machine, 80, "never", arguments);
    let run = lines(&["logs", "--run", "last"]);
    let row = "orders_of_the_shop_number_01  success     1  2026-11-24T02:00:00Z\n";
    assert!(run.contains("\nStream                        Status   Rows") && run.contains(row), "{run}");
    let left = "not shown in 80 columns: Target, Mode, Added, Updated, Unchanged, Rejected, In\n  target; `-o json` has them\n";
    assert!(run.contains(left), "{run}");
    let show = lines(&["show", "orders"]);
    assert!(show.contains("\nSource                        Cursor                Loaded  At (UTC)\n"), "{show}");
    let list = lines(&["list"]);
    assert!(list.contains("\nnot shown in 80 columns: ") && list.ends_with("; `-o csv` has them\n"), "{list}");
    assert!(!shown(&machine, 200, "never", &["list"]).contains("not shown"));
    assert!(!machine.etl.run(&["list"]).stdout.contains("not shown"), "only at a terminal");
}

#[test]
fn commands_and_paths_in_hints_stay_in_one_line() {
    let path = format!("data/{}/orders.csv", "a_folder_of_the_orders_of_every_shop".repeat(3));
    let etl =
        Etl::new().file(&format!("jobs/{JOB}.yaml"), format!("schedule_type: manual\nmax_retries: 0\ndata_sources:\n  - path: {path}\n"));
    let machine = Machine::bare(etl);
    let root = machine.etl.path("").display().to_string();
    let said = shown(&machine, 80, "never", &["run", JOB]);
    assert!(said.contains(&format!("{}/{path}", root.trim_end_matches('/'))), "{said}");
    let check = shown(&machine, 80, "never", &["check"]);
    assert!(check.contains(&format!("\n    etlsched logs {JOB} --run last\n")), "{check}");
}

#[test]
fn values_stay_whole_and_sentences_break_between_words() {
    let source = "data_sources:\n  - {name: orders_of_all_the_shops_of_the_company, path: data/orders.csv}\n";
    let etl = Etl::new().file("data/orders.csv", "id\n1\n");
    let machine = Machine::bare(etl.file("jobs/orders_of_the_shops.yaml", format!("schedule_type: hourly\n{source}")));
    machine.etl.run(&["run", "orders_of_the_shops"]).exits(0);
    let lines = |arguments: &[&str]| shown(&machine, 80, "never", arguments);
    let state = lines(&["state", "show"]);
    let row = "Source    orders_of_all_the_shops_of_the_company\n";
    assert!(state.contains(row), "{state}");
    for arguments in [&["show", "orders_of_the_shops", "--resolved"][..], &["report"]] {
        let text = lines(arguments);
        // A list of a job file can be copied as it is.
        assert!(text.lines().all(|line| line.width() <= 80 || line.starts_with("notify_on: [")), "{arguments:?}\n{text}");
        // Times differ from call to call.
        let is_word = |word: &&str| !word.contains(|sign: char| sign == '#' || sign.is_ascii_digit());
        let words = |text: &str| text.split_whitespace().filter(is_word).map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let whole = words(&machine.etl.run(arguments).exits(0).stdout);
        let broken: Vec<String> = words(&text).into_iter().filter(|word| !whole.contains(word)).collect();
        assert!(broken.is_empty(), "{arguments:?}: {broken:?} in\n{text}");
    }
}
