//! The outbox on both back ends: who may send a letter, what is put off, closed and forgotten; the teller within the transaction.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use super::bench::{BackEnd, Home, on_both_back_ends};
use super::tests::{alive, at, end, job, moment, new_run, person};
use super::*;
use crate::process::Liveness;
use crate::run::RunStatus;

const POLICY: EndPolicy = EndPolicy { failure_threshold: 2, is_partial_counted: false, retention_days: 90, slot_now: DateTime::UNIX_EPOCH };

fn letter(recipient: &str) -> NewLetter {
    NewLetter {
        channel: "email".to_owned(),
        recipient: recipient.to_owned(),
        kind: "failure".to_owned(),
        body: "{\"secret\": false}".to_owned(),
        is_overtaking: false,
    }
}

fn told(cause: &str, at: DateTime<Utc>) -> Told {
    Told { kind: "missed".to_owned(), cause: cause.to_owned(), sources: vec!["a".to_owned()], at }
}

/// Tells something about the job `sales`, where it was not told yet.
fn tell_once(store: &mut Store, told: &Told, letters: &[NewLetter], now: DateTime<Utc>) -> bool {
    let of_sales = |letter: &NewLetter| ("sales".to_owned(), letter.clone());
    let decide = |known: &[(String, Told)]| {
        if known.iter().any(|(_, known)| known.cause == told.cause) {
            return LookTidings::default();
        }
        let told = vec![("sales".to_owned(), told.clone())];
        LookTidings { letters: letters.iter().map(of_sales).collect(), told, over: Vec::new() }
    };
    store.tell_by_look(&["missed"], now, &decide).unwrap() > 0
}

fn sender(pid: u32) -> Sender {
    Sender { host: "h".to_owned(), pid, process_start: "1".to_owned() }
}

fn gone(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Gone
}

fn unknown(_: &str, _: u32, _: &str) -> Liveness {
    Liveness::Unknown
}

/// A store with one letter to each recipient, written at second 0.
fn with(back_end: BackEnd, recipients: &[&str]) -> (Home, Store) {
    let home = Home::new(back_end);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    let letters: Vec<NewLetter> = recipients.iter().map(|recipient| letter(recipient)).collect();
    assert!(tell_once(&mut store, &told("2026-11-29", at(0)), &letters, at(0)));
    (home, store)
}

fn a_letter_is_one_process_s_until_that_ends(back_end: BackEnd) {
    let (_home, mut store) = with(back_end, &["ann@example.org"]);
    let letter = store.due_letters(at(1)).unwrap().remove(0);
    assert!(store.take_letter(&letter, &sender(1), &moment(1), &alive).unwrap());
    assert!(!store.take_letter(&letter, &sender(2), &moment(2), &alive).unwrap(), "the first one lives");
    assert!(store.take_letter(&letter, &sender(2), &moment(3), &gone).unwrap(), "the first one is gone");
    assert_eq!(store.due_letters(at(3)).unwrap()[0].attempt, 2);
}

fn a_letter_of_a_process_of_which_nothing_is_known_is_free_after_a_minute(back_end: BackEnd) {
    let (home, mut store) = with(back_end, &["ann@example.org"]);
    let letter = store.due_letters(at(1)).unwrap().remove(0);
    assert!(store.take_letter(&letter, &sender(1), &moment(1), &unknown).unwrap());
    assert!(!store.take_letter(&letter, &sender(2), &moment(50), &unknown).unwrap());
    if back_end == BackEnd::Postgresql {
        // A server's clock can't be set: what it read is made older.
        home.sql("UPDATE outbox SET leased_by = regexp_replace(leased_by, '\"boot_micros\":[0-9]+', '\"boot_micros\":1')");
    }
    assert!(store.take_letter(&letter, &sender(2), &moment(62), &unknown).unwrap());
}

fn one_of_many_processes_takes_a_letter(back_end: BackEnd) {
    let (home, mut store) = with(back_end, &["ann@example.org"]);
    let letter = store.due_letters(at(1)).unwrap().remove(0);
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for pid in 0..8 {
            let (home, letter, taken) = (&home, &letter, &taken);
            scope.spawn(move || {
                if home.open().take_letter(letter, &sender(pid), &moment(1), &alive).unwrap() {
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 1);
}

fn a_letter_that_was_put_off_waits_and_is_taken_as_it_then_is(back_end: BackEnd) {
    let (_home, mut store) = with(back_end, &["ann@example.org"]);
    let letter = store.due_letters(at(1)).unwrap().remove(0);
    assert!(store.take_letter(&letter, &sender(1), &moment(1), &alive).unwrap());
    store.letter_put_off(&letter, "no answer", at(60)).unwrap();
    assert!(!store.has_due_letters(at(59)).unwrap());
    assert!(store.due_letters(at(59)).unwrap().is_empty());
    assert!(!store.take_letter(&letter, &sender(2), &moment(2), &alive).unwrap(), "it read the letter before it was put off");
    assert!(store.has_due_letters(at(60)).unwrap());
    let again = store.due_letters(at(60)).unwrap().remove(0);
    assert_eq!((&again.id, again.attempt), (&letter.id, 1));
    assert!(store.take_letter(&again, &sender(2), &moment(60), &alive).unwrap());
    let waiting =
        OutboxWaiting { count: 1, oldest_at: Some(at(0)), due_at: Some(at(60)), last_error: Some("no answer".to_owned()), given_up: 0 };
    assert_eq!(store.outbox_waiting(at(20)).unwrap(), waiting);
    assert_eq!(store.outbox_waiting(at(60)).unwrap(), waiting);
}

fn a_letter_written_by_a_clock_that_was_ahead_is_due(back_end: BackEnd) {
    let (_home, mut store) = with(back_end, &["ann@example.org"]);
    assert!(store.has_due_letters(at(0) - TimeDelta::days(400)).unwrap());
}

fn a_closed_letter_says_what_became_of_it_and_no_more_what_it_said(back_end: BackEnd) {
    let (home, mut store) = with(back_end, &["ann@example.org", "bob@example.org"]);
    let letters = store.due_letters(at(1)).unwrap();
    store.letter_sent(&letters[0].id, at(5)).unwrap();
    store.letter_dropped(&letters[1].id, "given up after 72 hours: no answer", at(0) + LETTER_LIFE).unwrap();
    assert!(!store.has_due_letters(at(0) + LETTER_LIFE).unwrap());
    assert!(!store.take_letter(&letters[0], &sender(1), &moment(6), &gone).unwrap(), "it is sent");
    let waiting = store.outbox_waiting(at(0) + LETTER_LIFE).unwrap();
    assert_eq!(waiting, OutboxWaiting { given_up: 1, ..OutboxWaiting::default() });
    home.sql("UPDATE outbox SET run_id = 'r1'");
    let records = store.letters_of("r1").unwrap();
    let of = |recipient: &str| records.iter().find(|record| record.recipient == recipient).unwrap();
    let sent = letters[0].recipient.as_str();
    assert_eq!((of(sent).sent_at, of(sent).last_error.as_deref()), (Some(at(5)), None));
    let dropped = of(letters[1].recipient.as_str());
    assert_eq!((dropped.sent_at, dropped.last_error.as_deref()), (None, Some("given up after 72 hours: no answer")));
    use diesel::prelude::*;
    let bodies: Vec<String> = schema::outbox::table.select(schema::outbox::body).load(&mut store.connection).unwrap();
    assert_eq!(bodies, ["", ""]);
}

fn what_was_told_once_is_not_told_again(back_end: BackEnd) {
    let (_home, mut store) = with(back_end, &["ann@example.org"]);
    assert!(!tell_once(&mut store, &told("2026-11-29", at(9)), &[letter("ann@example.org")], at(9)));
    assert!(tell_once(&mut store, &told("2026-11-30", at(9)), &[letter("ann@example.org")], at(9)));
    assert_eq!(store.outbox_waiting(at(9)).unwrap().count, 2);
    assert_eq!(store.told(&["missed"]).unwrap().len(), 2);
    store.forget_job("sales", &person(), "jobs/sales.yaml", at(10)).unwrap();
    assert_eq!(store.told(&["missed"]).unwrap(), []);
}

fn of_many_looks_at_the_same_time_each_cause_is_told_by_one(back_end: BackEnd) {
    let home = Home::new(back_end);
    drop(home.open());
    // Each sees another part of the same trouble.
    std::thread::scope(|scope| {
        for first in 0..4 {
            let home = &home;
            scope.spawn(move || {
                let jobs: Vec<String> = (first..first + 6).map(|number| format!("job{number}")).collect();
                let decide = |known: &[(String, Told)]| {
                    let new = jobs.iter().filter(|job| known.iter().all(|(known, _)| known != *job));
                    let told: Vec<(String, Told)> = new.map(|job| (job.clone(), told("2026-11-29", at(0)))).collect();
                    let names: Vec<&str> = told.iter().map(|(job, _)| job.as_str()).collect();
                    let letter = NewLetter { body: names.join(" "), ..letter("ann@example.org") };
                    let letters = if told.is_empty() { Vec::new() } else { vec![(SEVERAL_JOBS.to_owned(), letter)] };
                    LookTidings { letters, told, over: Vec::new() }
                };
                home.open().tell_by_look(&["missed"], at(0), &decide).unwrap();
            });
        }
    });
    let letters = home.open().due_letters(at(1)).unwrap();
    let mut named: Vec<&str> = letters.iter().flat_map(|letter| letter.body.split(' ')).collect();
    named.sort_unstable();
    assert_eq!(named, ["job0", "job1", "job2", "job3", "job4", "job5", "job6", "job7", "job8"]);
}

fn a_letter_about_several_jobs_outlives_each_and_is_forgotten_with_all_that_it_told(back_end: BackEnd) {
    let home = Home::new(back_end);
    let mut store = home.open();
    let deadline = Told { kind: "deadline".to_owned(), ..told("2026-11-29", at(5)) };
    let decide = |known: &[(String, Told)]| {
        assert_eq!(known.len(), 1);
        let told = vec![
            ("sales".to_owned(), told("2026-11-29", at(5))),
            ("sales".to_owned(), deadline.clone()),
            ("b".to_owned(), told("x", at(5))),
        ];
        let letter = NewLetter { kind: "missed".to_owned(), ..letter("ann@example.org") };
        LookTidings { letters: vec![(SEVERAL_JOBS.to_owned(), letter)], told, over: vec![("sales".to_owned(), known[0].1.clone())] }
    };
    assert!(tell_once(&mut store, &told("2026-11-20", at(0)), &[letter("bob@example.org")], at(0)));
    store.tell_by_look(&["missed"], at(5), &decide).unwrap();
    store
        .tell_by_look(&["other"], at(6), &|_| LookTidings { told: vec![("c".to_owned(), told("y", at(6)))], ..LookTidings::default() })
        .unwrap();
    store.drop_letters_of("sales", at(7)).unwrap();
    let letters = store.due_letters(at(8)).unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.recipient.as_str(), letter.created_at), ("ann@example.org", at(5)));
    assert_eq!(store.told(&["missed", "deadline"]).unwrap().len(), 4);
    store.forget_told_of(letter).unwrap();
    let left: Vec<String> =
        store.told(&["missed", "deadline"]).unwrap().into_iter().map(|(job, told)| format!("{job} {}", told.cause)).collect();
    assert_eq!(left, ["c y"]);
}

fn a_letter_that_says_how_a_job_stands_overtakes_those_that_wait(back_end: BackEnd) {
    let (_home, mut store) = with(back_end, &["ann@example.org"]);
    let ping = || NewLetter { channel: "healthcheck".to_owned(), is_overtaking: true, ..letter("https://hc.example.org#1") };
    for (cause, second) in [("1", 1), ("2", 2)] {
        assert!(tell_once(&mut store, &told(cause, at(second)), &[ping()], at(second)));
    }
    let waiting: Vec<String> = store.due_letters(at(3)).unwrap().into_iter().map(|letter| letter.channel).collect();
    assert_eq!(waiting, ["healthcheck", "email"]);
}

fn a_letter_brings_those_of_its_job_to_its_recipient_that_were_written_before_it(back_end: BackEnd) {
    let (_home, mut store) = with(back_end, &["ann@example.org", "bob@example.org"]);
    let recovery = NewLetter { kind: "recovery".to_owned(), ..letter("ann@example.org") };
    for letter in store.due_letters(at(1)).unwrap() {
        assert!(store.take_letter(&letter, &sender(1), &moment(1), &alive).unwrap());
        store.letter_put_off(&letter, "no answer", at(3600)).unwrap();
    }
    assert!(store.due_letters(at(9)).unwrap().is_empty());
    assert!(tell_once(&mut store, &told("2026-11-30", at(9)), &[recovery], at(9)));
    let due = store.due_letters(at(10)).unwrap();
    let shown: Vec<(&str, &str)> = due.iter().map(|letter| (letter.recipient.as_str(), letter.kind.as_str())).collect();
    assert_eq!(shown, [("ann@example.org", "failure"), ("ann@example.org", "recovery")], "bob's has nothing behind it");
    assert!(due[0].is_beside(&due[1]));
    assert_eq!(store.works_since(&due[0]).unwrap(), None);
    store.letter_sent(&due[1].id, at(11)).unwrap();
    assert!(store.is_letter_waiting(&due[0].id).unwrap() && !store.is_letter_waiting(&due[1].id).unwrap());
    assert_eq!(store.works_since(&due[0]).unwrap(), Some(at(9)), "it could not be sent in its turn");
}

fn a_run_s_end_is_told_in_the_transaction_that_closes_it(back_end: BackEnd) {
    let home = Home::new(back_end);
    let mut store = home.open();
    store.register_job(&job("sales"), at(0)).unwrap();
    store.tell_by(Box::new(|run| {
        let body = serde_json::json!({
            "status": run.detail.run.status, "before": run.status_before.as_str(), "after": run.status_after.as_str(),
            "failures": run.consecutive_failures, "runs": run.last_runs.len(), "told": run.told.len(),
        });
        let cause = Told { kind: "failure".to_owned(), cause: "c".to_owned(), sources: Vec::new(), at: run.now };
        Tidings {
            letters: vec![NewLetter { body: body.to_string(), ..letter("ann@example.org") }],
            told: vec![cause],
            over: Vec::new(),
            silence: None,
        }
    }));
    for (run, second) in [("r1", 1), ("r2", 2)] {
        assert_eq!(store.begin_run(&new_run(run), &moment(second), &alive).unwrap(), Begun::Started);
        store.close_run(&end(run, RunStatus::Failed), POLICY, at(second)).unwrap();
    }
    store.write_refused_run(&new_run("r3"), 5, "held", &moment(3)).unwrap();
    assert_eq!(store.begin_run(&new_run("r4"), &moment(4), &alive).unwrap(), Begun::Started);
    let dead = store.dead_runs("sales", &moment(5), &gone).unwrap().remove(0);
    assert!(store.close_dead_run(&dead, &DeadEnd::Interrupted { message: "interrupted".to_owned() }, &moment(5), &gone).unwrap());
    let bodies: Vec<String> = store.due_letters(at(9)).unwrap().into_iter().map(|letter| letter.body).collect();
    let expected = |before: &str, after: &str, failures: u64, runs: usize, told: usize| {
        serde_json::json!({"status": "failed", "before": before, "after": after, "failures": failures, "runs": runs, "told": told})
            .to_string()
    };
    let all = [
        expected("active", "active", 1, 1, 0),
        expected("active", "error", 2, 2, 1),
        expected("error", "error", 2, 3, 1),
        expected("error", "error", 2, 4, 1),
    ];
    assert_eq!(bodies, all);
    let of_run: Vec<usize> = ["r1", "r2", "r3", "r4"].iter().map(|run| store.letters_of(run).unwrap().len()).collect();
    assert_eq!(of_run, [1, 1, 1, 1]);
}

on_both_back_ends!(
    a_letter_is_one_process_s_until_that_ends,
    a_letter_of_a_process_of_which_nothing_is_known_is_free_after_a_minute,
    one_of_many_processes_takes_a_letter,
    a_letter_that_was_put_off_waits_and_is_taken_as_it_then_is,
    a_letter_written_by_a_clock_that_was_ahead_is_due,
    a_closed_letter_says_what_became_of_it_and_no_more_what_it_said,
    what_was_told_once_is_not_told_again,
    of_many_looks_at_the_same_time_each_cause_is_told_by_one,
    a_letter_about_several_jobs_outlives_each_and_is_forgotten_with_all_that_it_told,
    a_letter_that_says_how_a_job_stands_overtakes_those_that_wait,
    a_letter_brings_those_of_its_job_to_its_recipient_that_were_written_before_it,
    a_run_s_end_is_told_in_the_transaction_that_closes_it,
);
