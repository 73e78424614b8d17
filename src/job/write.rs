//! Job files from documents: YAML or JSON. Writes no file.

use serde_yaml::{Mapping, Value};

use super::positions::{self, Node, Origin, ScalarKind};

/// The first line of files that we make: editors find the schema by it.
pub const JOB_SCHEMA_LINE: &str = "# yaml-language-server: $schema=../.etlsched/job.schema.json";
/// The same for etlsched.yaml.
pub const WORKSPACE_SCHEMA_LINE: &str = "# yaml-language-server: $schema=.etlsched/workspace.schema.json";

/// Reads a document of a job: YAML, or JSON as JSON has it (with `\ud83d\ude00` and tabs).
///
/// # Errors
/// What is wrong, with line and column where there is one.
pub fn read(bytes: &[u8]) -> Result<Mapping, String> {
    let text = positions::text(Origin::Job, bytes).map_err(|fault| at(&fault))?;
    let value = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) if json.is_object() => {
            let (_, faults) = positions::parse(Origin::Job, &json.to_string());
            if let Some(fault) = faults.first() {
                return Err(at(fault));
            }
            serde_yaml::to_value(json).map_err(|error| error.to_string())?
        }
        _ => {
            let (node, faults) = positions::parse(Origin::Job, text);
            match (faults.first(), node) {
                (Some(fault), _) => return Err(at(fault)),
                (None, None) => return Err("the document is empty".to_owned()),
                (None, Some(node)) => value(&node),
            }
        }
    };
    match value {
        Value::Mapping(map) => Ok(map),
        _ => Err("the document is not a map of keys".to_owned()),
    }
}

fn at(fault: &positions::Fault) -> String {
    let place = if fault.place.line > 0 { format!("line {}, column {}: ", fault.place.line, fault.place.column) } else { String::new() };
    let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{place}{}{hint}", fault.message)
}

/// Returns a tree as a value of serde_yaml.
pub fn value(node: &Node) -> Value {
    match &node.value {
        positions::Value::Scalar(scalar) => match scalar.kind {
            ScalarKind::Null => Value::Null,
            ScalarKind::Bool(is) => Value::Bool(is),
            ScalarKind::Int(number) => Value::Number(number.into()),
            ScalarKind::Float(number) => Value::Number(number.into()),
            ScalarKind::Text => Value::String(scalar.text.clone()),
        },
        positions::Value::List(items) => Value::Sequence(items.iter().map(value).collect()),
        positions::Value::Map(entries) => {
            Value::Mapping(entries.iter().map(|entry| (Value::String(entry.key.clone()), value(&entry.node))).collect())
        }
    }
}

/// Returns a job file's text.
///
/// # Errors
/// What keeps the map from being written as YAML.
pub fn text(map: &Mapping) -> Result<String, String> {
    // The order of the tables, which is that of the documentation; JSON has none.
    let known = super::keys::JOB.keys().iter().filter_map(|key| Some((Value::from(key.name), map.get(key.name)?.clone())));
    let unknown = map.iter().filter(|(key, _)| key.as_str().is_none_or(|key| super::keys::JOB.key(key).is_none()));
    let ordered: Mapping = known.chain(unknown.map(|(key, value)| (key.clone(), value.clone()))).collect();
    let yaml = serde_yaml::to_string(&ordered).map_err(|error| error.to_string())?;
    Ok(format!("{JOB_SCHEMA_LINE}\n{yaml}"))
}

/// Returns a Latin letter without its marks, as people write it where there are none: one or two letters. Anything else stays as it is.
fn plain(letter: char) -> impl Iterator<Item = char> {
    let small = letter.to_lowercase().next().unwrap_or(letter);
    let (first, second) = match small {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => ('a', None),
        'æ' => ('a', Some('e')),
        'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => ('c', None),
        'ď' | 'đ' | 'ð' => ('d', None),
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => ('e', None),
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => ('g', None),
        'ĥ' | 'ħ' => ('h', None),
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => ('i', None),
        'ĵ' => ('j', None),
        'ķ' => ('k', None),
        'ĺ' | 'ļ' | 'ľ' | 'ł' => ('l', None),
        'ñ' | 'ń' | 'ņ' | 'ň' => ('n', None),
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => ('o', None),
        'œ' => ('o', Some('e')),
        'ŕ' | 'ŗ' | 'ř' => ('r', None),
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => ('s', None),
        'ß' => ('s', Some('s')),
        'þ' => ('t', Some('h')),
        'ţ' | 'ť' | 'ŧ' | 'ț' => ('t', None),
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => ('u', None),
        'ŵ' => ('w', None),
        'ý' | 'ÿ' | 'ŷ' => ('y', None),
        'ź' | 'ż' | 'ž' => ('z', None),
        other => (other, None),
    };
    // A mark that stands behind its letter is no letter.
    let is_mark = matches!(first, '\u{300}'..='\u{36f}');
    (!is_mark).then_some(first).into_iter().chain(second)
}

/// Returns a job id made of a name: `Daily sales, EU` is `daily_sales_eu`; `None` where nothing of it can stand in an id.
pub fn slug(name: &str) -> Option<String> {
    let mut slug = String::new();
    for character in name.chars().flat_map(plain) {
        match character.to_ascii_lowercase() {
            plain @ ('a'..='z' | '0'..='9') => slug.push(plain),
            '-' if !slug.is_empty() => slug.push('-'),
            _ if !slug.is_empty() && !slug.ends_with('_') => slug.push('_'),
            _ => {}
        }
    }
    slug.truncate(63);
    let slug = slug.trim_end_matches(['_', '-']);
    (!slug.is_empty()).then(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ids() {
        assert_eq!(slug("Daily sales, EU").as_deref(), Some("daily_sales_eu"));
        assert_eq!(slug("../../etc/passwd").as_deref(), Some("etc_passwd"));
        for (name, id) in [
            ("Österreich", "osterreich"),
            ("Größe über Málaga, España", "grosse_uber_malaga_espana"),
            ("Łódź ÆRØ", "lodz_aero"),
            ("cafe\u{301} du matin", "cafe_du_matin"),
        ] {
            assert_eq!(slug(name).as_deref(), Some(id), "{name}");
        }
        assert_eq!(slug("日本").as_deref(), None);
        assert_eq!(slug(&"x".repeat(100)).map(|slug| slug.len()), Some(63));
    }

    #[test]
    fn documents_that_are_no_jobs_are_refused() {
        assert_eq!(read(b"").unwrap_err(), "the document is empty");
        assert_eq!(read(b"[1, 2]").unwrap_err(), "the document is not a map of keys");
        assert_eq!(read(b"a: 1\na: 2\n").unwrap_err(), "line 2, column 1: a stands twice: first in line 1 (keep one of them)");
    }
}
