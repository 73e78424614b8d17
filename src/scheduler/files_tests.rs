//! Whole files of the schedulers that take files, and what each of them can't be told.

use super::crontab_tests::{entries, host};
use super::entries_tests::entry;
use super::kubernetes::Kubernetes;
use super::launchd::Launchd;
use super::systemd::{Systemd, calendar};
use super::windows::Windows;
use super::{EXPORTERS, Entry, Exporter, Host, Scope, entries as lines};
use crate::schedule::{Schedule, TimeOfDay};
use crate::zone::Zone;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn windows_host() -> Host {
    Host {
        program: r"C:\Program Files\etlsched.exe".to_owned(),
        workspace: r"C:\R&D\etl jobs\".to_owned(),
        user: r"ACME\etl".to_owned(),
        ..host("UTC")
    }
}

fn shared_host() -> Host {
    Host { is_store_shared: true, ..host("UTC") }
}

fn cron(line: &str) -> Schedule {
    Schedule::Cron(line.to_owned())
}

/// The files in order, each behind its name.
#[track_caller]
fn rendered(exporter: &dyn Exporter, entries: &[Entry], host: &Host) -> String {
    let files = exporter.render(entries, host).unwrap_or_else(|problems| panic!("{exporter:?}: {problems:#?}"));
    files.iter().map(|file| format!("== {}\n{}", file.name, file.text())).collect()
}

#[track_caller]
fn refuses(exporter: &dyn Exporter, entries: &[Entry], host: &Host, expected: &[(Option<&str>, &str, &str)]) {
    let problems = exporter.render(entries, host).expect_err("it is refused");
    let found: Vec<_> = problems.iter().map(|problem| (problem.job.as_deref(), problem.message.as_str(), problem.hint.as_str())).collect();
    assert_eq!(found, expected, "{exporter:?}");
}

#[test]
fn systemd_gets_a_service_and_a_timer_for_each_job() {
    let expected = format!(
        "== etlsched-1a2b3c4d-flights.service
# etlsched-1a2b3c4d-flights.service: made by etlsched {VERSION} with tzdata 2026f of /usr/share/zoneinfo
[Unit]
Description=etlsched job flights

[Service]
Type=oneshot
ExecStart=/usr/bin/etlsched -C /srv/etl run flights --scheduled
# The run ends its workers itself
KillMode=mixed
# Stopped by systemctl or a shutdown: cancelled, not failed
SuccessExitStatus=143
== etlsched-1a2b3c4d-flights.timer
# etlsched-1a2b3c4d-flights.timer: made by etlsched {VERSION} with tzdata 2026f of /usr/share/zoneinfo
[Unit]
Description=etlsched job flights: Daily at 02:30, Europe/Berlin

[Timer]
OnCalendar=*-*-* 00,01:30:00 UTC
OnCalendar=*-*-* 01:00:00 UTC
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
"
    );
    assert_eq!(rendered(&Systemd, &entries()[..1], &host("America/New_York")), expected);
}

#[test]
fn systemd_of_all_names_the_user_and_quotes_paths() {
    let host = Host { scope: Scope::System, workspace: "/srv/my $etl 100%\\\"".to_owned(), ..host("UTC") };
    let text = rendered(&Systemd, &entries()[..1], &host);
    let line = r#"ExecStart=/usr/bin/etlsched -C "/srv/my $$etl 100%%\\\"" run flights --scheduled"#;
    assert!(text.contains(&format!("Type=oneshot\nUser=etl\n{line}\n")), "{text}");
    let hint = "name the user: --user etl";
    let message = "\"etl\\nExecStart=/bin/evil\" is no name of a user";
    refuses(&Systemd, &entries()[..1], &Host { user: "etl\nExecStart=/bin/evil".to_owned(), ..host }, &[(None, message, hint)]);
}

#[test]
fn systemd_s_calendar_has_every_field() {
    let one =
        |schedule, zone| lines::lines(&entry("job", schedule, zone), Zone::UTC, host("UTC").from).iter().map(calendar).collect::<Vec<_>>();
    assert_eq!(one(Schedule::Interval { every_minutes: 30, minute: 5 }, "UTC"), ["*-*-* *:05,35:00 UTC"]);
    assert_eq!(one(cron("0 8 1 */3 *"), "Asia/Tokyo"), ["*-03,06,09,12-30,31 23:00:00 UTC"]);
    assert_eq!(one(cron("0 5 13 * fri,sun"), "UTC"), ["*-*-13 05:00:00 UTC", "Sun,Fri *-*-* 05:00:00 UTC"]);
}

#[test]
fn windows_gets_a_task_for_each_job() {
    let expected = format!(
        r#"== etlsched-1a2b3c4d-flights.xml
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <URI>\etlsched-1a2b3c4d\flights</URI>
    <Source>etlsched {VERSION}</Source>
    <Description>flights: Daily at 02:30, Europe/Berlin; made with tzdata 2026f of /usr/share/zoneinfo</Description>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <Enabled>true</Enabled>
      <StartBoundary>2024-01-01T00:30:00Z</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
    <CalendarTrigger>
      <Enabled>true</Enabled>
      <StartBoundary>2024-01-01T01:00:00Z</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
    <CalendarTrigger>
      <Enabled>true</Enabled>
      <StartBoundary>2024-01-01T01:30:00Z</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>Parallel</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT70M</ExecutionTimeLimit>
  </Settings>
  <Principals>
    <Principal id="Author">
      <UserId>ACME\etl</UserId>
      <LogonType>S4U</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Actions Context="Author">
    <Exec>
      <Command>C:\Program Files\etlsched.exe</Command>
      <Arguments>-C "C:\R&amp;D\etl jobs\\" run flights --scheduled</Arguments>
    </Exec>
  </Actions>
</Task>
"#
    );
    let found = rendered(&Windows, &entries()[..1], &windows_host());
    assert!(found.contains("\r\n") && !found.replace("\r\n", "").contains('\r'), "line ends of Windows");
    assert_eq!(found.replace("\r\n", "\n"), expected);
}

#[test]
fn a_task_is_utf_16_with_its_mark() {
    let files = Windows.render(&entries()[..1], &windows_host()).unwrap();
    assert_eq!(files[0].bytes[..6], [0xff, 0xfe, b'<', 0, b'?', 0]);
    assert_eq!(files[0].bytes.len() % 2, 0);
}

#[test]
fn minutes_of_every_hour_are_one_repeated_trigger() {
    let starts = |schedule, zone: &str| -> Vec<String> {
        let text = rendered(&Windows, &[entry("job", schedule, zone)], &windows_host());
        let found = text.split("<TimeTrigger>").skip(1);
        let between = |text: &str, from: &str, to: &str| {
            text.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap_or_default().to_owned()
        };
        found.map(|trigger| format!("{} {}", between(trigger, "T00:", ":00Z"), between(trigger, "<Interval>", "<"))).collect()
    };
    assert_eq!(starts(Schedule::Interval { every_minutes: 15, minute: 7 }, "UTC"), ["07 PT15M"]);
    assert_eq!(starts(Schedule::Interval { every_minutes: 60, minute: 15 }, "Australia/Lord_Howe"), ["15 PT30M"]);
    assert_eq!(starts(Schedule::Interval { every_minutes: 60, minute: 5 }, "UTC"), ["05 PT1H"]);
    assert_eq!(starts(cron("5,10 * * * *"), "UTC"), ["05 PT1H", "10 PT1H"]);
}

#[test]
fn what_a_task_can_t_say_is_refused() {
    let busy = [entry("busy", cron("*/5 1-5 * * *"), "UTC")];
    let message = "it needs 60 triggers, and a task has at most 48: Cron */5 1-5 * * *, UTC";
    let hint = "set catch_up_wakeups: hourly, which needs one for each of its minutes";
    refuses(&Windows, &busy, &windows_host(), &[(Some("busy"), message, hint)]);
    let hint = "move it to a path without it";
    for (path, sign) in [(r"C:\100%\etl", "%"), (r"C:\$(Arg0)", "$("), ("C:\\a\"b", "\\\"")] {
        let message = format!("the workspace's path {path:?} has \"{sign}\", which the task scheduler replaces");
        refuses(&Windows, &entries()[..1], &Host { workspace: path.to_owned(), ..windows_host() }, &[(None, &message, hint)]);
    }
    let long = format!(r"C:\{}", "e".repeat(258));
    let message = "the program's path has 261 characters, and a task takes at most 260";
    refuses(&Windows, &entries()[..1], &Host { program: long, ..windows_host() }, &[(None, message, "move the program to a shorter path")]);
}

#[test]
fn a_task_that_waits_has_no_time_limit() {
    let waiting = [Entry { on_overlap: "wait", ..entries().swap_remove(0) }];
    assert!(rendered(&Windows, &waiting, &windows_host()).contains("<ExecutionTimeLimit>PT0S<"));
    assert!(!rendered(&Kubernetes, &waiting, &shared_host()).contains("activeDeadlineSeconds"));
}

#[test]
fn kubernetes_gets_a_cron_job_for_each_line() {
    let manifest = |name: &str, schedule: &str| {
        format!(
            r#"---
# sales_eu: Daily at 02:30, Europe/Berlin; made by etlsched {VERSION} with tzdata 2026f of /usr/share/zoneinfo
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: etlsched
  annotations:
    etlsched/job: "sales_eu"
spec:
  timeZone: Etc/UTC
  schedule: "{schedule}"
  concurrencyPolicy: Allow
  startingDeadlineSeconds: 21600
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: 4200
      template:
        metadata:
          labels:
            app.kubernetes.io/name: etlsched
        spec:
          restartPolicy: Never
          containers:
            - name: etlsched
              image: "registry.example.org/etlsched:1"
              command: ["/usr/bin/etlsched"]
              args: ["-C", "/srv/etl", "run", "sales_eu", "--scheduled"]
              envFrom:
                - secretRef:
                    name: etlsched
                    optional: true
"#
        )
    };
    let (first, second) = ("etlsched-sales-eu--0abb0838", "etlsched2-sales-eu--0abb0838");
    let expected = format!("== etlsched-sales_eu.yaml\n{}{}", manifest(first, "30 0,1 * * *"), manifest(second, "0 1 * * *"));
    let job = Entry { job: "sales_eu".to_owned(), ..entries().swap_remove(0) };
    assert_eq!(rendered(&Kubernetes, &[job], &shared_host()), expected);
}

#[test]
fn starts_are_made_up_for_as_long_as_the_controller_counts_them() {
    let of = |schedule| rendered(&Kubernetes, &[entry("job", schedule, "UTC")], &shared_host());
    assert!(of(cron("* * * * *")).contains("startingDeadlineSeconds: 5400\n"));
    assert!(of(Schedule::Interval { every_minutes: 15, minute: 0 }).contains("startingDeadlineSeconds: 21600\n"));
}

#[test]
fn what_kubernetes_can_t_be_told_is_refused() {
    let message = "the state store is a file, and Kubernetes starts runs on several hosts";
    refuses(&Kubernetes, &entries(), &host("UTC"), &[(None, message, "write state: postgresql://... into etlsched.yaml")]);
    let hint = "name it: --image registry.example.org/etlsched:1";
    refuses(&Kubernetes, &entries(), &Host { image: "a b".to_owned(), ..shared_host() }, &[(None, "\"a b\" is no name of an image", hint)]);
    let text = rendered(&Kubernetes, &entries()[..1], &Host { workspace: "/srv/\"]: {x} # ".to_owned(), ..shared_host() });
    assert!(text.contains(r##"args: ["-C", "/srv/\"]: {x} # ", "run", "flights", "--scheduled"]"##), "{text}");
}

#[test]
fn launchd_gets_a_list_for_each_job_with_the_minutes_of_every_hour() {
    let expected = format!(
        r#"== etlsched.1a2b3c4d.a--b.plist
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- a- - b: Daily at 02:30, Europe/Berlin; made by etlsched {VERSION} for America/New_York with tzdata 2026f of /usr/share/zoneinfo -->
<plist version="1.0">
<dict>
    <key>Label</key>
    <string>etlsched.1a2b3c4d.a--b</string>
    <key>ProgramArguments</key>
    <array>
        <string>/usr/bin/etlsched</string>
        <string>-C</string>
        <string>/Users/R&amp;D/&lt;etl&gt;</string>
        <string>run</string>
        <string>a--b</string>
        <string>--scheduled</string>
    </array>
    <key>RunAtLoad</key>
    <true/>
    <key>StartCalendarInterval</key>
    <array>
        <dict>
            <key>Minute</key>
            <integer>0</integer>
        </dict>
        <dict>
            <key>Minute</key>
            <integer>30</integer>
        </dict>
    </array>
</dict>
</plist>
"#
    );
    let job = Entry { job: "a--b".to_owned(), ..entries().swap_remove(0) };
    let host = Host { workspace: "/Users/R&D/<etl>".to_owned(), ..host("America/New_York") };
    assert_eq!(rendered(&Launchd, &[job], &host), expected);
}

#[test]
fn schedulers_that_start_no_job_beside_itself_refuse_jobs_that_see_overlaps() {
    for (exporter, name) in [(&Systemd as &dyn Exporter, "systemd"), (&Launchd, "launchd")] {
        let jobs: Vec<Entry> =
            ["wait", "fail"].into_iter().map(|on_overlap| Entry { on_overlap, ..entry(on_overlap, cron("0 5 * * *"), "UTC") }).collect();
        let message = |word: &str| format!("on_overlap: {word} has no effect, since {name} doesn't start a job that runs");
        let hint = "set on_overlap: skip, or use a crontab";
        refuses(exporter, &jobs, &host("UTC"), &[(Some("wait"), &message("wait"), hint), (Some("fail"), &message("fail"), hint)]);
    }
}

#[test]
fn every_scheduler_refuses_paths_of_another_system_and_control_characters() {
    for exporter in EXPORTERS.iter().filter(|exporter| exporter.name() != "crontab") {
        let (own, foreign) = if exporter.name() == "windows" { (windows_host(), "/srv/etl") } else { (shared_host(), r"C:\etl") };
        let with = |workspace: &str| exporter.render(&entries()[..1], &Host { workspace: workspace.to_owned(), ..own.clone() });
        let messages = |workspace: &str| with(workspace).unwrap_err().into_iter().map(|problem| problem.message).collect::<Vec<_>>();
        assert_eq!(messages(foreign), [format!("the workspace's path {foreign:?} is none of that scheduler's system")], "{exporter:?}");
        for sign in ['\n', '\r', '\0', '\u{7f}', '\u{85}', '\u{202e}', '\u{2028}'] {
            let path = format!("{}{sign}", own.workspace);
            assert_eq!(messages(&path), [format!("the workspace's path {path:?} has {sign:?}")], "{exporter:?}");
        }
        assert!(with(&own.workspace).is_ok(), "{exporter:?}");
    }
}

#[test]
fn a_job_that_is_not_due_for_years_is_refused_where_it_would_be_an_empty_file() {
    let leap = [entry("leap", cron("0 5 29 2 *"), "UTC")];
    let hint = "set schedule_type: manual until then";
    let message = "it is not due within the next five years: Cron 0 5 29 2 *, UTC";
    let at_2097 = |host: Host| Host { from: "2097-01-01T00:00:00Z".parse().unwrap(), ..host };
    for (exporter, host) in
        [(&Systemd as &dyn Exporter, host("UTC")), (&Windows, windows_host()), (&Kubernetes, shared_host()), (&Launchd, host("UTC"))]
    {
        refuses(exporter, &leap, &at_2097(host), &[(Some("leap"), message, hint)]);
    }
}

#[test]
fn woken_jobs_have_every_hour_everywhere() {
    let woken = [Entry { is_woken_hourly: true, ..entry("job", Schedule::Daily(TimeOfDay { hour: 6, minute: 10 }), "Europe/Berlin") }];
    assert!(rendered(&Systemd, &woken, &host("UTC")).contains("OnCalendar=*-*-* *:10:00 UTC\nAccuracySec"));
    assert!(rendered(&Windows, &woken, &windows_host()).contains("<Interval>PT1H</Interval>"));
    assert!(rendered(&Kubernetes, &woken, &shared_host()).contains("schedule: \"10 * * * *\""));
}
