//! Entries in the machine's own scheduler: what is theirs stays, what is ours is right, and whatever fails changes nothing.

mod cron;
pub mod fake;
mod units;

use fake::{Machine, job, strangers};

use crate::etl::Etl;

const INSTALLED: &str = "\
# BEGIN etlsched ID
# Made by etlsched 0.1.0 for /workspace
# Times of UTC
# daily: Daily at 06:00, America/New_York
0 10,11 * * * /bin/etlsched -C /workspace run daily --scheduled
# quarter: Every 15 minutes, UTC
0,15,30,45 * * * * /bin/etlsched -C /workspace run quarter --scheduled
# What became due while the host was down
@reboot /bin/etlsched -C /workspace run --due --scheduled
# END etlsched ID
";

#[test]
fn crontabs_of_strangers_come_through_install_and_remove_byte_for_byte() {
    for (path, bytes) in strangers() {
        let machine = Machine::new().with_crontab(&bytes);
        machine.schedule(&["install", "--yes"]).exits(0);
        let installed = machine.crontab().expect("a crontab");
        assert!(installed.starts_with(&bytes) && installed.len() > bytes.len() + 500, "{}: after install", path.display());
        machine.schedule(&["install", "--yes"]).exits(0).prints("2 jobs already in the crontab of etl, nothing to change\n");
        machine.schedule(&["status"]).exits(0).prints("the crontab of etl holds 2 jobs, as it should\n");
        assert_eq!(machine.crontab().as_deref(), Some(installed.as_slice()), "{}: after a second install", path.display());
        machine.etl.write("jobs/third.yaml", job("schedule_type: weekly\n"));
        machine.schedule(&["sync", "--yes"]).exits(0).prints("installed 3 jobs in the crontab of etl\n");
        machine.schedule(&["remove", "--yes"]).exits(0).prints("removed 3 jobs from the crontab of etl\n");
        assert_eq!(machine.crontab().as_deref(), Some(bytes.as_slice()), "{}: after remove", path.display());
    }
}

#[test]
fn a_crontab_program_that_wants_a_line_end_gets_one_and_the_user_is_told() {
    let machine = Machine::new().failing("strict").with_crontab("@reboot /x");
    machine.schedule(&["install", "--yes"]).exits(0);
    let ended = machine.schedule(&["remove", "--yes"]).exits(0);
    ended.mentions("note: the last line of the crontab has a line end now: this crontab program takes none without");
    assert_eq!(machine.crontab().as_deref(), Some(b"@reboot /x\n".as_slice()));
}

#[test]
fn install_shows_the_difference_then_says_what_it_did() {
    let machine = Machine::new();
    let difference: String = INSTALLED.lines().map(|line| format!("+{line}\n")).collect();
    let difference = format!("--- crontab, as it is\n+++ crontab, as it should be\n@@ -0,0 +1,10 @@\n{difference}");
    let warning = "warning: the entries start /bin/etlsched, in a build folder\n  hint: install it where it stays: \
                   cargo install --path . (or name it: --program PATH)\n";
    let ended = machine.schedule(&["install", "--yes"]).exits(0).prints("installed 2 jobs in the crontab of etl\n");
    let said = without_daemon(&ended.stderr);
    assert_eq!(said, format!("{difference}{warning}"));
    assert_eq!(machine.shown(), INSTALLED);
    machine.schedule(&["remove", "--yes"]).exits(0).prints("removed 2 jobs from the crontab of etl\n");
    assert_eq!(machine.crontab(), None, "there was none before");
    machine.schedule(&["remove", "--yes"]).exits(0).prints("no jobs of this workspace are in the crontab of etl\n");
}

/// Whether a cron daemon runs is the machine's own affair.
fn without_daemon(text: &str) -> String {
    let warning = "warning: no cron daemon runs on this machine: nothing is started until one does\n  hint: start it: systemctl start cron, or service cron start\n";
    text.replace(warning, "")
}

#[test]
fn a_dry_run_writes_nothing_and_nothing_is_changed_unasked() {
    let machine = Machine::new().with_crontab("0 0 * * * /x\n");
    let before = machine.etl.listing();
    let ended = machine.schedule(&["install", "--dry-run"]).exits(0);
    ended
        .mentions("+0 10,11 * * * /bin/etlsched -C /workspace")
        .mentions("would install 2 jobs in the crontab of etl; nothing was changed\n");
    let calls = std::fs::read_to_string(machine.etl.path("machine/calls")).expect("calls");
    assert_eq!(calls, "crontab -l\ncrontab -l\n");
    std::fs::remove_file(machine.etl.path("machine/calls")).expect("calls");
    assert_eq!(machine.etl.listing(), before);
    for action in ["install", "sync", "remove"] {
        machine.schedule(&[action]).exits(2).says("error: changing schedules needs a confirmation\nhint: add --yes\n");
    }
    assert_eq!(machine.etl.listing(), before);
}

/// Demands that every command that would change the crontab fails with these words, and that the crontab stays.
#[track_caller]
fn check_refused(machine: &Machine, expected: &str) {
    let before = machine.crontab();
    for action in ["install", "sync", "remove"] {
        let ended = machine.schedule(&[action, "--yes"]).exits(1);
        let error = ended.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>().join("\n");
        assert_eq!(error, expected, "{action}");
        assert_eq!(machine.crontab(), before, "{action}");
    }
}

#[test]
fn a_crontab_that_can_t_be_read_is_never_written() {
    let full = format!("0 0 * * * /x\n{}", "# BEGIN ANSIBLE\n");
    let check = |mode: &str, expected: &str| check_refused(&Machine::new().failing(mode).with_crontab(&full), expected);
    check(
        "denied",
        "error: reading the crontab of etl: exit code 1: You (etl) are not allowed to use this program (crontab); See crontab(1) for more \
         information\nhint: root allows it: a line root in /etc/cron.allow, none in /etc/cron.deny; or add --scheduler systemd",
    );
    check(
        "unreadable",
        "error: reading the crontab of etl: crontab -l failed with exit code 1: crontabs/etl/: fdopen: Permission denied\nhint: nothing is \
         written to a crontab that can't be read; see what `crontab -l` says",
    );
    check(
        "broken-pipe",
        "error: reading the crontab of etl: crontab -l failed with exit code 1: no crontab for etl, or is there\nhint: nothing is written to \
         a crontab that can't be read; see what `crontab -l` says",
    );
}

#[test]
fn a_crontab_program_that_hangs_is_stopped() {
    let machine = Machine::new().failing("hangs").with_crontab("0 0 * * * /x\n");
    machine
        .schedule(&["install", "--yes"])
        .exits(1)
        .says("error: running crontab did not end within 10s, so it was stopped\nhint: look what holds it up, then try again\n");
    assert_eq!(machine.crontab().as_deref(), Some(b"0 0 * * * /x\n".as_slice()));
}

#[test]
fn a_crontab_that_somebody_edits_at_the_same_moment_is_left_to_them() {
    let machine = Machine::new().failing("edited").with_crontab("0 0 * * * /x\n");
    let ended = machine.schedule(&["install", "--yes"]).exits(1);
    ended.mentions("error: the crontab of etl was changed by another program while this one ran; nothing was written\nhint: try again\n");
    assert_eq!(machine.shown(), "0 0 * * * /x\n1 2 3 4 5 /somebody/else\n");
}

#[test]
fn a_crontab_that_is_not_taken_or_not_as_it_was_given_is_told_with_the_way_back() {
    let machine = Machine::new().failing("full").with_crontab("0 0 * * * /x\n");
    let ended = machine.schedule(&["install", "--yes"]).exits(1);
    ended
        .mentions("error: changing the crontab of etl: crontab - failed with exit code 1: crontab: write error: No space left on device\n");
    assert_eq!(machine.crontab().as_deref(), Some(b"0 0 * * * /x\n".as_slice()));

    let machine = Machine::new().failing("drops").with_crontab("0 0 * * * /x\n");
    let ended = machine.schedule(&["install", "--yes"]).exits(1);
    ended
        .mentions("error: the crontab of etl is not what was given to crontab: it differs from line 10 on\n")
        .mentions("to put back what was there before: crontab /workspace");
    assert_eq!(std::fs::read(machine.etl.path(".etlsched/crontab.before")).expect("a copy"), b"0 0 * * * /x\n");
}

#[test]
fn a_header_that_the_crontab_program_adds_does_not_pile_up() {
    let machine = Machine::new().failing("header").with_crontab("0 0 * * * /x\n");
    for job in ["one", "two", "three"] {
        machine.etl.write(&format!("jobs/{job}.yaml"), fake::job("schedule_type: hourly\n"));
        machine.schedule(&["sync", "--yes"]).exits(0);
        assert_eq!(machine.shown().matches("DO NOT EDIT").count(), 1, "{}", machine.shown());
    }
    machine.schedule(&["remove", "--yes"]).exits(0);
    assert!(machine.shown().ends_with("3.0)\n0 0 * * * /x\n"), "{}", machine.shown());
}

#[test]
fn half_a_block_two_blocks_and_nested_ones_are_refused_with_their_lines() {
    let machine = Machine::new();
    machine.schedule(&["install", "--yes"]).exits(0);
    let block = String::from_utf8(machine.crontab().expect("a crontab")).expect("UTF-8");
    let (begin, end) = (block.lines().next().expect("a line").to_owned(), block.lines().last().expect("a line").to_owned());
    let check = |text: String, expected: &str| {
        machine.etl.write("machine/spool", &text);
        check_refused(&machine, expected);
        machine.schedule(&["status"]).exits(1).mentions("nothing was changed");
        machine.etl.run(&["delete", "daily", "--yes"]).exits(1).mentions("nothing was changed");
        assert!(machine.etl.path("jobs/daily.yaml").exists() && machine.crontab() == Some(text.into_bytes()));
    };
    check(
        format!("# x\n{begin}\n0 0 * * * /x\n"),
        "error: the crontab of etl: line 2 begins the block of this workspace, and no line ends it; nothing was changed\nhint: add the \
         missing END line, or take out what is left of the block by hand: crontab -e",
    );
    check(
        format!("{end}\n0 0 * * * /x\n"),
        "error: the crontab of etl: line 1 ends the block of this workspace, and no line begins it; nothing was changed\nhint: add the \
         missing BEGIN line, or take out what is left of the block by hand: crontab -e",
    );
    check(
        format!("{block}0 0 * * * /x\n{block}"),
        "error: the crontab of etl: lines 1 and 12 each begin a block of this workspace; nothing was changed\nhint: take out all of them but \
         one by hand: crontab -e",
    );
    check(
        format!("{begin}\n# BEGIN etlsched other\n{end}\n# END etlsched other\n"),
        "error: the crontab of etl: line 2 is a marker inside of the block that line 1 begins; nothing was changed\nhint: part the two \
         blocks by hand: crontab -e",
    );
}

#[test]
fn a_path_that_cron_would_read_as_something_else_is_refused() {
    for (folder, sign) in [("my jobs", "' '"), ("100%", "'%'"), ("a;b", "';'"), ("it's", "'\\''"), ("a\nb", "'\\n'")] {
        let machine = Machine::new().with_crontab("0 0 * * * /x\n");
        machine.etl.write(&format!("{folder}/jobs/a.yaml"), job("schedule_type: daily\n"));
        let arguments = ["-C", folder, "schedule", "install", "--yes"];
        let ended = machine.etl.run(&arguments).exits(4);
        ended.mentions(sign).mentions("hint: move the workspace to a folder of letters, digits and");
        assert_eq!(machine.crontab().as_deref(), Some(b"0 0 * * * /x\n".as_slice()), "{folder}");
    }
}

#[test]
fn a_machine_without_a_scheduler_says_so() {
    let etl = Etl::new().file("jobs/a.yaml", job("schedule_type: daily\n")).env("PATH", "/nowhere").env("TZ", "UTC");
    etl.run(&["schedule", "install", "--yes"]).exits(1).says(
        "error: this machine has no scheduler: neither crontab nor systemctl is in PATH\nhint: install cron (Debian: apt-get install cron)\n",
    );
    etl.run(&["schedule", "install", "--yes", "--scheduler", "crontab"]).exits(1).says(
        "error: running crontab: there is no such program\nhint: install cron (Debian: apt-get install cron), or add --scheduler systemd\n",
    );
}

#[test]
fn a_block_that_is_left_of_an_older_store_is_told() {
    let machine = Machine::new();
    machine.schedule(&["install", "--yes"]).exits(0);
    std::fs::remove_dir_all(machine.etl.path(".etlsched")).expect("a folder");
    let ended = machine.schedule(&["install", "--yes"]).exits(0);
    ended
        .mentions("warning: line 1 of the crontab of etl begins another block of this folder, ########")
        .mentions("hint: it was made before .etlsched was removed; take it out by hand: crontab -e\n");
}

#[test]
fn install_takes_the_jobs_named_and_sync_takes_out_what_is_gone() {
    let machine = Machine::new();
    machine.schedule(&["install", "quarter", "--yes"]).exits(0).prints("installed 1 job in the crontab of etl\n");
    assert!(!machine.shown().contains("run daily"));
    machine.schedule(&["install", "daily", "--yes"]).exits(0).prints("installed 2 jobs in the crontab of etl\n");
    assert_eq!(machine.shown(), INSTALLED);
    // A job whose file has errors keeps its entry, whatever is done; one that is gone loses it by sync alone.
    machine.etl.write("jobs/daily.yaml", "schedule_type: daily\nhour: 99\n");
    machine.schedule(&["sync", "--yes"]).exits(3).mentions("jobs whose files have errors keep the entries that they have");
    assert_eq!(machine.shown(), INSTALLED);
    machine.schedule(&["status"]).exits(10).mentions("job daily: it has an entry, and its file has errors\n");
    let rows = "job,state,scheduler,place,in_step\ndaily,broken,crontab,the crontab of etl,false\nquarter,installed,crontab,the crontab of etl,false\n";
    machine.schedule(&["status", "-o", "csv"]).exits(10).prints(rows);
    std::fs::remove_file(machine.etl.path("jobs/daily.yaml")).expect("a file");
    machine.schedule(&["install", "--yes"]).exits(0).prints("2 jobs already in the crontab of etl, nothing to change\n");
    machine.schedule(&["status"]).exits(10).mentions("job daily: it has an entry and is not scheduled any more\n");
    machine.schedule(&["status", "-o", "csv"]).exits(10).mentions("\ndaily,orphan,crontab,").mentions("\nquarter,installed,crontab,");
    machine.schedule(&["sync", "--yes"]).exits(0).prints("installed 1 job in the crontab of etl, removed 1\n");
    assert!(!machine.shown().contains("run daily") && machine.shown().contains("run quarter"));
}

#[test]
fn pausing_and_disabling_leave_entries_and_what_is_inactive_gets_none() {
    let machine = Machine::new();
    machine.etl.write("jobs/by_hand.yaml", job("schedule_type: manual\n"));
    machine.etl.write("jobs/off.yaml", job("schedule_type: daily\nis_active: false\n"));
    machine
        .schedule(&["install", "--yes"])
        .exits(0)
        .mentions("job by_hand: left out, it runs by hand only\njob off: left out, its file says");
    machine.etl.run(&["pause", "daily"]).exits(0);
    machine.etl.run(&["disable", "quarter"]).exits(0);
    machine.schedule(&["sync", "--yes"]).exits(0);
    assert_eq!(machine.shown(), INSTALLED);
    machine.schedule(&["remove", "--yes"]).exits(0);
    machine.schedule(&["install", "--yes"]).exits(0).mentions("job quarter: left out, it is disabled\n");
    assert!(!machine.shown().contains("run quarter") && machine.shown().contains("run daily"));
    machine.schedule(&["install", "by_hand", "--yes"]).exits(2).mentions("job by_hand: it runs by hand only, so no scheduler starts it");
    machine.schedule(&["install", "off", "--yes"]).exits(6).mentions("hint: set is_active: true there");
    machine.schedule(&["install", "quarter", "--yes"]).exits(6).mentions("hint: to let it run: etlsched enable quarter");
    machine.schedule(&["install", "dailyy", "--yes"]).exits(2).mentions("hint: did you mean daily?");
}

#[test]
fn a_deleted_job_loses_its_entry_and_no_other_line_changes() {
    let machine = Machine::new().with_crontab("0 0 * * * /x\n");
    machine.schedule(&["install", "--yes"]).exits(0);
    let ended = machine.etl.run(&["delete", "daily", "--yes"]).exits(0);
    assert!(ended.stdout.starts_with("deleted jobs/daily.yaml and its entry in the crontab of "), "{}", ended.stdout);
    let expected: String = INSTALLED.split_inclusive('\n').filter(|line| !line.contains("daily")).collect();
    assert_eq!(machine.shown(), format!("0 0 * * * /x\n{expected}"));
    machine.etl.run(&["delete", "quarter", "--yes"]).exits(0);
    assert_eq!(machine.shown(), "0 0 * * * /x\n");
}

#[test]
fn who_may_have_no_crontab_can_delete_jobs_all_the_same() {
    let machine = Machine::new().failing("denied");
    machine.etl.run(&["pause", "daily"]).exits(0);
    let ended = machine.etl.run(&["delete", "daily", "--yes"]).exits(0).prints("deleted jobs/daily.yaml\n");
    ended
        .mentions("warning: whether job daily has an entry is unknown: reading the crontab of ")
        .mentions("are not allowed to use this program");
    assert!(!machine.etl.path("jobs/daily.yaml").exists());
}

#[test]
fn drift_is_shown_line_by_line() {
    let machine = Machine::new();
    machine.schedule(&["status", "-o", "csv"]).exits(10).mentions("\ndaily,missing,crontab,the crontab of etl,false\n");
    machine.schedule(&["status"]).exits(10).mentions("job daily: it is not in the crontab of etl\njob quarter: it is not");
    machine.schedule(&["install", "--yes"]).exits(0);
    let installed = machine.crontab().expect("a crontab");
    let text = String::from_utf8(installed.clone()).expect("UTF-8");
    machine.etl.write("machine/spool", text.replace("0 10,11 * * *", "0 9 * * *"));
    let ended = machine.schedule(&["status"]).exits(10);
    ended
        .mentions("-0 9 * * * /bin/etlsched -C /workspace")
        .mentions("+0 10,11 * * * /bin/etlsched -C /workspace")
        .mentions("to make it so: etlsched schedule sync\n");
    // The host's clock is somewhere else now.
    machine.etl.write("machine/spool", &installed);
    let ended = machine.schedule(&["status", "--host-zone", "America/New_York"]).exits(10);
    ended
        .mentions("the entries were made for a clock in UTC, and this machine's is in America/New_York\n")
        .mentions("-# Times of UTC\n+# Times of America/New_York\n");
    // The rules have changed.
    let old = text.replace("by tzdata ", "by tzdata 2019a, then ");
    machine.etl.write("machine/spool", &old);
    machine.schedule(&["status"]).exits(10).mentions("the entries were made by the rules of tzdata 2019a, then ");
    let status = machine.etl.run(&["schedule", "status", "--output", "json"]).exits(10).json();
    assert_eq!((&status["in_step"], &status["jobs"]), (&false.into(), &serde_json::json!(["daily", "quarter"])));
    assert_eq!(status["reasons"].as_array().map(Vec::len), Some(1), "{status}");
}

#[test]
fn what_install_does_is_in_the_store_and_in_json() {
    let machine = Machine::new();
    let install = machine.etl.run(&["schedule", "install", "--yes", "--output", "json"]).exits(0).json();
    let facts = ["success", "scheduler", "changed", "dry_run", "jobs", "removed"].map(|key| install[key].to_string());
    assert_eq!(facts, ["true", "\"crontab\"", "true", "false", "[\"daily\",\"quarter\"]", "[]"]);
    assert!(install["diff"].as_str().is_some_and(|diff| diff.contains("+@reboot ")));
    let state = machine.etl.state();
    assert_eq!(state.rows("SELECT id FROM jobs WHERE schedule_noticed_at IS NOT NULL ORDER BY id"), ["daily", "quarter"]);
    std::fs::remove_file(machine.etl.path("jobs/daily.yaml")).expect("a file");
    let sync = machine.etl.run(&["schedule", "sync", "--yes", "--output", "json"]).exits(0).json();
    assert_eq!(sync["removed"], serde_json::json!(["daily"]));
    let remove = machine.etl.run(&["schedule", "remove", "--yes", "--output", "json"]).exits(0).json();
    assert_eq!(remove["removed"], serde_json::json!(["quarter"]));
    assert_eq!(
        state.rows("SELECT action || ' ' || job FROM audit ORDER BY id"),
        ["schedule install daily", "schedule install quarter", "schedule sync quarter", "schedule remove daily", "schedule remove quarter"]
    );
}

#[test]
fn two_workspaces_that_install_at_once_both_get_their_block() {
    let machine = Machine::new().with_crontab("0 0 * * * /x\n");
    machine.etl.write("other/jobs/other.yaml", job("schedule_type: daily\n"));
    let start = |arguments: &[&str]| machine.etl.command(arguments).spawn().expect("the program starts");
    let both = [start(&["schedule", "install", "--yes"]), start(&["-C", "other", "schedule", "install", "--yes"])];
    for process in both {
        let output = process.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let shown = machine.shown();
    assert_eq!((shown.matches("# BEGIN etlsched ID\n").count(), shown.matches(" run daily ").count()), (2, 1), "{shown}");
    assert!(shown.starts_with("0 0 * * * /x\n") && shown.contains(" run other --scheduled\n"), "{shown}");
}

#[test]
fn a_zone_set_above_the_block_is_refused_by_cronie_alone_and_one_below_is_none_of_ours() {
    let crontab = "MAILTO=a@b.c\nCRON_TZ=Asia/Tokyo\n0 6 * * * /x\n";
    let machine = Machine::new().failing("cronie").with_crontab(crontab);
    let refused = "error: line 2 of the crontab of etl sets CRON_TZ, by which cronie moves every line below it\n\
                   hint: move it and the lines that need it below the block, or add --scheduler systemd\n";
    machine.schedule(&["install", "--yes"]).exits(1).prints("").mentions(refused);
    assert_eq!(machine.shown(), crontab);
    let machine = Machine::new();
    machine.schedule(&["install", "--yes"]).exits(0);
    let installed = String::from_utf8(machine.crontab().expect("a crontab")).expect("text");
    let machine = machine.failing("cronie").with_crontab(format!("{installed}{crontab}"));
    assert!(!machine.schedule(&["status"]).exits(0).stderr.contains("CRON_TZ"));
    let machine = machine.with_crontab(format!("{crontab}{installed}"));
    machine.schedule(&["status"]).mentions("line 2 of the crontab of etl sets CRON_TZ, by which cronie moves every line below it");
}
