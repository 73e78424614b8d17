//! Slots to come, as `next` and `show` show them: in the job's zone, the user's zone and UTC.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::measure::{abbreviation, utc};
use super::table::{Align, Rows};
use crate::schedule::{Shift, Slot};
use crate::text::printable;
use crate::zone::Zone;
use crate::zone::database::Database;

/// A job with slots to come.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSlots {
    /// Its id.
    pub id: String,
    /// The zone of its schedule.
    pub zone: Zone,
    /// active, inactive, error or paused.
    pub status: &'static str,
    /// In order.
    pub slots: Vec<Slot>,
    /// Whether more slots follow that were not asked for.
    pub has_more: bool,
}

/// Returns a slot as an object; a note only where a change of clocks has to do with it.
pub fn slot_object(slot: &Slot, zone: Zone) -> Value {
    let mut object = json!({
        "at": utc(slot.at),
        "local": slot.at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false),
        "key": slot.key(),
    });
    if let Some(note) = note(slot, zone) {
        object["note"] = note.into();
    }
    object
}

/// Returns the jobs with their slots as an object, with the database that their zones are read with.
pub fn json(jobs: &[JobSlots], database: &Database, bundled: &[&str]) -> Value {
    let slots = |job: &JobSlots| job.slots.iter().map(|slot| slot_object(slot, job.zone)).collect::<Vec<Value>>();
    let job = |job: &JobSlots| json!({"id": job.id, "timezone": job.zone.name(), "status": job.status, "slots": slots(job)});
    let jobs: Vec<Value> = jobs.iter().map(job).collect();
    json!({"success": true, "jobs": jobs, "tzdata": {"version": database.version, "folder": database.folder, "bundled_zones": bundled}})
}

/// Returns the slots of all jobs as rows for scripts, a job at a time.
pub fn csv(jobs: &[JobSlots]) -> Rows {
    let mut rows = Rows::new(["job", "timezone", "at", "local", "key", "note"].map(|name| (name, Align::Left)));
    for job in jobs {
        for slot in &job.slots {
            let local = slot.at.with_timezone(&job.zone).to_rfc3339_opts(SecondsFormat::Secs, false);
            let note = note(slot, job.zone).unwrap_or_default();
            rows.push(vec![job.id.clone(), job.zone.name().to_owned(), utc(slot.at), local, slot.key(), note]);
        }
    }
    rows
}

/// Returns the slots of all jobs as text for people, in the order of time.
pub fn text(jobs: &[JobSlots], user_zone: Zone, database: &str) -> String {
    let mut slots: Vec<(&JobSlots, &Slot)> = jobs.iter().flat_map(|job| job.slots.iter().map(move |slot| (job, slot))).collect();
    slots.sort_by(|(one, first), (other, second)| (first.at, &one.id).cmp(&(second.at, &other.id)));
    let mut text =
        if slots.is_empty() { "no slots\n".to_owned() } else { format!("{}\n", table(&slots, user_zone).leaving_rest_to("-o csv").text()) };
    for job in jobs.iter().filter(|job| job.status != "active") {
        let state = if job.status == "error" { "in error" } else { job.status };
        let _ = writeln!(text, "{}: {state}, {} not started", job.id, words(job.slots.len()));
    }
    text.push_str(&printable(database));
    text
}

fn words(slots: usize) -> String {
    if slots == 1 { "its slot is".to_owned() } else { "its slots are".to_owned() }
}

fn table(slots: &[(&JobSlots, &Slot)], user_zone: Zone) -> Rows {
    let own = format!("{} ({})", user_zone.name(), abbreviation(slots.iter().map(|(_, slot)| slot.at), user_zone));
    let own = if user_zone == Zone::UTC { None } else { Some((own.as_str(), Align::Left)) };
    let head = [("Job", Align::Left), ("Due in its zone", Align::Left), ("Zone", Align::Left)];
    let columns = head.into_iter().chain(own).chain([("UTC", Align::Left), ("Note", Align::Left)]);
    let mut rows = Rows::new(columns).giving_way(&["Zone", "UTC", "Note"], "Job");
    let are_several = slots.iter().any(|(job, _)| job.id != slots[0].0.id);
    for (job, slot) in slots {
        // Beside jobs that go on: not the end of this one.
        let goes_on = (are_several && job.has_more && job.slots.last() == Some(*slot)).then(|| "and so on".to_owned());
        let notes: Vec<String> = note(slot, job.zone).into_iter().chain(goes_on).collect();
        let mut cells = vec![job.id.clone(), due(slot.at, job.zone), job.zone.name().to_owned()];
        cells.extend(own.map(|_| minute(slot.at, user_zone)));
        cells.extend([minute(slot.at, Zone::UTC), notes.join("; ")]);
        rows.push(cells);
    }
    rows
}

/// Returns an instant with the zone's abbreviation: `Sun 2026-10-25 02:30 CEST`.
pub fn due(at: DateTime<Utc>, zone: Zone) -> String {
    at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M %Z").to_string()
}

fn minute(at: DateTime<Utc>, zone: Zone) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
}

/// Says what a change of clocks does to a slot.
pub fn note(slot: &Slot, zone: Zone) -> Option<String> {
    let time = slot.nominal_time(zone);
    Some(match slot.shift(zone)? {
        Shift::Gap => format!("the clocks skip {time}: the first instant after"),
        Shift::FirstPass => format!("{time} comes twice: the first"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Schedule, TimeOfDay};

    fn night(from: &str, count: usize) -> JobSlots {
        let zone = Zone::bundled("Europe/Berlin").expect("a known zone");
        let schedule = Schedule::Daily(TimeOfDay { hour: 2, minute: 30 });
        let slots = schedule.next(zone, from.parse().expect("an instant"), count);
        JobSlots { id: "night".to_owned(), zone, status: "active", slots, has_more: false }
    }

    #[test]
    fn days_of_a_change_of_clocks_have_a_note() {
        let notes = |job: JobSlots| job.slots.iter().map(|slot| note(slot, job.zone)).collect::<Vec<_>>();
        assert_eq!(
            notes(night("2026-03-27T12:00:00Z", 3)),
            [None, Some("the clocks skip 02:30: the first instant after".to_owned()), None]
        );
        assert_eq!(notes(night("2026-10-23T12:00:00Z", 3)), [None, Some("02:30 comes twice: the first".to_owned()), None]);
    }

    #[test]
    fn a_job_whose_slots_end_before_those_of_others_is_said_to_go_on() {
        let cut = JobSlots { has_more: true, ..night("2026-10-20T12:00:00Z", 2) };
        let other = JobSlots { id: "other".to_owned(), ..night("2026-10-22T12:00:00Z", 1) };
        let notes = |jobs: &[JobSlots]| text(jobs, Zone::UTC, "").matches("and so on").count();
        assert_eq!([notes(std::slice::from_ref(&cut)), notes(&[cut.clone(), other.clone()])], [0, 1]);
        let shown = text(&[cut, other], Zone::UTC, "");
        assert!(shown.lines().nth(2).is_some_and(|line| line.ends_with("2026-10-22 00:30  and so on")), "{shown}");
    }

    #[test]
    fn slots_of_several_jobs_stand_in_the_order_of_time_in_three_zones() {
        let later = JobSlots { id: "later".to_owned(), status: "paused", ..night("2026-10-24T12:00:00Z", 1) };
        let tokyo = Zone::bundled("Asia/Tokyo").expect("a known zone");
        let expected = "\
Job    Due in its zone            Zone           Asia/Tokyo (JST)  UTC               Note
night  Sat 2026-10-24 02:30 CEST  Europe/Berlin  2026-10-24 09:30  2026-10-24 00:30
later  Sun 2026-10-25 02:30 CEST  Europe/Berlin  2026-10-25 09:30  2026-10-25 00:30  02:30 comes twice: the first
night  Sun 2026-10-25 02:30 CEST  Europe/Berlin  2026-10-25 09:30  2026-10-25 00:30  02:30 comes twice: the first
later: paused, its slot is not started
tzdata 2026f, bundled";
        let text = text(&[night("2026-10-23T12:00:00Z", 2), later], tokyo, "tzdata 2026f, bundled");
        assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"), expected);
    }
}
