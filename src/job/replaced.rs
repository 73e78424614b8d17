//! Jobs of the system replaced, turned into the keys of a job file: the body of its POST, the answer of its GET, an entry of
//! Django's `dumpdata`. Other documents stay as they are, but for keys that only a machine writes.

use serde_yaml::{Mapping, Value};

/// Keys that the machine wrote there: status, times, counters, what Celery was told.
const MACHINE_KEYS: &[&str] = &[
    "id",
    "status",
    "last_run",
    "last_run_status",
    "next_run",
    "consecutive_failures",
    "success_rate",
    "schedule_display",
    "schedule_status",
    "statistics",
    "recent_runs",
    "data_sources_count",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "user",
    "celery_task_name",
    "celery_schedule_id",
];

/// Keys whose values some exports hold as JSON in a text.
const JSON_KEYS: &[&str] = &["etl_config", "data_source_ids", "data_sources", "notification_emails"];

/// Turns a document into a job file's keys: the sources of a job of the system replaced become names of shared sources; times that
/// its kind of schedule didn't look at go, and so do nulls, empty lists and what the machine wrote.
///
/// # Errors
/// Sources that are not given by ids.
pub fn translate(map: &mut Mapping) -> Result<(), String> {
    let mut is_replaced = unwrap(map);
    for key in JSON_KEYS {
        if let Some(value) = map.get_mut(*key)
            && let Some(meant) = unpacked(key, value)?
        {
            *value = meant;
        }
    }
    map.retain(|key, value| {
        let is_machine = key.as_str().is_some_and(|key| MACHINE_KEYS.contains(&key));
        let is_empty = matches!(value, Value::Null)
            || matches!(value, Value::String(text) if text.is_empty())
            || matches!(value, Value::Sequence(items) if items.is_empty());
        !is_machine && !is_empty
    });
    if let Some(Value::Mapping(config)) = map.get_mut("etl_config") {
        config.retain(|_, value| !matches!(value, Value::Null) && !matches!(value, Value::String(text) if text.is_empty()));
    }
    if let Some(ids) = map.remove("data_source_ids") {
        let Value::Sequence(ids) = ids else { return Err("data_source_ids is not a list".to_owned()) };
        if map.contains_key("data_sources") {
            return Err("data_source_ids and data_sources together".to_owned());
        }
        is_replaced = true;
        map.insert(Value::from("data_sources"), sources(ids)?);
    } else if is_replaced && let Some(there) = map.get_mut("data_sources") {
        let Value::Sequence(items) = there else { return Err("data_sources is not a list".to_owned()) };
        *there = sources(std::mem::take(items))?;
    }
    if is_replaced {
        forget_unused_times(map);
    }
    Ok(())
}

/// Returns what a text holds that is JSON; nothing of other values.
fn unpacked(key: &str, value: &Value) -> Result<Option<Value>, String> {
    let Some(text) = value.as_str().filter(|text| text.trim_start().starts_with(['{', '['])) else { return Ok(None) };
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("{key} is a text that is no whole JSON: {error}"))?;
    serde_yaml::to_value(json).map(Some).map_err(|error| format!("{key}: {error}"))
}

/// Takes a job out of the answer `{"success": true, "job": {..}}` or the entry `{"model": .., "pk": .., "fields": {..}}`.
fn unwrap(map: &mut Mapping) -> bool {
    let inner = if map.contains_key("success") { "job" } else { "fields" };
    let is_wrapped = map.contains_key("success") || map.contains_key("model");
    match map.get_mut(inner) {
        Some(Value::Mapping(job)) if is_wrapped => {
            *map = std::mem::take(job);
            true
        }
        _ => false,
    }
}

/// Returns sources by their ids: a text, a number, or a map that has one beside what was shown of it.
fn sources(ids: Vec<Value>) -> Result<Value, String> {
    let source = |id: Value| match id {
        Value::String(id) => Ok(Value::String(id)),
        Value::Number(number) => Ok(Value::from(number.to_string())),
        Value::Mapping(mut shown) => match shown.remove("id") {
            Some(Value::String(id)) => Ok(Value::String(id)),
            _ => Err("data_sources has a source without an id".to_owned()),
        },
        _ => Err("data_source_ids has an id that is no text".to_owned()),
    };
    let mut sources: Vec<Value> = Vec::with_capacity(ids.len());
    for id in ids {
        let id = source(id)?;
        let named = Value::Mapping(Mapping::from_iter([(Value::from("source"), id.clone())]));
        if sources.contains(&named) {
            return Err(format!("data_source_ids names {} twice (keep it once)", id.as_str().unwrap_or_default()));
        }
        sources.push(named);
    }
    Ok(Value::Sequence(sources))
}

/// Every job there had an hour, a minute and maybe days, whichever of them its kind of schedule looked at.
fn forget_unused_times(map: &mut Mapping) {
    let unused: &[&str] = match map.get("schedule_type").and_then(Value::as_str) {
        Some("15min" | "30min") => &["hour", "minute", "day_of_week", "day_of_month"],
        Some("hourly") => &["hour", "day_of_week", "day_of_month"],
        Some("weekly") => &["day_of_month"],
        Some("monthly") => &["day_of_week"],
        Some("daily") | None => &["day_of_week", "day_of_month"],
        Some(_) => &[],
    };
    for key in unused {
        map.remove(*key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::read;
    use super::*;

    #[track_caller]
    fn check(document: &str, expected: &str) {
        let mut map = read(document.as_bytes()).unwrap();
        translate(&mut map).unwrap();
        let expected: Value = serde_yaml::from_str(expected).unwrap();
        assert_eq!(Value::Mapping(map), expected, "{document}");
    }

    #[test]
    fn the_body_of_a_post_becomes_a_job() {
        check(
            "{\n\t\"name\": \"Sales \\ud83d\\ude00\", \"description\": \"\", \"data_source_ids\": [\"orders\", 7], \"schedule_type\": \"daily\",\n\t\
             \"timezone\": \"Europe/Paris\", \"hour\": 6, \"minute\": 0, \"day_of_week\": null, \"etl_config\": {\"batch_size\": 1000, \"custom_sql\": \"\"},\n\t\
             \"notify_on_success\": false, \"notification_emails\": [], \"status\": \"active\"}",
            "{name: Sales 😀, schedule_type: daily, timezone: Europe/Paris, hour: 6, minute: 0, etl_config: {batch_size: 1000},
              notify_on_success: false, data_sources: [{source: orders}, {source: '7'}]}",
        );
    }

    #[test]
    fn the_answer_of_a_get_and_an_entry_of_a_dump_become_jobs() {
        let job =
            "\"name\": \"Sales\", \"schedule_type\": \"hourly\", \"hour\": 2, \"minute\": 30, \"day_of_week\": 0, \"is_active\": true,
            \"last_run_status\": \"success\", \"consecutive_failures\": 0, \"created_at\": \"2025-01-16T06:00:00Z\", \"etl_config\": {}";
        let expected = "{name: Sales, schedule_type: hourly, minute: 30, is_active: true, etl_config: {}, data_sources: [{source: uuid1}]}";
        let shown = "{\"id\": \"uuid1\", \"name\": \"orders\", \"source_type\": \"csv\", \"status\": \"active\", \"last_synced\": null}";
        let numbers = "\"statistics\": {\"total_runs\": 1}, \"recent_runs\": [{\"id\": \"x\"}], \"schedule_status\": {\"exists\": true}";
        check(&format!("{{\"success\": true, \"job\": {{{job}, {numbers}, \"data_sources\": [{shown}]}}}}"), expected);
        let entry = "\"model\": \"datasets.scheduledetljob\", \"pk\": \"9\"";
        check(&format!("{{{entry}, \"fields\": {{{job}, \"celery_task_name\": \"t\", \"data_sources\": [\"uuid1\"]}}}}"), expected);
    }

    #[test]
    fn values_that_are_json_in_a_text_are_what_they_hold() {
        check(
            r#"{"data_source_ids": "[\"a\", \"b\"]", "etl_config": "{\"batch_size\": 1000, \"mode\": null}", "notification_emails": "[]"}"#,
            "{etl_config: {batch_size: 1000}, data_sources: [{source: a}, {source: b}]}",
        );
        check(
            "{data_sources: [{path: a.csv}], notification_emails: a@example.com}",
            "{data_sources: [{path: a.csv}], notification_emails: a@example.com}",
        );
        let cut = translate(&mut read(br#"{"etl_config": "{\"batch_size\": "}"#).unwrap()).unwrap_err();
        assert_eq!(cut, "etl_config is a text that is no whole JSON: EOF while parsing a value at line 1 column 15");
    }

    #[test]
    fn times_that_the_kind_of_schedule_did_not_look_at_go() {
        let all = "data_source_ids: [a], hour: 2, minute: 7, day_of_week: 0, day_of_month: 3";
        let sources = "data_sources: [{source: a}]";
        check(&format!("{{schedule_type: 15min, {all}}}"), &format!("{{schedule_type: 15min, {sources}}}"));
        check(
            &format!("{{schedule_type: weekly, {all}}}"),
            &format!("{{schedule_type: weekly, hour: 2, minute: 7, day_of_week: 0, {sources}}}"),
        );
        check(&format!("{{{all}}}"), &format!("{{hour: 2, minute: 7, {sources}}}"));
    }

    #[test]
    fn a_job_of_ours_stays_as_it_is() {
        let job = "{schedule_type: 15min, minute: 7, data_sources: [{path: a.csv, name: id}]}";
        check(job, job);
    }

    #[test]
    fn sources_without_ids_are_refused() {
        let refused = |document: &str| translate(&mut read(document.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(refused("{data_source_ids: orders}"), "data_source_ids is not a list");
        assert_eq!(refused("{data_source_ids: [a, b, a]}"), "data_source_ids names a twice (keep it once)");
        assert_eq!(refused("{data_source_ids: [[a]]}"), "data_source_ids has an id that is no text");
        assert_eq!(refused("{data_source_ids: [a], data_sources: [{path: a.csv}]}"), "data_source_ids and data_sources together");
        assert_eq!(refused("{success: true, job: {data_sources: [{name: a}]}}"), "data_sources has a source without an id");
    }
}
