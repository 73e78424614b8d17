//! `examples/session.txt` is what a session prints: its commands are run in a fresh folder, and what they print is compared with the
//! text. `ETLSCHED_SESSION=write cargo test --test it session` writes it anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::etl::{Etl, repository};

/// What is typed. A line that begins with `#` is a remark.
const TYPED: &str = "\
# A workspace that runs at once
etlsched init demo
cd demo
etlsched validate
etlsched source schema example
etlsched run example
sqlite3 -header -column .etlsched/warehouse.db 'SELECT name, founded FROM cities LIMIT 2'
etlsched logs

# A row that can't be loaded is kept aside and told; it is never dropped in silence
echo 'Atlantis,GR,,never' >> data/cities.csv
etlsched run example
etlsched logs --run last
cat .etlsched/rejects/*/cities.csv

# A mistake in a job file, with its place and a hint
sed -i 's/hour: 6 /hour: 36/' jobs/example.yaml
etlsched validate
sed -i 's/hour: 36/hour: 6 /' jobs/example.yaml

# A source that is gone: the table stays as it was
mv data/cities.csv cities.csv
etlsched run example
etlsched check
etlsched status
mv cities.csv data/cities.csv
etlsched run example --retry-failed

# A second job, in the zone of its readers; on 14 March 2027 their clocks skip 02:30
printf 'sku,price\\nA1,9.50\\nB2,12.00\\n' > data/prices.csv
etlsched create prices --path data/prices.csv --schedule daily --hour 2 --minute 30 --timezone America/New_York
etlsched next prices -n 3 --from 2027-03-13
etlsched schedule export --format crontab --host-zone UTC

# Who did what
etlsched pause prices
etlsched run prices
etlsched audit
";

#[test]
fn the_session_that_is_shown_is_what_the_program_prints() {
    let path = repository().join("examples/session.txt");
    let fresh = session();
    if std::env::var_os("ETLSCHED_SESSION").is_some_and(|value| value == "write") {
        std::fs::write(&path, &fresh).expect("the session can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fix = "run `ETLSCHED_SESSION=write cargo test --test it session` and commit what it writes";
    for (fresh, kept) in fresh.lines().zip(kept.lines()) {
        assert_eq!(canonical(fresh), canonical(kept), "examples/session.txt is not what this build prints: {fix}");
    }
    assert_eq!(fresh.lines().count(), kept.lines().count(), "examples/session.txt has other lines than this build prints: {fix}");
}

fn session() -> String {
    let etl = Etl::new();
    std::fs::remove_dir(etl.path("jobs")).expect("an empty folder");
    let mut folder = etl.path("");
    let mut text = String::new();
    for line in TYPED.lines() {
        if line.is_empty() || line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
            continue;
        }
        text.push_str(&format!("$ {line}\n"));
        match line.strip_prefix("cd ") {
            Some(inner) => folder.push(inner),
            None => text.push_str(&answer(&etl, &folder, line)),
        }
    }
    text
}

/// Returns what a terminal shows of a command: log lines are for those who have none.
fn answer(etl: &Etl, folder: &Path, line: &str) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_etlsched"));
    let path = format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder)
        .envs(line.starts_with("etlsched schedule").then_some(("ETLSCHED_NOW", "2027-01-01T00:00:00Z")))
        .stdin(Stdio::null())
        .output()
        .expect("sh starts");
    let is_log = |line: &&str| line.contains(" event=");
    let said = String::from_utf8(output.stderr).expect("text");
    let said: String = said.lines().filter(|line| !is_log(line)).map(|line| format!("{line}\n")).collect();
    let text = format!("{}{said}", String::from_utf8(output.stdout).expect("text"));
    let text = text.replace(&program.display().to_string(), "/usr/local/bin/etlsched").replace(&folder.display().to_string(), "/srv/demo");
    let text = if line.starts_with("etlsched next") { text } else { measured(&etl.redact(&text)) };
    let text: String = text.lines().map(|line| format!("{}\n", nameless(line))).collect();
    match output.status.code() {
        Some(0) => text,
        code => format!("{text}(exit code {})\n", code.expect("no signal ended it")),
    }
}

/// Takes out what differs between machines: users, hosts, time zone databases, ids that are shortened.
fn nameless(line: &str) -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut line = match line.find("tzdata ") {
        Some(at) => format!("{}tzdata ...", &line[..at]),
        None => line.replace(&format!(" {user} "), " etl ").replace(&format!(" {} ", host.trim()), " db1 "),
    };
    // The clock of an execution log, and what stands for a workspace's path in the marks of its entries.
    if line.len() > 10 && line.starts_with("  ") && line.as_bytes()[4] == b':' && line.as_bytes()[7] == b':' {
        line.replace_range(2..10, "##:##:##");
    }
    if line.contains(" etlsched ########-")
        && let Some(at) = line.rfind('-')
    {
        line.replace_range(at + 1.., "########");
    }
    if let Some(at) = line.find("(process ") {
        let digits = line[at + 9..].bytes().take_while(u8::is_ascii_digit).count();
        line.replace_range(at + 9..at + 9 + digits, "#");
    }
    line
}

/// Puts `#` in the place of digits that are measured: before a unit, and in columns of measures.
fn measured(text: &str) -> String {
    let mut columns: Vec<(usize, usize)> = Vec::new();
    let mut redacted = String::new();
    for line in text.lines() {
        if line.contains("  ") && ["Seconds", "Took", "Rows/s"].iter().any(|name| line.contains(name)) && !line.starts_with("Took") {
            columns = ["Seconds", "Rows/s", "Memory", "Took"].iter().filter_map(|name| column(line, name)).collect();
        } else if line.is_empty() {
            columns.clear();
        }
        let characters: Vec<char> = line.chars().collect();
        for (at, character) in characters.iter().enumerate() {
            let is_measure = columns.iter().any(|(from, to)| (*from..*to).contains(&at))
                || is_before_unit(&characters, at)
                || is_short_id(&characters, at);
            redacted.push(if is_measure && character.is_ascii_hexdigit() && (character.is_ascii_digit() || is_short_id(&characters, at)) {
                '#'
            } else {
                *character
            });
        }
        redacted.push('\n');
    }
    redacted
}

/// Returns where a right-aligned column stands: from the end of the one before it to its own end.
fn column(header: &str, name: &str) -> Option<(usize, usize)> {
    let at = header.find(name)?;
    Some((header[..at].trim_end().len(), at + name.len()))
}

/// Whether a digit belongs to a number that a unit follows.
fn is_before_unit(characters: &[char], at: usize) -> bool {
    if !characters[at].is_ascii_digit() {
        return false;
    }
    let rest: String = characters[at..].iter().skip_while(|character| character.is_ascii_digit() || **character == '.').collect();
    [" s", " MB", " MiB", "m "]
        .iter()
        .any(|unit| rest.strip_prefix(unit).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase())))
}

/// Whether a sign belongs to the beginning of a run's id, as tables show it.
fn is_short_id(characters: &[char], at: usize) -> bool {
    let is_hex =
        |from: usize, count: usize| characters.get(from..from + count).is_some_and(|signs| signs.iter().all(char::is_ascii_hexdigit));
    (0..13).any(|back| {
        let Some(from) = at.checked_sub(back) else { return false };
        from + 13 <= characters.len() && is_hex(from, 8) && characters[from + 8] == '-' && is_hex(from + 9, 4)
    })
}

/// Returns a line without what the width of measures moves.
fn canonical(line: &str) -> String {
    let mut canonical = String::new();
    for character in line.chars() {
        let is_repeated = matches!(character, ' ' | '#') && canonical.ends_with(character);
        if !is_repeated {
            canonical.push(character);
        }
    }
    while canonical.contains("#.#") {
        canonical = canonical.replace("#.#", "#");
    }
    canonical.replace("#m #s", "# s").replace(" -", "-")
}

#[test]
fn lines_that_say_something_else_are_told_apart_and_measures_are_not() {
    let fast = measured("Run            Took  Rows\n01a224dc-5303  0.5 s     5\n\nexample: success, 5 rows in 0.55 s");
    let slow = measured("Run            Took   Rows\n01a224dd-5304  10.5 s     5\n\nexample: success, 5 rows in 12.01 s");
    assert_eq!(canonical(&fast), canonical(&slow));
    assert!(fast.contains("5 rows in #.## s") && fast.contains("########-####"), "{fast}");
    assert_ne!(canonical("5 rows"), canonical("6 rows"));
}
