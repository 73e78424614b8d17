//! The tables of keys as JSON Schemas (draft 2020-12), for editors.

use serde_json::{Map, Value, json};

use crate::plan::kinds;

use super::keys::{self, Default, Key, Kind, Level, Status};

/// Returns the schema of a job file.
pub fn job() -> Value {
    document("etlsched job", &keys::JOB, &["data_sources"])
}

/// Returns the schema of etlsched.yaml.
pub fn workspace() -> Value {
    document("etlsched.yaml", &keys::WORKSPACE, &[])
}

fn document(title: &str, level: &'static Level, required: &[&str]) -> Value {
    let mut definitions = Map::new();
    for inner in [&keys::JOB, &keys::ETL_CONFIG, &keys::SOURCE, &keys::COLUMNS, &keys::EXPECT, &keys::CONNECTION, &keys::SMTP] {
        define(inner, &mut definitions);
    }
    definitions["data_source"]["allOf"] = apart().into();
    definitions.insert(
        "secret".to_owned(),
        json!({"oneOf": [
            {"type": "string"},
            {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false},
            {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
             "required": ["command"], "additionalProperties": false},
        ]}),
    );
    let mut schema = map(level, required);
    let object = schema.as_object_mut().expect("made as an object");
    object.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    object.insert("title".to_owned(), title.into());
    object.insert("$defs".to_owned(), definitions.into());
    schema
}

/// Adds the definitions of a level and of those in it.
fn define(level: &'static Level, definitions: &mut Map<String, Value>) {
    if definitions.contains_key(&name(level)) {
        return;
    }
    definitions.insert(name(level), map(level, &[]));
    for key in level.keys() {
        if let Kind::Map(inner) | Kind::List(inner) | Kind::MapOf(inner) = key.kind {
            define(inner, definitions);
        }
    }
}

/// Returns what refuses two keys of a source that no kind has together: each pair with a place in it.
fn apart() -> Vec<Value> {
    let keys: Vec<&str> =
        keys::SOURCE.keys().iter().map(|key| key.name).filter(|key| kinds::SOURCES.iter().any(|kind| kind.has_key(key))).collect();
    let is_place = |key: &str| kinds::SOURCES.iter().any(|kind| kind.places.contains(&key));
    let is_pair = |one: &str, other: &str| {
        kinds::SOURCES
            .iter()
            .any(|kind| kind.has_key(one) && kind.has_key(other) && !(kind.places.contains(&one) && kind.places.contains(&other)))
    };
    let given = json!({"not": {"type": "null"}});
    let mut apart = Vec::new();
    for (index, one) in keys.iter().enumerate() {
        for other in keys[index + 1..].iter().filter(|other| (is_place(one) || is_place(other)) && !is_pair(one, other)) {
            apart.push(json!({"not": {"properties": {*one: given, *other: given}, "required": [one, other]}}));
        }
    }
    apart
}

fn name(level: &Level) -> String {
    level.name.trim_start_matches("a ").replace(' ', "_")
}

fn map(level: &Level, required: &[&str]) -> Value {
    let properties: Map<String, Value> = level.keys().iter().map(|key| (key.name.to_owned(), property(level, key))).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A key may be something else in each kind of connection: then it takes what any of them takes, and no default is that of all.
fn property(level: &Level, key: &Key) -> Value {
    let mut variants = level.variants(key.name);
    if variants.iter().any(|variant| variant.status != Status::NotYet) {
        variants.retain(|variant| variant.status != Status::NotYet);
    }
    // A key whose value is null is a key that isn't there.
    let kinds = distinct(variants.iter().map(|variant| kind(variant.kind)).chain([json!({"type": "null"})]));
    let mut schema = json!({"anyOf": kinds});
    let mut words = distinct(variants.iter().map(|variant| variant.doc)).join("; ");
    match distinct(variants.iter().map(|variant| variant.default)).as_slice() {
        [] | [Default::None] => {}
        [Default::Int(number)] => schema["default"] = (*number).into(),
        [Default::Bool(is)] => schema["default"] = (*is).into(),
        [Default::Text(text)] => schema["default"] = (*text).into(),
        [Default::Texts(texts)] => schema["default"] = json!(texts),
        [Default::Depends(text)] => words.push_str(&format!(" (default: {text})")),
        _ => words.push_str(" (default: depends on the type)"),
    }
    match variants.first().map_or(key.status, |variant| variant.status) {
        Status::Works | Status::Schedule => {}
        Status::NotYet => words.push_str(" (not in this version)"),
    }
    schema["description"] = words.into();
    schema
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut known = Vec::new();
    for value in values {
        if !known.contains(&value) {
            known.push(value);
        }
    }
    known
}

/// `${NAME}` may stand for any value.
fn or_variable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "pattern": "\\$\\{[A-Za-z_]"}]})
}

fn one_or_many(item: Value) -> Value {
    json!({"anyOf": [item.clone(), {"type": "array", "items": item}]})
}

fn kind(kind: Kind) -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let reference = |level: &Level| json!({"$ref": format!("#/$defs/{}", name(level))});
    match kind {
        Kind::Any => json!(true),
        Kind::Text | Kind::Zone | Kind::Mailbox => text,
        Kind::Prose => json!({"type": "string"}),
        Kind::Bool => or_variable(json!({"type": "boolean"})),
        Kind::Int(min, i64::MAX) => or_variable(json!({"type": "integer", "minimum": min})),
        Kind::Int(min, max) => or_variable(json!({"type": "integer", "minimum": min, "maximum": max})),
        Kind::Number(min, max) => or_variable(json!({"type": "number", "minimum": min, "maximum": max})),
        Kind::Word(words) => or_variable(json!({"enum": words})),
        Kind::ConnectionType => or_variable(json!({"enum": keys::connection_types()})),
        Kind::Words(words) => one_or_many(json!({"enum": words})),
        Kind::Texts | Kind::Emails => one_or_many(text),
        Kind::Urls => json!({"anyOf": [{"$ref": "#/$defs/secret"}, {"type": "array", "items": {"$ref": "#/$defs/secret"}}]}),
        Kind::Scalars => one_or_many(json!({"type": ["string", "number", "boolean", "null"]})),
        Kind::Character => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Kind::Params => {
            json!({"type": "object", "additionalProperties": one_or_many(json!({"type": ["string", "number", "boolean", "null"]}))})
        }
        Kind::TextMap | Kind::TypeMap => json!({"type": "object", "additionalProperties": text}),
        Kind::Secret => json!({"$ref": "#/$defs/secret"}),
        Kind::Weekdays => one_or_many(json!({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 6}, text]})),
        Kind::MonthDays => one_or_many(json!({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, {"const": "last"}]})),
        Kind::Clock => json!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
        Kind::Cron => json!({"type": "string", "pattern": "^\\s*(\\S+\\s+){4}\\S+\\s*$"}),
        Kind::Map(level) => reference(level),
        Kind::List(level) => json!({"type": "array", "items": reference(level), "minItems": 1}),
        Kind::MapOf(level) => json!({"type": "object", "additionalProperties": reference(level)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_schemas_has_a_definition() {
        for schema in [job(), workspace()] {
            let text = schema.to_string();
            let references: Vec<&str> = text.split("#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(references.len() > 5);
            for reference in references {
                assert!(schema["$defs"][reference].is_object(), "{reference}");
            }
        }
    }

    /// What the few words of JSON Schema that [`apart`] is made of say of a source with these keys.
    fn is_refused(given: &[&str]) -> bool {
        let schema = job();
        let rules = schema["$defs"]["data_source"]["allOf"].as_array().unwrap().clone();
        rules.iter().any(|rule| rule["not"]["required"].as_array().unwrap().iter().all(|key| given.contains(&key.as_str().unwrap())))
    }

    #[test]
    fn the_schema_refuses_the_places_of_a_source_that_validation_refuses_together() {
        for given in [["path", "table"], ["path", "custom_sql"], ["table", "tables"], ["table", "delimiter"], ["tables", "path"]] {
            assert!(is_refused(&given), "{given:?}");
        }
        for given in [["path", "delimiter"], ["table", "where"], ["connection", "table"], ["connection", "path"]] {
            assert!(!is_refused(&given), "{given:?}");
        }
        let rule = &job()["$defs"]["data_source"]["allOf"][0];
        let given = json!({"not": {"type": "null"}});
        assert!(
            rule["not"]["properties"].as_object().unwrap().values().all(|known| *known == given),
            "a key whose value is null is not there: {rule}"
        );
    }

    #[test]
    fn a_key_that_differs_between_types_of_connections_takes_what_any_of_them_takes() {
        let connection = &workspace()["$defs"]["connection"]["properties"];
        let words = connection["sslmode"]["anyOf"].to_string();
        assert!(words.contains("\"allow\"") && words.contains("\"VERIFY_IDENTITY\""), "PostgreSQL's and MySQL's: {words}");
        assert_eq!((&connection["port"]["default"], &connection["sslmode"]["default"]), (&Value::Null, &json!("prefer")));
        assert!(connection["port"]["description"].as_str().unwrap().ends_with("(default: depends on the type)"), "{connection:#}");
        assert!(!connection["schema"]["description"].as_str().unwrap().contains("not in this version"), "{connection:#}");
    }

    #[test]
    fn a_key_that_several_kinds_have_means_one_thing_in_one_text() {
        for level in [&keys::SOURCE, &keys::CONNECTION] {
            for key in level.keys() {
                let variants = level.variants(key.name).into_iter().filter(|variant| variant.status != Status::NotYet);
                let docs = distinct(variants.map(|variant| variant.doc));
                assert!(docs.len() < 2, "{} of {}: {docs:#?}", key.name, level.name);
            }
        }
    }

    #[test]
    fn defaults_and_ranges_are_in_the_schema() {
        let schema = job();
        assert_eq!(schema["properties"]["hour"]["default"], 2);
        assert_eq!(schema["properties"]["hour"]["anyOf"][0]["anyOf"][0]["maximum"], 23);
        assert_eq!(schema["required"], json!(["data_sources"]));
        assert_eq!(schema["additionalProperties"], false);
    }
}
