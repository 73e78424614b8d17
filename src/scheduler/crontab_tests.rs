//! Whole blocks, and what is refused.

use super::crontab::{Crontab, body};
use super::entries_tests::entry;
use super::{Entry, Exporter as _, Host, Scope, Unsupported};
use crate::schedule::{Schedule, TimeOfDay};
use crate::zone::Zone;

pub(super) fn host(zone: &str) -> Host {
    Host {
        zone: Zone::parse(zone).unwrap(),
        program: "/usr/bin/etlsched".to_owned(),
        workspace: "/srv/etl".to_owned(),
        id: "0b6e5c1e-8a44-4b3a-9f6e-3c9d5f1e2a77-1a2b3c4d".to_owned(),
        tzdata: "tzdata 2026f of /usr/share/zoneinfo".to_owned(),
        user: "etl".to_owned(),
        environment: Vec::new(),
        is_store_shared: false,
        scope: Scope::User,
        image: "registry.example.org/etlsched:1".to_owned(),
        from: "2026-11-24T03:00:00Z".parse().unwrap(),
    }
}

pub(super) fn entries() -> Vec<Entry> {
    let daily = Schedule::Daily(TimeOfDay { hour: 2, minute: 30 });
    let weekly = Schedule::Weekly(vec![0, 3], TimeOfDay { hour: 6, minute: 10 });
    vec![
        entry("flights", daily, "Europe/Berlin"),
        entry("prices", Schedule::Interval { every_minutes: 15, minute: 7 }, "UTC"),
        Entry { is_woken_hourly: true, ..entry("sales_eu", weekly, "Europe/Paris") },
    ]
}

#[track_caller]
fn refuses(host: &Host, entries: &[Entry], expected: &[(&str, &str)]) {
    let problems = body(entries, host).expect_err("it is refused");
    let found: Vec<(&str, &str)> = problems.iter().map(|Unsupported { message, hint, .. }| (message.as_str(), hint.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_block_has_a_comment_and_the_lines_of_each_job() {
    let host = Host { environment: vec![("MAILTO".to_owned(), "ops@example.org".to_owned())], ..host("UTC") };
    let files = Crontab.render(&entries(), &host).unwrap();
    let text = String::from_utf8(files[0].bytes.clone()).unwrap();
    let expected = format!(
        "# BEGIN etlsched 0b6e5c1e-8a44-4b3a-9f6e-3c9d5f1e2a77-1a2b3c4d
# Made by etlsched {} for /srv/etl
# Times of UTC, by tzdata 2026f of /usr/share/zoneinfo
MAILTO=ops@example.org
# flights: Daily at 02:30, Europe/Berlin
30 0,1 * * * /usr/bin/etlsched -C /srv/etl run flights --scheduled
0 1 * * * /usr/bin/etlsched -C /srv/etl run flights --scheduled
# prices: Every 15 minutes from minute 7, UTC
7,22,37,52 * * * * /usr/bin/etlsched -C /srv/etl run prices --scheduled
# sales_eu: Weekly on Monday and Thursday at 06:10, Europe/Paris, woken hourly
10 * * * * /usr/bin/etlsched -C /srv/etl run sales_eu --scheduled
# What became due while the host was down
@reboot /usr/bin/etlsched -C /srv/etl run --due --scheduled
# END etlsched 0b6e5c1e-8a44-4b3a-9f6e-3c9d5f1e2a77-1a2b3c4d
",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!((files.len(), files[0].name.as_str(), text), (1, "etlsched.crontab", expected));
}

#[test]
fn no_jobs_are_no_block() {
    assert_eq!(Crontab.render(&[], &host("UTC")), Ok(Vec::new()));
}

#[test]
fn paths_that_would_need_quoting_are_refused_with_a_remedy() {
    let workspace_hint = "move the workspace to a folder of letters, digits and ./_-+,@:=";
    let program_hint = "link the program to a path without it, and run that: ln -s PROGRAM /usr/local/bin/etlsched";
    for sign in
        [' ', '%', '\\', '"', '\'', '\n', '\t', '$', '`', '#', '*', '&', ';', '|', '<', '(', '~', '{', '\u{a0}', '\u{202e}', '\u{7f}']
    {
        let path = format!("/srv/e{sign}l");
        let message = |what: &str| format!("the {what}'s path {path:?} has {sign:?}, which cron or its shell reads as something else");
        refuses(&Host { workspace: path.clone(), ..host("UTC") }, &entries(), &[(&message("workspace"), workspace_hint)]);
        refuses(&Host { program: path.clone(), ..host("UTC") }, &entries(), &[(&message("program"), program_hint)]);
    }
    let message = "the program's path \"C:\\\\etl\\\\etlsched.exe\" doesn't begin with /, so cron can't start it";
    let hint = "name its path on the host with --program";
    refuses(&Host { program: r"C:\etl\etlsched.exe".to_owned(), ..host("UTC") }, &entries(), &[(message, hint)]);
}

/// What `sh` makes of the paths that are taken: themselves.
#[cfg(unix)]
#[test]
fn paths_that_are_taken_are_one_word_to_the_shell() {
    for path in ["/srv/etl", "/srv/Łódź/naïve/漢字/a.b_c-d+e,f@g:h=i", "/a=b"] {
        let host = Host { workspace: path.to_owned(), program: "/bin/echo".to_owned(), ..host("UTC") };
        let body = body(&entries(), &host).unwrap();
        let (_, command) = body.last().unwrap().split_once(' ').unwrap();
        let output = std::process::Command::new("/bin/sh").args(["-c", command]).env_clear().output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("-C {path} run --due --scheduled\n"));
    }
}

#[test]
fn commands_longer_than_cron_runs_are_refused() {
    let of_bytes = |bytes: usize| Host {
        workspace: format!("/{}", "w".repeat(bytes - "/usr/bin/etlsched -C / run flights --scheduled".len())),
        ..host("UTC")
    };
    assert!(body(&entries()[..1], &of_bytes(998)).is_ok());
    let message = "the command has 999 bytes, and cron runs at most 998";
    refuses(&of_bytes(999), &entries()[..1], &[(message, "move the workspace or the program to a shorter path")]);
}

#[test]
fn crontabs_longer_than_daemons_read_are_refused() {
    let many: Vec<Entry> = (0..3400).map(|number| Entry { job: format!("job-{number}"), ..entries().swap_remove(0) }).collect();
    let message = "the block has 10206 lines, and a crontab has at most 10000";
    refuses(&host("UTC"), &many, &[(message, "part the jobs among several workspaces")]);
    assert_eq!(body(&many[..3331], &host("UTC")).map(|body| body.len()), Ok(9997));
}

#[test]
fn variables_that_daemons_read_differently_are_refused() {
    let with = |name: &str, value: &str| Host { environment: vec![(name.to_owned(), value.to_owned())], ..host("UTC") };
    let disagree = "crontab_environment: cron daemons disagree on the value of PATH: empty, quoted, or with blanks around it";
    for value in ["", " /bin", "/bin ", "\"/bin\"", "'/bin'", "/bin\n* * * * * evil"] {
        refuses(&with("PATH", value), &entries(), &[(disagree, "write a value that needs no quotes")]);
    }
    let message = "crontab_environment: CRON_TZ would move every line of the block";
    refuses(&with("CRON_TZ", "UTC"), &entries(), &[(message, "leave it out: each job has its own timezone")]);
    let message = "crontab_environment: \"* * * * * evil\\nA\" is no name of a variable";
    refuses(&with("* * * * * evil\nA", "1"), &entries(), &[(message, "names are letters, digits and _")]);
    assert!(body(&entries(), &with("PATH", "/usr/local/bin:/usr/bin:/bin")).is_ok());
}
