//! README.md's tables of keys are those of this build: each key of each level with its words, its default and its meaning.
//! `ETLSCHED_KEYS=write cargo test --test it keys` writes them anew, between the marks.

use serde_json::Value;

use crate::etl::{Etl, repository};

const BEGIN: &str = "<!-- keys: written by tests/it/keys.rs -->\n";
const END: &str = "<!-- end of keys -->\n";

/// The levels that have a table: the document, its part (none is the document itself), the heading.
const LEVELS: [(&str, Option<&str>, &str); 8] = [
    ("job", None, "A job"),
    ("job", Some("etl_config"), "`etl_config`, of a job or of a source; a source's wins key by key"),
    ("job", Some("data_source"), "A source, under `data_sources` of a job or of etlsched.yaml"),
    ("job", Some("columns"), "`columns` of a source"),
    ("job", Some("expect"), "`expect` of a source"),
    ("workspace", None, "etlsched.yaml"),
    ("workspace", Some("connection"), "A connection, under `connections` of etlsched.yaml"),
    ("workspace", Some("smtp"), "`smtp` of etlsched.yaml"),
];

#[test]
fn the_readme_lists_every_key_with_its_default_and_meaning() {
    let etl = Etl::new();
    let schema = |document: &str| etl.run(&["json-schema", document]).exits(0).json();
    let (job, workspace) = (schema("job"), schema("workspace"));
    let tables: Vec<String> = LEVELS
        .iter()
        .map(|(document, part, heading)| {
            let schema = if *document == "job" { &job } else { &workspace };
            let level = part.map_or(schema, |part| &schema["$defs"][part]);
            format!("{heading}:\n\n{}", table(level))
        })
        .collect();
    let fresh = format!("\n{}\n", tables.join("\n"));
    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let from = readme.find(BEGIN).expect("README.md has the mark of its keys") + BEGIN.len();
    let until = readme.find(END).expect("README.md has the mark of their end");
    if std::env::var_os("ETLSCHED_KEYS").is_some_and(|value| value == "write") {
        std::fs::write(&path, format!("{}{fresh}{}", &readme[..from], &readme[until..])).expect("README.md can be written");
        return;
    }
    let fix = "run `ETLSCHED_KEYS=write cargo test --test it keys` and commit what it writes";
    for (fresh, kept) in fresh.lines().zip(readme[from..until].lines()) {
        assert_eq!(fresh, kept, "README.md lists other keys than this build has: {fix}");
    }
    assert_eq!(fresh, readme[from..until], "{fix}");
}

/// What only APIs have is told where APIs are: by name at least.
#[test]
fn the_readme_names_the_keys_of_every_other_level() {
    let etl = Etl::new();
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("README.md");
    for document in ["job", "workspace"] {
        let schema = etl.run(&["json-schema", document]).exits(0).json();
        for (level, definition) in schema["$defs"].as_object().expect("a map") {
            for key in definition["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
                let is_named = [format!("`{key}`"), format!("`{key} "), format!("{key}:"), format!("{key},"), format!("{key}}}")];
                assert!(is_named.iter().any(|name| readme.contains(name)), "README.md says nothing of {key} in {level}");
            }
        }
    }
}

fn table(level: &Value) -> String {
    let mut table = String::from("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, schema) in level["properties"].as_object().expect("a map") {
        let described = schema["description"].as_str().unwrap_or_default();
        // A default that depends on something stands in the description.
        let (meaning, depends) = match described.split_once(" (default: ") {
            Some((meaning, depends)) => (meaning, depends.trim_end_matches(')')),
            None => (described, ""),
        };
        let default = schema.get("default").map_or_else(|| depends.to_owned(), text);
        table.push_str(&format!("| `{key}` | {} | {} | {} |\n", value(schema), cell(&default), cell(meaning)));
    }
    table
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Returns the words that one of the kinds of a key takes, each once, where words are all that it takes.
fn words(schema: &Value) -> Vec<String> {
    let mut known: Vec<String> = schema["enum"].as_array().into_iter().flatten().map(text).collect();
    for kind in schema["anyOf"].as_array().into_iter().flatten() {
        for word in words(kind) {
            if !known.contains(&word) {
                known.push(word);
            }
        }
    }
    known
}

/// Returns what a key takes, in words.
fn value(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(text).collect::<Vec<_>>().join(", ");
    }
    if let Some(name) = schema["$ref"].as_str() {
        return match name.rsplit('/').next().unwrap_or_default() {
            "secret" => "text, file or command".to_owned(),
            _ => "map".to_owned(),
        };
    }
    if let Some(kinds) = schema["anyOf"].as_array() {
        let words = words(schema);
        if !words.is_empty() && !kinds.iter().any(|kind| value(kind).contains("list")) {
            return words.join(", ");
        }
        let of_variables = |kind: &&Value| kind["pattern"].as_str().is_some_and(|pattern| pattern.contains("\\$\\{"));
        let kinds: Vec<String> = kinds.iter().filter(|kind| !of_variables(kind)).map(value).filter(|kind| !kind.is_empty()).collect();
        let is_list_too = kinds.iter().any(|kind| kind.starts_with("list"));
        return match kinds.as_slice() {
            [kind, ..] if is_list_too && kinds.len() > 1 => format!("{kind}, or a list"),
            _ => kinds.join(" or "),
        };
    }
    let bound = |name: &str| schema.get(name).filter(|bound| bound.as_i64() != Some(i64::MAX)).map(text);
    match schema["type"].as_str() {
        Some("integer" | "number") => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            (Some(least), None) => format!("{least} or more"),
            _ => "number".to_owned(),
        },
        Some("boolean") => "true, false".to_owned(),
        Some("string") => "text".to_owned(),
        Some("array") => "list".to_owned(),
        Some("object") => "map".to_owned(),
        _ => String::new(),
    }
}
